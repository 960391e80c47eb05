"""Small logs by hand: four channels, four products, one pool of human minutes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from world_kit import COLUMNS

from envs.catalogue import Catalogue
from envs.schema import Schema
from envs.tables import EVENT_COLUMNS, INSTANT, Tables, checked

CATALOGUE = Catalogue.model_validate(
    {
        "name": "watched",
        "currency": "EUR",
        "products": [
            {"id": "deposit", "features": {"saving": 1}},
            {"id": "fund", "income": "fee", "features": {"saving": 1}},
            {"id": "loan"},
            {"id": "care", "selling": False},
        ],
        "benefits": [{"id": "bonus", "cost": 5.0}],
        "channels": [
            {"id": "sms", "family": "online", "annoyance": 0.5},
            {"id": "app", "family": "online", "inbound": "app_session", "annoyance": 0.0},
            {"id": "call", "family": "remote", "annoyance": 1.0},
            {"id": "branch", "family": "offline", "inbound": "branch_visit"},
        ],
        "pools": [
            {"id": "agents", "unit": "minutes", "capacity": 100},
            {"id": "gifts", "unit": "pieces", "capacity": 10},
        ],
        "treatments": [
            {"id": "sms-loan", "product": "loan", "channel": "sms", "benefit": "bonus", "cost": 1.0},
            {"id": "sms-fund", "product": "fund", "channel": "sms", "cost": 1.0},
            {"id": "app-fund", "product": "fund", "channel": "app"},
            {
                "id": "call-fund",
                "product": "fund",
                "channel": "call",
                "cost": 4.0,
                "effort": {"agents": 30, "gifts": 1},
            },
            {"id": "call-loan", "product": "loan", "channel": "call", "cost": 4.0, "effort": {"agents": 30}},
            {"id": "branch-fund", "product": "fund", "channel": "branch"},
            {"id": "sms-care", "product": "care", "channel": "sms", "cost": 1.0},
        ],
    }
)
REWARD = {"margin_per_value": {"converted": 1, "churned": -1}, "cost_per_value": {"redeemed": 1}}
CUSTOMERS = [{"name": "euros", "type": "number"}, {"name": "tens", "type": "number", "unit": "log10 EUR"}]
START = datetime(2026, 3, 2, tzinfo=UTC)


def schema(**task: Any) -> Schema:
    """The schema of the small logs; `task` replaces fields of the task."""
    said = {"kind": "continuing", "reward": REWARD, **task}
    prices = {"annoyance": {"high": 10.0}, "agents": {"high": 2.0}, "gifts": {"high": 2.0}}
    columns = [*COLUMNS, *CUSTOMERS]
    return Schema.model_validate(
        {"columns": columns, "triggers": ["app_session", "branch_visit"], "prices": prices, "task": said}
    )


def at(day: float) -> datetime:
    """`day` days after the start; 1/24 is an hour."""
    return START + timedelta(days=day)


def log(
    customers: Sequence[tuple[Any, ...]],
    decisions: Sequence[tuple[Any, ...]] = (),
    events: Sequence[tuple[Any, ...]] = (),
    holds: bool = True,
    **task: Any,
) -> Tables:
    """Tables out of rows.

    customers: (id, holds a deposit, assets in euros, day of valid_from), the last three optional
    decisions: (id, day, treatment, trigger, assignment), the last two optional
    events:    (id, day, event, channel, product, value, number of its decision), the last four optional
    """
    made = schema(**task)
    empty = Tables(CATALOGUE, made, pl.DataFrame(), pl.DataFrame(), pl.DataFrame())
    width = len(empty.encoder.fields)
    people = [(*row, *(False, 100.0, 0)[len(row) - 1 :]) for row in customers]
    profile = pl.DataFrame(
        {
            "customer_id": [row[0] for row in people],
            "valid_from": pl.Series([at(row[3]) for row in people], dtype=INSTANT),
            "age": 40.0, "rating": 3.0, "vip": 0, "segment": "mass",
            "euros": [float(row[2]) for row in people],
            "tens": [2.0 for _ in people],
            "holds_deposit": [row[1] for row in people],
        },
        strict=False,
    )  # fmt: skip
    choices = [(*row, *(None, "champion")[len(row) - 3 :]) for row in decisions]
    frame = pl.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(len(choices))],
            "customer_id": [row[0] for row in choices],
            "at": [at(row[1]) for row in choices],
            "trigger": [row[3] for row in choices],
            "observation": [[0.0] * width] * len(choices),
            "mask": [None] * len(choices),
            "treatment": [row[2] for row in choices],
            "propensity": [0.5] * len(choices),
            "probabilities": [None] * len(choices),
            "policy_digest": [None] * len(choices),
            "rules_digest": [None] * len(choices),
            "assignment": [row[4] for row in choices],
            "prices": [{"annoyance": 1.0, "agents": 0.0, "gifts": 0.0}] * len(choices),
        },
        schema_overrides={"observation": pl.List(pl.Float32), "at": INSTANT, "prices": PRICES},
    )
    full = [(*row, *(None,) * (7 - len(row))) for row in events]
    happened = pl.DataFrame(
        [
            (f"e{i}", who, at(day), event, channel, product, value, None if own is None else f"d{own}")
            for i, (who, day, event, channel, product, value, own) in enumerate(full)
        ],
        schema=EVENT_COLUMNS,
        orient="row",
    )
    profile = profile if holds else profile.drop("holds_deposit")
    return checked(Tables(CATALOGUE, made, profile, frame, happened))


PRICES = pl.Struct({"annoyance": pl.Float64, "agents": pl.Float64, "gifts": pl.Float64})
