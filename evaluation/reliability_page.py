"""What the page shows of the reliability of estimated propensities: a sentence, a picture, a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.drawing import MARKERS, PALETTE, canvas, legend, short
from evaluation.language import mark, say
from evaluation.words import treated

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.reliability import Bin, Reliability
    from evaluation.report import Report

MOST_SAID = 2  # bins that the sentence names
TICKS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
LOOSE = mark("{stated:.1%} stated, {chosen:.1%} chosen ({lo:.1%} to {hi:.1%})")
OF_ONE = mark("{treatment} {stated:.1%} stated, {chosen:.1%} chosen ({lo:.1%} to {hi:.1%})")


def reliability_sentences(report: Report) -> tuple[str, ...]:
    """Whether what was stated surely is not what was chosen; the bins furthest apart, as a factor, first."""
    if report.reliability is None or not report.reliability.wrong:
        return ()
    found = sorted(report.reliability.wrong, key=_factor, reverse=True)
    text = mark(
        "The estimated propensities are not those by which was decided: {found}. Importance-sampled figures are wrong "
        "by as much where a policy likes what is misjudged."
    )
    return (say(text, found=say("; ").join(_told(one) for one in found[:MOST_SAID])),)


def reliability_words(found: Reliability) -> str:
    """The distance over all bins, beside what chance alone would show."""
    text = mark(
        "Expected calibration error: {error:.2%} in the mean of all pairs; were every stated probability right, chance "
        "alone would show about {chance:.2%} or less."
    )
    return say(text, error=found.error, chance=found.chance)


def reliability_rows(report: Report) -> list[tuple[bool, tuple[str, ...]]]:
    """Whether surely apart, and the figures as text: all bins of any treatment, and of single ones what is apart."""
    if report.reliability is None:
        return []
    return [
        (one.wrong, (_of(one), f"{one.pairs:,}", f"{one.stated:.2%}", f"{one.chosen.value:.2%}", _bounds(one)))
        for one in report.reliability.bins
        if one.treatment is None or one.wrong
    ]


def reliability(report: Report) -> Figure:
    """Share that was chosen by stated probability, on axes of square roots; a ring where they are surely apart."""
    assert report.reliability is not None
    figure, axes = canvas(4.4)
    axes.plot(TICKS, TICKS, color=PALETTE[7], linewidth=1, linestyle="--")
    handles: list[Any] = []
    groups = list(dict.fromkeys(one.treatment for one in report.reliability.bins))
    for index, group in enumerate(groups):
        bins = [one for one in report.reliability.bins if one.treatment == group]
        stated, share = np.array([b.stated for b in bins]), np.array([b.chosen.value for b in bins])
        reach = np.abs(np.array([(b.chosen.lo, b.chosen.hi) for b in bins]).T - share)
        look = {"color": PALETTE[index], "marker": MARKERS[index], "linestyle": "none"}
        handles.append(axes.errorbar(stated, share, yerr=reach, markersize=6 if group is None else 4, **look))
        wrong = [one.wrong for one in bins]
        axes.plot(stated[wrong], share[wrong], "o", markersize=12, markerfacecolor="none", color=PALETTE[index])
    most = max(max(one.stated, one.chosen.hi) for one in report.reliability.bins)
    shown = [tick for tick in TICKS if tick <= most * 1.15]
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("function", functions=(_root, np.square))
    for ticks in (axes.set_xticks, axes.set_yticks):
        ticks(shown, [f"{tick:.0%}" for tick in shown])
    axes.set(xlim=(0, min(1.02, most * 1.15)), ylim=(0, min(1.02, most * 1.15)))
    axes.set_xlabel(say("stated probability, mean of a bin"))
    axes.set_ylabel(say("share that was chosen"))
    legend(axes, handles, [say("any treatment") if g is None else short(treated(g)) for g in groups], columns=7)
    return figure


def _root(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(x, 0)))


def _of(one: Bin) -> str:
    return say("any treatment") if one.treatment is None else treated(one.treatment)


def _bounds(one: Bin) -> str:
    return say("{lo} to {hi}", lo=f"{one.chosen.lo:.2%}", hi=f"{one.chosen.hi:.2%}")


def _factor(one: Bin) -> float:
    """How many times one is the other, as a weight would be wrong."""
    stated, chosen = max(one.stated, 1e-9), max(one.chosen.value, 1 / one.pairs)
    return max(stated / chosen, chosen / stated)


def _told(one: Bin) -> str:
    values = {"stated": one.stated, "chosen": one.chosen.value, "lo": one.chosen.lo, "hi": one.chosen.hi}
    return say(LOOSE, **values) if one.treatment is None else say(OF_ONE, treatment=treated(one.treatment), **values)
