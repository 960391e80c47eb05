"""What the page says in sentences beside its verdicts: propensities, groups, the untried, confounding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from evaluation.adapt import LOGGED
from evaluation.confounding import LARGEST
from evaluation.language import mark, paragraph, say
from evaluation.verdict import claimed, currency, told
from evaluation.words import named, treated, worded

if TYPE_CHECKING:
    from evaluation.intervals import Between, Interval
    from evaluation.report import Report
    from evaluation.slices import Slice

SHOWN_UNTRIED = 0.001  # share of a policy's probability from which on the page says what it might be worth; assumed
SHOWN_ANNOYANCE = 0.01  # opt-outs a customer, from which on the first page says that a group is annoyed more; assumed
MOST_SLICES = 4  # that a sentence names


def propensity_sentences(report: Report) -> tuple[str, ...]:
    """Treatments that were chosen more or less often than the logged propensities say."""
    if report.check is None or not report.check.wrong:
        return ()
    found = sorted(report.check.wrong, key=lambda f: -abs(f.z))
    more, less = mark("{treatment} {share:.0%} more often"), mark("{treatment} {share:.0%} less often")
    names = [say(more if f.apart > 0 else less, treatment=treated(f.treatment), share=abs(f.apart)) for f in found[:3]]
    rest = say(", and {n} others", n=len(found) - 3) if len(found) > 3 else ""
    return (
        say(
            "The logged propensities do not agree with what was chosen: {found} than they say. Whoever wrote them did "
            "not decide by them, or they are of another step; sampled figures are wrong by as much.",
            found=say(", ").join(names) + rest,
        ),
    )


def late_sentences(report: Report) -> tuple[str, ...]:
    """Whether a conclusion turns if outcomes that may still come go on as they began."""
    found = list(_differences(report, report.lead.estimator, "caught_up"))
    if not found:
        return ()
    text = mark("At {share:.1%} of the decisions outcomes may still come: the log ends before they may.")
    out = [say(text, share=report.data.open_windows)]
    turned = [one for one in found if _turned(report, *one)]
    if turned:
        text = mark("If margins went on at the rate at which they began, conclusions would be others: {changes}.")
        out.append(say(text, changes=say("; ").join(map(_later, turned))))
    else:
        text = mark("No conclusion would be another if margins went on at the rate at which they began.")
        out.append(say(text))
    return (paragraph(out),)


def late_details(report: Report) -> str:
    """Every difference if outcomes that may still come went on as they began; empty where none may."""
    changes = say("; ").join(map(_later, _differences(report, report.lead.estimator, "caught_up")))
    text = mark("If margins of open windows went on at the rate at which they began, differences would be: {changes}.")
    return say(text, changes=changes) if changes else ""


def _later(found: tuple[str, Interval, Interval]) -> str:
    policy, now, later = found
    text = mark("{policy} {later} instead of {now}")
    return say(text, policy=named(policy), later=bounded(later), now=bounded(now))


def _turned(report: Report, policy: str, now: Interval, later: Interval) -> bool:
    """Whether a verdict would be another; where its bounds hold for several policies, the later are as much wider."""
    lo, hi = report.bounds(policy)
    below, above = ((value - now.value) / (end - now.value or 1.0) for value, end in ((lo, now.lo), (hi, now.hi)))
    ends = (later.value + below * (later.lo - later.value), later.value + above * (later.hi - later.value))
    return _side(lo, hi) != _side(*ends)


def _side(lo: float, hi: float) -> int:
    """-1: surely below 0, 1: surely above, 0: neither."""
    return int(lo > 0) - int(hi < 0)


def _differences(report: Report, estimator: str, amount: str) -> Iterator[tuple[str, Interval, Interval]]:
    """Each policy's difference by the lead, and by another estimator or of another amount."""
    for policy in report.policies:
        if (policy, estimator, amount) in report.computed:
            now, other = report.estimate(policy).difference, report.estimate(policy, estimator, amount).difference
            if now is not None and other is not None and math.isfinite(other.value):
                yield policy, now, other


def bounded(found: Interval | Between) -> str:
    """A signed value with its interval."""
    return say("{value} ({lo} to {hi})", value=told(found.value), lo=told(found.lo), hi=told(found.hi))


def live_sentences(report: Report) -> tuple[str, ...]:
    """Whether what came of launched policies is what had been forecast."""
    words = {
        -1: mark("less than was forecast"),
        0: mark("as forecast, as far as can be told"),
        1: mark("more than was forecast"),
    }
    return tuple(
        say(
            "{policy} was launched with {customers:,} customers: {amount} {words}, {came} a decision against "
            "{forecast}.",
            policy=named(one.policy),
            customers=one.customers,
            amount=worded(one.amount),
            words=say(words[one.apart]),
            came=bounded(one.came),
            forecast=bounded(one.forecast),
        )
        for one in report.live
        if one.amount == "reward" or one.apart
    )


def served_sentences(report: Report) -> tuple[str, ...]:
    """Policies whose own rules are not those that the log was decided under."""
    return tuple(
        say(
            "{policy} is evaluated under its own rules, which are not the log's: at {apart:.1%} of the decisions they "
            "allow something else, at {opened:.1%} what was closed in the log; at {closed:.1%} they close what was "
            "done.",
            policy=named(one.policy),
            apart=one.apart,
            opened=one.opened,
            closed=one.closed,
        )
        for one in report.served
        if one.apart > 0
    )


def slice_sentences(report: Report) -> tuple[str, ...]:
    """Groups of customers that surely lose, and those that are surely annoyed more; the worst first."""
    out = []
    for policy in dict.fromkeys(one.policy for one in report.slices if one.worse and claimed(report, one.policy)):
        own = told_apart(report.slices, policy)
        losing = sorted((s for s in own if s.gain.hi < 0), key=lambda s: s.gain.value)
        annoyed = sorted((s for s in own if s.annoyance.lo > SHOWN_ANNOYANCE), key=lambda s: -s.annoyance.value)
        modelled = report.lead.model_based
        if losing:
            text = mark("A model expects {policy} to lose among: {groups}.") if modelled else LOSES
            out.append(say(text, policy=named(policy), groups=_groups(report, losing, "gain")))
        if len(annoyed) == len(own) > 1:
            text = mark("A model expects {policy} to annoy every group more, most {group}.") if modelled else ANNOYS_ALL
            out.append(say(text, policy=named(policy), group=_groups(report, annoyed[:1], "annoyance")))
        elif annoyed:
            text = mark("A model expects {policy} to annoy more: {groups}.") if modelled else ANNOYS
            out.append(say(text, policy=named(policy), groups=_groups(report, annoyed, "annoyance")))
    return tuple(out)


LOSES = mark("{policy} surely loses among: {groups}.")
ANNOYS = mark("{policy} surely annoys more: {groups}.")
ANNOYS_ALL = mark("{policy} surely annoys every group more, most {group}.")


def told_apart(slices: Iterable[Slice], policy: str) -> list[Slice]:
    """Slices of a policy by what divides its customers; all of them where nothing does."""
    own = [one for one in slices if one.policy == policy]
    several = [one for one in own if sum(one.dimension == other.dimension for other in own) > 1]
    return several or own


def _groups(report: Report, found: list[Slice], amount: Literal["gain", "annoyance"]) -> str:
    """The first few groups, with what they lose."""
    text = mark("{dimension}: {label} ({amount}{unit})")
    unit = currency(report) if amount == "gain" else say(" opt-outs")
    groups = say("; ").join(
        say(text, dimension=report.names.dimension(one.dimension), label=worded(one.label),
            amount=told(getattr(one, amount).value), unit=unit)
        for one in found[:MOST_SLICES]
    )  # fmt: skip
    return groups + say("; and {n} more groups", n=len(found) - MOST_SLICES) if len(found) > MOST_SLICES else groups


def untried_sentences(report: Report) -> tuple[str, ...]:
    """What a policy's value would be if what was never tried were worth the least or the most."""
    return tuple(
        say(
            "{policy} puts {share:.1%} of its decisions on treatments that the log never tried there: if these were "
            "worth the least or the most that any treatment earned, its value would lie between {lo} and {hi}.",
            policy=named(one.policy),
            share=one.share,
            lo=told(one.lo),
            hi=told(one.hi),
        )
        for one in report.untried
        if one.share >= SHOWN_UNTRIED
    )


def confounding_sentences(report: Report) -> tuple[str, ...]:
    """How wrong the propensities would have to be to overturn each difference to the logging policy."""
    out = []
    for found in report.sensitivities:
        lo, hi = report.bounds(found.policy)
        if report.reference == LOGGED and lo <= 0 <= hi:
            text = mark("{policy} is not told apart from the logging policy in the first place.")
            out.append(say(text, policy=named(found.policy)))
            continue
        side = mark("above") if found.lo[0] > 0 else mark("below")
        if found.overturned_at is None:
            text, factor = HOLDS, LARGEST
        else:
            text, factor = OVERTURNED, found.overturned_at
        out.append(say(text, policy=named(found.policy), side=say(side), factor=factor))
    return tuple(out)


HOLDS = mark(
    "{policy} lies {side} the logging policy; nothing that moved the odds of treatments by a factor of up to "
    "{factor:g} would overturn that."
)
OVERTURNED = mark(
    "{policy} lies {side} the logging policy unless something that the log does not hold moved the odds of treatments "
    "by a factor of {factor:.2f} or more."
)
