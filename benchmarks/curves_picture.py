"""The picture of learning curves: gain over decisions and over seconds, mean of the seeds, with 95 % bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.curves import Curve
from evaluation.drawing import INK, PALETTE, styled
from evaluation.intervals import pooled_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALONG = 40  # places at which a band is computed


def curves_figure(named: Mapping[str, Sequence[Curve]], unit: str, levels: Mapping[str, float] | None = None) -> Figure:
    """By name the curves of every seed. unit: of the gain; levels: lines across, by what they are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for number, (name, curves) in enumerate(named.items()):
        colour = PALETTE[number % len(PALETTE)]
        _band(left, curves, [c.decisions for c in curves], Curve.at_decisions, colour, name)
        _band(right, curves, [c.seconds for c in curves], Curve.at_seconds, colour, name)
    for axes, along in ((left, "decisions"), (right, "seconds, teacher and imitation among them")):
        styled(axes)
        axes.set_xlim(left=0)
        axes.set_xlabel(along)
        axes.locator_params(axis="x", nbins=5)
        for place, (name, level) in enumerate((levels or {}).items()):
            axes.axhline(level, color=INK, linewidth=0.8, linestyle=("--", ":")[place % 2], label=name)
    left.set_ylabel(f"gain over silence per customer ({unit})")
    right.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, labelcolor=INK, fontsize=8)
    return figure


def _band(
    axes: Any,
    curves: Sequence[Curve],
    places: Sequence[np.ndarray],
    at: Callable[[Curve, float], np.ndarray],
    colour: str,
    name: str,
) -> None:
    """From where every seed has begun to where the first one ends."""
    along = np.linspace(max(p[0] for p in places), min(p[-1] for p in places), ALONG)
    found = [pooled_seeds(np.stack([at(curve, float(x)) for curve in curves])) for x in along]
    axes.plot(along, [f.value for f in found], color=colour, linewidth=1.6, label=name)
    axes.fill_between(along, [f.lo for f in found], [f.hi for f in found], color=colour, alpha=0.12, linewidth=0)
