"""The witness's picture: coverage of the lead and how often the gate is wrong, by size of the log and decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from benchmarks.witness_logs import Cell
from benchmarks.witness_rates import Rate
from benchmarks.witness_table import Replications, covered, false_alarm
from evaluation.drawing import PALETTE, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AIMED = {"covered by 95 % intervals": (0.93, 0.97), "admitted though no better": (0.0, 0.05)}
SPREAD = 0.06  # by which points of one size stand apart, share of the size


def draw(cells: Mapping[Cell, Replications]) -> Figure:
    """Two rows of panels, one per randomness of the log: a line for each number of decisions, with 95 % intervals."""
    from matplotlib.figure import Figure

    floors = sorted({cell.floor for cell in cells})
    figure = Figure(figsize=(4 * len(floors), 6.5), layout="constrained")
    grid = figure.subplots(2, len(floors), sharex=True, sharey="row", squeeze=False)
    shown: tuple[Callable[[Replications], Rate | None], ...] = (covered, false_alarm)
    for row, (words, of) in enumerate(zip(AIMED, shown, strict=True)):
        for column, floor in enumerate(floors):
            some = {cell: of(found) for cell, found in cells.items() if cell.floor == floor}
            _panel(grid[row, column], {cell: found for cell, found in some.items() if found is not None}, AIMED[words])
            grid[0, column].set_title(f"{floor:.0%} of logged decisions are random")
        grid[row, 0].set_ylabel(words)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), title="decisions", frameon=False, loc="outside right")
    figure.supxlabel("customers of the log")
    return figure


def _panel(axes: Axes, rates: Mapping[Cell, Rate], aimed: tuple[float, float]) -> None:
    styled(axes)
    axes.axhspan(*aimed, color="0.85", alpha=0.5, zorder=0)
    for number, decisions in enumerate(sorted({cell.decisions for cell in rates})):
        own = [(cell.customers, found) for cell, found in rates.items() if cell.decisions == decisions]
        places = [size * (1 + SPREAD * (number - 1)) for size, _ in own]
        apart = [[one.share - one.lo for _, one in own], [one.hi - one.share for _, one in own]]
        shape = {"marker": "osD"[number % 3], "color": PALETTE[number % len(PALETTE)]}
        axes.errorbar(places, [one.share for _, one in own], apart, label=str(decisions), **shape)
    axes.set_xscale("log")
