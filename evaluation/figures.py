"""Pictures of a report: matplotlib figures for notebooks, inline SVG for the page."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.estimators import ESTIMATORS
from evaluation.lead_words import lead_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.report import Report

# Okabe & Ito (2008): told apart by people with any of the common colour blindnesses.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
INK = "#1a1b1c"  # stands for the text's colour: replaced by currentColor in SVG, so that dark mode can read it
MOST_TREATMENTS = 7  # shown by name in the mix; the palette has eight colours
MOST_LETTERS = 26  # of a name in a legend of four columns
WIDTH = 9.4  # inches, the width of the page


def forest(report: Report) -> Figure:
    """The lead estimate of every policy with its interval; the full horizon by model beside it, hollow."""
    modelled = "fqe" if "fqe" in report.estimators and report.lead.estimator != "fqe" else None
    names = report.policies[::-1]
    figure, axes = canvas(1.3 + 0.45 * len(names))
    for row, name in enumerate(names):
        _interval(axes, report.estimate(name).interval, row + (0.12 if modelled else 0), PALETTE[0], filled=True)
        if modelled:
            _interval(axes, report.estimate(name, modelled).interval, row - 0.18, PALETTE[5], filled=False)
    base = report.estimate(report.reference).interval.value
    axes.axvline(base, color=PALETTE[7], linewidth=1, linestyle="--")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(f"value per customer{_unit(report)}")
    handles = [axes.errorbar([], [], xerr=[], fmt="o", color=PALETTE[0])]
    labels = [lead_title(report)]
    if modelled:
        handles.append(axes.errorbar([], [], xerr=[], fmt="D", color=PALETTE[5], markerfacecolor="none"))
        labels.append(f"{ESTIMATORS[modelled].title} (model-based)")
    _legend(axes, handles, labels)
    return figure


def support(report: Report) -> Figure:
    """Effective sample size by decision: cumulative (solid) and of each decision alone (dotted)."""
    figure, axes = canvas(3.2 + 0.15 * (len(report.supports) // 4))
    steps = np.arange(1, report.data.horizon + 1)
    for index, found in enumerate(report.supports[1:]):
        colour = PALETTE[index % len(PALETTE)]
        axes.plot(steps, np.maximum(found.ess_cumulative, 0.5), marker="o", markersize=4, color=colour)
        axes.plot(steps, np.maximum(found.ess, 0.5), marker="s", markersize=3, linestyle=":", color=colour)
    axes.axhline(report.lead.threshold, color=PALETTE[7], linestyle="--", linewidth=1)
    axes.set_yscale("log")
    axes.set_xlabel("decision")
    axes.set_ylabel("effective sample size (customers)")
    axes.set_xticks(steps if len(steps) <= 15 else steps[:: max(1, len(steps) // 10)])
    lines = [axes.plot([], [], color=INK, linestyle=style)[0] for style in ("-", ":")]
    lines.append(axes.plot([], [], color=PALETTE[7], linestyle="--")[0])
    names = [s.policy for s in report.supports[1:]]
    lines += [axes.plot([], [], color=PALETTE[i % len(PALETTE)], linewidth=3)[0] for i in range(len(names))]
    _legend(axes, lines, ["cumulative", "each decision alone", "needed", *map(_short, names)], columns=4)
    return figure


def mix(report: Report) -> Figure:
    """Share of decisions that each policy gives to each treatment; the rare ones together."""
    order = np.argsort(-report.mix.max(axis=0), kind="stable")
    shown, rest = order[:MOST_TREATMENTS], order[MOST_TREATMENTS:]
    bands = [(report.treatments[a], report.mix[:, a]) for a in shown]
    if len(rest):
        bands.append((f"{len(rest)} others", report.mix[:, rest].sum(axis=1)))
    figure, axes = canvas(1.7 + 0.4 * len(report.policies))
    left, rows = np.zeros(len(report.policies)), np.arange(len(report.policies))[::-1]
    handles: list[Any] = []
    for index, (_, share) in enumerate(bands):
        handles.append(axes.barh(rows, share, left=left, height=0.7, color=PALETTE[index], edgecolor="none"))
        left = left + share
    axes.set_yticks(rows, report.policies)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of decisions")
    _legend(axes, handles, [_short(name) for name, _ in bands], columns=4)
    return figure


def confounding(report: Report) -> Figure:
    """Each policy's difference to the logging policy, between the bounds of every strength of confounding."""
    figure, axes = canvas(3.2)
    for index, found in enumerate(report.sensitivities):
        colour = PALETTE[index % len(PALETTE)]
        axes.fill_between(found.strength, found.lo, found.hi, color=colour, alpha=0.18, linewidth=0)
        for end in (found.lo, found.hi):
            axes.plot(found.strength, end, color=colour, linewidth=1.2)
        if found.overturned_at is not None and found.overturned_at <= found.strength[-1]:
            axes.plot([found.overturned_at], [0], marker="o", color=colour)
    axes.axhline(0, color=PALETTE[7], linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_xticks([1, 1.2, 1.5, 2, 3], ["1", "1.2", "1.5", "2", "3"])
    axes.minorticks_off()
    axes.set_xlim(1, report.sensitivities[0].strength[-1])
    axes.set_xlabel("factor on the odds of a treatment that the log does not explain")
    axes.set_ylabel(f"difference per customer{_unit(report)}")
    names = [_short(found.policy) for found in report.sensitivities]
    lines = [axes.plot([], [], color=PALETTE[i % len(PALETTE)], linewidth=3)[0] for i in range(len(names))]
    _legend(axes, lines, names, columns=4)
    return figure


FIGURES: dict[str, Callable[[Report], Figure]] = {
    "forest": forest, "support": support, "mix": mix, "confounding": confounding,
}  # fmt: skip


def drawable(report: Report, kind: str) -> bool:
    """Whether a report has what a picture shows."""
    return kind != "confounding" or bool(report.sensitivities)


def svg(figure: Figure, salt: str) -> str:
    """A figure as inline SVG, the same for the same figure; text in the colour of the page."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def canvas(height: float) -> tuple[Figure, Any]:
    """An empty figure as wide as the page, and its axes. height: inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    styled(axes)
    return figure, axes


def styled(axes: Any) -> None:
    """Two spines, everything in the text's colour."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_color(INK)


def _interval(axes: Any, found: Any, row: float, colour: str, filled: bool) -> None:
    if np.isfinite(found.lo):
        axes.plot([found.lo, found.hi], [row, row], color=colour, linewidth=2 if filled else 1.2)
    if np.isfinite(found.value):
        face = colour if filled else "none"
        axes.plot([found.value], [row], marker="o" if filled else "D", color=colour, markerfacecolor=face)


def _legend(axes: Any, handles: list[Any], labels: list[str], columns: int = 2) -> None:
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": columns, "frameon": False}
    axes.legend(handles, labels, labelcolor=INK, fontsize=8, **place)


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def _unit(report: Report) -> str:
    return f" ({report.data.currency})" if report.data.currency else ""
