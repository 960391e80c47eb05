"""The page of what a bank watches: indicators, process figures, and two pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from envs.counts import CONTACT_BINS, OPENED, TAKEN
from envs.process import CHANNEL_FIGURES, HAND_OVER_FIGURES, UNASKED, ChannelFigure
from evaluation.digits import number
from evaluation.drawing import INK, PALETTE, WIDTH, canvas, svg
from evaluation.page import template
from evaluation.watch import shown, told

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

    from envs.catalogue import Catalogue
    from envs.counts import Counts
    from evaluation.watch import Watched

MOST_HAND_OVERS = 20  # listed on the page; process.csv has all
_HALVES = tuple(tuple(f for f in CHANNEL_FIGURES if f.unasked == leads) for leads in (False, True))


class Measured(Protocol):
    """Figures of a log, or of a run that could have written one."""

    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def indicators(self) -> pl.DataFrame: ...
    @property
    def process(self) -> pl.DataFrame: ...


def page(watched: Watched) -> str:
    """One self-contained HTML page."""
    return template("watch.html.j2").render(
        customers=f"{watched.counts.customers:,}",
        period=told(watched.period),
        **measured(watched, watched.config.confidence, watched.config.patience),
    )


def measured(watched: Measured, confidence: float, patience: float) -> dict[str, Any]:
    """What `measured.html.j2` shows. patience: days for which a lead stays open."""
    return {
        "confidence": f"{confidence:.0%}",
        "patience": f"{patience:g}",
        "indicators": _indicators(watched),
        "channels": [_per_channel(watched, figures) for figures in _HALVES],
        "hand_overs": _hand_overs(watched),
        "figures": CHANNEL_FIGURES,
        "hand_over_figures": HAND_OVER_FIGURES,
        "flow": svg(flow(watched), "flow"),
        "contacts": svg(contacts(watched), "contacts"),
    }


def flow(watched: Measured) -> Figure:
    """Which channel takes up the leads of which: shares of those that arose (colour), and how many (number)."""
    names = (*watched.catalogue.channel_ids, UNASKED)
    taken = watched.counts.hand_overs[..., TAKEN]
    opened = watched.counts.leads[:, OPENED]
    share = taken / np.maximum(opened, 1)[:, None]
    figure, axes = canvas(1.6 + 0.36 * len(names))
    axes.invert_yaxis()
    mesh = axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=max(float(share.max()), 0.01), edgecolors="none")
    for row, column in zip(*taken.nonzero(), strict=True):
        dark = share[row, column] > 0.55 * share.max()
        colour, text = "#ffffff" if dark else "#000000", f"{taken[row, column]:,.0f}"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, names[:-1], rotation=35, ha="right")
    axes.set_yticks(np.arange(len(names)) + 0.5, [f"{n} ({o:,})" for n, o in zip(names, opened, strict=True)])
    axes.set_xlabel("taken up by")
    axes.set_ylabel("arose on (leads)")
    bar = figure.colorbar(mesh, ax=axes, pad=0.01, format=lambda value, _: f"{value:.0%}")
    bar.ax.tick_params(colors=INK)
    return figure


def contacts(watched: Measured) -> Figure:
    """Customers by number of contacts, with the mean and the 95th and 99th percentiles."""
    histogram = watched.counts.contacts_histogram
    last = int(np.flatnonzero(histogram)[-1]) if histogram.any() else 0
    figure, axes = canvas(0.32 * WIDTH)
    axes.bar(np.arange(last + 1), histogram[: last + 1], width=0.9, color=PALETTE[0], edgecolor="none")
    value = dict(watched.indicators.select("indicator", "value").iter_rows())
    for colour, (name, words) in enumerate({"mean": "mean", "p95": "95 %", "p99": "99 %"}.items(), start=1):
        if (at := value[f"contacts_{name}"]) is not None:
            axes.axvline(at, color=PALETTE[colour], linewidth=1.5, label=f"{words}: {number(at)}")
            axes.legend(frameon=False, labelcolor=INK, fontsize=8)
    tail = f" (the last: {last} or more)" if last == CONTACT_BINS - 1 else ""
    axes.set_xlabel(f"contacts{tail}")
    axes.set_ylabel("customers")
    return figure


def _indicators(watched: Measured) -> list[dict[str, Any]]:
    rows = watched.indicators.iter_rows(named=True)
    return [{**row, **{name: shown(row[name]) for name in ("value", "low", "high")}} for row in rows]


def _per_channel(
    watched: Measured, figures: tuple[ChannelFigure, ...]
) -> tuple[tuple[ChannelFigure, ...], list[tuple[str, list[str]]]]:
    """Some figures, and each channel's name with their values."""
    frame = watched.process
    found = {(f, c): v for f, c, to, v in frame.select("figure", "from", "to", "value").iter_rows() if to is None}
    names = (*watched.catalogue.channel_ids, *([UNASKED] if all(f.unasked for f in figures) else []))
    return figures, [(name, [shown(found.get((f.name, name))) for f in figures]) for name in names]


def _hand_overs(watched: Measured) -> list[tuple[str, str, list[str]]]:
    """The largest hand-overs: from, to, figures in the order of HAND_OVER_FIGURES."""
    pairs: dict[tuple[str, str], dict[str, float | None]] = {}
    for figure, source, taker, value in watched.process.select("figure", "from", "to", "value").iter_rows():
        if taker is not None:
            pairs.setdefault((source, taker), {})[figure] = value
    order = sorted(pairs.items(), key=lambda pair: -(pair[1]["taken_up"] or 0.0))[:MOST_HAND_OVERS]
    return [(*pair, [shown(values[f.name]) for f in HAND_OVER_FIGURES]) for pair, values in order]
