"""Attributes of treatments: the numbers by which response models and networks tell treatments apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from envs.catalogue import Catalogue, Family
from envs.errors import InputError


@dataclass(frozen=True)
class Attributes:
    """A table of treatment attributes; silence has a row of zeros."""

    names: tuple[str, ...]
    values: np.ndarray  # (treatments, attributes) float64

    def column(self, name: str) -> np.ndarray:  # (treatments,) float64
        return self.values[:, self.names.index(name)]


@dataclass(frozen=True)
class Columns:
    """Which columns a table of attributes has, and what each is divided by.

    Fixed when a network is made, so that it reads a catalogue with other treatments as it read its own.
    """

    names: tuple[str, ...]
    largest: tuple[float, ...]  # absolute value in the catalogue it was made from, 1 for a column of zeros

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, float]]) -> Columns:
        """The columns of a catalogue's own rows."""
        names = tuple(sorted({name for row in rows for name in row}))
        largest = (max(abs(row.get(name, 0.0)) for row in rows) or 1.0 for name in names)
        return cls(names, tuple(largest))

    def table(self, rows: Sequence[Mapping[str, float]]) -> Attributes:
        """Rows put into these columns; an attribute that no column is made for is refused."""
        for row in rows:
            for name, value in row.items():
                if name not in self.names and value:
                    known = ", ".join(self.names)
                    raise InputError(
                        f"must be one that the network was made with: {known}", field="attribute", value=name
                    )
        values = np.array([[row.get(name, 0.0) for name in self.names] for row in rows])
        return Attributes(self.names, values / np.array(self.largest))


def descriptive(catalogue: Catalogue) -> Attributes:
    """Attributes of treatments that describe, and so carry over to a treatment never seen, see `treatment_rows`.

    Divided by their largest absolute value in the catalogue.
    """
    rows = treatment_rows(catalogue)
    return Columns.of(rows).table(rows)


def treatment_rows(catalogue: Catalogue) -> list[dict[str, float]]:
    """Per treatment, silence first: features of product and channel, cost, benefit, effort, format, daypart."""
    rows: list[dict[str, float]] = [{}]
    benefit = catalogue.benefit_cost
    for position, treatment in enumerate(catalogue.treatments, start=1):
        product = catalogue.products[catalogue.product_of[position]]
        channel = catalogue.channels[catalogue.channel_of[position]]
        row = {"contact": 1.0, "cost": treatment.cost, "benefit_cost": float(benefit[position])}
        row["selling"] = float(product.selling)
        row["risk_level"] = float(product.risk_level)
        row["annoyance"] = channel.annoyance
        row["inbound"] = float(channel.inbound is not None)
        row |= {f"product.{name}": value for name, value in product.features.items()}
        row |= {f"channel.{name}": value for name, value in channel.features.items()}
        row |= {f"effort.{name}": value for name, value in treatment.effort.items()}
        row |= {
            f"family={channel.family}": 1.0,
            f"format={treatment.format}": 1.0,
            f"daypart={treatment.daypart}": 1.0,
        }
        rows.append(row)
    return rows


def product_rows(catalogue: Catalogue) -> list[dict[str, float]]:
    """Per product: its features, risk, and how it is closed, matures and may be held."""
    rows = []
    for product in catalogue.products:
        row = {"selling": float(product.selling), "risk_level": float(product.risk_level), "once": float(product.once)}
        row |= {"maturing_days": float(product.maturing_days), "clears_hold": float(product.clears_hold)}
        row |= {
            f"closes={family}": float(not product.closes or family in product.closes) for family in get_args(Family)
        }
        rows.append(row | {f"product.{name}": value for name, value in product.features.items()})
    return rows


def channel_rows(catalogue: Catalogue) -> list[dict[str, float]]:
    """Per channel: its features, family, annoyance, and whether customers come in by it."""
    rows = []
    for channel in catalogue.channels:
        row = {"annoyance": channel.annoyance, "inbound": float(channel.inbound is not None)}
        row |= {"delay_days": channel.delay_days, f"family={channel.family}": 1.0}
        rows.append(row | {f"channel.{name}": value for name, value in channel.features.items()})
    return rows


def identifying(catalogue: Catalogue) -> Attributes:
    """One-hot attributes for response models: `contact`, `product=..`, `channel=..`, `benefit=..` and so on.

    An attribute that every contact shares (a single channel, say) is left to `contact`.
    """
    columns: dict[str, np.ndarray] = {"contact": np.array([0.0] + [1.0] * len(catalogue.treatments))}
    for kind in ("product", "channel", "benefit", "format", "daypart"):
        values = [getattr(t, kind) for t in catalogue.treatments]
        if len(set(values)) > 1:
            for value in dict.fromkeys(values):
                columns[f"{kind}={value}"] = np.array([0.0] + [float(v == value) for v in values])
    return Attributes(tuple(columns), np.stack(list(columns.values()), axis=1))
