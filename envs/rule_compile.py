"""Compile rules against a catalogue and a schema: from what is written to the tables that the kernels read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.calendar import FIRST_DAY, LAST_DAY, calendar_fields
from envs.calendar import NAMES as CALENDAR
from envs.catalogue import Catalogue
from envs.rule_counters import bans, benefits, caps, keep
from envs.rule_kinds import Condition, HandOver, Ownership, QuietTime
from envs.rule_sets import Compiler
from envs.rule_tables import (
    AMONG,
    CLAUSE,
    DAY,
    EMPTY,
    GATE,
    HAND_OVER,
    HOLDS,
    HOLIDAY,
    LACKS,
    LEVEL,
    ONCE,
    RANGE,
    SELLS,
    STAGE,
    WEEKEND,
    WORKING_DAY,
    Book,
)
from envs.rule_text import BUILT_IN, Rules
from envs.schema import Column, Schema

KINDS_OF_DAY = {"weekend": WEEKEND, "holiday": HOLIDAY, "working_day": WORKING_DAY}


def compile_book(rules: Rules, catalogue: Catalogue, schema: Schema) -> tuple[Book, tuple[tuple[str, ...], ...]]:
    """The tables, and for each level the names of its rules in the order of the kernels' positions."""
    make = Compiler(catalogue, schema)
    below = {} if rules.levels is None else rules.levels.rules
    books = [rules, *below.values()]
    _shared(make, rules, {category: position + 1 for position, category in enumerate(below)})
    compiled = [_level(make, book) for book in books]
    count = (make.size + 63) // 64
    bits = np.zeros((len(make.words), 64 * count), np.uint8)
    bits[:, : make.size] = np.stack(make.words)
    book = Book(
        words=np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64),
        levels=np.array([row for row, _ in compiled], LEVEL),
        gates=np.array(make.gates, GATE),
        clauses=np.array(make.clauses, CLAUSE),
        hand_overs=np.array(make.hand_overs, HAND_OVER),
        marks=np.concatenate([*make.marks, np.zeros(0, np.uint64)]),
        ints=np.array(make.ints, np.int32),
        calendar=_calendar(schema, books),
        scratch=np.zeros((1, count), np.uint64),
    )
    return book, tuple(names for _, names in compiled)


def _shared(make: Compiler, rules: Rules, level_of: dict[str, int]) -> None:
    """What all levels share, in the order of envs/rule_tables.py."""
    catalogue, triggers = make.catalogue, (None, *make.schema.triggers)
    make.row(np.zeros(make.size, bool))
    make.row(catalogue.selling & ~make.verifying)
    make.row(make.verifying)
    make.row(make.outbound)
    for product in catalogue.product_ids:
        make.row(make.of_products([product]))
    for channel in catalogue.channel_ids:
        make.row(make.of_channels([channel]))
    for trigger in triggers:  # closed: inbound channels of other moments
        make.row(make.of_channels(c.id for c in catalogue.channels if c.inbound not in (None, trigger)))
    categories: tuple[str, ...] = ()
    if rules.levels is not None:
        categories = make.columns[rules.levels.column].categories
    first = make.fields.index(f"{rules.levels.column}={categories[0]}") if rules.levels is not None else -1
    make.list_of([first, len(categories), *(level_of.get(category, 0) for category in categories)])
    make.list_of(SELLS * (p.selling and not p.clears_hold) + ONCE * p.once for p in catalogue.products)
    make.list_of([make.size])


def _level(make: Compiler, rules: Rules) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """One level's record, and the names of its rules."""
    names = [*BUILT_IN, *(rule.name for _, rule in rules.named())]
    quiet = [t.daypart in rules.quiet.get(t.channel, ()) for t in make.catalogue.treatments]
    quiet_row = make.row(np.array([False, *quiet]))
    rating = _known(make, rules.suitability) if rules.suitability is not None else (-1, -1, 0.0, 1.0)
    risk = np.array([-1, *(make.catalogue.products[p].risk_level for p in make.catalogue.product_of[1:])])
    above = len(make.words)
    for level in range(6):
        make.row(risk > level)
    gate = len(make.gates)
    for rule in rules.quiet_times:
        _quiet_time(make, rule, names.index(rule.name))
    for limit in rules.limits:
        clauses = _clauses(make, limit)
        make.gates.append((names.index(limit.name), *clauses, make.row(make.treatments_of(limit)), EMPTY))
    for ownership in rules.ownerships:
        _ownership(make, ownership, names.index(ownership.name))
    gates = len(make.gates) - gate
    counters = [*caps(make, rules, names), *bans(make, rules, names), *benefits(make, rules.benefit_days)]
    group, counter, rule_at, longest = keep(make, counters)
    hand_over = len(make.hand_overs)
    for hand in rules.hand_overs:
        make.hand_overs.append(_hand_over(make, hand, names.index(hand.name)))
    record = (
        *(rules.consent, rules.once, rules.pending),
        *(rules.refusal_days, rules.complaint_days, rules.focus_days, rules.lead_owner_days),
        *(quiet_row, *rating, above, gate, gates, group, (len(counters) + 63) // 64, counter, rule_at),
        *(hand_over, len(make.hand_overs) - hand_over, longest),
    )
    return record, tuple(names)


def _known(make: Compiler, name: str) -> tuple[int, int, float, float]:
    """Of a number or flag: its field, the field that says it is missing or -1, center and scale."""
    column, at = make.columns[name], make.fields.index(name)
    missing = at + 1 if column.nullable else -1
    return (at, missing, column.center, column.scale) if column.type == "number" else (at, missing, 0.0, 1.0)


def _clauses(make: Compiler, asked: Condition) -> tuple[int, int]:
    """Keep the clauses of a condition. -> the first and their number"""
    first = len(make.clauses)
    if asked.column is not None:
        column = make.columns[asked.column]
        make.clauses.append(_among(make, column, asked.one_of) if asked.one_of else _range(make, asked))
    lists: list[tuple[int, Sequence[str], Sequence[str]]] = [
        (STAGE, make.schema.stages, asked.stages),
        (HOLDS, make.catalogue.product_ids, asked.holds),
        (LACKS, make.catalogue.product_ids, asked.lacks),
    ]
    for kind, known, wanted in lists:
        if wanted:
            make.clauses.append((kind, -1, -1, *make.list_of(known.index(name) for name in wanted), 0.0, 0.0))
    return first, len(make.clauses) - first


def _among(make: Compiler, column: Column, values: Sequence[str]) -> tuple[float, ...]:
    places = make.list_of(make.fields.index(f"{column.name}={value}") for value in values)
    return (AMONG, -1, -1, *places, 0.0, 0.0)


def _range(make: Compiler, asked: Condition) -> tuple[float, ...]:
    at, missing, center, scale = _known(make, asked.column or "")
    slack = 1e-4  # scales: the profile is float32
    low = -np.inf if asked.at_least is None else (asked.at_least - center) / scale - slack
    high = np.inf if asked.at_most is None else (asked.at_most - center) / scale + slack
    return (RANGE, at, missing, 0, 0, low, high)


def _quiet_time(make: Compiler, rule: QuietTime, position: int) -> None:
    """Closed on some kinds of days: a gate that those days fail, or every day."""
    dayparts = [not rule.dayparts or t.daypart in rule.dayparts for t in make.catalogue.treatments]
    row = make.row(make.treatments_of(rule) & np.array([False, *dayparts]))
    if not rule.days:
        make.gates.append((position, len(make.clauses), 0, EMPTY, row))
        return
    make.clauses.append((DAY, sum(KINDS_OF_DAY[kind] for kind in set(rule.days)), -1, 0, 0, 0.0, 0.0))
    make.gates.append((position, len(make.clauses) - 1, 1, row, EMPTY))


def _ownership(make: Compiler, rule: Ownership, position: int) -> None:
    owner = make.of_channels(rule.owners)
    others = make.row(make.treatments_of(rule, inbound=False) & ~owner)
    make.gates.append((position, *_clauses(make, rule), make.row(owner), others))


def _hand_over(make: Compiler, rule: HandOver, position: int) -> tuple[int, ...]:
    products = [not rule.products or p in rule.products for p in make.catalogue.product_ids]
    origins = [
        (not rule.from_channels or c.id in rule.from_channels)
        and (not rule.from_families or c.family in rule.from_families)
        for c in make.catalogue.channels
    ]
    flags, _ = make.list_of([*products, rule.unasked, *origins])
    off_to = make.row(make.outbound & ~make.of_channels(rule.to))
    off_return = make.row(make.outbound & ~make.of_channels(rule.return_to))
    kinds = ("engaged" in rule.events, "abandoned" in rule.events)
    return (position, flags, *kinds, rule.within_days, rule.return_days, off_to, off_return)


def _calendar(schema: Schema, books: Sequence[Rules]) -> np.ndarray:
    """Kinds of days as bits, (days,) uint8; empty where no rule asks for them."""
    if not any(rule.days for book in books for rule in book.quiet_times):
        return np.zeros(0, np.uint8)
    days = np.arange(FIRST_DAY, LAST_DAY + 1)
    weekend = (days + 3) % 7 >= 5
    holiday = np.zeros(len(days), bool)
    if schema.task.calendar is not None:
        holiday = calendar_fields(days, schema.task.calendar)[:, CALENDAR.index("holiday")] > 0
    return np.asarray(WEEKEND * weekend + HOLIDAY * holiday + WORKING_DAY * ~(weekend | holiday), np.uint8)
