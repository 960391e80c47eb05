"""Pictures of a fidelity report: matplotlib figures for notebooks, inline SVG for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.drawing import INK, PALETTE, WIDTH, canvas, styled
from training.fidelity_checks import NORMAL
from training.fidelity_groups import TENTH
from training.fidelity_posterior import Compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from training.fidelity_judge import HeadFidelity
    from training.fidelity_report import FidelityReport

COLUMNS = 4  # panels in a row
SHOWN = 1.5  # how far from the mean of the replays an indicator is drawn; rare ones scatter further
MOST_EVENTS = 4  # whose curves are drawn, those with the most points judged
CURVES = ("contact number", "days since the last contact", "weekday")


def ratios(report: FidelityReport) -> Figure:
    """Score of each head over LightGBM's, with its interval; over base rates beside it, hollow."""
    heads = [head for head in report.heads if head.ratio is not None or head.enough][::-1]
    figure, axes = canvas(1.2 + 0.36 * max(len(heads), 1))
    for row, head in enumerate(heads):
        over = head.over_base
        axes.plot([over.lo, over.hi], [row - 0.17] * 2, color=PALETTE[7], linewidth=1)
        axes.plot([over.value], [row - 0.17], marker="D", markersize=4, color=PALETTE[7], markerfacecolor="none")
        if head.ratio is not None:
            colour = PALETTE[0] if head.enough else PALETTE[4]
            axes.plot([head.ratio.lo, head.ratio.hi], [row + 0.12] * 2, color=colour, linewidth=2)
            axes.plot([head.ratio.value], [row + 0.12], marker="o", markersize=5, color=colour)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.axvline(report.config.thresholds.stiff, color=PALETTE[5], linewidth=1, linestyle="--")
    axes.set_yticks(range(len(heads)), [head.name for head in heads])
    axes.set_ylim(-0.6, len(heads) - 0.4)
    axes.set_xlim(*_span(report))
    axes.set_xlabel("score of the head over that of the other: below 1 the head is better")
    handles = [axes.plot([], [], marker="o", color=PALETTE[0], linewidth=2)[0]]
    handles.append(axes.plot([], [], marker="D", color=PALETTE[7], markerfacecolor="none", linewidth=1)[0])
    handles.append(axes.axvline(np.nan, color=PALETTE[5], linestyle="--", linewidth=1))
    labels = ["over LightGBM", "over base rates", f"bound over LightGBM, {report.config.thresholds.stiff:g}"]
    if not all(head.enough for head in heads):
        handles.insert(1, axes.plot([], [], marker="o", color=PALETTE[4], linewidth=2)[0])
        labels.insert(1, "not enough events")
    _legend(axes, handles, labels)
    return figure


def _span(report: FidelityReport) -> tuple[float, float]:
    """The ratios that are shown: all over LightGBM, and those over base rates that are not far below."""
    shown = [1.05, *(h.over_base.value for h in report.heads)]
    shown += [x for h in report.heads if h.ratio is not None for x in (h.ratio.lo, h.ratio.hi) if np.isfinite(x)]
    return max(min(shown) - 0.03, 0.3), min(max(shown) + 0.03, 2.0)


def calibration(report: FidelityReport) -> Figure:
    """One panel per head with enough events, in tenths of its rows: on the line, what was predicted came true."""
    heads = [head for head in report.heads if head.enough]
    figure, panels = _panels(len(heads), 2.5)
    for axes, head in zip(panels, heads, strict=True):
        _reliability(axes, head)
    figure.supxlabel("predicted", color=INK, fontsize=9)
    figure.supylabel("came true", color=INK, fontsize=9)
    return figure


def _reliability(axes: Any, head: HeadFidelity) -> None:
    groups = [g for g in head.groups if g.by == TENTH] or [head.level]
    x, y = (np.array([getattr(g, name) for g in groups]) for name in ("expected", "observed"))
    error = NORMAL * np.array([g.se for g in groups])
    judged = np.array([g.judged for g in groups])
    high = max(x.max(), y.max())
    axes.plot([0, high], [0, high], color=PALETTE[7], linewidth=1)
    error = np.stack([np.minimum(error, y), error])  # nothing comes true less often than never
    for which, colour in ((judged, PALETTE[0]), (~judged, PALETTE[7])):
        style = {"fmt": "o", "markersize": 3, "capsize": 2, "linewidth": 1, "color": colour}
        axes.errorbar(x[which], y[which], error[:, which], **style)
    axes.set_title(head.name, fontsize=8, color=INK)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.locator_params(nbins=4)
    axes.tick_params(labelsize=7)


def curves(report: FidelityReport) -> Figure:
    """Answers by contact number, recency and weekday: the log (dots), and 95 % of the replays (band)."""
    points = [n for n in report.replayed.numbers if n.kind == "curve" and n.name != "contacted"]
    events = _most_told(points)
    figure, panels = _panels(len(events) * len(CURVES), 2.1, columns=len(CURVES))
    places = [(event, by) for event in events for by in CURVES]
    for axes, (event, by) in zip(panels, places, strict=True):
        _curve(axes, [p for p in points if p.name == event and p.by == by], report.certain)
        axes.set_title(f"{event} by {by}", fontsize=8, color=INK)
    return figure


def _most_told(points: Sequence[Compared]) -> list[str]:
    """The events whose curves have the most judged points, in the log's order."""
    names = list(dict.fromkeys(p.name for p in points))
    told = {name: sum(p.judged for p in points if p.name == name) for name in names}
    best = sorted(names, key=lambda name: -told[name])[:MOST_EVENTS]
    return [name for name in names if name in best and (told[name] or name == best[0])]


def _curve(axes: Any, points: Sequence[Compared], certain: float) -> None:
    place = np.arange(len(points))
    lo, hi, mean, log = (np.array([getattr(p, name) for p in points]) for name in ("lo", "hi", "mean", "log"))
    axes.fill_between(place, lo, hi, color=PALETTE[4], alpha=0.35, linewidth=0)
    axes.plot(place, mean, color=PALETTE[0], linewidth=1)
    failed = np.array([p.failed(certain) for p in points], bool)
    judged = np.array([p.judged for p in points], bool)
    for which, colour in ((judged, INK), (~judged, PALETTE[7])):
        axes.plot(place[which], log[which], "o", markersize=4, color=colour)
    axes.plot(place[failed], log[failed], "o", markersize=8, color=PALETTE[5], markerfacecolor="none")
    axes.set_xticks(place, [p.label[:3] if p.by == "weekday" else p.label.replace(" to ", "–") for p in points])
    axes.tick_params(labelsize=6.5)
    axes.tick_params(axis="x", rotation=30)
    top = max([log.max(), mean.max(), np.median(hi), *hi[judged]])  # where few were contacted, the band is wide
    axes.set_ylim(0, 1.1 * top if top > 0 else 1)


def indicators(report: FidelityReport) -> Figure:
    """Every indicator of the log over the mean of the replays, among 95 % of the replays."""
    numbers = [n for n in report.replayed.numbers if n.kind == "indicator" and n.mean and np.isfinite(n.mean)][::-1]
    figure, axes = canvas(1.2 + 0.3 * max(len(numbers), 1))
    for row, n in enumerate(numbers):
        axes.plot([n.lo / n.mean, n.hi / n.mean], [row, row], color=PALETTE[4], linewidth=6, solid_capstyle="butt")
        colour = PALETTE[5] if n.failed(report.certain) else INK
        axes.plot([n.log / n.mean], [row], "o", markersize=5, color=colour)
    axes.axvline(1, color=PALETTE[0], linewidth=1)
    axes.set_yticks(range(len(numbers)), [n.name for n in numbers])
    axes.set_ylim(-0.6, len(numbers) - 0.4)
    axes.set_xlabel("log over the mean of the replays")
    left, right = axes.get_xlim()
    axes.set_xlim(max(left, 1 - SHOWN), min(right, 1 + SHOWN))
    handles = [axes.plot([], [], color=PALETTE[4], linewidth=6)[0], axes.plot([], [], "o", color=INK)[0]]
    handles.append(axes.plot([], [], "o", color=PALETTE[5])[0])
    _legend(axes, handles, ["95 % of the replays", "the log", "a fault"])
    return figure


FIGURES: dict[str, Callable[[FidelityReport], Figure]] = {
    "ratios": ratios, "calibration": calibration, "curves": curves, "indicators": indicators,
}  # fmt: skip


def _panels(count: int, height: float, columns: int = COLUMNS) -> tuple[Figure, list[Any]]:
    """A figure with so many styled panels. height: of a row, in inches."""
    from matplotlib.figure import Figure

    rows = max(-(-count // columns), 1)
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    panels = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    for axes in panels:
        styled(axes)
    return figure, panels


def _legend(axes: Any, handles: list[Any], labels: list[str]) -> None:
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": len(labels), "frameon": False}
    axes.legend(handles, labels, labelcolor=INK, fontsize=8, **place)
