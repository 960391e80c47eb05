"""What rules name must exist in the catalogue and the schema; the first stranger is an InputError at its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from envs.catalogue import Catalogue
from envs.profile import features
from envs.rule_kinds import Ban, Condition, HandOver, Ownership, QuietTime, Selection
from envs.rule_text import Rules
from envs.rule_tighten import loosened
from envs.schema import Column, Schema


class _Used(NamedTuple):
    field: str
    value: str
    known: tuple[str, ...]
    kind: str = ""  # of what there are none, where none are known


def check_names(rules: Rules, catalogue: Catalogue, schema: Schema) -> None:
    """Raise an InputError that names file, line, field and what would be right. Levels below included."""
    if rules.extends is not None or (rules.levels is not None and rules.levels.files):
        name = "extends" if rules.extends is not None else "levels.files"
        raise rules.fault("must be read with load_rules, which puts the levels together", name)
    for field, value, known, kind in [*_levels(rules, schema), *_used(rules, catalogue, schema)]:
        if value not in known:
            need = f"must be one of: {', '.join(known)}" if known else f"must not be used: there are no {kind}"
            raise rules.fault(need, field, value)
    for section, rule in rules.named():
        if isinstance(rule, Condition):
            _check_bounds(rules, f"{section}.{rule.name}", rule, schema)
    for rule in rules.quiet_times:
        if {"holiday", "working_day"} & set(rule.days) and schema.task.calendar is None:
            raise rules.fault(
                "need task.calendar in the schema: holidays of which country?", f"quiet_times.{rule.name}.days"
            )
    for category, level in () if rules.levels is None else rules.levels.rules.items():
        for field, was, now in loosened(rules, level):
            raise level.fault(f"must not loosen {was!r} of the level above", f"levels.rules.{category}.{field}", now)
        check_names(level, catalogue, schema)


def _levels(rules: Rules, schema: Schema) -> Iterator[_Used]:
    if rules.levels is not None:
        columns = {c.name: c for c in features(schema) if c.type == "category"}
        yield _Used("levels.column", rules.levels.column, tuple(columns), "observed category columns")
        known = columns[rules.levels.column].categories if rules.levels.column in columns else ()
        for category in rules.levels.rules:
            yield _Used(f"levels.rules.{category}", category, known)


def _used(rules: Rules, catalogue: Catalogue, schema: Schema) -> Iterator[_Used]:
    numbers = tuple(c.name for c in features(schema) if c.type != "category")
    dayparts = tuple(dict.fromkeys(t.daypart for t in catalogue.treatments))
    for channel in catalogue.channels:
        if channel.inbound is not None:
            yield _Used("inbound", channel.inbound, schema.triggers, "triggers in the schema")
    for name in rules.quiet:
        yield _Used(f"quiet.{name}", name, catalogue.channel_ids)
    if rules.suitability is not None:
        yield _Used("suitability", rules.suitability, numbers, "observed numbers and flags")
    for section, rule in rules.named():
        at = f"{section}.{rule.name}"
        if isinstance(rule, Selection):
            yield from _selection(at, rule, catalogue)
        if isinstance(rule, Condition):
            yield from _condition(at, rule, catalogue, schema)
        if isinstance(rule, QuietTime):
            yield from _each(f"{at}.dayparts", rule.dayparts, dayparts)
        elif isinstance(rule, Ban):
            yield from _selection(f"{at}.never", rule.never, catalogue)
            yield from _selection(f"{at}.after", rule.after, catalogue)
        elif isinstance(rule, HandOver):
            yield from _each(f"{at}.products", rule.products, catalogue.product_ids)
            for field in ("from_channels", "to", "return_to"):
                yield from _each(f"{at}.{field}", getattr(rule, field), catalogue.channel_ids)
        elif isinstance(rule, Ownership):
            yield from _each(f"{at}.owners", rule.owners, catalogue.channel_ids)


def _each(field: str, values: Iterable[str], known: tuple[str, ...], kind: str = "") -> Iterator[_Used]:
    for value in values:
        yield _Used(field, value, known, kind)


def _selection(at: str, chosen: Selection, catalogue: Catalogue) -> Iterator[_Used]:
    yield from _each(f"{at}.treatments", chosen.treatments, catalogue.treatment_ids[1:])
    yield from _each(f"{at}.products", chosen.products, catalogue.product_ids)
    yield from _each(f"{at}.channels", chosen.channels, catalogue.channel_ids)
    yield from _each(f"{at}.benefits", chosen.benefits, ("none", *(b.id for b in catalogue.benefits)))


def _condition(at: str, asked: Condition, catalogue: Catalogue, schema: Schema) -> Iterator[_Used]:
    observed = {c.name: c for c in features(schema)}
    if asked.column is not None:
        fits = tuple(n for n, c in observed.items() if (c.type == "category") == bool(asked.one_of))
        kind = "observed categories" if asked.one_of else "observed numbers and flags"
        yield _Used(f"{at}.column", asked.column, fits, kind)
        if asked.column in fits and asked.one_of:
            yield from _each(f"{at}.one_of", asked.one_of, observed[asked.column].categories)
    yield from _each(f"{at}.stages", asked.stages, schema.stages, "stages in the schema")
    yield from _each(f"{at}.holds", asked.holds, catalogue.product_ids)
    yield from _each(f"{at}.lacks", asked.lacks, catalogue.product_ids)


def _check_bounds(rules: Rules, at: str, asked: Condition, schema: Schema) -> None:
    column: Column | None = next((c for c in schema.columns if c.name == asked.column), None)
    for field, bound in (("at_least", asked.at_least), ("at_most", asked.at_most)):
        if bound is None or column is None or column.type != "number":
            continue
        if abs(bound - column.center) >= 5 * column.scale:
            need = f"must lie less than 5 scales from the center of {column.name}, where the profile is clipped"
            raise rules.fault(need, f"{at}.{field}", bound)
