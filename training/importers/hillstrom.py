"""The Hillstrom e-mail test (MineThatData, 2008): one CSV -> canonical tables of one step with three arms.

Customers were drawn into the three arms at random, a third each: the propensities are known and logged. The file has
no ids: a customer is `row-` and the number of the data row, counted from 0, in six digits. Nor has it dates: e-mails
go out at ORIGIN, and what followed within two weeks stands in the middle of them. A visit, conversion or purchase
carries the e-mail's decision, product and channel where there was an e-mail, and none where there was not.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from envs.catalogue import SILENCE, Catalogue, Channel, Product, Treatment
from envs.errors import InputError
from envs.schema import Column, Fading, PriceRange, Reward, Schema, Split, Task
from envs.tables import INSTANT
from training.importers.rows import BadRowError, Imported, Intake, Row, choice, csv_rows, floating, number, unknown

Outcome = Literal["visit", "conversion", "spend"]

ORIGIN = datetime(2008, 3, 1, tzinfo=UTC)  # assumed: the month in which the data set was published
WINDOW = 14  # days: "outcomes within two weeks of the e-mail", says the data set's description
ARMS = {"No E-Mail": SILENCE, "Mens E-Mail": "mens_email", "Womens E-Mail": "womens_email"}
ZIP_CODES = ("Rural", "Surburban", "Urban")  # as the file spells them
CHANNELS = ("Multichannel", "Phone", "Web")
NUMBERS = ("recency", "history", "mens", "womens", "newbie", "visit", "conversion", "spend")
FILE = ("history_segment", "zip_code", "channel", "segment", *NUMBERS)
REWARDS = {
    "visit": Reward(margin_per_event={"engaged": 1.0}),
    "conversion": Reward(margin_per_event={"converted": 1.0}),
    "spend": Reward(margin_per_value={"purchased": 1.0}),
}
UNITS = {"visit": "visits", "conversion": "conversions", "spend": "USD"}  # of margin, per outcome
PRICE_TOP = {"visit": 10.0, "conversion": 1.0, "spend": 100.0}  # assumed: an e-mail then costs about what it gains
CATALOGUE = Catalogue(
    name="hillstrom",
    currency="USD",
    products=(
        Product(id="mens", meaning="men's merchandise", features={"mens": 1.0}),
        Product(id="womens", meaning="women's merchandise", features={"womens": 1.0}),
    ),
    channels=(  # annoyance assumed: a hundred e-mails cost as much goodwill as one opt-out
        Channel(id="email", meaning="e-mail", family="online", annoyance=0.01),
    ),
    treatments=(
        Treatment(id="mens_email", product="mens", channel="email", external_id="Mens E-Mail"),
        Treatment(id="womens_email", product="womens", channel="email", external_id="Womens E-Mail"),
    ),
)
UNIDENTIFIED = (
    "one e-mail per customer: nothing about contact pressure, or about when to write, is identified",
    "dates are not given: every e-mail stands at the same instant, every outcome in the middle of its two weeks",
)
COLUMNS = (
    # Centre and scale: round numbers near the middle and the spread of what a shop's customers do; assumed.
    Column(name="recency", type="number", meaning="months since the last purchase", center=6, scale=3.5),
    Column(name="log_history", type="number", meaning="log of 1 + USD spent in the past year", center=5, scale=1),
    Column(name="mens", type="flag", meaning="bought men's merchandise in the past year"),
    Column(name="womens", type="flag", meaning="bought women's merchandise in the past year"),
    Column(name="newbie", type="flag", meaning="a customer for less than a year"),
    Column(name="zip_code", type="category", meaning="kind of neighbourhood", categories=ZIP_CODES),
    Column(name="channel", type="category", meaning="channel of past purchases", categories=CHANNELS),
    Column(name="history", type="number", meaning="spent in the past year", unit="USD", role="reference"),
)


TEXTS = dict.fromkeys(("customer_id", "zip_code", "channel", "treatment"), pl.String)


class Recipient(NamedTuple):
    """One data row."""

    customer_id: str
    recency: float
    log_history: float
    mens: float
    womens: float
    newbie: float
    zip_code: str
    channel: str
    history: float
    treatment: str
    visit: float
    conversion: float
    spend: float


def import_hillstrom(source: Path, split: Split, outcome: Outcome) -> Imported:
    """Read the CSV file, or the only CSV file of a directory."""
    path, intake = _the_file(source), Intake()
    rows = intake.accept(path, csv_rows(path, FILE), _recipient)
    frame = pl.DataFrame(rows, schema={n: TEXTS.get(n, pl.Float64) for n in Recipient._fields}, orient="row")
    customers = frame.select("customer_id", *(column.name for column in COLUMNS), valid_from=_instant(0))
    return Imported(
        catalogue=Catalogue.model_validate({**CATALOGUE.model_dump(), "currency": UNITS[outcome]}),
        schema=_schema(split, outcome),
        customers=customers,
        decisions=_decisions(frame),
        events=_events(frame),
        intake=intake,
        sources={path.name: path},
        unidentified=UNIDENTIFIED,
    )


def _the_file(source: Path) -> Path:
    if not source.is_dir():
        return source
    files = sorted(source.glob("*.csv"))
    if len(files) != 1:
        raise InputError(f"must be a CSV file, or hold exactly one; it holds {len(files)}", file=source)
    return files[0]


def _schema(split: Split, outcome: Outcome) -> Schema:
    return Schema(
        columns=COLUMNS,
        fading=Fading(),  # of no effect: nothing is known from before the one decision
        prices={"annoyance": PriceRange(default=0.0, high=PRICE_TOP[outcome])},
        task=Task(
            kind="finite",
            gamma=1.0,
            days=(0,),
            end_day=WINDOW,
            reward=REWARDS[outcome],
            annoyance_missing=("opted_out", "complained", "blocked"),
            observed_until=ORIGIN + timedelta(days=WINDOW),
        ),
        split=split,
    )


def _recipient(row: Row) -> Recipient:
    cells = {**row.fields, **{name: floating(row.fields[name]) for name in NUMBERS}}
    flags = {name: number(cells, name, 0, 1, whole=True) for name in ("mens", "womens", "newbie")}
    visit, conversion = (number(cells, name, 0, 1, whole=True) for name in ("visit", "conversion"))
    spend, history = number(cells, "spend"), number(cells, "history")
    if conversion > visit:
        raise BadRowError("a conversion must come with a visit")
    if (spend > 0) != (conversion == 1):
        raise BadRowError("spend must be above 0 with a conversion, and only then")
    return Recipient(
        customer_id=f"row-{row.number:06d}",
        recency=number(cells, "recency"),
        log_history=math.log1p(history),
        **flags,
        zip_code=choice(cells, "zip_code", ZIP_CODES),
        channel=choice(cells, "channel", CHANNELS),
        history=history,
        treatment=ARMS[choice(cells, "segment", tuple(ARMS))],
        visit=visit,
        conversion=conversion,
        spend=spend,
    )


def _decisions(frame: pl.DataFrame) -> pl.DataFrame:
    arms = len(CATALOGUE.treatment_ids)
    return frame.select(
        decision_id=pl.format("{}-email", "customer_id"),
        customer_id="customer_id",
        at=_instant(0),
        **unknown("trigger"),
        mask=pl.lit([True] * arms, pl.List(pl.Boolean)),
        treatment="treatment",
        propensity=pl.lit(1 / arms),
        probabilities=pl.lit([1 / arms] * arms, pl.List(pl.Float64)),
        **unknown("policy_digest", "rules_digest"),
        prices=pl.struct(annoyance=pl.lit(0.0)),
        assignment=pl.lit("randomised"),
    )


def _events(frame: pl.DataFrame) -> pl.DataFrame:
    """visit -> engaged; conversion -> converted (its margin is unknown); spend -> purchased (USD)."""
    mailed = pl.col("treatment") != SILENCE
    products = {t.id: t.product for t in CATALOGUE.treatments}
    parts = [
        frame.filter(pl.col(column) > 0).select(
            event_id=pl.format("{}-{}", "customer_id", pl.lit(event)),
            customer_id="customer_id",
            at=_instant(WINDOW * 12, place),
            event=pl.lit(event),
            channel=pl.when(mailed).then(pl.lit("email")),
            product=pl.col("treatment").replace_strict(products, default=None),
            value=pl.col("spend") if event == "purchased" else pl.lit(None, pl.Float64),
            decision_id=pl.when(mailed).then(pl.format("{}-email", "customer_id")),
        )
        for place, (column, event) in enumerate(
            (("visit", "engaged"), ("conversion", "converted"), ("spend", "purchased"))
        )
    ]
    return pl.concat(parts).sort("customer_id", "at")


def _instant(hours: int, milliseconds: int = 0) -> pl.Expr:
    return (pl.lit(ORIGIN) + pl.duration(hours=hours, milliseconds=milliseconds)).cast(INSTANT)
