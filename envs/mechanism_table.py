"""The mechanisms of a world as a table: what switches each off, with its numbers and their sources."""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from envs.mechanisms import MECHANISMS
from envs.world import World

FEW = 4  # numbers written out
TAG = re.compile(
    r"KPMG 2023|Fusion 2025|Yin'ao 2026|UCI|Hillstrom|Accengage 2016|Mailchimp 2019|Oldroyd 2011|Pew 2020|ACSI"
    r"|Colloquy 2011|Baymard|State Council 2022|Directive 2008/48/EC"
)


def mechanism_table(world: World) -> pl.DataFrame:
    """mechanism, meaning, off (what switching off does), numbers, sources; only those that the world has."""
    rows = []
    for m in MECHANISMS:
        numbers = _numbers(world, m.off(world))
        if numbers:
            rows.append((m.name, m.meaning, m.switch, _few([n for n, _ in numbers]), _sources([s for _, s in numbers])))
    return pl.DataFrame(rows, orient="row", schema=["mechanism", "meaning", "off", "numbers", "sources"])


def _numbers(world: World, other: World) -> Iterator[tuple[str, str]] | list[tuple[str, str]]:
    """(number in words, its source) of everything that the other world lacks."""
    return [*_terms(world, other), *_facts(world, other), *_rest(world, other)]


def _terms(world: World, other: World) -> Iterator[tuple[str, str]]:
    left = other.coefficients.heads
    for name, head in world.coefficients.heads.items():
        kept = left[name].terms if name in left else ()
        for term in head.terms:
            if term not in kept and term.value != -30:
                yield f"{name}: {term.feature} {term.value:+g}", term.source


def _facts(world: World, other: World) -> Iterator[tuple[str, str]]:
    pairs = [*zip(world.catalogue.products, other.catalogue.products, strict=True)]
    fields = ("closes", "maturing_days", "cancel_days", "default_probability", "loss_given_default", "refers")
    for before, after in pairs:
        for field in fields:
            was, now = getattr(before, field), getattr(after, field)
            if was != now:
                yield f"{before.id}: {field} {_shown(was)}", "assumed"
    for one, two in zip(world.catalogue.benefits, other.catalogue.benefits, strict=True):
        if one.cost != two.cost:
            yield f"{one.id}: cost {one.cost:g}", "assumed"
    for here, there in zip(world.catalogue.channels, other.catalogue.channels, strict=True):
        if here.delay_days != there.delay_days:
            yield f"{here.id}: delay_days {here.delay_days:g}", "assumed"


def _rest(world: World, other: World) -> Iterator[tuple[str, str]]:
    for rule in world.rules.ownerships:
        if rule not in other.rules.ownerships:
            yield f"rules: ownership {rule.name}", "KPMG 2023"
    hidden, left = world.coefficients.hidden, other.coefficients.hidden
    if hidden and left and hidden.care_heals != left.care_heals:
        yield f"hidden: care_heals {hidden.care_heals:g}", hidden.source


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(str(part) for part in value) + ")"
    return str(value)


def _few(numbers: list[str]) -> str:
    """Some of the numbers, and how many there are."""
    more = f"; {len(numbers)} in all" if len(numbers) > FEW else ""
    return "; ".join(numbers[:FEW]) + more


def _sources(sources: list[str]) -> str:
    """The tags that are named, and whether the rest is assumed."""
    tags = sorted({tag for source in sources for tag in TAG.findall(source)})
    rest = ["assumed, reason in the file"] if any(source.startswith(("assumed", "as ")) for source in sources) else []
    return ", ".join([*tags, *rest]) or "by definition"
