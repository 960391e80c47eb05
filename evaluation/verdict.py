"""Verdicts: what an evaluation can claim, in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evaluation.estimators import ESTIMATORS

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
    many = report.settings.population
    level, unit = f"{report.settings.confidence:.0%}", f" {report.data.currency}".rstrip()
    amount = f"{told(difference.value)}{unit} per customer against {_named(report.reference)}"
    lo, hi = report.bounds(policy)
    several = f" for {len(report.together)} policies together" if policy in {t.policy for t in report.together} else ""
    bounds = f"({level} interval{several} {told(lo)} to {told(hi)}{unit})"
    if many is not None:
        bounds += f", {told(many * difference.value)}{unit} for {many:,} customers"
    if math.isnan(lo):
        return Verdict(policy, "undecided", f"{policy}: no interval; the log hardly ever did what it does.")
    ess = report.support(policy)[0]
    if not report.lead.model_based and ess < report.lead.threshold:
        need = f"{report.lead.threshold:,.0f}"
        text = f"{policy}: the log cannot say; it supports this policy by {ess:,.0f} customers, fewer than {need}."
        return Verdict(policy, "undecided", text)
    known = next((p.positives for p in report.powers if p.policy == policy), math.inf)
    if not report.lead.model_based and known < report.settings.min_positives:
        need = f"{report.settings.min_positives:,.0f}"
        text = f"{policy}: the log cannot say; {known:,.0f} customers like its own earned anything, fewer than {need}."
        return Verdict(policy, "undecided", text)
    if report.lead.model_based:
        text = f"{policy}: a model expects {amount} {bounds}. The log cannot confirm it."
        return Verdict(policy, "model only", text)
    if crowded := report.above(policy):
        asked = ", ".join(f"{one.asked:,.0f} of {one.capacity:,.0f} {one.unit} of {one.pool}" for one in crowded)
        text = (
            f"{policy}: only a simulation can tell. At the log's congestion it would be {amount} {bounds}, but for "
            f"every 10,000 customers it asks for {asked}."
        )
        return Verdict(policy, "simulation only", text)
    if lo > 0:
        return Verdict(policy, "better", f"{policy} earns more: {amount} {bounds}.")
    if hi < 0:
        return Verdict(policy, "worse", f"{policy} earns less: {amount} {bounds}.")
    return Verdict(policy, "undecided", f"{policy} is not told apart: {amount} {bounds}.")


def told(amount: float) -> str:
    """A signed amount to four digits, never in powers of ten.

    >>> told(10463.2), told(-0.012345), told(0.0)
    ('+10,463', '-0.01234', '+0')
    """
    if amount == 0 or not math.isfinite(amount):
        return f"{amount:+.0f}"
    digits = max(0, 3 - math.floor(math.log10(abs(amount))))
    return f"{amount:+,.{min(digits, 6)}f}"


def lead_title(report: Report) -> str:
    """The lead estimator's title, with its number of decisions."""
    title = ESTIMATORS[report.lead.estimator].title
    return title.replace("k-step", f"{report.lead.decisions}-step")


def _named(policy: str) -> str:
    return "the logging policy" if policy == "logged" else policy
