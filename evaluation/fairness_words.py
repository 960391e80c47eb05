"""What the page says of fairness: sentences on the groups that are surely treated worse, and the table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evaluation.digits import number
from evaluation.intervals import Between
from evaluation.language import mark, say
from evaluation.verdict import claimed
from evaluation.words import named, worded

if TYPE_CHECKING:
    from evaluation.fairness import Fairness
    from evaluation.report import Report

MOST_GROUPS = 4  # that a sentence names
TURNS = {"wider": mark("wider"), "narrower": mark("narrower"), "not told apart": mark("not told apart")}


def fairness_sentences(report: Report) -> tuple[str, ...]:
    """Per policy: protected groups that are surely offered less or annoyed more than others, and surely more so than in
    the log."""
    out = []
    for policy in dict.fromkeys(one.policy for one in report.fairness if one.worse):
        worse = [one for one in report.fairness if one.policy == policy and one.worse]
        if not claimed(report, policy):  # offers follow from the policy alone, annoyance does not
            worse = [one for one in worse if one.amount == "offers"]
        every = {(one.dimension, one.label) for one in worse if one.amount == "offers" and one.product is None}
        less = [one for one in worse if one.amount == "offers"]
        less = [one for one in less if one.product is None or (one.dimension, one.label) not in every]
        more = [one for one in worse if one.amount == "annoyance"]
        if less:
            out.append(say(OFFERS, policy=named(policy), groups=_groups(report, less)))
        if more:
            text = MODELLED if report.lead.model_based else ANNOYS
            out.append(say(text, policy=named(policy), groups=_groups(report, more)))
    return tuple(out)


OFFERS = mark("{policy} surely offers less to protected groups than to others, and more so than the log did: {groups}.")
ANNOYS = mark("{policy} surely annoys protected groups more than others, and more so than the log did: {groups}.")
MODELLED = mark(
    "A model expects {policy} to annoy protected groups more than others, and more so than in the log: {groups}."
)


def _groups(report: Report, found: list[Fairness]) -> str:
    """The first few groups, with what is worse for them."""
    groups = say("; ").join(_group(report, one) for one in found[:MOST_GROUPS])
    return groups + say("; and {n} more", n=len(found) - MOST_GROUPS) if len(found) > MOST_GROUPS else groups


def _group(report: Report, one: Fairness) -> str:
    text = mark("{dimension}: {label} ({group}, others {others})")
    if one.product is not None:
        text = mark("{dimension}: {label} ({product}: {group}, others {others})")
    return say(
        text, dimension=report.names.dimension(one.dimension), label=worded(one.label), product=_amount(report, one),
        group=figure(one.group, one), others=figure(one.others, one),
    )  # fmt: skip


Cells = tuple[tuple[str, str], ...]  # a figure, and what stands under it


def fairness_rows(report: Report) -> list[tuple[str, list[tuple[bool, Cells]]]]:
    """Per policy: of each group whether it is treated worse, and its figures as text; products only where something
    surely changes. A group stands at its first amount."""

    def row(one: Fairness, before: Fairness | None) -> Cells:
        first = before is None or (one.dimension, one.label) != (before.dimension, before.label)
        where = say("{dimension}: {label}", dimension=report.names.dimension(one.dimension), label=worded(one.label))
        size = say("{n:,} customers", n=one.customers)
        return (
            (where, size) if first else ("", ""),
            (_amount(report, one), ""),
            (_sides(one.group, one.others, one), _apart(one.difference, one)),
            (_sides(one.group_before, one.others_before, one), _apart(one.before, one)),
            _ends(one.change, one),
            (say(TURNS[one.turn]), ""),
        )

    def rows(policy: str) -> list[tuple[bool, Cells]]:
        own = [one for one in listed if one.policy == policy]
        return [(one.worse, row(one, last)) for one, last in zip(own, [None, *own], strict=False)]

    listed = [one for one in report.fairness if one.product is None or one.turn != "not told apart"]
    return [(name, rows(name)) for name in dict.fromkeys(one.policy for one in listed)]


def _amount(report: Report, one: Fairness) -> str:
    if one.amount == "annoyance":
        return say("annoyance")
    return say("any offer") if one.product is None else report.names.products.get(one.product, one.product)


def _sides(group: float, others: float, one: Fairness) -> str:
    return say("{group}, others {others}", group=figure(group, one), others=figure(others, one))


def figure(value: float, one: Fairness, signed: bool = False) -> str:
    """A share of decisions in percent, annoyance in opt-outs."""
    if one.amount == "annoyance":
        return number(value, signed, digits=3)
    return (f"{value:+.1%}" if signed else f"{value:.1%}") if math.isfinite(value) else "–"


def _apart(found: Between, one: Fairness) -> str:
    if not math.isfinite(found.lo):
        return say("undefined")
    value, lo, hi = (figure(end, one, signed=True) for end in (found.value, found.lo, found.hi))
    return say("{value} ({lo} to {hi})", value=value, lo=lo, hi=hi)


def _ends(found: Between, one: Fairness) -> tuple[str, str]:
    if not math.isfinite(found.lo):
        return say("undefined"), ""
    value, lo, hi = (figure(end, one, signed=True) for end in (found.value, found.lo, found.hi))
    return value, say("{lo} to {hi}", lo=lo, hi=hi)
