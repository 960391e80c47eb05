"""The UCI bank marketing calls: bank-full.csv -> canonical tables of one call per client.

Moro, Cortez, Rita 2014, Decision Support Systems 62: a Portuguese bank offered a term deposit by phone. A data row is
the last call of one campaign to one client: one decision of a customer of its own (`row-000012`), since clients have no
ids. Dates are given as month and day; rows stand in the order of time from FIRST to LAST, from which the year follows:
years are chosen so that the fewest rows run backwards (then 1 call in 1,000 falls on a weekend, which bears it out).
Observed is what was known before the call. `duration` is known only after it and is never read. `campaign`, the number
of calls to the client including this one, is known, but it is also the number after which calling stopped: see
UNIDENTIFIED.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from envs.errors import InputError
from envs.schema import Split
from envs.tables import INSTANT
from training.importers.bank_calls_world import (
    CATALOGUE,
    CONTACTS,
    EDUCATION,
    JOBS,
    MARITAL,
    MONTHS,
    OUTCOMES,
    PRODUCT,
    UNIDENTIFIED,
    UNKNOWN,
    calls_schema,
)
from training.importers.order import in_order
from training.importers.rows import BadRowError, Imported, Intake, Row, choice, csv_rows, floating, number, unknown

FIRST, LAST = date(2008, 5, 1), date(2010, 11, 30)  # of the data set: May 2008 to November 2010
IN_ORDER = 0.5  # share of rows in the order of time below which this is another file (a shuffled sample, say)
NOT_READ = ("duration",)
COLUMNS = (
    *("age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact", "day", "month"),
    *("campaign", "pdays", "previous", "poutcome", "y"),
)


class Call(NamedTuple):
    """One data row: the profile as known before the call, and what came of it."""

    customer_id: str
    age: float
    job: str | None
    marital: str
    education: str | None
    default: float
    log_balance: float
    housing: float
    loan: float
    period: str
    day: float
    log_attempt: float
    log_pdays: float | None
    log_previous: float
    poutcome: str | None
    balance: float
    treatment: str
    subscribed: bool
    days: tuple[int, ...]  # the ordinals that month and day may stand for


def import_bank_calls(source: Path, split: Split) -> Imported:
    """Read bank-full.csv, or the directory that holds it."""
    path, intake = source / "bank-full.csv" if source.is_dir() else source, Intake()
    pairs = intake.accept(path, csv_rows(path, COLUMNS, delimiter=";"), lambda row: (_call(row), row))
    dates = in_order([call.days for call, _ in pairs])
    kept = [(call, day) for (call, _), day in zip(pairs, dates, strict=True) if day is not None]
    if len(kept) < IN_ORDER * len(pairs):
        need = f"must be in the order of time from {FIRST:%B %Y} to {LAST:%B %Y}, the year is read off it"
        raise InputError(f"{need}; {len(kept)} of {len(pairs)} rows are", file=path)
    for (_, row), day in zip(pairs, dates, strict=True):
        if day is None:
            intake.put_aside(path.name, row, "month and day must not be before those of the rows before it")
    frame = _frame(kept)
    schema = calls_schema(split)
    return Imported(
        catalogue=CATALOGUE,
        schema=schema,
        customers=frame.select("customer_id", *(column.name for column in schema.columns), valid_from="at"),
        decisions=_decisions(frame),
        events=_events(frame),
        intake=intake,
        sources={path.name: path},
        unread={path.name: NOT_READ},
        unidentified=UNIDENTIFIED,
    )


def _call(row: Row) -> Call:
    numbers = ("age", "balance", "day", "campaign", "pdays", "previous")
    cells = {**row.fields, **{name: floating(row.fields[name]) for name in numbers}}
    since, before = number(cells, "pdays", -1, whole=True), number(cells, "previous", whole=True)
    if (since == -1) != (before == 0):
        raise BadRowError("pdays must be -1 without previous calls, and only then")
    month, day = choice(cells, "month", MONTHS), int(number(cells, "day", 1, 31, whole=True))
    balance = number(cells, "balance", -math.inf)
    return Call(
        customer_id=f"row-{row.number:06d}",
        age=number(cells, "age", 0, 120),
        job=_known(cells, "job", JOBS),
        marital=choice(cells, "marital", MARITAL),
        education=_known(cells, "education", EDUCATION),
        default=_yes(cells, "default"),
        log_balance=math.copysign(math.log1p(abs(balance)), balance),
        housing=_yes(cells, "housing"),
        loan=_yes(cells, "loan"),
        period=f"{month}-{min((day - 1) // 10, 2) + 1}",
        day=float(day),
        log_attempt=math.log(number(cells, "campaign", 1, whole=True)),
        log_pdays=math.log1p(since) if since >= 0 else None,
        log_previous=math.log1p(before),
        poutcome=_known(cells, "poutcome", OUTCOMES),
        balance=balance,
        treatment=CONTACTS[choice(cells, "contact", tuple(CONTACTS))],
        subscribed=_yes(cells, "y") == 1,
        days=_days(MONTHS.index(month) + 1, day),
    )


def _known(cells: dict[str, object], name: str, choices: tuple[str, ...]) -> str | None:
    value = choice(cells, name, (*choices, UNKNOWN))
    return None if value == UNKNOWN else value


def _yes(cells: dict[str, object], name: str) -> float:
    return float(choice(cells, name, ("no", "yes")) == "yes")


def _days(month: int, day: int) -> tuple[int, ...]:
    """The days between FIRST and LAST that a month and day may stand for, as ordinals."""
    found = []
    for year in range(FIRST.year, LAST.year + 1):
        try:
            at = date(year, month, day)
        except ValueError:
            continue
        if FIRST <= at <= LAST:
            found.append(at.toordinal())
    if not found:
        raise BadRowError(f"month and day must be a day between {FIRST:%B %Y} and {LAST:%B %Y}")
    return tuple(found)


def _frame(kept: list[tuple[Call, int]]) -> pl.DataFrame:
    texts = ("customer_id", "job", "marital", "education", "period", "poutcome", "treatment")
    kinds: dict[str, pl.DataType] = {name: pl.String() for name in texts} | {"subscribed": pl.Boolean()}
    names = [name for name in Call._fields if name != "days"]
    frame = pl.DataFrame(
        [call[:-1] for call, _ in kept], schema={n: kinds.get(n, pl.Float64()) for n in names}, orient="row"
    )
    at = [datetime.fromordinal(day).replace(tzinfo=UTC) for _, day in kept]
    return frame.with_columns(at=pl.Series(at, dtype=INSTANT))


def _decisions(frame: pl.DataFrame) -> pl.DataFrame:
    """The calls; who was to be called on which phone was nobody's draw: no propensity, no mask."""
    return frame.select(
        decision_id=pl.format("{}-call", "customer_id"),
        customer_id="customer_id",
        at="at",
        **unknown("trigger", "mask"),
        treatment="treatment",
        **unknown("propensity", "probabilities", "policy_digest", "rules_digest"),
        prices=pl.struct(annoyance=pl.lit(0.0)),
        assignment=pl.lit("champion"),
    )


def _events(frame: pl.DataFrame) -> pl.DataFrame:
    """y -> converted, in the middle of the call's day: neither the hour nor the amount is given."""
    channels = {t.id: t.channel for t in CATALOGUE.treatments}
    return frame.filter("subscribed").select(
        event_id=pl.format("{}-converted", "customer_id"),
        customer_id="customer_id",
        at=(pl.col("at") + pl.duration(hours=12)).cast(INSTANT),
        event=pl.lit("converted"),
        channel=pl.col("treatment").replace_strict(channels),
        product=pl.lit(PRODUCT),
        value=pl.lit(None, pl.Float64),
        decision_id=pl.format("{}-call", "customer_id"),
    )
