"""The picture of frontiers: gain over annoyance, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.drawing import INK, PALETTE, canvas
from evaluation.frontier import Measured
from evaluation.intervals import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALONG = 25  # levels at which a curve and its band are computed
DASHES = ("-", "--", ":")  # told apart beyond the eight colours


def frontier_figure(tested: Sequence[Measured], currency: str = "", most: float | None = None) -> Figure:
    """Gain at each mean annoyance with its 95 % band, corners as points. most: the largest annoyance shown."""
    figure, axes = canvas(4.6)
    for number, found in enumerate(tested):
        colour, dash = PALETTE[number % len(PALETTE)], DASHES[number // len(PALETTE) % len(DASHES)]
        _curve(axes, found, colour, dash)
    axes.axhline(0, color=PALETTE[7], linewidth=0.8)
    axes.set_xlim(left=0, right=most)
    axes.set_xlabel("annoyance per customer (opt-outs)")
    axes.set_ylabel(f"gain over silence per customer{f' ({currency})' if currency else ''}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, labelcolor=INK, fontsize=8)
    return figure


def _curve(axes: Any, found: Measured, colour: str, dash: str) -> None:
    corners = found.means[0]
    levels = np.unique(np.concatenate([np.linspace(0, found.reach, ALONG), corners]))
    gains = [mean_interval(found.gain(float(level))) for level in levels]
    middle, low, high = (np.array([getattr(g, part) for g in gains]) for part in ("value", "lo", "hi"))
    axes.plot(levels, middle, color=colour, linestyle=dash, linewidth=1.6, label=found.frontier.name)
    axes.fill_between(levels, low, high, color=colour, alpha=0.15, linewidth=0)
    at = np.isin(levels, corners)
    axes.plot(levels[at], middle[at], color=colour, linestyle="none", marker="o", markersize=3.5)
