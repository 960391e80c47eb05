"""The Starbucks capstone log: portfolio.json, profile.json and transcript.json, JSON lines -> canonical tables.

A decision stands at the start of its wave's hour. The rows of an hour follow it, a millisecond apart, in the order in
which they cause each other: received, viewed, transaction, completed. A view or a completion belongs to the customer's
last receipt of that offer, at or before its hour, and to no decision where there was none. Identical rows are no
mistake (an offer received twice may be completed twice in one hour, each paying its reward): all of them count, but a
second offer in one wave, or a second profile of one person, is quarantined.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import polars as pl

from envs.catalogue import SILENCE
from envs.errors import InputError
from envs.schema import Split
from envs.tables import INSTANT
from training.importers.rows import BadRowError, Imported, Intake, Row, choice, json_lines, number, text, unknown
from training.importers.starbucks_world import (
    END,
    KINDS,
    LAST_MEMBER,
    MEDIA,
    ORIGIN,
    UNIDENTIFIED,
    UNKNOWN_AGE,
    WAVES,
    Offer,
    offer_catalogue,
    offer_schema,
)

FILES = {
    "portfolio.json": ("id", "offer_type", "difficulty", "reward", "duration", "channels"),
    "profile.json": ("id", "age", "gender", "income", "became_member_on"),
    "transcript.json": ("person", "event", "value", "time"),
}
RECEIVED, VIEWED, TRANSACTION, COMPLETED = range(4)  # the order within an hour
EVENTS = ("offer received", "offer viewed", "transaction", "offer completed")


class Person(NamedTuple):
    """One line of profile.json."""

    customer_id: str
    age: float | None
    income: float | None
    gender: str | None
    membership_days: float


R = TypeVar("R", Offer, Person)


class Act(NamedTuple):
    """One line of transcript.json."""

    person: str
    hour: int
    kind: int  # RECEIVED ... COMPLETED
    offer: str | None
    amount: float | None  # USD spent, or reward paid out
    row: int
    raw: str


def import_starbucks(source: Path, split: Split) -> Imported:
    """Read the three files of a directory. Customers are all persons with a good profile, with six decisions each."""
    if not source.is_dir():
        raise InputError(f"must be a directory that holds {', '.join(FILES)}", file=source)
    intake = Intake()
    offers = _unique(intake, source / "portfolio.json", _offer)
    people = _unique(intake, source / "profile.json", _person)
    acts = _read_acts(intake, source / "transcript.json", set(offers), set(people))
    catalogue, schema = offer_catalogue(offers.values()), offer_schema(split)
    decisions = _decisions(sorted(people), acts)
    return Imported(
        catalogue=catalogue,
        schema=schema,
        customers=_customers([people[name] for name in sorted(people)]),
        decisions=decisions,
        events=_events(acts, {offer.id: offer.channel for offer in offers.values()}),
        intake=intake,
        sources={name: source / name for name in FILES},
        unidentified=UNIDENTIFIED,
    )


def _unique(intake: Intake, path: Path, parse: Callable[[Row], R]) -> dict[str, R]:
    """Good rows by id. Of several with one id the first in the order of their content is kept, not of the file."""
    pairs = intake.accept(path, json_lines(path, FILES[path.name]), lambda row: (parse(row), row))
    found: dict[str, R] = {}
    for record, row in sorted(pairs, key=lambda pair: (pair[0][0], repr(pair[0]), pair[1].number)):
        if record[0] in found:
            intake.put_aside(path.name, row, "id must be unique")
        else:
            found[record[0]] = record
    return found


def _offer(row: Row) -> Offer:
    fields = row.fields
    name = text(fields, "id")
    if name == SILENCE or not all(c.isascii() and (c.isalnum() or c in "_.+- ") for c in name):
        raise BadRowError("id must be of letters, digits, space and _.+- and not silence")
    media = fields.get("channels")
    if not isinstance(media, list) or not media or not all(isinstance(m, str) and m in MEDIA for m in media):
        raise BadRowError(f"channels must be a list out of: {', '.join(MEDIA)}")
    kind = choice(fields, "offer_type", KINDS)
    return Offer(
        id=name,
        kind=kind,
        difficulty=number(fields, "difficulty"),
        reward=number(fields, "reward"),
        duration=number(fields, "duration"),
        media=tuple(sorted(set(media))),
    )


def _person(row: Row) -> Person:
    fields = row.fields
    age = None if fields.get("age") is None else number(fields, "age", 0, UNKNOWN_AGE)
    income = None if fields.get("income") is None else number(fields, "income")
    gender = None if fields.get("gender") is None else choice(fields, "gender", ("F", "M", "O"))
    since = (LAST_MEMBER - _day(fields.get("became_member_on"))).days
    if since < 0:
        raise BadRowError(f"became_member_on must not be after {LAST_MEMBER:%Y%m%d}")
    return Person(text(fields, "id"), None if age == UNKNOWN_AGE else age, income, gender, float(since))


def _day(written: object) -> date:
    try:
        return datetime.strptime(str(written), "%Y%m%d").date()
    except ValueError:
        raise BadRowError("became_member_on must be a date, yyyymmdd") from None


def _read_acts(intake: Intake, path: Path, offers: set[str], people: set[str]) -> pl.DataFrame:
    """The good rows of the transcript in canonical order, which does not depend on the order of the file."""
    rows = intake.accept(path, json_lines(path, FILES[path.name]), lambda row: _act(row, offers, people))
    kinds = {"hour": pl.Int64, "kind": pl.Int64, "row": pl.Int64, "amount": pl.Float64}
    acts = pl.DataFrame(rows, schema={n: kinds.get(n, pl.String) for n in Act._fields}, orient="row")
    acts = acts.sort("person", "hour", "kind", "offer", "amount", "row", nulls_last=False)
    second = (pl.col("kind") == RECEIVED) & (pl.int_range(pl.len()).over("person", "hour", "kind") > 0)
    for number_, raw in acts.filter(second).select("row", "raw").iter_rows():
        intake.put_aside(path.name, Row(number_, raw, {}), "a customer must receive at most one offer in a wave")
    return acts.filter(~second).drop("row", "raw")


def _act(row: Row, offers: set[str], people: set[str]) -> Act:
    fields = row.fields
    kind = EVENTS.index(choice(fields, "event", EVENTS))
    person = text(fields, "person")
    if person not in people:
        raise BadRowError("person must have a good row in profile.json")
    hour = int(number(fields, "time", 0, END - 1, whole=True))
    value = fields.get("value")
    if not isinstance(value, dict):
        raise BadRowError("value must be a JSON object")
    if kind == TRANSACTION:
        return Act(person, hour, kind, None, number(value, "amount"), row.number, row.raw)
    offer = value.get("offer id", value.get("offer_id"))
    if not isinstance(offer, str) or offer not in offers:
        raise BadRowError("offer id must have a good row in portfolio.json")
    if kind == RECEIVED and hour not in WAVES:
        raise BadRowError(f"an offer must be received at one of the hours {', '.join(map(str, WAVES))}")
    paid = number(value, "reward") if kind == COMPLETED else None
    return Act(person, hour, kind, offer, paid, row.number, row.raw)


def _customers(people: list[Person]) -> pl.DataFrame:
    kinds = dict.fromkeys(("age", "income", "membership_days"), pl.Float64)
    schema = {name: kinds.get(name, pl.String) for name in Person._fields}
    frame = pl.DataFrame(people, schema=schema, orient="row")
    return frame.with_columns(valid_from=pl.lit(ORIGIN).cast(INSTANT))


def _decisions(people: list[str], acts: pl.DataFrame) -> pl.DataFrame:
    """Six decisions of everybody: the offer received in the wave, silence where there was none."""
    grid = pl.DataFrame({"person": people}).join(pl.DataFrame({"hour": WAVES}), how="cross")
    received = acts.filter(pl.col("kind") == RECEIVED).select("person", "hour", treatment="offer")
    full = grid.join(received, on=["person", "hour"], how="left", maintain_order="left")
    return full.select(
        decision_id=_decision_id("hour"),
        customer_id="person",
        at=_instant("hour"),
        **unknown("trigger", "mask"),
        treatment=pl.col("treatment").fill_null(SILENCE),
        **unknown("propensity", "probabilities", "policy_digest", "rules_digest"),
        prices=pl.struct(annoyance=pl.lit(0.0)),
        assignment=pl.lit("randomised"),
    )


def _events(acts: pl.DataFrame, channels: dict[str, str]) -> pl.DataFrame:
    """viewed -> engaged; transaction -> purchased (USD); completed -> converted, and redeemed (reward paid, USD)."""
    receipt = pl.when(pl.col("kind") == RECEIVED).then("hour").forward_fill().over("person", "offer")
    names = {VIEWED: ["engaged"], TRANSACTION: ["purchased"], COMPLETED: ["converted", "redeemed"]}
    event = pl.col("kind").replace_strict(names, return_dtype=pl.List(pl.String))
    rows = (
        acts.with_columns(receipt=receipt)
        .filter(pl.col("kind") != RECEIVED)
        .with_columns(event=event)
        .explode("event")
        .with_columns(place=pl.int_range(pl.len()).over("person", "hour"))
    )
    key, seen = pl.format("{}-{}-{}", "person", _digits("hour", 3), _digits("place", 2)), pl.col("kind") == VIEWED
    return rows.select(
        event_id=key,
        customer_id="person",
        at=_instant("hour") + pl.duration(milliseconds=pl.col("place") + 1),
        event="event",
        channel=pl.when(seen).then(pl.col("offer").replace_strict(channels, default=None)),
        product="offer",
        value=pl.when(pl.col("event").is_in(["purchased", "redeemed"])).then("amount"),
        decision_id=pl.when(pl.col("receipt").is_not_null()).then(_decision_id("receipt")),
    )


def _decision_id(hour: str) -> pl.Expr:
    return pl.format("{}-{}", "person", _digits(hour, 3))


def _digits(name: str, width: int) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.zfill(width)


def _instant(hour: str) -> pl.Expr:
    return (pl.lit(ORIGIN) + pl.duration(hours=pl.col(hour))).cast(INSTANT)
