"""What the page says in sentences beside its verdicts: support, propensities, groups, the untried, confounding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from evaluation.confounding import LARGEST
from evaluation.estimators import ESTIMATORS
from evaluation.verdict import lead_title, told

if TYPE_CHECKING:
    from evaluation.intervals import Between, Interval
    from evaluation.report import Report
    from evaluation.slices import Slice

SHOWN_UNTRIED = 0.001  # share of a policy's probability from which on the page says what it might be worth; assumed
MOST_SLICES = 4  # that a sentence names


def support_sentences(report: Report) -> tuple[str, ...]:
    """Where importance sampling loses its support, which estimator therefore leads, and what it assumes."""
    lead, data = report.lead, report.data
    leading, title = ESTIMATORS[lead.estimator], lead_title(report)
    need = f"{lead.threshold:,.0f} of {data.customers:,} customers"
    out = []
    if lead.lost_at is not None and data.horizon > 1:
        weakest = lead.policy
        found = report.supports[report.policies.index(weakest)]
        size = float(found.ess_cumulative[lead.lost_at - 1])
        out.append(
            f"Importance sampling over whole sequences loses its support at decision {lead.lost_at} of "
            f"{data.horizon}: the effective sample size of {weakest} falls to {size:,.1f} customers, "
            f"below the {need} that are needed."
        )
    elif lead.lost_at is not None:
        out.append(f"Importance sampling has no support: {lead.ess:,.1f} customers, below {need}.")
    else:
        out.append(f"Importance sampling keeps its support over the whole log: at least {lead.ess:,.0f} customers.")
    out.append(f"The estimate that leads is therefore “{title}”: {lead.reason}.")
    out.append(f"It assumes that {leading.assumes}.")
    if leading.model_based:
        out.append("It is model-based: it may admit a policy to a trial, it proves nothing.")
    return tuple(out)


def propensity_sentences(report: Report) -> tuple[str, ...]:
    """Treatments that were chosen more or less often than the logged propensities say."""
    if report.check is None or not report.check.wrong:
        return ()
    found = sorted(report.check.wrong, key=lambda f: -abs(f.z))
    names = [f"{f.treatment} {abs(f.apart):.0%} {'more' if f.apart > 0 else 'less'} often" for f in found[:3]]
    rest = f", and {len(found) - 3} others" if len(found) > 3 else ""
    return (
        f"The logged propensities do not agree with what was chosen: {', '.join(names)}{rest} than they say. Whoever "
        "wrote them did not decide by them, or they are of another step; sampled figures are wrong by as much.",
    )


MODELLESS = {"dr": "snips", "kstep_dr": "kstep", "deviation_dr": "deviation"}  # the same estimates without a model


def late_sentences(report: Report) -> tuple[str, ...]:
    """What differences would be if outcomes that may still come went on as they began."""
    changes = [
        f"{policy} {_bounded(later)} instead of {_bounded(now)}"
        for policy, now, later in _differences(report, report.lead.estimator, "caught_up")
    ]
    if not changes:
        return ()
    return (
        f"At {report.data.open_windows:.1%} of the decisions outcomes may still come: the log ends before they may. If "
        f"margins went on at the rate at which they began, differences would be: {'; '.join(changes)}.",
    )


def model_sentences(report: Report) -> tuple[str, ...]:
    """How much of each difference is the reward model's doing."""
    without = MODELLESS.get(report.lead.estimator)
    return tuple(
        f"Without its reward model the estimate for {policy} would be {_bounded(other)}: the model moves it by "
        f"{told(now.value - other.value)}."
        for policy, now, other in (_differences(report, without, "reward") if without else ())
    )


def _differences(report: Report, estimator: str, amount: str) -> Iterator[tuple[str, Interval, Interval]]:
    """Each policy's difference by the lead, and by another estimator or of another amount."""
    for policy in report.policies:
        if (policy, estimator, amount) in report.computed:
            now, other = report.estimate(policy).difference, report.estimate(policy, estimator, amount).difference
            if now is not None and other is not None and math.isfinite(other.value):
                yield policy, now, other


def _bounded(found: Interval | Between) -> str:
    return f"{told(found.value)} ({told(found.lo)} to {told(found.hi)})"


def live_sentences(report: Report) -> tuple[str, ...]:
    """Whether what came of launched policies is what had been forecast."""
    words = {-1: "less than was forecast", 0: "as forecast, as far as can be told", 1: "more than was forecast"}
    return tuple(
        f"{one.policy} was launched with {one.customers:,} customers: {one.amount} {words[one.apart]}, "
        f"{_bounded(one.came)} a decision against {_bounded(one.forecast)}."
        for one in report.live
        if one.amount == "reward" or one.apart
    )


def served_sentences(report: Report) -> tuple[str, ...]:
    """Policies whose own rules are not those that the log was decided under."""
    return tuple(
        f"{one.policy} is evaluated under its own rules, which are not the log's: at {one.apart:.1%} of the decisions "
        f"they allow something else, at {one.opened:.1%} what was closed in the log; at {one.closed:.1%} they close "
        "what was done."
        for one in report.served
        if one.apart > 0
    )


def slice_sentences(report: Report) -> tuple[str, ...]:
    """Groups of customers that surely lose, or are surely annoyed more; those that lose most first."""
    out = []
    for policy in dict.fromkeys(one.policy for one in report.slices if one.worse):
        found = sorted((s for s in report.slices if s.policy == policy and s.worse), key=lambda s: s.gain.value)
        named = "; ".join(f"{one.dimension} {one.label} ({_lost(one)})" for one in found[:MOST_SLICES])
        rest = f"; and {len(found) - MOST_SLICES} more groups" if len(found) > MOST_SLICES else ""
        out.append(f"{policy} is surely worse for: {named}{rest}.")
    return tuple(out)


def _lost(one: Slice) -> str:
    """What is surely worse for a group."""
    gain = [f"gain {told(one.gain.value)}"] if one.gain.hi < 0 else []
    return ", ".join(gain + ([f"annoyance {told(one.annoyance.value)}"] if one.annoyance.lo > 0 else []))


def untried_sentences(report: Report) -> tuple[str, ...]:
    """What a policy's value would be if what was never tried were worth the least or the most."""
    return tuple(
        f"{one.policy} puts {one.share:.1%} of its decisions on treatments that the log never tried there: if these "
        f"were worth the least or the most that any treatment earned, its value would lie between {told(one.lo)} and "
        f"{told(one.hi)}."
        for one in report.untried
        if one.share >= SHOWN_UNTRIED
    )


def confounding_sentences(report: Report) -> tuple[str, ...]:
    """How wrong the propensities would have to be to overturn each difference to the logging policy."""
    out = []
    for found in report.sensitivities:
        sign = "above" if found.lo[0] > 0 else "below"
        if found.overturned_at is None:
            out.append(
                f"{found.policy} lies {sign} the logging policy; nothing that moved the odds of treatments by a "
                f"factor of up to {LARGEST:g} would overturn that."
            )
        else:
            out.append(
                f"{found.policy} lies {sign} the logging policy unless something that the log does not hold moved the "
                f"odds of treatments by a factor of {found.overturned_at:.2f} or more."
            )
    return tuple(out)
