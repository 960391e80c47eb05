"""How a learning went: its curves as a picture, and the best validation of every seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = ("gain", "return", "annoyance", "entropy_loss", "explained_variance")
TITLES = {"gain": "validation gain", "entropy_loss": "entropy"}
SPREAD = {"seed": pl.Int32, "decisions": pl.Float64, "gain": pl.Float64, "lo": pl.Float64, "hi": pl.Float64}


def learning_figure(curves: pl.DataFrame, validations: pl.DataFrame) -> Figure:
    """Validation gain of every seed, and return, annoyance, entropy and explained variance, over decisions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 2.8), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        frame = validations if name == "gain" else curves
        for (seed,), own in frame.group_by("seed", maintain_order=True):
            if name in own.columns:
                sign = -1 if name == "entropy_loss" else 1
                axis.plot(own["decisions"], sign * own[name], marker=".", label=f"seed {seed}")
            if name == "gain" and "lo" in own.columns:
                axis.fill_between(own["decisions"], own["lo"], own["hi"], alpha=0.15)
        axis.ticklabel_format(useOffset=False)
        axis.locator_params(axis="x", nbins=4)
        axis.set_title(TITLES.get(name, name.replace("_", " ")))
        axis.set_xlabel("decisions")
        if name == "gain" and axis.lines:
            axis.legend(fontsize="small")
    return figure


def figures_said(row: Mapping[str, float]) -> str:
    """The figures of one update in a line; return and annoyance are per episode and per day, entropy in nats.

    row: of a training's curves; what an update lacks, as a return before an episode has ended, is left out
    """
    said = [("return", row.get("return"), ".1f"), ("annoyance", row.get("annoyance"), ".4f"),
            ("KL", row.get("approx_kl"), ".4f"), ("entropy", -row.get("entropy_loss", math.nan), ".3f"),
            ("explained variance", row.get("explained_variance"), ".2f")]  # fmt: skip
    parts = [f"{name} {value:{form}}" for name, value, form in said if value is not None and math.isfinite(value)]
    return ", ".join([*parts, f"{row['steps_per_second']:,.0f} decisions/s"])


def spread_of(validations: pl.DataFrame) -> pl.DataFrame:
    """Per seed the state that leaves: decisions, gain over silence (currency per customer), lo, hi."""
    if "kept" not in validations.columns:
        return pl.DataFrame(schema=SPREAD)
    best = validations.filter(pl.col("kept") > 0).group_by("seed", maintain_order=True).last()
    return best.select(list(SPREAD))
