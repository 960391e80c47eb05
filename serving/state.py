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
from envs.observation import Encoder, Moment
from envs.prices import Prices
from envs.profile import encode_profile
from envs.records import CONTACTED, DAY, DECISION, NAMES, Records
from envs.replay import at_day, clock, walk
from envs.rules import RuleBook, Situation
from envs.schema import Column, Schema
from serving.caps import reached
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
    records: Records  # everything that happened before
    decisions: int  # already taken for this customer

    def observation(self, encoder: Encoder) -> np.ndarray:
        """(1, fields) float32."""
        return encoder.encode(self.situation.profile, self.situation.history, self.moment)

    def mask(self, book: RuleBook) -> tuple[np.ndarray, dict[str, list[str]]]:
        """(1, treatments) bool, and for each treatment that is closed the names of the rules that close it."""
        mask, reasons = book.mask(self.situation), book.reasons(self.situation)[0]
        day = int(self.situation.history.day[0])
        for name, closed in reached(book, self.records, day):
            mask[0, closed] = False
            for position in np.flatnonzero(closed):
                rules = reasons.setdefault(book.catalogue.treatment_ids[position], [])
                rules += [name] if name not in rules else []
        return mask, reasons


def state_of(
    turn: Turn, encoder: Encoder, asking: Asking, profile: np.ndarray, prices: Prices, taken: Sequence[Taken]
) -> State:
    """The state of a customer as a decision sees it: all strictly before it.

    profile: (profile fields, 1) float32, valid at the decision; taken: the customer's decisions
    """
    schema = encoder.schema
    records = records_before(turn, encoder.catalogue, asking, taken)
    day = np.array([asking.at // DAY])
    history = at_day(walk(encoder.catalogue, schema, records, 1), day)
    first = min((row.at for row in taken), default=asking.at) // DAY
    left = gap = np.zeros(1)
    if schema.task.kind == "finite":
        left, gap = clock(schema.task, day - first)
    position = np.array([trigger_position(schema, asking.trigger)])
    moment = Moment(position, prices.vector()[None], left, gap)
    return State(Situation(profile, history, position), moment, records, len(taken))


def records_before(turn: Turn, catalogue: Catalogue, asking: Asking, taken: Sequence[Taken]) -> Records:
    """Everything of one customer before an instant, as records: decisions, then their contacts, then events."""
    rows: list[tuple[int, int, int, int, int, float]] = []  # at, rank, kind, channel, product, value
    for decision in taken:
        if decision.at >= asking.at:
            continue
        treatment = catalogue.treatment_ids.index(decision.treatment)
        what = (int(catalogue.channel_of[treatment]), int(catalogue.product_of[treatment]), np.nan)
        rows.append((decision.at, 0, DECISION, *what))
        if decision.treatment != SILENCE and decision.assignment != "shadow":
            rows.append((decision.at, 1, CONTACTED, *what))
    for event in turn.events_of(asking.customer_id, asking.at):
        if event.event == "contacted" and event.decision_id is not None:
            continue  # the decision's own contact, already there
        channel = -1 if event.channel is None else catalogue.channel_ids.index(event.channel)
        product = -1 if event.product is None else catalogue.product_ids.index(event.product)
        value = np.nan if event.value is None else event.value
        rows.append((event.at, 2, NAMES.index(event.event), channel, product, value))
    rows.sort(key=lambda row: row[:2])
    columns = list(zip(*rows, strict=True)) or [()] * 6
    when, _, kind, channels, products, values = (np.array(column) for column in columns)
    return Records(
        customer=np.zeros(len(rows), np.int64),
        day=when.astype(np.int64) // DAY,
        kind=kind.astype(np.int64),
        channel=channels.astype(np.int64),
        product=products.astype(np.int64),
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


def encoded(profile: Mapping[str, Any], schema: Schema) -> np.ndarray:
    """A full profile as (profile fields, 1) float32, read-only."""
    row = {c.name: pl.Series([profile.get(c.name)], dtype=TYPES[c.type], strict=False) for c in schema.columns}
    fields = encode_profile(pl.DataFrame(row or {"customer_id": [""]}), schema)
    fields.setflags(write=False)
    return fields


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
