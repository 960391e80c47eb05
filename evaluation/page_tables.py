"""The page's tables: rows of text out of a report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evaluation.digits import ends, number, shown, stacked
from evaluation.estimators import ESTIMATORS
from evaluation.language import mark, say
from evaluation.sentences import told_apart
from evaluation.words import named, treated, worded

if TYPE_CHECKING:
    import polars as pl

    from evaluation.bearing import Bearing
    from evaluation.changes import GroupChange
    from evaluation.demand import Demand
    from evaluation.intervals import Between
    from evaluation.report import Report
    from evaluation.shares import Share
    from evaluation.slices import Slice

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
            [stacked(found, signed=True) for found in (*(one.at(factor) for factor in LISTED), one.moved)],
        )
        for one in report.misspecifications
    ]  # fmt: skip


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
        where = "" if one.dimension == before else report.names.dimension(one.dimension)
        shares = say("{share:.1%} (log: {before:.1%})", share=one.contacts, before=one.contacts_before)
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


def share_rows(report: Report) -> list[tuple[str, list[tuple[str, str]], list[list[tuple[str, str]]]]]:
    """By product and by channel: title, policies, and per name its share under each and its shift from the log's."""
    titles = {"product": mark("product"), "channel": mark("channel")}

    def cells(one: Share) -> Iterator[tuple[str, str]]:
        known = report.names.products if one.by == "product" else report.names.channels
        yield treated(one.name), known.get(one.name, "")
        for k, share in enumerate(one.shares):
            yield f"{share:.1%}", "" if k == 0 else say("{points:+.1f} points", points=100 * (share - one.shares[0]))

    head = [(named(policy), "") for policy in report.policies]
    return [
        (say(title), head, [list(cells(one)) for one in report.shares if one.by == by])
        for by, title in titles.items()
        if report.shares
    ]


def bearing_rows(report: Report) -> list[list[tuple[str, str]]]:
    """What customers bear under each policy."""

    def rate(found: Between | None) -> tuple[str, str]:
        return ("–", "") if found is None else stacked(found)

    def row(one: Bearing) -> list[tuple[str, str]]:
        counts = (one.contacts, one.contacts_p95, one.contacts_p99, one.contacts_most)
        numbers = [(number(count, digits=3), "") for count in counts]
        return [(named(one.policy), ""), *numbers, rate(one.complaints), rate(one.opt_outs)]

    return [row(one) for one in report.bearings]


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
