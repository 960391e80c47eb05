"""What it means that one rule book is at least as strict as another: field by field, so that no mask can grow.

| field | a lower level may |
|---|---|
| consent, once, pending, either_order, inbound, unasked | turn false into true |
| suitability | name a column where none was |
| ..._days, days of a cap or ban | only lengthen them |
| quiet, and any list of rules | only add |
| what a rule concerns (a selection) | only widen it; of a cap, not from some products or treatments to all |
| conditions of a limit | only add and narrow them |
| most of a cap | only lower it |
| owners and condition of an ownership | not change them: those who have no owner would gain |
| to, within_days, return_to, return_days of a hand-over | change them if at no age of a lead another channel gains |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from envs.rule_kinds import Ban, Cap, Condition, HandOver, Limit, Ownership, QuietTime, Selection
from envs.rule_text import NamedRule, Rules

SWITCHES = {"consent": "consent", "once": "holds_already", "pending": "application_pending"}  # field -> built-in rule
DAYS = {
    "refusal_days": "refusal",
    "complaint_days": "complaint",
    "focus_days": "one_voice",
    "benefit_days": "offer_consistency",
    "lead_owner_days": "lead_owner",
}
OTHERS = {"quiet": "quiet_hours", "suitability": "suitability"}
SELECTED = ("treatments", "products", "channels", "families", "benefits")


class Loosened(NamedTuple):
    """A field in which a lower level is not as strict as the one above."""

    field: str  # dotted, rules by name
    above: Any
    below: Any


def loosened(above: Rules, below: Rules) -> Iterator[Loosened]:
    """Every field in which `below` allows what `above` does not. Nothing: its masks are subsets."""
    for name in SWITCHES:
        if getattr(above, name) and not getattr(below, name):
            yield Loosened(name, True, False)
    for name in DAYS:
        if getattr(below, name) < getattr(above, name):
            yield Loosened(name, getattr(above, name), getattr(below, name))
    if above.suitability not in (None, below.suitability):
        yield Loosened("suitability", above.suitability, below.suitability)
    for channel, dayparts in above.quiet.items():
        if not set(dayparts) <= set(below.quiet.get(channel, ())):
            yield Loosened(f"quiet.{channel}", dayparts, below.quiet.get(channel, ()))
    rules = dict(below.named_by_place())
    for place, rule in above.named_by_place():
        if place not in rules:
            yield Loosened(place, rule.name, None)
            continue
        for field, was, now in _of(rule, rules[place]):
            yield Loosened(f"{place}.{field}", was, now)


def changed(above: Rules, below: Rules) -> set[str]:
    """Names of the rules that `below` adds or changes."""
    fields = {**SWITCHES, **DAYS, **OTHERS}
    names = {rule for field, rule in fields.items() if getattr(above, field) != getattr(below, field)}
    known = dict(above.named_by_place())
    return names | {rule.name for place, rule in below.named_by_place() if known.get(place) != rule}


def _of(above: NamedRule, below: NamedRule) -> Iterator[tuple[str, Any, Any]]:
    """Fields in which a rule is not as strict as its namesake above: field, was, now."""
    if isinstance(above, Ban) and isinstance(below, Ban):
        yield from (("never." + f, was, now) for f, was, now in _narrowed(above.never, below.never))
        yield from (("after." + f, was, now) for f, was, now in _narrowed(above.after, below.after))
        yield from _less(above, below, "days", "either_order")
    elif isinstance(above, Cap) and isinstance(below, Cap):
        if below.most > above.most:
            yield "most", above.most, below.most
        yield from _less(above, below, "days", "inbound")
        yield from _narrowed(above, below, closed=() if below.inbound else ("channels",))
        yield from _emptied(above, below, "products", "treatments")  # verification is outside of a cap on everything
    elif isinstance(above, Limit) and isinstance(below, Limit):
        yield from _narrowed(above, below)
        yield from _relaxed(above, below)
    elif isinstance(above, QuietTime) and isinstance(below, QuietTime):
        yield from _narrowed(above, below)
        yield from _fewer(above, below, "dayparts", "days")
    elif isinstance(above, Ownership) and isinstance(below, Ownership):
        yield from _narrowed(above, below, closed=("channels",))
        yield from _differing(above, below, "owners", *Condition.model_fields)
    elif isinstance(above, HandOver) and isinstance(below, HandOver):
        yield from _fewer(above, below, "products", "from_channels", "from_families")
        yield from _less(above, below, "unasked")
        if not set(above.events) <= set(below.events):
            yield "events", above.events, below.events
        if not _keeps(above, below):
            yield from _differing(above, below, "to", "within_days", "return_to", "return_days")


def _narrowed(above: Selection, below: Selection, closed: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, Any]]:
    """Selected fields that no longer hold all they held. closed: fields of which empty does not mean all."""
    yield from _fewer(above, below, *SELECTED)
    yield from _emptied(above, below, *closed)


def _fewer(above: Any, below: Any, *fields: str) -> Iterator[tuple[str, Any, Any]]:
    """Lists, empty for all, that no longer hold all they held."""
    for field in fields:
        was, now = getattr(above, field), getattr(below, field)
        if now and not (was and set(was) <= set(now)):
            yield field, was, now


def _emptied(above: Any, below: Any, *fields: str) -> Iterator[tuple[str, Any, Any]]:
    for field in fields:
        if getattr(above, field) and not getattr(below, field):
            yield field, getattr(above, field), ()


def _less(above: Any, below: Any, *fields: str) -> Iterator[tuple[str, Any, Any]]:
    for field in fields:
        if getattr(below, field) < getattr(above, field):
            yield field, getattr(above, field), getattr(below, field)


def _differing(above: Any, below: Any, *fields: str) -> Iterator[tuple[str, Any, Any]]:
    for field in fields:
        if getattr(above, field) != getattr(below, field):
            yield field, getattr(above, field), getattr(below, field)


def _relaxed(above: Condition, below: Condition) -> Iterator[tuple[str, Any, Any]]:
    """Conditions that more customers meet."""
    if above.column not in (None, below.column):
        yield "column", above.column, below.column
    if above.at_least is not None and (below.at_least is None or below.at_least < above.at_least):
        yield "at_least", above.at_least, below.at_least
    if above.at_most is not None and (below.at_most is None or below.at_most > above.at_most):
        yield "at_most", above.at_most, below.at_most
    for field in ("one_of", "stages", "holds"):
        was, now = getattr(above, field), getattr(below, field)
        if was and not (now and set(now) <= set(was)):
            yield field, was, now
    if not set(above.lacks) <= set(below.lacks):
        yield "lacks", above.lacks, below.lacks


def _keeps(above: HandOver, below: HandOver) -> bool:
    """True if at no age of the lead `below` lets a channel follow it up that `above` does not."""
    for age in {0, *(rule.within_days + more for rule in (above, below) for more in (0, rule.return_days))}:
        was, now = above.keepers(age), below.keepers(age)
        if was is not None and (now is None or not now <= was):
            return False
    return True
