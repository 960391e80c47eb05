"""Pictures of a report: matplotlib figures for notebooks, inline SVG for the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.drawing import HATCHES, INK, MARKERS, PALETTE, canvas, legend, short, unit
from evaluation.estimators import ESTIMATORS, titled
from evaluation.language import say
from evaluation.lead_words import lead_title
from evaluation.reliability_page import reliability
from evaluation.sensitivity_figures import confounding, model
from evaluation.words import named, treated

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.report import Report

MOST_TREATMENTS = 7  # shown by name in the mix; the palette has eight colours


def forest(report: Report) -> Figure:
    """The lead estimate of every policy with its interval, the full horizon by model beside it; a model's hollow."""
    modelled = "fqe" if "fqe" in report.estimators and report.lead.estimator != "fqe" else None
    policies = report.policies[::-1]
    figure, axes = canvas(1.3 + 0.45 * len(policies))
    for row, name in enumerate(policies):
        height, filled = row + (0.12 if modelled else 0), not report.lead.model_based
        _interval(axes, report.estimate(name).interval, height, PALETTE[0] if filled else PALETTE[5], filled=filled)
        if modelled:
            _interval(axes, report.estimate(name, modelled).interval, row - 0.18, PALETTE[5], filled=False)
    base = report.estimate(report.reference).interval.value
    axes.axvline(base, color=PALETTE[7], linewidth=1, linestyle="--")
    axes.set_yticks(range(len(policies)), [named(name) for name in policies])
    axes.set_ylim(-0.6, len(policies) - 0.4)
    axes.set_xlabel(say("value per customer{unit}", unit=unit(report)))
    sampled = axes.errorbar([], [], xerr=[], fmt="o", color=PALETTE[0])
    hollow = axes.errorbar([], [], xerr=[], fmt="D", color=PALETTE[5], markerfacecolor="none")
    handles = [hollow if report.lead.model_based else sampled, *([hollow] if modelled else [])]
    labels = [titled(ESTIMATORS[report.lead.estimator], lead_title(report))]
    labels += [titled(ESTIMATORS[modelled])] if modelled else []
    legend(axes, handles, labels)
    return figure


def support(report: Report) -> Figure:
    """Effective sample size by decision: cumulative (solid) and of each decision alone (dotted)."""
    figure, axes = canvas(3.2 + 0.15 * (len(report.supports) // 4))
    steps = np.arange(1, report.data.horizon + 1)
    for index, found in enumerate(report.supports[1:]):
        colour = PALETTE[index % len(PALETTE)]
        marker = MARKERS[index % len(MARKERS)]
        axes.plot(steps, np.maximum(found.ess_cumulative, 0.5), marker=marker, markersize=4, color=colour)
        axes.plot(steps, np.maximum(found.ess, 0.5), marker=marker, markersize=3, linestyle=":", color=colour)
    axes.axhline(report.lead.threshold, color=PALETTE[7], linestyle="--", linewidth=1)
    axes.set_yscale("log")
    axes.set_xlabel(say("decision"))
    axes.set_ylabel(say("effective sample size (customers)"))
    axes.set_xticks(steps if len(steps) <= 15 else steps[:: max(1, len(steps) // 10)])
    lines = [axes.plot([], [], color=INK, linestyle=style)[0] for style in ("-", ":")]
    lines.append(axes.plot([], [], color=PALETTE[7], linestyle="--")[0])
    names = [short(named(s.policy)) for s in report.supports[1:]]
    looks = [(PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]) for i in range(len(names))]
    lines += [axes.plot([], [], color=colour, marker=marker, linewidth=3)[0] for colour, marker in looks]
    legend(axes, lines, [say("cumulative"), say("each decision alone"), say("needed"), *names], columns=4)
    return figure


def mix(report: Report) -> Figure:
    """Share of decisions that each policy gives to each treatment; the rare ones together."""
    order = np.argsort(-report.mix.max(axis=0), kind="stable")
    shown, rest = order[:MOST_TREATMENTS], order[MOST_TREATMENTS:]
    bands = [(treated(report.treatments[a]), report.mix[:, a]) for a in shown]
    if len(rest):
        bands.append((say("{n} others", n=len(rest)), report.mix[:, rest].sum(axis=1)))
    figure, axes = canvas(1.7 + 0.4 * len(report.policies))
    left, rows = np.zeros(len(report.policies)), np.arange(len(report.policies))[::-1]
    handles: list[Any] = []
    for index, (_, share) in enumerate(bands):
        look = {"color": PALETTE[index], "hatch": HATCHES[index], "edgecolor": INK, "linewidth": 0.4}
        handles.append(axes.barh(rows, share, left=left, height=0.7, **look))
        left = left + share
    axes.set_yticks(rows, [named(name) for name in report.policies])
    axes.set_xlim(0, 1)
    axes.set_xlabel(say("share of decisions"))
    legend(axes, handles, [short(name) for name, _ in bands], columns=4)
    return figure


FIGURES: dict[str, Callable[[Report], Figure]] = {
    "forest": forest, "support": support, "mix": mix, "confounding": confounding, "model": model,
    "reliability": reliability,
}  # fmt: skip


def drawable(report: Report, kind: str) -> bool:
    """Whether a report has what a picture shows."""
    if kind == "model":
        return any(one.estimator == report.lead.estimator for one in report.misspecifications)
    if kind == "reliability":
        return report.reliability is not None
    if kind == "support":
        return report.data.horizon > 1
    return kind != "confounding" or bool(report.sensitivities)


def _interval(axes: Any, found: Any, row: float, colour: str, filled: bool) -> None:
    if np.isfinite(found.lo):
        axes.plot([found.lo, found.hi], [row, row], color=colour, linewidth=2 if filled else 1.2)
    if np.isfinite(found.value):
        face = colour if filled else "none"
        axes.plot([found.value], [row], marker="o" if filled else "D", color=colour, markerfacecolor=face)
