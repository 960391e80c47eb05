"""Prices: what the policy is conditioned on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.schema import Schema


@dataclass(frozen=True)
class Prices:
    """The price of one unit of annoyance and of one unit of each pool, in currency."""

    annoyance: float
    pools: tuple[float, ...] = ()

    def vector(self) -> np.ndarray:  # (1 + pools,) float64
        return np.array([self.annoyance, *self.pools])

    def named(self, catalogue: Catalogue) -> dict[str, float]:
        """As it is written to `decisions.parquet`."""
        return {"annoyance": self.annoyance, **dict(zip(catalogue.pool_ids, self.pools, strict=True))}


SPREAD = 100.0  # top of a range over the price at which the observed field turns from linear to logarithmic; assumed


def price_field(price: np.ndarray, high: np.ndarray | float) -> np.ndarray:
    """The observed field: log(1 + 100 price / high) / log(101); 0 at no price, 1 at the top of the range, 2 at most."""
    return np.asarray(np.clip(np.log1p(SPREAD * price / high) / np.log1p(SPREAD), 0, 2))


def price_of(field: np.ndarray, high: np.ndarray | float) -> np.ndarray:
    """The price that an observed field stands for."""
    return np.asarray(np.expm1(field * np.log1p(SPREAD)) * high / SPREAD)


def prices_from(named: dict[str, float] | None, catalogue: Catalogue, schema: Schema) -> Prices:
    """Prices by name; names left out take the schema's default, unknown ones and negative ones are refused."""
    known = ("annoyance", *catalogue.pool_ids)
    given = dict(named or {})
    for name, value in given.items():
        if name not in known:
            raise InputError(f"must be one of: {', '.join(known)}", field="prices", value=name)
        if not (np.isfinite(value) and value >= 0):
            raise InputError("must be a number >= 0", field=f"prices.{name}", value=value)
    defaults = {name: schema.prices[name].default if name in schema.prices else 0.0 for name in known}
    full = {**defaults, **given}
    return Prices(float(full["annoyance"]), tuple(float(full[pool]) for pool in catalogue.pool_ids))
