"""Records: what happened to customers, as arrays sorted by customer, then time; out of tables, or out of a list.

Of the records at one instant, decisions come first (two desks that decide at the same moment do not see each
other), then their contacts, then events in the order of their table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from envs.catalogue import SILENCE, Catalogue
from envs.errors import InputError
from envs.history import CONTACTED, NAMES

DAY = 86_400_000_000  # microseconds
WAITS_DAYS = 30  # after which a delayed contact that was never reported no longer closes its channel; assumed
DECISION = -1  # the kind of a record at which somebody looks; the others are positions in NAMES


@dataclass(frozen=True)
class Records:
    """What happened to a batch of customers, sorted by customer, then time. Arrays of shape (n,)."""

    customer: np.ndarray  # int64, 0 .. batch - 1, non-decreasing
    day: np.ndarray  # int64, whole days since 1970-01-01 UTC
    kind: np.ndarray  # int64, position in NAMES, or DECISION
    channel: np.ndarray  # int64, position, -1: none
    product: np.ndarray  # int64, position, -1: none
    treatment: np.ndarray  # int64, position, of a contact that was decided here; -1: none
    value: np.ndarray  # float64, NaN: none
    decision: np.ndarray  # int64, row of the decision, -1: not a decision


class Happening(NamedTuple):
    """One thing that happened to one customer; a contact is `contacted`, with its channel and product."""

    at: datetime  # with a time zone
    event: str
    channel: str | None = None
    product: str | None = None
    value: float | None = None
    treatment: str | None = None  # of a contact that was decided here


def records_of(
    catalogue: Catalogue, customer_ids: Iterable[str], decisions: pl.DataFrame, events: pl.DataFrame
) -> Records:
    """The records of some customers (all that the tables name), out of the tables of decisions and events.

    A decision's contact stands where `made_at` says; a `contacted` event with its decision_id is not counted twice.
    """
    ids = tuple(customer_ids)
    treatment = positions(decisions["treatment"], catalogue.treatment_ids)
    looks = pl.DataFrame(
        {
            "customer": positions(decisions["customer_id"], ids),
            "at": decisions["at"],
            "rank": np.zeros(decisions.height, np.int64),
            "kind": np.full(decisions.height, DECISION),
            "channel": catalogue.channel_of[treatment],
            "product": catalogue.product_of[treatment],
            "treatment": treatment,
            "value": np.full(decisions.height, np.nan),
            "decision": np.arange(decisions.height),
        }
    )
    contacts = looks.with_columns(
        at=made_at(catalogue, decisions, events),
        rank=pl.lit(1, pl.Int64),
        kind=pl.lit(CONTACTED, pl.Int64),
        decision=pl.lit(-1, pl.Int64),
    ).filter(pl.col("at").is_not_null())
    frame = pl.concat([looks, contacts, _happened(catalogue, ids, events.filter(~_own()))])
    frame = frame.sort("customer", "at", "rank", maintain_order=True)
    columns = {name: frame[name].to_numpy() for name in frame.columns if name not in ("at", "rank")}
    return Records(day=days_of(frame["at"]), **columns)


def records_from(catalogue: Catalogue, happenings: Iterable[Happening]) -> Records:
    """The records of one customer; contacts come before events of the same instant."""
    rows = sorted(happenings, key=lambda h: (h.at, h.event != "contacted"))
    return Records(
        customer=np.zeros(len(rows), np.int64),
        day=np.array([day_of(h.at) for h in rows], np.int64),
        kind=positions(pl.Series("event", [h.event for h in rows], pl.String), NAMES),
        channel=positions(pl.Series("channel", [h.channel for h in rows], pl.String), catalogue.channel_ids),
        product=positions(pl.Series("product", [h.product for h in rows], pl.String), catalogue.product_ids),
        treatment=positions(pl.Series("treatment", [h.treatment for h in rows], pl.String), catalogue.treatment_ids),
        value=np.array([np.nan if h.value is None else h.value for h in rows], np.float64),
        decision=np.full(len(rows), -1),
    )


def positions(names: pl.Series, ids: tuple[str, ...]) -> np.ndarray:  # (n,) int64
    """Where each name stands among `ids`; -1 for null; an unknown name is an InputError."""
    found = names.cast(pl.String).replace_strict(list(ids), list(range(len(ids))), default=None, return_dtype=pl.Int64)
    unknown = (found.is_null() & names.is_not_null()).arg_true()
    if len(unknown):
        row = int(unknown[0])
        need = "must be known" if len(ids) > 50 else f"must be one of: {', '.join(ids)}"
        raise InputError(need, field=names.name, value=names[row], row=row)
    return found.fill_null(-1).to_numpy()


def day_of(at: datetime) -> int:
    """Whole days since 1970-01-01 UTC.

    >>> day_of(datetime(1970, 1, 3, 23, 59, tzinfo=UTC))
    2
    """
    return (at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days


def days_of(at: pl.Series) -> np.ndarray:  # (n,) int64
    """Whole days since 1970-01-01 UTC of a column of instants."""
    return np.asarray(np.floor_divide(at.dt.epoch("us").to_numpy(), DAY))


def made_at(catalogue: Catalogue, decisions: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    """When the contact of each decision was made, (decisions,) instants; null: there was none.

    Silence and a shadow's decision (decided, not carried out) lead to none. On a channel that delays (catalogue,
    `delay_days`) the first `contacted` event with the decision's id says when, or that it still waits or was dropped;
    elsewhere a contact is made as it is decided.
    """
    carried_out = pl.col("treatment") != SILENCE
    if "assignment" in decisions.columns:
        carried_out &= pl.col("assignment").ne_missing("shadow")
    delaying = [name for name, delays in zip(catalogue.treatment_ids, catalogue.delays, strict=True) if delays]
    if not delaying:
        return decisions.select(pl.when(carried_out).then("at").alias("made")).to_series()
    told = events.filter(_own()).group_by("decision_id").agg(told=pl.col("at").min())
    joined = decisions.join(told, "decision_id", "left", maintain_order="left")
    when = pl.when(pl.col("treatment").is_in(delaying)).then("told").otherwise("at")
    return joined.select(pl.when(carried_out).then(when).alias("made")).to_series()


def _own() -> pl.Expr:
    """True for the contact of a decision: it is known from there."""
    return (pl.col("event") == "contacted") & pl.col("decision_id").is_not_null()


def _happened(catalogue: Catalogue, ids: tuple[str, ...], events: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer": positions(events["customer_id"], ids),
            "at": events["at"],
            "rank": np.full(events.height, 2),
            "kind": positions(events["event"], NAMES),
            "channel": positions(events["channel"], catalogue.channel_ids),
            "product": positions(events["product"], catalogue.product_ids),
            "treatment": np.full(events.height, -1),
            "value": events["value"].cast(pl.Float64).fill_null(np.nan),
            "decision": np.full(events.height, -1),
        }
    )
