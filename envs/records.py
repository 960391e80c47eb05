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

    A decision counts as a contact unless it is silence or a shadow's (decided, not carried out). A `contacted` event
    with a decision_id is that decision's contact and not counted twice; on a channel that delays (catalogue,
    `delay_days`) the contact is made when the event says, and only then.
    """
    ids = tuple(customer_ids)
    treatment = positions(decisions["treatment"], catalogue.treatment_ids)
    contact = treatment != catalogue.treatment_ids.index(SILENCE)
    if "assignment" in decisions.columns:
        contact &= (decisions["assignment"] != "shadow").to_numpy()
    later = catalogue.delays[treatment] & contact
    made, events = _made(decisions.filter(pl.Series(later)), events)
    contact &= ~later
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
    contacts = looks.filter(pl.Series(contact)).with_columns(
        rank=pl.lit(1, pl.Int64), kind=pl.lit(CONTACTED, pl.Int64), decision=pl.lit(-1, pl.Int64)
    )
    frame = pl.concat([looks, contacts, _happened(catalogue, ids, events), _later(catalogue, ids, made)])
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


def _made(decisions: pl.DataFrame, events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Contacts of decisions on channels that delay, with their treatments; and events that are no decision's contact."""
    linked = (pl.col("event") == "contacted") & pl.col("decision_id").is_not_null()
    if decisions.is_empty():
        nothing = events.clear().with_columns(treatment=pl.lit(None, pl.String))
        return nothing, events.filter(~linked)
    known = decisions.select("decision_id", "treatment")
    made = events.filter(linked).unique("decision_id", keep="first", maintain_order=True)
    return made.join(known, on="decision_id", how="inner", maintain_order="left"), events.filter(~linked)


def _later(catalogue: Catalogue, ids: tuple[str, ...], made: pl.DataFrame) -> pl.DataFrame:
    treatment = positions(made["treatment"], catalogue.treatment_ids)
    rows = _happened(
        catalogue, ids, made.with_columns(channel=pl.lit(None, pl.String), product=pl.lit(None, pl.String))
    )
    return rows.with_columns(
        rank=pl.lit(1, pl.Int64),
        channel=pl.Series(catalogue.channel_of[treatment]),
        product=pl.Series(catalogue.product_of[treatment]),
        treatment=pl.Series(treatment),
    )


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
