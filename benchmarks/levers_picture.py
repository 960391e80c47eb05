"""The picture of levers: what is used of annoyance and of each pool, by the price that the policy is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evaluation.drawing import INK, PALETTE, styled
from evaluation.intervals import pooled_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.lever import Lever


def levers_figure(asked: Sequence[Lever]) -> Figure:
    """One picture per price: every seed as a thin line, their mean with its 95 % interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(asked), 3.0), layout="constrained")
    for axes, lever in zip(figure.subplots(1, len(asked), squeeze=False)[0], asked, strict=True):
        styled(axes)
        _drawn(axes, lever)
    return figure


def _drawn(axes: Any, lever: Lever) -> None:
    used = [lever.consumption(k) for k in range(len(lever.levels))]
    found = [pooled_seeds(each) for each in used]
    for seed in range(len(used[0])):
        axes.plot(lever.levels, [each[seed].mean() for each in used], color=PALETTE[7], linewidth=0.6)
    spread = [[f.value - f.lo for f in found], [f.hi - f.value for f in found]]
    axes.errorbar(lever.levels, [f.value for f in found], yerr=spread, color=PALETTE[0], marker="o", markersize=4)
    axes.set_xscale("symlog", linthresh=lever.levels[1])
    axes.set_xticks(lever.levels, [f"{level:g}" for level in lever.levels])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_title(lever.name, color=INK, fontsize=10)
    axes.set_xlabel("CNY per opt-out" if lever.place == 0 else "CNY per minute")
    axes.set_ylabel("opt-outs per customer" if lever.place == 0 else "minutes per customer")
