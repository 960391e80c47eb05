"""A small set of canonical tables whose rewards are worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from envs.catalogue import Catalogue
from envs.observation import Encoder
from envs.schema import Schema
from envs.tables import DECISIONS, EVENT_COLUMNS, Tables, checked

START = datetime(2026, 1, 1, tzinfo=UTC)
CATALOGUE = Catalogue.model_validate(
    {
        "name": "kit",
        "currency": "EUR",
        "products": [{"id": "loan"}],
        "channels": [{"id": "post", "family": "offline", "annoyance": 0.1}],
        "pools": [{"id": "calls", "capacity": 10}],
        "treatments": [
            {"id": "letter", "product": "loan", "channel": "post", "cost": 1.0},
            {"id": "call", "product": "loan", "channel": "post", "cost": 2.0, "effort": {"calls": 3.0}},
        ],
    }
)
REWARD = {"margin_per_value": {"converted": 1.0, "cancelled": -1.0}, "cost_per_value": {"redeemed": 1.0}}
TASKS: dict[str, dict[str, Any]] = {
    "finite": {"kind": "finite", "gamma": 1.0, "days": [0, 7], "end_day": 20, "reward": REWARD},
    "continuing": {"kind": "continuing", "gamma": 0.9, "cadence_days": 7, "window_days": 10, "reward": REWARD},
}


def schema(kind: str = "finite") -> Schema:
    prices = {"annoyance": {"high": 10.0}, "calls": {"high": 4.0}}
    return Schema.model_validate({"task": TASKS[kind], "prices": prices, "split": {"test_share": 0.5}})


def decision(customer: str, day: float, treatment: str, **more: Any) -> dict[str, Any]:
    return {
        "decision_id": f"{customer}-{day:g}",
        "customer_id": customer,
        "at": START + timedelta(days=day),
        "treatment": treatment,
        "propensity": 0.5,
        "assignment": "randomised",
        "prices": {"annoyance": 1.0, "calls": 0.5},
    } | more


def event(customer: str, day: float, name: str, value: float | None = None) -> dict[str, Any]:
    return {"customer_id": customer, "at": START + timedelta(days=day), "event": name, "value": value}


def tables(decisions: list[dict[str, Any]], events: list[dict[str, Any]], kind: str = "finite") -> Tables:
    """Canonical tables of these rows; observations are 0 but for the contact pressure, 10 at the second decision."""
    task = schema(kind)
    encoder = Encoder(CATALOGUE, task)
    blank = np.zeros(len(encoder.fields), dtype=np.float32)
    decisions = [dict(row) for row in decisions]
    for row in decisions:
        seen = blank.copy()
        seen[encoder.names.index("contact:pressure")] = 1.0 if row["at"] > START else 0.0
        row.setdefault("observation", seen.tolist())
    names = [*DECISIONS, "prices"]
    prices = pl.Struct({"annoyance": pl.Float64, "calls": pl.Float64})
    frame = pl.DataFrame([{n: row.get(n) for n in names} for row in decisions], schema={**DECISIONS, "prices": prices})
    happened = [{n: row.get(n) for n in EVENT_COLUMNS} | {"event_id": str(i)} for i, row in enumerate(events)]
    customers = pl.DataFrame({"customer_id": frame["customer_id"].unique().sort()}).with_columns(
        valid_from=pl.lit(START).cast(pl.Datetime("us", "UTC"))
    )
    return checked(Tables(CATALOGUE, task, customers, frame, pl.DataFrame(happened, schema=EVENT_COLUMNS)))
