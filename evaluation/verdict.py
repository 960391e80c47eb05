"""Verdicts: what an evaluation can claim, in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evaluation.language import mark, say
from evaluation.words import named

if TYPE_CHECKING:
    from evaluation.report import Report

Outcome = Literal["better", "worse", "undecided", "model only", "simulation only"]


@dataclass(frozen=True)
class Verdict:
    """What can be said of one policy against the reference."""

    policy: str
    outcome: Outcome
    text: str


def verdicts(report: Report) -> tuple[Verdict, ...]:
    """One verdict per policy besides the reference, best difference first."""
    found = [_verdict(report, policy) for policy in report.policies if policy != report.reference]

    def gain(verdict: Verdict) -> float:
        difference = report.estimate(verdict.policy).difference
        return difference.value if difference is not None and math.isfinite(difference.value) else -math.inf

    return tuple(sorted(found, key=gain, reverse=True))


def _verdict(report: Report, policy: str) -> Verdict:
    difference = report.estimate(policy).difference
    assert difference is not None  # only the reference has none
    lo, hi = report.bounds(policy)
    ess = report.support(policy)[0]
    known = next((p.positives for p in report.powers if p.policy == policy), math.inf)
    values: dict[str, object] = {"policy": named(policy), "size": ess, "known": known}
    values |= {"need": report.lead.threshold, "positives": report.settings.min_positives}
    if math.isnan(lo):
        return Verdict(policy, "undecided", say(NO_INTERVAL, **values))
    if not report.lead.model_based and ess < report.lead.threshold:
        return Verdict(policy, "undecided", say(TOO_FEW, **values))
    if not report.lead.model_based and known < report.settings.min_positives:
        return Verdict(policy, "undecided", say(TOO_FEW_EARNED, **values))
    values |= {"amount": _amount(report, policy, difference.value), "bounds": _bounds(report, policy, difference.value)}
    if report.lead.model_based:
        return Verdict(policy, "model only", say(MODEL_ONLY, **values))
    if crowded := report.above(policy):
        asked = say(", ").join(
            say("{asked:,.0f} of {there:,.0f} {unit} of {pool}", asked=one.asked, there=one.capacity, unit=one.unit,
                pool=one.pool)
            for one in crowded
        )  # fmt: skip
        return Verdict(policy, "simulation only", say(SIMULATION_ONLY, asked=asked, **values))
    if lo > 0:
        return Verdict(policy, "better", say("{policy} earns more: {amount} {bounds}.", **values))
    if hi < 0:
        return Verdict(policy, "worse", say("{policy} earns less: {amount} {bounds}.", **values))
    return Verdict(policy, "undecided", say("{policy} is not told apart: {amount} {bounds}.", **values))


NO_INTERVAL = mark("{policy}: no interval; the log hardly ever did what it does.")
TOO_FEW = mark(
    "{policy}: the log cannot say; it supports this policy by {size:,.0f} customers, fewer than {need:,.0f}."
)
TOO_FEW_EARNED = mark(
    "{policy}: the log cannot say; {known:,.0f} customers like its own earned anything, fewer than {positives:,.0f}."
)
MODEL_ONLY = mark("{policy}: a model expects {amount} {bounds}. The log cannot confirm it.")
SIMULATION_ONLY = mark(
    "{policy}: only a simulation can tell. At the log's congestion it would be {amount} {bounds}, but for every 10,000 "
    "customers it asks for {asked}."
)


def _amount(report: Report, policy: str, difference: float) -> str:
    """The difference per customer, and to whom."""
    other = say("the logging policy") if report.reference == "logged" else named(report.reference)
    return say("{amount}{unit} per customer against {other}", amount=told(difference), unit=_unit(report), other=other)


def _bounds(report: Report, policy: str, difference: float) -> str:
    """The interval in brackets, and the difference for the whole bank where its size is stated."""
    lo, hi = report.bounds(policy)
    together = len(report.together) if policy in {t.policy for t in report.together} else 0
    text = mark("({level:.0%} interval for {n} policies together {lo} to {hi}{unit})")
    values: dict[str, object] = {"lo": told(lo), "hi": told(hi), "unit": _unit(report), "n": together}
    bounds = say(
        text if together else mark("({level:.0%} interval {lo} to {hi}{unit})"),
        level=report.settings.confidence,
        **values,
    )
    many = report.settings.population
    if many is None:
        return bounds
    total = say("{amount}{unit} for {many:,} customers", amount=told(many * difference), unit=_unit(report), many=many)
    return say("{bounds}, {total}", bounds=bounds, total=total)


def _unit(report: Report) -> str:
    return f" {report.data.currency}" if report.data.currency else ""


def told(amount: float) -> str:
    """A signed amount to four digits, never in powers of ten.

    >>> told(10463.2), told(-0.012345), told(0.0)
    ('+10,463', '-0.01234', '+0')
    """
    if amount == 0 or not math.isfinite(amount):
        return f"{amount:+.0f}"
    digits = max(0, 3 - math.floor(math.log10(abs(amount))))
    return f"{amount:+,.{min(digits, 6)}f}"
