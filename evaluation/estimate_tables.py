"""The page's tables of estimates: rows of text, or of pairs: a value, and what stands under it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evaluation.adapt import LOGGED
from evaluation.digits import ends, number, shown, stacked
from evaluation.estimators import ESTIMATORS, titled
from evaluation.intervals import Between
from evaluation.language import mark, say
from evaluation.lead import single_size
from evaluation.words import named

if TYPE_CHECKING:
    from evaluation.report import Report

Pair = tuple[str, str]
MOST_DECISIONS = 12  # of which the page lists the support
PARTS = {
    "margin": mark("Margin"), "cost": mark("Cost"), "annoyance": mark("Annoyance"),
    "undiscounted": mark("Undiscounted"),
}  # fmt: skip
SIGNS = {"better": "▲", "worse": "▼", "undecided": "?", "model only": "?", "simulation only": "⚠"}  # of verdicts
SINGLE, FOLLOWED = frozenset({"deviation", "deviation_dr"}), frozenset({"kstep", "kstep_dr"})


def lead_rows(report: Report) -> list[dict[str, Any]]:
    """The lead estimate of every policy."""
    rows, signs = [], {one.policy: SIGNS[one.outcome] for one in report.verdicts}
    for policy in report.policies:
        found = report.estimate(policy)
        size, largest = report.support(policy)
        joint = next((one for one in report.together if one.policy == policy), None)
        rows.append(
            {
                "sign": signs.get(policy, ""),
                "policy": named(policy),
                "value": stacked(found.interval),
                "difference": stacked(found.difference, signed=True) if found.difference else (say("reference"), ""),
                "lower": number(found.difference.lower, signed=True) if found.difference else "",
                "total": _total(report, policy),
                "joint": "" if joint is None else ends(joint.lo, joint.hi),
                "ess": f"{size:,.0f}",
                "max_weight": f"{largest:,.1f}",
                "untried": f"{report.supports[report.policies.index(policy)].untried:.1%}",
            }
        )
    return rows


def _total(report: Report, policy: str) -> Pair:
    """The difference for all of the bank's customers."""
    found, many = report.estimate(policy).difference, report.settings.population
    if found is None or many is None:
        return "", ""
    return stacked(Between(*(many * end for end in (found.value, *report.bounds(policy)))), signed=True)


def part_rows(report: Report) -> list[tuple[str, str, list[Pair]]]:
    """Per policy: at what share of the decisions it contacts, and the lead estimate of every part of the reward."""
    names = [a for a in PARTS if (report.policies[0], report.lead.estimator, a) in report.computed]
    return [
        (named(p), f"{1 - mix[0]:.1%}", [stacked(report.estimate(p, amount=a).interval) for a in names])
        for p, mix in zip(report.policies, report.mix, strict=True)
    ]


def booked(report: Report) -> str:
    """What the logging policy earned, by any estimator that needs no model: without weights they agree."""
    sampled = next(name for name in report.estimators if not ESTIMATORS[name].model_based)
    return shown(report.estimate(LOGGED, sampled).interval)


def estimate_rows(report: Report) -> list[tuple[str, list[tuple[str, str, str, str]]]]:
    """Per policy and estimator: its title, the value, the difference to the reference, the effective sample size."""
    return [(named(p), [_estimate_row(report, p, name) for name in report.estimators]) for p in report.policies]


def _estimate_row(report: Report, policy: str, name: str) -> tuple[str, str, str, str]:
    found, estimator, size = report.estimate(policy, name), ESTIMATORS[name], size_behind(report, policy, name)
    difference = shown(found.difference, signed=True) if found.difference else say("reference")
    few = "† " if size < report.lead.threshold else ""
    return titled(estimator), shown(found.interval), difference, "–" if math.isinf(size) else f"{few}{size:,.0f}"


def size_behind(report: Report, policy: str, estimator: str) -> float:
    """Effective sample size, in customers, of the plain weights of an estimate; infinite for a model's."""
    found = report.supports[report.policies.index(policy)]
    if ESTIMATORS[estimator].model_based:
        return math.inf
    if estimator in SINGLE:
        return single_size(found, report.data.customers, report.data.kind == "continuing")
    return float(found.ess_cumulative[report.lead.decisions - 1 if estimator in FOLLOWED else -1])


def weighting_rows(report: Report) -> list[tuple[str, str, str, str, str, str]]:
    """Per policy and estimator that made its weights smaller: the parameter, its estimated bias, both errors."""
    rows = []
    for found in report.estimates:
        if found.weighting is not None:
            chosen, plain = found.weighting.chosen, found.weighting.plain
            parameter = number(chosen.parameter) if math.isfinite(chosen.parameter) else say("none")
            errors = (number(chosen.variance**0.5), number(plain.variance**0.5))
            title = say(ESTIMATORS[found.estimator].title)
            rows.append((named(found.policy), title, parameter, number(chosen.bias, signed=True), *errors))
    return rows


def size_rows(report: Report) -> tuple[range, list[tuple[str, list[tuple[str, list[str]]]]]]:
    """Numbers of the first decisions, and per policy: ESS and largest weights, alone and cumulative, at each."""
    numbers = range(1, min(report.data.horizon, MOST_DECISIONS) + 1)
    rows = []
    for one in report.supports[1:]:
        alone = [
            (say("ESS, alone"), [f"{x:,.0f}" for x in one.ess[: len(numbers)]]),
            (say("largest weight, alone"), [f"{x:,.1f}" for x in one.largest_weight[: len(numbers)]]),
        ]
        cumulative = [
            (say("ESS, cumulative"), [f"{x:,.1f}" for x in one.ess_cumulative[: len(numbers)]]),
            (say("largest weight, cumulative"), [f"{x:,.1f}" for x in one.largest_cumulative[: len(numbers)]]),
        ]
        rows.append((named(one.policy), [*alone, *cumulative] if report.data.horizon > 1 else alone))
    return numbers, rows
