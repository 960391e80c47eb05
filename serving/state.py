"""The state of one customer as a decision sees it: profile, history and moment, out of the ledger.

The same walk as the replay of a log (envs/replay.py), over the same records, so that the service observes what an
evaluation of its exported ledger will observe, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from envs.catalogue import SILENCE, Catalogue
from envs.errors import InputError
from envs.history import CONTACTED, NAMES
from envs.observation import Encoder, Moment
from envs.prices import Prices
from envs.records import DAY, DECISION, WAITS_DAYS, Records
from envs.replay import Begin, at_day, clock, walk
from envs.rules import RuleBook, Situation
from envs.schema import Column, Schema
from envs.start import Start, start_of
from serving.ledger import Turn
from serving.records import Taken

TYPES: dict[str, pl.DataType] = {"number": pl.Float64(), "flag": pl.Float64(), "category": pl.String()}


@dataclass(frozen=True)
class Asking:
    """Who is asked about, when and why."""

    customer_id: str
    at: int  # microseconds since 1970-01-01 UTC
    trigger: str | None


@dataclass(frozen=True)
class State:
    """A batch of one customer."""

    situation: Situation  # what the rules look at
    moment: Moment
    decisions: int  # already taken for this customer

    def observation(self, encoder: Encoder) -> np.ndarray:
        """(1, fields) float32."""
        return encoder.encode(self.situation.profile, self.situation.history, self.moment)

    def mask(self, book: RuleBook) -> tuple[np.ndarray, dict[str, list[str]]]:
        """(1, treatments) bool, and for each treatment that is closed the names of the rules that close it."""
        return book.mask(self.situation), book.reasons(self.situation)[0]


def state_of(
    turn: Turn, encoder: Encoder, asking: Asking, start: Start, prices: Prices, taken: Sequence[Taken]
) -> State:
    """The state of a customer as a decision sees it: all strictly before it.

    start: of a batch of 1, its profile valid at the decision; taken: the customer's decisions
    """
    schema = encoder.schema
    records, busy = records_before(turn, encoder.catalogue, asking, taken)
    day = np.array([asking.at // DAY])
    begin = Begin(start.holds, start.stage)
    history = at_day(walk(encoder.catalogue, schema, records, 1, begin=begin), day)
    first = min((row.at for row in taken), default=asking.at) // DAY
    left = gap = np.zeros(1)
    if schema.task.kind == "finite":
        left, gap = clock(schema.task, day - first)
    position = np.array([trigger_position(schema, asking.trigger)])
    moment = Moment(position, prices.vector()[None], left, gap)
    return State(Situation(start.profile, history, position, np.array([busy])), moment, len(taken))


def records_before(turn: Turn, catalogue: Catalogue, asking: Asking, taken: Sequence[Taken]) -> tuple[Records, int]:
    """Everything of one customer before an instant, as records: decisions, then their contacts, then events.

    And the channel on which a decided contact still waits to be made, -1: none. A contact that a channel delays is one
    when a `contacted` event with its decision's id says so.
    """
    rows: list[tuple[int, int, int, int, int, int, float]] = []  # at, rank, kind, channel, product, treatment, value
    events = turn.events_of(asking.customer_id, asking.at)
    made = {e.decision_id: e.at for e in reversed(events) if e.event == "contacted" and e.decision_id is not None}
    busy = -1
    for decision in taken:
        if decision.at >= asking.at:
            continue
        treatment = catalogue.treatment_ids.index(decision.treatment)
        what = (int(catalogue.channel_of[treatment]), int(catalogue.product_of[treatment]), treatment, np.nan)
        rows.append((decision.at, 0, DECISION, *what))
        if decision.treatment == SILENCE or decision.assignment == "shadow":
            continue
        if not catalogue.delays[treatment]:
            rows.append((decision.at, 1, CONTACTED, *what))
        elif decision.decision_id in made:
            rows.append((made[decision.decision_id], 1, CONTACTED, *what))
        elif asking.at - decision.at < WAITS_DAYS * DAY:
            busy = what[0]
    for event in events:
        if event.event == "contacted" and event.decision_id is not None:
            continue  # a decision's own contact, already there
        channel = -1 if event.channel is None else catalogue.channel_ids.index(event.channel)
        product = -1 if event.product is None else catalogue.product_ids.index(event.product)
        value = np.nan if event.value is None else event.value
        rows.append((event.at, 2, NAMES.index(event.event), channel, product, -1, value))
    return _sorted(rows), busy


def _sorted(rows: list[tuple[int, int, int, int, int, int, float]]) -> Records:
    rows.sort(key=lambda row: row[:2])
    columns = list(zip(*rows, strict=True)) or [()] * 7
    when, _, kind, channels, products, treatments, values = (np.array(column) for column in columns)
    return Records(
        customer=np.zeros(len(rows), np.int64),
        day=when.astype(np.int64) // DAY,
        kind=kind.astype(np.int64),
        channel=channels.astype(np.int64),
        product=products.astype(np.int64),
        treatment=treatments.astype(np.int64),
        value=values.astype(np.float64),
        decision=np.where(kind == DECISION, 0, -1),
    )


def trigger_position(schema: Schema, trigger: str | None) -> int:
    """Position of a trigger in the schema, -1 for none."""
    if trigger is None:
        return -1
    if trigger not in schema.triggers:
        known = ", ".join(schema.triggers) or "nothing: this schema has no triggers"
        raise InputError(f"must be null or one of: {known}", field="trigger", value=trigger)
    return schema.triggers.index(trigger)


def profile_from(given: Mapping[str, Any], known: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """A full profile: what is given, else what is known, else missing. InputError for a column that cannot be."""
    names = [column.name for column in schema.columns]
    for name in given:
        if name not in names:
            raise InputError(f"must be one of: {', '.join(names)}", field="customer", value=name)
    full = {**dict.fromkeys(names), **known, **given}
    for column in schema.columns:
        _check_cell(column, full[column.name])
    return full


def encoded(profile: Mapping[str, Any], schema: Schema, products: int) -> Start:
    """A full profile as a batch of one customer, of whom no holdings are known; read-only."""
    row = {c.name: pl.Series([profile.get(c.name)], dtype=TYPES[c.type], strict=False) for c in schema.columns}
    start = start_of(pl.DataFrame(row or {"customer_id": [""]}), np.zeros((1, products), bool), schema)
    for part in start:
        part.setflags(write=False)
    return start


def _check_cell(column: Column, value: Any) -> None:
    field = f"customer.{column.name}"
    if value is None:
        if not column.nullable and column.role == "feature":
            raise InputError("must be given", field=field)
        return
    if column.type == "category":
        if value not in column.categories:
            raise InputError(f"must be one of: {', '.join(column.categories)}", field=field, value=value)
    elif isinstance(value, str):
        raise InputError("must be a number", field=field, value=value)
    elif column.type == "flag" and value not in (0, 1):
        raise InputError("must be 0 or 1", field=field, value=value)
