"""Verdicts: what an evaluation can claim, in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evaluation.digits import number
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
    refused = refusal(report, policy)
    if refused:
        return Verdict(policy, "undecided", refused)
    lo, hi = report.bounds(policy)
    values: dict[str, object] = {"policy": named(policy), "amount": _amount(report, policy, difference.value)}
    if report.lead.model_based:
        return Verdict(policy, "model only", say(MODEL_ONLY, bounds=_bounds(report, policy), **values))
    values["bounds"] = _with_total(report, policy, difference.value)
    if _wrong(report):
        return Verdict(policy, "undecided", say(WRONG_PROPENSITIES, **values))
    if crowded := report.above(policy):
        asked = say(", ").join(
            say("{asked:,.0f} of {there:,.0f} {unit} of {pool} (the log: {logged:,.0f})", asked=one.asked,
                there=one.capacity, unit=one.unit, pool=one.pool, logged=one.logged)
            for one in crowded
        )  # fmt: skip
        return Verdict(policy, "simulation only", say(SIMULATION_ONLY, asked=asked, **values))
    if lo > 0:
        return Verdict(policy, "better", say("{policy} earns more: {amount} {bounds}.", **values))
    if hi < 0:
        return Verdict(policy, "worse", say("{policy} earns less: {amount} {bounds}.", **values))
    return Verdict(policy, "undecided", say("{policy} is not told apart: {amount} {bounds}.", **values))


def _wrong(report: Report) -> bool:
    """Whether logged propensities are not those by which was decided."""
    return report.check is not None and bool(report.check.wrong)


def claimed(report: Report, policy: str) -> bool:
    """Whether anything is claimed of a policy, be it by a model: of the others no group is said to be worse off."""
    return not refusal(report, policy) and (report.lead.model_based or not _wrong(report))


def refusal(report: Report, policy: str) -> str:
    """Why nothing is claimed of a policy, not even what a model expects; empty: nothing stands against it."""
    ess, untried = report.support(policy)[0], report.supports[report.policies.index(policy)].untried
    known = next((p.positives for p in report.powers if p.policy == policy), math.inf)
    customers, need = report.data.customers, report.lead.threshold
    if customers < need:
        return say(FEW, policy=named(policy), customers=customers, need=need)
    if math.isnan(report.bounds(policy)[0]):
        return say(NO_INTERVAL, policy=named(policy))
    if report.lead.model_based:
        guessed = untried > report.settings.max_guessed
        return say(GUESSED, policy=named(policy), share=untried) if guessed else ""
    if ess < need:
        return say(TOO_FEW, policy=named(policy), size=ess, need=need)
    if known < report.settings.min_positives:
        return say(TOO_FEW_EARNED, policy=named(policy), known=known, positives=report.settings.min_positives)
    return ""


FEW = mark("{policy}: the log cannot say; customers evaluated: {customers:,}, fewer than {need:,.0f}.")
NO_INTERVAL = mark("{policy}: no interval; the log hardly ever did what it does.")
TOO_FEW = mark(
    "{policy}: the log cannot say; it supports this policy by {size:,.0f} customers, fewer than {need:,.0f}."
)
TOO_FEW_EARNED = mark(
    "{policy}: the log cannot say; {known:,.0f} customers like its own earned anything, fewer than {positives:,.0f}."
)
GUESSED = mark(
    "{policy}: nobody can say; {share:.0%} of what it would do the log never tried there, and a model would only guess."
)
MODEL_ONLY = mark(
    "{policy}: the log cannot say. A model alone expects {amount} {bounds}; its own error is not in that interval."
)
WRONG_PROPENSITIES = mark(
    "{policy}: the log cannot say; its propensities are not those by which was decided. By them it would be {amount} "
    "{bounds}."
)
SIMULATION_ONLY = mark(
    "{policy}: only a simulation can tell. At the log's congestion it would be {amount} {bounds}, but for every 10,000 "
    "customers it asks for {asked}."
)


def _amount(report: Report, policy: str, difference: float) -> str:
    """The difference per customer, to whom, and what of the policy it is the worth of."""
    other = say("the logging policy") if report.reference == "logged" else named(report.reference)
    text = say(
        "{amount}{unit} per customer against {other}", amount=told(difference), unit=currency(report), other=other
    )
    if report.lead.kind == "deviation":
        return say("{amount}, one decision at a time", amount=text)
    if report.lead.kind == "k-step" and report.lead.decisions < report.data.horizon:
        return say("{amount}, followed for {k} decisions", amount=text, k=report.lead.decisions)
    return text


def _bounds(report: Report, policy: str) -> str:
    """The interval in brackets."""
    lo, hi = report.bounds(policy)
    together = len(report.together) if policy in {t.policy for t in report.together} else 0
    text = mark("({level:.0%} interval for {n} policies together {lo} to {hi}{unit})")
    values: dict[str, object] = {"lo": told(lo), "hi": told(hi), "unit": currency(report), "n": together}
    return say(
        text if together else mark("({level:.0%} interval {lo} to {hi}{unit})"),
        level=report.settings.confidence,
        **values,
    )


def _with_total(report: Report, policy: str, difference: float) -> str:
    """The interval, and the difference for the whole bank where its size is stated."""
    bounds, many = _bounds(report, policy), report.settings.population
    if many is None:
        return bounds
    total = say(
        "{amount}{unit} for {many:,} customers", amount=told(many * difference), unit=currency(report), many=many
    )
    return say("{bounds}, {total}", bounds=bounds, total=total)


def currency(report: Report) -> str:
    """What amounts are in, as it stands behind a number; empty where it is not told."""
    return f" {report.data.currency}" if report.data.currency else ""


def told(amount: float) -> str:
    """A signed amount to four digits, never in powers of ten.

    >>> told(10463.2), told(-0.012345), told(0.0)
    ('+10,463', '-0.01235', '+0')
    """
    return number(amount, signed=True) if math.isfinite(amount) else f"{amount:+.0f}"
