"""Attributes of treatments: the numbers by which response models and networks tell treatments apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.catalogue import Catalogue


@dataclass(frozen=True)
class Attributes:
    """A table of treatment attributes; silence has a row of zeros."""

    names: tuple[str, ...]
    values: np.ndarray  # (treatments, attributes) float64

    def column(self, name: str) -> np.ndarray:  # (treatments,) float64
        return self.values[:, self.names.index(name)]


def descriptive(catalogue: Catalogue) -> Attributes:
    """Attributes that describe, and so carry over to a treatment never seen: features, cost, benefit, format, daypart.

    Numeric attributes are divided by their largest absolute value in the catalogue.
    """
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
    names = tuple(sorted({name for row in rows for name in row}))
    values = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    scale = np.abs(values).max(axis=0)
    return Attributes(names, values / np.where(scale > 0, scale, 1.0))


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
