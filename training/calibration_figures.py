"""Figures of a calibration: predicted against observed on customers held out, and the profiles of half-lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.calibration_heads import FittedHead
from training.half_lives import QUANTILE, HalfLife

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4


def calibration_figure(heads: Sequence[FittedHead]) -> Figure:
    """One panel per head; on the diagonal, what was predicted came true. Bars are 95 % intervals."""
    from matplotlib.figure import Figure

    rows = -(-len(heads) // COLUMNS)
    figure = Figure(figsize=(3.2 * COLUMNS, 3.0 * rows), layout="constrained")
    for place, head in enumerate(heads, start=1):
        _panel(figure.add_subplot(rows, COLUMNS, place), head)
    figure.supxlabel("predicted")
    figure.supylabel("observed, customers held out")
    return figure


def _panel(axes: Axes, head: FittedHead) -> None:
    bins = head.fidelity.bins
    axes.set_title(head.name, fontsize=9)
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", nbins=5)
    if not bins:
        axes.text(0.5, 0.5, "nothing held out", ha="center", transform=axes.transAxes, fontsize=8)
        return
    predicted = [b.predicted for b in bins]
    top = max(max(predicted), max(b.observed for b in bins)) * 1.05 or 1.0
    axes.plot([0, top], [0, top], color="0.7", linewidth=1)
    axes.errorbar(predicted, [b.observed for b in bins], [1.96 * b.se for b in bins], fmt="o", markersize=3, capsize=2)
    axes.set_xlim(0, top)
    axes.set_ylim(bottom=0)


def half_life_figure(half_lives: Sequence[HalfLife]) -> Figure:
    """One panel per half-life: the likelihood ratio to the best candidate; below the dotted line, none is ruled out."""
    from matplotlib.figure import Figure

    rows = -(-len(half_lives) // COLUMNS)
    figure = Figure(figsize=(3.2 * COLUMNS, 2.6 * rows), layout="constrained")
    for place, half_life in enumerate(half_lives, start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        axes.set_title(half_life.name, fontsize=9)
        axes.tick_params(labelsize=7)
        if not half_life.days:
            axes.text(0.5, 0.5, "not in the log", ha="center", transform=axes.transAxes, fontsize=8)
            continue
        axes.plot(half_life.days, half_life.ratio, marker=".")
        axes.set_xscale("log", base=2)
        axes.axhline(QUANTILE, color="0.5", linestyle=":")
        axes.axvline(half_life.chosen, color="0.5", linewidth=1)
        axes.set_ylim(0, 4 * QUANTILE)
    figure.supxlabel("half-life, days (the line: chosen)")
    figure.supylabel("likelihood ratio")
    return figure
