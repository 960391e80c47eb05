"""Apply a policy to every logged decision point, so that anyone can check an evaluation with their own code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from agents.manifest import Manifest, check_compatible
from agents.price_range import Outside, told_by_name, warn_of_logged
from envs.errors import InputError
from envs.prices import Prices
from envs.tables import Tables, read_tables
from evaluation.adapt import adapt
from evaluation.configs import ApplyConfig
from evaluation.reading import logged_prices, masks


@dataclass(frozen=True)
class Applied:
    """A file of probabilities that was written."""

    out: Path
    decisions: int
    policy: str
    policy_digest: str | None

    def __rich__(self) -> str:
        return f"{self.decisions:,} decisions of {self.policy}"

    def _repr_html_(self) -> str:
        return f"<p>{self.decisions:,} decisions of {self.policy} in <code>{self.out}</code></p>"


def apply(
    tables: Tables | Path | str,
    policy: object,
    prices: Prices | Mapping[str, float] | None = None,
    outside: Outside = "refuse",
) -> pl.DataFrame:
    """A policy's probabilities at every logged decision, of training and test customers alike.

    prices: shown to the policy; by name, those left out stay as logged; None: all as logged
    outside: what becomes of a given price outside the range on which an artifact was trained
    -> decision_id, customer_id, at, treatment (the logged one), treatments (ids in position order),
       probabilities (float64, sum to 1, exactly 0 where masked), mask, prices (struct), policy_digest
    """
    source = tables if isinstance(tables, Tables) else read_tables(Path(tables))
    _check_artifact(policy, source)
    names = source.encoder.price_names
    named = told_by_name([policy], _named(prices, names), outside)
    kept = [i for i, name in enumerate(names) if name not in named]
    warn_of_logged([policy], logged_prices(source.decisions, names)[:, kept], [names[i] for i in kept])
    return _applied(source, policy, named)


def apply_policy(config: ApplyConfig) -> Applied:
    """Write the probabilities of an artifact for every logged decision of a directory of tables."""
    from agents.artifact import load_policy

    tables, policy = read_tables(config.tables), load_policy(config.policy)
    named = dict(config.pool_prices)
    if config.annoyance_price is not None:
        named["annoyance"] = config.annoyance_price
    frame = apply(tables, policy, named, config.prices_outside)
    out = config.out or Path("runs") / "decisions.parquet"
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}")
    frame.write_parquet(temporary)
    os.replace(temporary, out)
    return Applied(out, frame.height, policy.name, _digest(policy))


def _applied(tables: Tables, policy: object, prices: Mapping[str, float]) -> pl.DataFrame:
    """prices: those that are shown in the place of the logged ones, by name"""
    decisions, ids = tables.decisions, tables.catalogue.treatment_ids
    names, encoder = tables.encoder.price_names, tables.encoder
    shown = logged_prices(decisions, names)
    observation = np.asarray(decisions["observation"].explode().to_numpy(), dtype=np.float32)
    observation = observation.reshape(decisions.height, len(encoder.fields))
    if prices:
        changed = np.array([name in prices for name in names])
        shown[:, changed] = [prices[name] for name in names if name in prices]
        columns = np.array(list(encoder.price_columns.values()))[changed]
        observation = observation.copy()
        observation[:, columns] = encoder.price_fields(shown)[:, changed]
    mask = masks(decisions, tables)
    p = adapt(policy).probabilities(observation, mask)
    return decisions.select("decision_id", "customer_id", "at", "treatment").with_columns(
        treatments=pl.lit(list(ids), dtype=pl.List(pl.String)),
        probabilities=_lists(p, pl.Float64()),
        mask=_lists(mask, pl.Boolean()),
        prices=pl.DataFrame(shown, schema=list(names)).to_struct("prices"),
        policy_digest=pl.lit(_digest(policy), dtype=pl.String),
    )


def _named(prices: Prices | Mapping[str, float] | None, names: tuple[str, ...]) -> dict[str, float]:
    """The prices that were given, by name, checked."""
    named = (
        dict(zip(names, prices.vector().tolist(), strict=True)) if isinstance(prices, Prices) else dict(prices or {})
    )
    for name, value in named.items():
        if name not in names:
            raise InputError(f"must be one of: {', '.join(names)}", field="prices", value=name)
        if not (np.isfinite(value) and value >= 0):
            raise InputError("must be a number >= 0", field=f"prices.{name}", value=value)
    return named


def _check_artifact(policy: object, tables: Tables) -> None:
    """An artifact must have been made for this catalogue and this table of observation fields."""
    manifest = getattr(policy, "manifest", None)
    if isinstance(manifest, Manifest):
        check_compatible(manifest, tables.catalogue, tables.encoder.digest)


def _digest(policy: object) -> str | None:
    return getattr(getattr(policy, "manifest", None), "policy_digest", None)


def _lists(matrix: np.ndarray, kind: pl.DataType) -> pl.Series:
    """A matrix as a list column."""
    rows, width = matrix.shape
    offsets = pl.Series(np.ascontiguousarray(matrix).reshape(-1), dtype=kind)
    return offsets.reshape((rows, width)).arr.to_list() if rows else pl.Series([], dtype=pl.List(kind))
