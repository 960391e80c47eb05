"""Replay: contacts and events, walked in the order in which they happened, give back what each decision saw.

The k-th record of every customer is taken at once, so that a log of thousands of customers costs as many steps as
its longest customer has records. The same walk rebuilds one customer from a list of records (`history_of`).
A decision sees everything strictly before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
import polars as pl

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.history import History
from envs.observation import Encoder, Moment
from envs.profile import encode_profile
from envs.records import DECISION, NAMES, Happening, Records, day_of, days_of, positions, records_from, records_of
from envs.schema import Schema, Task

Visit = Callable[[History, np.ndarray], None]  # histories at decisions, rows of the decisions


@dataclass(frozen=True)
class Replay:
    """What a replayed log gives."""

    observation: np.ndarray  # (decisions, fields) float32, rows as in the table of decisions
    history: History  # of every customer after the last record
    customer_ids: tuple[str, ...]  # whose histories these are, in order


def replay(
    catalogue: Catalogue,
    schema: Schema,
    customers: pl.DataFrame,
    decisions: pl.DataFrame,
    events: pl.DataFrame,
) -> Replay:
    """The observation of every decision, and the history of every customer at the end.

    customers: customer_id, valid_from and profile columns; rows are joined as of the decision, never later
    decisions: customer_id, at, trigger, treatment, prices, and assignment where known; any order
    events:    customer_id, at, event, channel, product, value, decision_id; order decides between equal instants
    """
    encoder = Encoder(catalogue, schema)
    ids = tuple(customers["customer_id"].unique(maintain_order=True))
    profile, of_decision = encode_profile(customers, schema), profile_rows(customers, decisions)
    moment = moments(encoder, decisions)
    out = np.zeros((decisions.height, len(encoder.fields)), np.float32)

    def visit(history: History, rows: np.ndarray) -> None:
        now = Moment(moment.trigger[rows], moment.prices[rows], moment.time_left[rows], moment.gap[rows])
        out[rows] = encoder.encode(profile[:, of_decision[rows]], history, now)

    records = records_of(catalogue, ids, decisions, events)
    holds = held_at_start(catalogue, customers)
    return Replay(out, walk(catalogue, schema, records, len(ids), visit, holds), ids)


def history_of(
    catalogue: Catalogue,
    schema: Schema,
    happenings: Iterable[Happening],
    at: datetime,
    holds: Collection[str] = (),
) -> History:
    """The history of one customer (a batch of 1) as a decision at `at` sees it: all strictly before.

    holds: ids of the products held before anything happened
    """
    records = records_from(catalogue, (h for h in happenings if h.at < at))
    held = np.array([[product in holds] for product in catalogue.product_ids])
    return at_day(walk(catalogue, schema, records, 1, holds=held), np.array([day_of(at)]))


def held_at_start(catalogue: Catalogue, customers: pl.DataFrame) -> np.ndarray:
    """What each customer held before the log begins: columns `holds_<product>` of the earliest profile, where given.

    -> (products, distinct customers in order of appearance) bool
    """
    first = pl.col("valid_from") == pl.col("valid_from").min().over("customer_id")
    ids = customers.select(pl.col("customer_id").unique(maintain_order=True))
    earliest = customers.filter(first).unique("customer_id", keep="first")
    rows = ids.join(earliest, on="customer_id", how="left", maintain_order="left")
    names = [f"holds_{product}" for product in catalogue.product_ids]
    nobody = np.zeros(rows.height, bool)
    known = [rows[n].fill_null(False).cast(pl.Boolean).to_numpy() if n in rows.columns else nobody for n in names]
    return np.stack(known)


def at_day(history: History, day: np.ndarray) -> History:
    """The same histories on a later day, (batch,) int, in place; an earlier day leaves them as they are."""
    history.advance(np.maximum(day - history.day, 0))
    return history


def walk(
    catalogue: Catalogue,
    schema: Schema,
    records: Records,
    batch: int,
    visit: Visit | None = None,
    holds: np.ndarray | None = None,
) -> History:
    """Walk all customers through their records. -> their histories after the last record.

    visit: called with copies of the histories at some decisions, and these decisions' rows
    holds: (products, batch) bool, what they held before; None: nothing
    A customer without records stands on day 0.
    """
    counts = np.bincount(records.customer, minlength=batch)
    order = np.argsort(-counts, kind="stable")  # most records first: those still active stand in front
    place = np.empty(batch, np.int64)
    place[order] = np.arange(batch)
    first = np.cumsum(counts) - counts
    turn = np.arange(len(records.customer)) - first[records.customer]
    by_turn = np.lexsort((place[records.customer], turn))
    start = np.zeros(batch, np.int64)
    start[counts > 0] = records.day[first[counts > 0]]
    history = History.fresh(catalogue, schema, start[order])
    if holds is not None:
        history.holds |= holds[:, order]
    active = np.bincount(turn)
    for end, size in zip(np.cumsum(active), active, strict=True):
        _take_turn(_first(history, size), records, by_turn[end - size : end], visit)
    return history.take(place)


def _take_turn(history: History, records: Records, rows: np.ndarray, visit: Visit | None) -> None:
    """One record of each customer of `history`, in its order."""
    days = records.day[rows] - history.day
    if days.any():
        history.advance(days)
    kinds = records.kind[rows]
    for kind in np.unique(kinds):
        who = np.flatnonzero(kinds == kind)
        what = rows[who]
        if kind != DECISION:
            channel, product = records.channel[what], records.product[what]
            history.record(NAMES[kind], who, channel=channel, product=product, value=records.value[what])
        elif visit is not None:
            visit(history.take(who), records.decision[what])


def _first(history: History, size: int) -> History:
    """A view of the first customers: what is done to it is done to them."""
    names = [f.name for f in fields(history) if f.name != "fading"]
    return History(fading=history.fading, **{name: getattr(history, name)[..., :size] for name in names})


def profile_rows(customers: pl.DataFrame, decisions: pl.DataFrame) -> np.ndarray:  # (decisions,) int64
    """The row of `customers` that was valid at each decision: the latest valid_from not after it."""
    known = customers.select("customer_id", "valid_from", profile=pl.int_range(pl.len(), dtype=pl.Int64))
    asked = decisions.select("customer_id", "at", decision=pl.int_range(pl.len(), dtype=pl.Int64))
    joined = asked.sort("at").join_asof(
        known.sort("valid_from"),
        left_on="at",
        right_on="valid_from",
        by="customer_id",
        check_sortedness=False,
    )
    rows = joined.sort("decision")["profile"]
    if rows.has_nulls():
        row = int(rows.is_null().arg_true()[0])
        need = "must not be before the customer's first valid_from"
        raise InputError(need, file="decisions", field="at", value=str(decisions["at"][row]), row=row)
    return rows.to_numpy()


def moments(encoder: Encoder, decisions: pl.DataFrame) -> Moment:
    """Trigger, prices and clock of every decision, in the order of the table."""
    trigger = positions(decisions["trigger"], encoder.schema.triggers)
    prices = [decisions["prices"].struct.field(name).to_numpy() for name in encoder.price_names]
    left = gap = np.zeros(decisions.height)
    if encoder.schema.task.kind == "finite":
        first = decisions.select(pl.col("at").min().over("customer_id")).to_series()
        left, gap = clock(encoder.schema.task, days_of(decisions["at"]) - days_of(first))
    return Moment(trigger, np.stack(prices, axis=1).astype(np.float64), left, gap)


def clock(task: Task, elapsed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days left of a finite task and days to its next decision. elapsed: (n,) days since the first decision."""
    late = np.flatnonzero(elapsed >= task.end_day)
    if late.size:
        need = f"must be before the task's end, {task.end_day} days after the first decision"
        raise InputError(need, field="at", value=f"day {elapsed[late[0]]}", row=int(late[0]))
    ends = np.array([*task.days[1:], task.end_day])
    upcoming = ends[np.searchsorted(ends, elapsed, side="right")]
    return (task.end_day - elapsed).astype(np.float64), (upcoming - elapsed).astype(np.float64)
