"""The customers observed over a period, and what happened to them, out of canonical tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import polars as pl

from envs.counts import KINDS
from envs.errors import InputError
from envs.records import made_at
from envs.reward import PRESSURE_FIELD, PRESSURE_UNIT
from envs.tables import INSTANT, Tables

FRAME = ("who", "at", "event", "channel", "product", "value")


class Period(NamedTuple):
    """The time that is looked at, UTC."""

    start: datetime  # inclusive
    end: datetime  # exclusive


def period_of(tables: Tables) -> Period:
    """From the day of the first decision or event to the end of the day of the last."""
    at = pl.concat([tables.decisions["at"], tables.events["at"]]).sort()
    if not len(at):
        raise InputError("must hold a decision, or events.parquet an event", file="decisions.parquet")
    first, last = at.dt.truncate("1d").gather([0, len(at) - 1]).to_list()
    return Period(first, last + timedelta(days=1))


@dataclass(frozen=True)
class People:
    """The customers observed, in the order of their ids. Arrays of shape (customers,)."""

    frame: pl.DataFrame  # customer_id, who (position), left (when they churned, null: not within the period)
    block: np.ndarray  # int64, by a hash of the id
    blocks: int
    days: np.ndarray  # float64, from the start of the period, or the customer's, to its end or to churn
    newcomer: np.ndarray  # bool, held nothing at the start
    assets: np.ndarray  # float64, currency, NaN: not known

    def sums(
        self, who: np.ndarray, *keys: tuple[np.ndarray, int], weight: np.ndarray | None = None
    ) -> np.ndarray:  # (blocks, *sizes)
        """Number of rows, or sum of their weights, by the customer's block and further keys: (positions, size)."""
        shape = (self.blocks, *(size for _, size in keys))
        cell = np.ravel_multi_index((self.block[who], *(key for key, _ in keys)), shape)
        return np.bincount(cell, weight, minlength=int(np.prod(shape))).reshape(shape)

    def total(self, values: np.ndarray) -> np.ndarray:  # (blocks,)
        """Sum of a number of each customer."""
        return np.bincount(self.block, values, minlength=self.blocks)


def people_of(tables: Tables, period: Period, blocks: int, assets: str | None) -> People:
    """The customers who were there within the period. assets: a column of customers.parquet, None: not known."""
    start, end = (pl.lit(instant).cast(INSTANT) for instant in period)
    events = tables.events.group_by("customer_id").agg(
        left=pl.col("at").filter((pl.col("event") == "churned") & (pl.col("at") < end)).min(),
        bought=((pl.col("event") == "converted") & (pl.col("at") < start)).any(),
    )
    holds = [name for name in tables.customers.columns if name.startswith("holds_")]
    holding = pl.any_horizontal(pl.col(holds).cast(pl.Boolean).fill_null(False)) if holds else pl.lit(True)

    def as_of(column: str) -> pl.Expr:
        """The last value known at the start, else the first."""
        known = pl.col(column).filter(pl.col("valid_from") <= start).last()
        return pl.coalesce(known, pl.col(column).first())

    rows = tables.customers.select("customer_id", "valid_from", holding=holding, assets=_amount(tables, assets))
    rows = rows.sort("customer_id", "valid_from", maintain_order=True)
    frame = rows.group_by("customer_id").agg(pl.col("valid_from").min(), as_of("holding"), as_of("assets"))
    frame = frame.join(events, "customer_id", "left").with_columns(
        since=pl.max_horizontal("valid_from", start), until=pl.min_horizontal("left", end)
    )
    frame = frame.filter(pl.col("since") < pl.col("until")).sort("customer_id").with_row_index("who")
    return People(
        frame=frame.select("customer_id", pl.col("who").cast(pl.Int64), "left"),
        block=np.array([_number(one) % blocks for one in frame["customer_id"]], np.int64),
        blocks=blocks,
        days=(frame["until"] - frame["since"]).dt.total_microseconds().to_numpy() / 86_400e6,
        newcomer=(~frame["holding"] & ~frame["bought"].fill_null(False)).to_numpy(),
        assets=frame["assets"].to_numpy(),
    )


def _number(customer_id: str) -> int:
    return int.from_bytes(sha256(f"block:{customer_id}".encode()).digest()[:8], "big")


def _amount(tables: Tables, name: str | None) -> pl.Expr:
    """A column of customers in its unit, powers of ten of one in log10; NaN where it is not known."""
    if name is None:
        return pl.lit(np.nan)
    column = next((c for c in tables.schema.columns if c.name == name and c.type == "number"), None)
    if column is None:
        choice = ", ".join(c.name for c in tables.schema.columns if c.type == "number")
        raise InputError(f"must be a column of numbers: {choice}", field="assets", value=name)
    value = pl.col(name).cast(pl.Float64)
    return (pl.lit(10.0).pow(value) if column.unit.startswith("log10") else value).fill_null(np.nan)


def contacts_of(tables: Tables, people: People, period: Period) -> pl.DataFrame:
    """The contacts that decisions led to, of the customers observed, when they were made.

    -> who, at, option (the treatment's position), channel, product, pressure (faded contacts before, as observed)
    """
    catalogue, treatment = tables.catalogue, pl.col("treatment")
    ids = list(catalogue.treatment_ids)
    made = made_at(catalogue, tables.decisions, tables.events)
    observed = pl.col("observation").list.get(tables.encoder.names.index(PRESSURE_FIELD))
    rows = (
        tables.decisions.with_columns(at=made)
        .filter(inside(period))
        .select("customer_id", "at", "treatment", pressure=observed.cast(pl.Float64) * PRESSURE_UNIT)
    )
    channel, product = ([getattr(t, name) for t in catalogue.treatments] for name in ("channel", "product"))
    return rows.join(people.frame, "customer_id").select(
        "who",
        "at",
        "pressure",
        option=treatment.replace_strict(ids, list(range(len(ids))), return_dtype=pl.Int64),
        channel=treatment.replace_strict(ids[1:], channel, return_dtype=pl.String),
        product=treatment.replace_strict(ids[1:], product, return_dtype=pl.String),
    )


def inside(period: Period) -> pl.Expr:
    """True where `at` lies in the period."""
    return (pl.col("at") >= period.start) & (pl.col("at") < period.end)


def happened(tables: Tables, contacts: pl.DataFrame, people: People, period: Period) -> pl.DataFrame:
    """What happened to the customers observed: who, at, kind, channel, product (positions; the last: none), value.

    A contact is a decision that was carried out, or a `contacted` event without one.
    """
    own = (pl.col("event") == "contacted") & pl.col("decision_id").is_not_null()
    events = tables.events.filter(~own & inside(period)).join(people.frame, "customer_id")
    _check_ratings(events)
    made = contacts.with_columns(event=pl.lit("contacted"), value=pl.lit(None, pl.Float64))
    rows = pl.concat([made.select(FRAME), events.select(FRAME)])
    ids = {"event": KINDS, "channel": tables.catalogue.channel_ids, "product": tables.catalogue.product_ids}
    places = [
        pl.col(name).replace_strict(list(known), list(range(len(known))), default=len(known), return_dtype=pl.Int64)
        for name, known in ids.items()
    ]
    return rows.select("who", "at", *places, pl.col("value").fill_null(0.0)).rename({"event": "kind"})


def _check_ratings(events: pl.DataFrame) -> None:
    fine = pl.col("value").is_between(1, 5).fill_null(False)
    wrong = events.filter((pl.col("event") == "satisfaction_rated") & ~fine)
    if wrong.height:
        customer, value = wrong.select("customer_id", "value").row(0)
        need = f"of satisfaction_rated (customer {customer}) must be 1 to 5"
        raise InputError(need, file="events.parquet", field="value", value=value)
