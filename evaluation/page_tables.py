"""The page's tables: rows of text out of a report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evaluation.adapt import LOGGED
from evaluation.digits import ends, number, shown
from evaluation.estimators import ESTIMATORS, titled
from evaluation.intervals import Between
from evaluation.language import mark, say
from evaluation.sentences import told_apart
from evaluation.words import named, treated, worded

if TYPE_CHECKING:
    import polars as pl

    from evaluation.changes import GroupChange
    from evaluation.demand import Demand
    from evaluation.report import Report
    from evaluation.slices import Slice

MOST_DECISIONS = 12  # of which the page lists the support
PARTS = {
    "margin": mark("Margin"), "cost": mark("Cost"), "annoyance": mark("Annoyance"),
    "undiscounted": mark("Undiscounted"),
}  # fmt: skip
LISTED = (0.0, 0.5, 1.0, 1.5, 2.0)  # factors of the model


def guaranteed_rows(report: Report) -> list[tuple[str, ...]]:
    """Bounds at any size of log, as text."""
    return [
        (named(g.policy), number(g.value, True), ends(g.lo, g.hi), number(g.lower, True)) for g in report.guaranteed
    ]


def factor_rows(report: Report) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Per estimate that uses a model and policy: value and interval at some factors, and of what the model moves."""
    return [
        (
            named(one.policy), say(ESTIMATORS[one.estimator].title),
            [_stacked(found) for found in (*(one.at(factor) for factor in LISTED), one.moved)],
        )
        for one in report.misspecifications
    ]  # fmt: skip


def _stacked(found: Between) -> tuple[str, str]:
    """A value, and its interval to stand under it."""
    if math.isnan(found.lo):
        return number(found.value, signed=True), ""
    return number(found.value, signed=True), ends(found.lo, found.hi)


def change_rows(report: Report) -> list[tuple[str, list[tuple[tuple[str, str], tuple[str, str], tuple[str, str]]]]]:
    """Per policy: the most frequent changes, from, to and share of decisions; under a name what it means."""

    def pair(kind: str) -> tuple[str, str]:
        return treated(kind), report.names.kind(kind)

    return [
        (one.policy, [(pair(change.before), pair(change.after), (f"{change.share:.1%}", "")) for change in one.changes])
        for one in report.changed
    ]


def changed_group_rows(report: Report) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Per policy: the groups for which most changes."""

    def most(one: GroupChange) -> tuple[str, str]:
        if one.most is None:
            return "–", "–"
        return f"{treated(one.most.before)} → {treated(one.most.after)}", f"{one.most.share:.1%}"

    def row(one: GroupChange) -> tuple[str, ...]:
        where = (report.names.dimension(one.dimension), worded(one.label), f"{one.customers:,}")
        return (*where, f"{one.share:.1%}", *most(one))

    return [(one.policy, [row(group) for group in one.groups]) for one in report.changed]


def slice_rows(report: Report) -> list[tuple[str, list[tuple[bool, tuple[str, ...]]]]]:
    """Per policy: of each slice whether it is worse, and its figures as text; a dimension stands at its first group."""

    def row(one: Slice, before: str | None) -> tuple[str, ...]:
        shares = f"{one.contacts:.1%} ({one.contacts_before:.1%})"
        where = "" if one.dimension == before else report.names.dimension(one.dimension)
        figures = (shown(one.gain, signed=True), shown(one.annoyance, signed=True), shares)
        return (where, worded(one.label), f"{one.customers:,}", *figures)

    def rows(policy: str) -> list[tuple[bool, tuple[str, ...]]]:
        own = told_apart(report.slices, policy)
        before = [None, *(one.dimension for one in own)]
        return [(one.worse, row(one, last)) for one, last in zip(own, before, strict=False)]

    return [(name, rows(name)) for name in dict.fromkeys(one.policy for one in report.slices)]


def live_rows(report: Report) -> list[tuple[str, ...]]:
    """Forecasts beside what came, as text."""
    return [
        (
            named(one.policy), worded(one.amount), f"{one.customers:,}", f"{one.decisions:,}",
            shown(one.forecast, signed=True), shown(one.came, signed=True),
        )
        for one in report.live
    ]  # fmt: skip


def demand_rows(report: Report) -> list[tuple[bool, tuple[str, ...]]]:
    """Per policy and pool whether more is asked for than there is, and the figures as text."""

    def row(one: Demand) -> tuple[str, ...]:
        amounts = (f"{x:,.0f}" for x in (one.asked, one.busiest, one.capacity))
        return (named(one.policy), one.pool, *amounts, one.unit, f"{one.days_above:.0%}")

    return [(one.above, row(one)) for one in report.demands]


def power_rows(report: Report) -> list[tuple[str, ...]]:
    """What the log can show of each policy, as text."""
    return [
        (
            named(p.policy), f"{p.ess:,.0f}", f"{p.positives:,.0f}", f"{p.largest_share:.2%}", number(p.detectable),
            number(p.effect), f"{p.needed:,.0f}" if math.isfinite(p.needed) else "–",
        )
        for p in report.powers
    ]  # fmt: skip


def lead_rows(report: Report) -> list[dict[str, Any]]:
    """The lead estimate of every policy as text."""
    rows = []
    for policy in report.policies:
        found = report.estimate(policy)
        size, largest = report.support(policy)
        joint = next((one for one in report.together if one.policy == policy), None)
        rows.append(
            {
                "policy": named(policy),
                "value": shown(found.interval),
                "difference": shown(found.difference, signed=True) if found.difference else say("reference"),
                "lower": number(found.difference.lower, signed=True) if found.difference else "",
                "total": _total(report, policy),
                "joint": "" if joint is None else ends(joint.lo, joint.hi),
                "ess": f"{size:,.0f}",
                "max_weight": f"{largest:,.1f}",
                "untried": f"{report.supports[report.policies.index(policy)].untried:.1%}",
            }
        )
    return rows


def _total(report: Report, policy: str) -> str:
    """The difference for all of the bank's customers."""
    found, many = report.estimate(policy).difference, report.settings.population
    if found is None or many is None:
        return ""
    return shown(Between(*(many * end for end in (found.value, *report.bounds(policy)))), signed=True)


def part_rows(report: Report) -> list[tuple[str, list[str]]]:
    """Per policy: the lead estimate of every part of the reward."""
    names = [a for a in PARTS if (report.policies[0], report.lead.estimator, a) in report.computed]
    return [(named(p), [shown(report.estimate(p, amount=a).interval) for a in names]) for p in report.policies]


def booked(report: Report) -> str:
    """What the logging policy earned, by any estimator that needs no model: without weights they agree."""
    sampled = next(name for name in report.estimators if not ESTIMATORS[name].model_based)
    return shown(report.estimate(LOGGED, sampled).interval)


def estimate_rows(report: Report) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Per policy and estimator: its title, the value, the difference to the reference."""
    return [(named(p), [_estimate_row(report, p, name) for name in report.estimators]) for p in report.policies]


def _estimate_row(report: Report, policy: str, name: str) -> tuple[str, str, str]:
    found, estimator = report.estimate(policy, name), ESTIMATORS[name]
    difference = shown(found.difference, signed=True) if found.difference else say("reference")
    return titled(estimator), shown(found.interval), difference


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
    rows = [
        (
            named(s.policy),
            [
                (say("ESS, alone"), [f"{x:,.0f}" for x in s.ess[: len(numbers)]]),
                (say("ESS, cumulative"), [f"{x:,.1f}" for x in s.ess_cumulative[: len(numbers)]]),
                (say("largest weight, alone"), [f"{x:,.1f}" for x in s.largest_weight[: len(numbers)]]),
                (say("largest weight, cumulative"), [f"{x:,.1f}" for x in s.largest_cumulative[: len(numbers)]]),
            ],
        )
        for s in report.supports[1:]
    ]
    return numbers, rows


def simulated_rows(frame: pl.DataFrame | None) -> tuple[list[str], list[list[tuple[str, str]]]] | None:
    """Titles, and rows of (value, interval); columns `x_lo` and `x_hi` stand under `x`."""
    if frame is None:
        return None
    bounds = {name: (f"{name}_lo", f"{name}_hi") for name in frame.columns}
    paired = {name: pair for name, pair in bounds.items() if set(pair) <= set(frame.columns)}
    titles = [name for name in frame.columns if not any(name in pair for pair in paired.values())]
    rows = [[_simulated(row, name, paired.get(name)) for name in titles] for row in frame.iter_rows(named=True)]
    return [worded(title.replace("_", " ")) for title in titles], rows


def _simulated(row: dict[str, Any], name: str, bounds: tuple[str, str] | None) -> tuple[str, str]:
    if row[name] is None:
        return "–", ""
    value = number(row[name]) if isinstance(row[name], float) else named(str(row[name]))
    if bounds is None or row[bounds[0]] is None:
        return value, ""
    return value, ends(row[bounds[0]], row[bounds[1]], signed=False, digits=3)
