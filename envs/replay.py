"""Replay: contacts and events, walked in the order in which they happened, give back what each decision saw.

The k-th record of every customer is taken at once, so that a log of thousands of customers costs as many steps as
its longest customer has records. The same walk rebuilds one customer from a list of records (`history_of`).
A decision sees everything strictly before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.history import NAMES, History
from envs.observation import Encoder, Moment
from envs.profile import encode_profile
from envs.records import DECISION, Happening, Records, day_of, days_of, positions, records_from, records_of
from envs.schema import Schema, Task

Visit = Callable[[History, np.ndarray], None]  # histories at decisions, rows of the decisions
Look = Callable[[np.ndarray, History, np.ndarray], None]  # profiles and histories at decisions, rows of the decisions


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
    decisions: decision_id, customer_id, at, trigger, treatment, prices, and assignment where known; any order
    events:    customer_id, at, event, channel, product, value, decision_id; order decides between equal instants
    """
    encoder = Encoder(catalogue, schema)
    moment = moments(encoder, decisions)
    out = np.zeros((decisions.height, len(encoder.fields)), np.float32)

    def look(profile: np.ndarray, history: History, rows: np.ndarray) -> None:
        now = Moment(moment.trigger[rows], moment.prices[rows], moment.time_left[rows], moment.gap[rows])
        out[rows] = encoder.encode(profile, history, now)

    ids = tuple(customers["customer_id"].unique(maintain_order=True))
    return Replay(out, look_on(catalogue, schema, customers, decisions, events, look), ids)


def look_on(
    catalogue: Catalogue,
    schema: Schema,
    customers: pl.DataFrame,
    decisions: pl.DataFrame,
    events: pl.DataFrame,
    look: Look,
) -> History:
    """Look at every decision with what was known by then. -> the histories at the end, by customer; see `replay`."""
    ids = tuple(customers["customer_id"].unique(maintain_order=True))
    profile, of_decision = encode_profile(customers, schema), profile_rows(customers, decisions)

    def visit(history: History, rows: np.ndarray) -> None:
        look(profile[of_decision[rows]], history, rows)

    records = records_of(catalogue, ids, decisions, events)
    return walk(catalogue, schema, records, len(ids), visit, at_start(catalogue, schema, customers))


def history_of(
    catalogue: Catalogue,
    schema: Schema,
    happenings: Iterable[Happening],
    at: datetime,
    holds: Collection[str] = (),
    stage: str | None = None,
) -> History:
    """The history of one customer (a batch of 1) as a decision at `at` sees it: all strictly before.

    holds: ids of the products held, and stage: the lifecycle stage, before anything happened
    """
    records = records_from(catalogue, (h for h in happenings if h.at < at))
    held = np.array([[product in holds for product in catalogue.product_ids]])
    begin = Begin(held, np.array([-1 if stage is None else schema.stages.index(stage)], np.int16))
    return at_day(walk(catalogue, schema, records, 1, begin=begin), np.array([day_of(at)]))


class Begin(NamedTuple):
    """What is known of customers before their first record."""

    holds: np.ndarray  # (customers, products) bool
    stage: np.ndarray  # (customers,) int16, -1: none


def at_start(catalogue: Catalogue, schema: Schema, customers: pl.DataFrame) -> Begin:
    """From the earliest profile of each customer, in order of appearance: `holds_<product>`, and the stage's column."""
    first = pl.col("valid_from") == pl.col("valid_from").min().over("customer_id")
    ids = customers.select(pl.col("customer_id").unique(maintain_order=True))
    earliest = customers.filter(first).unique("customer_id", keep="first")
    rows = ids.join(earliest, on="customer_id", how="left", maintain_order="left")
    names = [f"holds_{product}" for product in catalogue.product_ids]
    nobody = np.zeros(rows.height, bool)
    known = [rows[n].fill_null(False).cast(pl.Boolean).to_numpy() if n in rows.columns else nobody for n in names]
    stage = np.full(rows.height, -1, np.int16)
    if schema.stage_column is not None:
        stage = positions(rows[schema.stage_column], schema.stages).astype(np.int16)
    return Begin(np.stack(known, axis=1), stage)


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
    begin: Begin | None = None,
) -> History:
    """Walk all customers through their records. -> their histories after the last record.

    visit: called with copies of the histories at some decisions, and these decisions' rows
    begin: what they held and were before; None: nothing
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
    if begin is not None:
        history.product["holds"], history.customer["stage"] = begin.holds[order], begin.stage[order]
    active = np.bincount(turn)
    for end, size in zip(np.cumsum(active), active, strict=True):
        _take_turn(history.part(0, size), records, by_turn[end - size : end], visit)
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
            places = {n: getattr(records, n)[what] for n in ("channel", "product", "treatment", "value")}
            history.record(NAMES[kind], who, **places)
        elif visit is not None:
            visit(history.take(who), records.decision[what])


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
