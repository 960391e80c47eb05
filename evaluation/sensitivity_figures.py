"""Pictures of how a difference bears being wrong: about propensities, about the reward model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.drawing import MARKERS, PALETTE, STYLES, canvas, legend, short, unit
from evaluation.language import mark, say
from evaluation.words import named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.report import Report

MEASURED = mark("share of the model's measured error that is taken off")
SCALED = mark("factor on all that the model expects")


def confounding(report: Report) -> Figure:
    """Each policy's difference to the logging policy, between the bounds of every strength of confounding."""
    figure, axes = canvas(3.2)
    for index, found in enumerate(report.sensitivities):
        look = _look(index)
        axes.fill_between(found.strength, found.lo, found.hi, color=look["color"], alpha=0.18, linewidth=0)
        for end in (found.lo, found.hi):
            axes.plot(found.strength, end, linewidth=1.2, markersize=3, **look)
        if found.overturned_at is not None and found.overturned_at <= found.strength[-1]:
            axes.plot([found.overturned_at], [0], markersize=9, marker=look["marker"], color=look["color"])
    axes.axhline(0, color=PALETTE[7], linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_xticks([1, 1.2, 1.5, 2, 3], ["1", "1.2", "1.5", "2", "3"])
    axes.minorticks_off()
    axes.set_xlim(1, report.sensitivities[0].strength[-1])
    axes.set_xlabel(say("factor on the odds of a treatment that the log does not explain"))
    axes.set_ylabel(say("difference per customer{unit}", unit=unit(report)))
    names = [short(named(found.policy)) for found in report.sensitivities]
    lines = [axes.plot([], [], **_look(index))[0] for index in range(len(names))]
    legend(axes, lines, names, columns=4)
    return figure


def model(report: Report) -> Figure:
    """The lead's difference of each policy, were its model more or less wrong; a ring where the estimate itself is."""
    figure, axes = canvas(3.2)
    handles, names = [], []
    for index, found in enumerate(m for m in report.misspecifications if m.estimator == report.lead.estimator):
        look = _look(index)
        lo, value, hi = (np.array([getattr(one, end) for one in found.difference]) for end in ("lo", "value", "hi"))
        axes.fill_between(found.factor, lo, hi, color=look["color"], alpha=0.15, linewidth=0)
        handles += axes.plot(found.factor, value, markersize=4, linewidth=1.4, **look)
        here = found.at(found.own).value
        axes.plot([found.own], [here], "o", markersize=9, markerfacecolor="none", color=look["color"])
        names.append(short(named(found.policy)))
    axes.axhline(0, color=PALETTE[7], linewidth=1, linestyle="--")
    axes.set_xlabel(say(MEASURED if report.lead.model_based else SCALED))
    axes.set_ylabel(say("difference per customer{unit}", unit=unit(report)))
    legend(axes, handles, names, columns=4)
    return figure


def _look(index: int) -> dict[str, Any]:
    """Of a policy's line: colour, style and marker, so that it is known without its colour."""
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": STYLES[index % len(STYLES)],
        "marker": MARKERS[index % len(MARKERS)],
    }
