"""A portrait: what is known of a customer at one decision, for an example that people read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from envs.catalogue import SILENCE, Catalogue
from envs.schema import Column
from envs.tables import Tables
from evaluation.digits import number
from evaluation.log import Log

MOST_COLUMNS = 6  # of the profile; assumed: what a reader takes in
MOST_CONTACTS = 3  # made before
UNKNOWN = "unknown"  # value of a column that may be missing, and is
ORDER = {"category": 0, "flag": 1, "number": 2}  # what a reader wants to know first


@dataclass(frozen=True)
class Trait:
    """One column of a profile."""

    meaning: str
    value: str
    unit: str


@dataclass(frozen=True)
class Contact:
    """A contact of the past."""

    treatment: str
    days: float  # before the decision


@dataclass(frozen=True)
class Portrait:
    """A customer at one decision, by what was known then."""

    trigger: str | None  # how the customer came in; None: the bank turned to them
    traits: tuple[Trait, ...]
    contacts: tuple[Contact, ...]  # the latest first


def portraits(tables: Tables, log: Log) -> Callable[[int], Portrait]:
    """Who is at a row of a log that was read from these tables.

    Columns that the schema guards as `special` are left out, and so are most of the others: categories come first, then
    flags, then numbers.
    """
    columns = sorted((c for c in tables.schema.columns if c.sensitivity != "special"), key=lambda c: ORDER[c.type])

    def portrait(row: int) -> Portrait:
        customer, decision = str(log.customer_id[row]), str(log.decision_id[row])
        mine = tables.decisions.filter(pl.col("customer_id") == customer)
        here = mine.filter(pl.col("decision_id") == decision)
        at = here["at"][0]
        profile = tables.customers.filter((pl.col("customer_id") == customer) & (pl.col("valid_from") <= at))
        before = mine.filter((pl.col("at") < at) & (pl.col("treatment") != SILENCE)).tail(MOST_CONTACTS)
        return Portrait(
            here["trigger"][0],
            _traits(profile, columns[:MOST_COLUMNS]),
            tuple(
                Contact(treatment, (at - when).total_seconds() / 86_400)
                for treatment, when in before.select("treatment", "at").reverse().rows()
            ),
        )

    return portrait


def _traits(profile: pl.DataFrame, columns: list[Column]) -> tuple[Trait, ...]:
    """From the latest row of a customer's profile; nothing where none was valid yet."""
    if not profile.height:
        return ()
    latest = profile.sort("valid_from").row(-1, named=True)
    return tuple(Trait(c.meaning or c.name, _value(latest[c.name], c), c.unit) for c in columns)


def _value(value: object, column: Column) -> str:
    if value is None:
        return UNKNOWN
    if column.type == "flag":
        return "yes" if value else "no"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return number(value) if isinstance(value, float) and "e" in text else text


def product_channel(catalogue: Catalogue) -> tuple[str, ...]:
    """What every treatment offers on which channel, by name; silence is alone."""
    return (SILENCE, *(f"{one.product}, {one.channel}" for one in catalogue.treatments))
