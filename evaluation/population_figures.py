"""Pictures of a population that shares pools: how full each pool was, and what was refused, day by day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from evaluation.drawing import INK, PALETTE, WIDTH, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.population_report import PopulationReport

MOST_REGIONS = 7  # drawn by name, those that lacked most; the palette has eight colours
OTHERS = "others"
TOGETHER = "all together"
HIGH, HEAD = 1.75, 0.7  # inches of a panel, and of the legend with the axis


def utilisation(report: PopulationReport) -> Figure:
    """One panel per pool, one line per region, one of all together; a dot where requests were refused."""
    pools, names = report.pools["pool"].to_list(), regions(report)
    figure, panels = _panels(pools)
    for axes, pool in zip(panels, pools, strict=True):
        lines = [(name, report.days.filter(pool=pool, region=name)) for name in names]
        whole = (TOGETHER, report.bank_days.filter(pool=pool))
        for place, (name, days) in enumerate([*lines, whole] if len(names) > 1 else [whole]):
            last = name == TOGETHER
            colour = INK if last and len(names) > 1 else PALETTE[place]
            x, y = days["day"].to_numpy(), days["utilisation"].to_numpy()
            axes.plot(x, y, color=colour, linewidth=1.8 if last else 1.1, label=name)
            if not last or len(names) == 1:
                at = days["exhausted"].to_numpy()
                axes.plot(x[at], y[at], "o", markersize=4.5, color=colour)
        axes.axhline(1.0, color=PALETTE[7], linestyle="--", linewidth=1)
        axes.set_ylim(0, 1.08)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    panels[-1].plot([], [], "o", color=PALETTE[7], markersize=4.5, label="requests were refused")
    _finish(figure, panels)
    return figure


def refused(report: PopulationReport) -> Figure:
    """One panel per pool that refused requests: the units refused each day, by region."""
    pools = lacking(report) or report.pools["pool"].to_list()
    names = regions(report)
    figure, panels = _panels(pools)
    for axes, pool in zip(panels, pools, strict=True):
        unit, whole = report.pools.filter(pool=pool)["unit"][0], report.bank_days.filter(pool=pool)
        below = np.zeros(whole.height)
        for place, (name, units) in enumerate(_stacked(report, pool, names, whole)):
            colour = PALETTE[7] if name == OTHERS else PALETTE[place]
            axes.bar(whole["day"], units, bottom=below, width=0.9, color=colour, edgecolor="none", label=name)
            below = below + units
        axes.set_ylabel(f"{unit} refused")
    _finish(figure, panels)
    return figure


def prices(report: PopulationReport) -> Figure:
    """One panel per pool: what a unit cost each day, one line per region, one of all together; a dot where it did not
    clear at the highest price there is."""
    names = regions(report)
    figure, panels = _panels(report.pools["pool"].to_list())
    for axes, row in zip(panels, report.pools.iter_rows(named=True), strict=True):
        lines = [(name, report.days.filter(pool=row["pool"], region=name)) for name in names]
        whole = (TOGETHER, report.bank_days.filter(pool=row["pool"]))
        for place, (name, days) in enumerate([*lines, whole] if len(names) > 1 else [whole]):
            last = name == TOGETHER
            colour = INK if last and len(names) > 1 else PALETTE[place]
            x, y, short = (days[column].to_numpy() for column in ("day", "price", "short"))
            axes.plot(x, y, color=colour, linewidth=1.8 if last else 1.1, label=name)
            if short.dtype == bool and (not last or len(names) == 1):
                axes.plot(x[short], y[short], "o", markersize=4.5, color=colour)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(f"{report.catalogue.currency} per {row['unit'].removesuffix('s')}")
    panels[-1].plot([], [], "o", color=PALETTE[7], markersize=4.5, label="did not clear at the highest price")
    _finish(figure, panels)
    return figure


FIGURES: dict[str, Callable[[PopulationReport], Figure]] = {
    "utilisation": utilisation,
    "refused": refused,
    "prices": prices,
}


def regions(report: PopulationReport) -> list[str]:
    """The regions that are drawn by name: those in which most requests were refused, in the catalogue's order."""
    order = report.frame.group_by("region", maintain_order=True).agg(pl.col("requests_refused", "granted").sum())
    most = order.sort("requests_refused", "granted", descending=True, maintain_order=True)["region"][:MOST_REGIONS]
    return [name for name in order["region"] if name in set(most)]


def lacking(report: PopulationReport) -> list[str]:
    """Pools that refused requests."""
    return report.pools.filter(pl.col("requests_refused") > 0)["pool"].to_list()


def _stacked(
    report: PopulationReport, pool: str, names: list[str], whole: pl.DataFrame
) -> Iterator[tuple[str, np.ndarray]]:
    rest = whole["refused"].to_numpy().copy()
    for name in names:
        units = report.days.filter(pool=pool, region=name).sort("day")["refused"].to_numpy()
        rest = rest - units
        yield name, units
    if report.frame["region"].n_unique() > len(names):
        yield OTHERS, np.maximum(rest, 0.0)


def _panels(titles: list[str]) -> tuple[Figure, list[Any]]:
    """One panel below the other, as wide as the page, with the same days."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEAD + HIGH * len(titles)), layout="constrained")
    panels = list(figure.subplots(len(titles), 1, sharex=True, squeeze=False)[:, 0])
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        styled(axes)
    return figure, panels


def _finish(figure: Figure, panels: list[Any]) -> None:
    """Days below, and one legend above all panels."""
    from matplotlib.ticker import MaxNLocator

    panels[-1].set_xlabel("day (0: the first)")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels:
        for text in (axes.yaxis.label, axes.xaxis.label, axes.title):
            text.set_color(INK)
    handles, labels = panels[-1].get_legend_handles_labels()
    if len(labels) > 1:
        columns = len(labels) if len(labels) <= 6 else 5
        place: dict[str, Any] = {"loc": "outside upper center", "ncols": columns, "frameon": False}
        figure.legend(handles, labels, labelcolor=INK, fontsize=8, **place)
