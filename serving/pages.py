"""The ledger's tables in SQL, and how the records become rows and back.

Instants are whole microseconds since 1970-01-01 UTC, arrays are their little-endian bytes, mappings are JSON.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import sqlalchemy as sa

from envs.catalogue import Catalogue
from serving.records import Decision, Event, instant, micros

metadata = sa.MetaData()

about = sa.Table(  # what the ledger is
    "ledger",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)
decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),  # order of arrival
    sa.Column("decision_id", sa.String, nullable=False, unique=True),
    sa.Column("customer_id", sa.String, nullable=False),
    sa.Column("at", sa.Integer, nullable=False),
    sa.Column("trigger", sa.String),
    sa.Column("observation", sa.LargeBinary, nullable=False),  # float32
    sa.Column("mask", sa.LargeBinary),  # one byte per treatment
    sa.Column("treatment", sa.String, nullable=False),
    sa.Column("propensity", sa.Float),
    sa.Column("probabilities", sa.LargeBinary),  # float64
    sa.Column("policy_digest", sa.String),
    sa.Column("rules_digest", sa.String),
    sa.Column("prices", sa.String, nullable=False),  # JSON
    sa.Column("assignment", sa.String, nullable=False),
    sa.Column("request_id", sa.String, unique=True),
    sa.Column("request_digest", sa.String),
    sa.Column("answer", sa.String),  # as it was given, for a repeated request
    sa.Index("decisions_of_customer", "customer_id", "at"),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),  # order of arrival; decides between equal instants
    sa.Column("event_id", sa.String, nullable=False, unique=True),
    sa.Column("customer_id", sa.String, nullable=False),
    sa.Column("at", sa.Integer, nullable=False),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("channel", sa.String),
    sa.Column("product", sa.String),
    sa.Column("value", sa.Float),
    sa.Column("decision_id", sa.String),
    sa.Index("events_of_customer", "customer_id", "at"),
)
customers = sa.Table(
    "customers",
    metadata,
    sa.Column("customer_id", sa.String, primary_key=True),
    sa.Column("valid_from", sa.Integer, primary_key=True),
    sa.Column("profile", sa.String, nullable=False),  # JSON: column -> value
)


def decision_row(decision: Decision, catalogue: Catalogue) -> dict[str, Any]:
    """A decision as the ledger's columns."""
    row = {name: getattr(decision, name) for name in decision.__dataclass_fields__}
    return row | {
        "at": micros(decision.at),
        "observation": decision.observation.astype("<f4").tobytes(),
        "mask": decision.mask.astype(np.uint8).tobytes(),
        "probabilities": decision.probabilities.astype("<f8").tobytes(),
        "prices": json.dumps(decision.prices.named(catalogue)),
    }


def event_row(event: Event) -> dict[str, Any]:
    """An event as the ledger's columns."""
    row = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return row | {"at": micros(event.at)}


def event_from(row: Any) -> Event:
    """The event of a row of the ledger."""
    values = {name: getattr(row, name) for name in Event.__dataclass_fields__}
    return Event(**values | {"at": instant(row.at)})
