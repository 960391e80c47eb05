"""A small world in which every mechanism is at work: applications, delays, holds, stages, ratings, several desks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from world_kit import COLUMNS, CONTINUING, POPULATION, named, small_schema, small_world

from envs.catalogue import Catalogue
from envs.history import NAMES
from envs.population import DescribedPopulation, PopulationSpec
from envs.rules import Cap, Rules
from envs.simulator import Outcome, Simulator
from envs.world import World

RICH = Catalogue.model_validate(
    {
        "name": "rich",
        "currency": "EUR",
        "products": [
            {
                "id": "loan",
                "once": True,
                "maturing_days": 3,
                "cancel_days": 5,
                "margin_rate": 0.04,
                "default_probability": [0.01, 0.05, 0.2],
                "loss_given_default": 0.5,
            },
            {"id": "fund", "closes": ["remote", "offline"], "margin_rate": 0.01},
            {"id": "card", "once": True, "cancel_days": 5, "margin_rate": 0.02},
            {"id": "friend", "maturing_days": 2, "refers": True},
            {"id": "care", "selling": False},
            {"id": "check", "selling": False, "clears_hold": True},
        ],
        "benefits": [{"id": "bonus", "cost": 5.0}, {"id": "points", "cost": 3.0}],
        "channels": [
            {"id": "sms", "family": "online", "annoyance": 0.1},
            {"id": "call", "family": "remote", "annoyance": 0.3},
            {"id": "manager", "family": "offline", "annoyance": 0.05, "delay_days": 2.0},
            {"id": "app", "family": "online", "inbound": "app_session", "annoyance": 0.01},
        ],
        "pools": [{"id": "minutes", "capacity": 100}],
        "treatments": [
            {"id": "sms-loan", "product": "loan", "channel": "sms", "cost": 0.1},
            {"id": "sms-loan-bonus", "product": "loan", "channel": "sms", "benefit": "bonus", "cost": 0.1},
            {"id": "sms-fund", "product": "fund", "channel": "sms", "cost": 0.1},
            {"id": "sms-care", "product": "care", "channel": "sms", "cost": 0.1},
            {"id": "call-loan", "product": "loan", "channel": "call", "cost": 3.0, "effort": {"minutes": 5}},
            {"id": "call-loan-points", "product": "loan", "channel": "call", "benefit": "points", "cost": 3.0},
            {"id": "call-fund", "product": "fund", "channel": "call", "cost": 3.0, "effort": {"minutes": 5}},
            {"id": "call-card-points", "product": "card", "channel": "call", "benefit": "points", "cost": 3.0},
            {"id": "call-check", "product": "check", "channel": "call", "cost": 3.0},
            {"id": "manager-loan", "product": "loan", "channel": "manager", "cost": 8.0, "effort": {"minutes": 9}},
            {"id": "manager-care", "product": "care", "channel": "manager", "cost": 8.0},
            {"id": "app-friend", "product": "friend", "channel": "app", "benefit": "bonus"},
        ],
    }
)
IDS = RICH.treatment_ids
STAGES = ("new", "active", "leaving")
LIFE = {
    "columns": [
        *COLUMNS,
        {"name": "grade", "type": "number", "center": 2, "scale": 1},
        {"name": "life", "type": "category", "categories": list(STAGES), "role": "reference"},
        {"name": "key", "type": "number", "center": 15, "scale": 6},
    ],
    "stages": STAGES,
    "stage_column": "life",
    "credit_column": "grade",
    "key_day_column": "key",
}
PEOPLE = PopulationSpec.model_validate(
    {
        **POPULATION.model_dump(),
        "columns": [
            *POPULATION.model_dump()["columns"],
            {"column": "grade", "mean": 2, "sd": 1, "low": 1, "high": 3, "round": True},
            {"column": "life", "shares": {"new": 0.4, "active": 0.4, "leaving": 0.2}},
            {"column": "key", "mean": 15, "sd": 8, "low": 1, "high": 28, "round": True},
        ],
        "holds": {"loan": 0.2},
    }
)
REWARD = {
    "margin_per_value": {"converted": 1, "cancelled": -1, "churned": -1},
    "margin_per_event": {"browsed": 0.25},
    "cost_per_value": {"redeemed": 1},
}
HIDDEN = {"factors": 2, "taste": {"loan": [0.5, 0.1]}, "reach": {"sms": [0.1, 0.4]}, "factor_profile": {"age": [1, 0]}}
UNSOLD = {"product=care": -30, "product=check": -30}
SURE, NEVER_EVER = {"1": 5.0}, {"1": -60.0}  # of a rate: certain within a day, and impossible
QUIET = dict.fromkeys(
    ("organic", "browsed", "abandoned", "churned", "churned_value", "declined", "opted_out", "complained")
)


def told_alike(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """True for the same events in the same order, to the bit; what lies between the fields says nothing."""
    assert one is not None
    assert other is not None
    names = one.dtype.names or ()
    return len(one) == len(other) and all(one[name].tobytes() == other[name].tobytes() for name in names)


def logit(given: str, **terms: float) -> dict[str, Any]:
    """A head by its terms."""
    return {"link": "logit", "given": given, "terms": named(terms)}


def rate(terms: dict[str, float], per: str = "decision") -> dict[str, Any]:
    """A head that may happen on any day."""
    return {"link": "rate", "per": per, "terms": named(terms)}


LIVELY: dict[str, Any] = {
    "engaged": {
        "link": "logit",
        "given": "delivered",
        "terms": named(
            {"contact": 0.6, "own_product.intent": 1.0, "own_product.abandoned": 1.5, "latent.context": 0.4}
            | {"latent.taste": 0.5, "latent.reach": 0.3, "latent.frailty": 0.3, "latent.irritation": -0.5}
        ),
    },
    "converted": {
        "link": "logit",
        "given": "engaged",
        "terms": named({"contact": 0.5, **UNSOLD, "benefit=bonus": 0.5}),
    },
    "opted_out": {"link": "logit", "given": "delivered", "terms": named({"contact": -4.0, "latent.clash": 1.0})},
    "irritation": {"link": "linear", "given": "delivered", "terms": named({"contact": 0.2, "latent.clash": 0.5})},
    "redeemed": {"link": "logit", "given": "converted", "terms": named({"contact": 0.5})},
    "churned": rate({"1": -5.5, "contact:complaints": 2.0}),
    "organic": rate({"1": -4.0, **UNSOLD}, "product"),
    "browsed": rate({"1": -3.0, **UNSOLD}, "product"),
    "abandoned": rate({"1": -4.0, **UNSOLD}, "product"),
    "cancelled": rate({"1": -3.0}, "product"),
    "risk_hold": rate({"1": -3.5}),
    "risk_cleared": rate({"1": -2.5}),
    "satisfaction_rated": rate({"1": -3.0}),
    "satisfaction_value": {
        "link": "linear",
        "given": "satisfaction_rated",
        "sigma": 0.8,
        "terms": named({"1": 3.6, "latent.irritation": -1.0}),
    },
    "stage:new>active": rate({"1": -2.5}),
    "stage:active>leaving": rate({"1": -3.5, "latent.clock": 0.5}),
    "stage:leaving>active": rate({"1": -3.0}),
}
BOOK = Rules(suitability="rating", caps=(Cap(name="ten a week", most=10, days=7),))


def rich_world(
    task: dict[str, Any] | None = None,
    rules: Rules | None = None,
    resolution: str = "day",
    hidden: dict[str, Any] | None = HIDDEN,
    population: PopulationSpec = PEOPLE,
    catalogue: Catalogue = RICH,
    **changed: Any,
) -> World:
    """The world with every mechanism; `changed` replaces heads, None drops one."""
    schema = small_schema({**CONTINUING, "reward": REWARD, **(task or {})}, **LIFE)
    world = small_world(
        rules=rules or BOOK,
        resolution=resolution,
        hidden=hidden,
        catalogue=catalogue,
        schema=schema,
        **{**LIVELY, **changed},
    )
    return replace(world, population=DescribedPopulation(population, schema))


def plain_world(task: dict[str, Any] | None = None, resolution: str = "day", **changed: Any) -> World:
    """Only contacts, each of them delivered, engaged and converted for certain; rules of the law alone."""
    heads: dict[str, Any] = dict.fromkeys(LIVELY)
    heads |= {**QUIET, "delivered": None, "trigger:app_session": None}
    heads |= {
        "engaged": logit("delivered", contact=40),
        "converted": logit("engaged", **{"contact": 40, "product=care": -90, "product=check": -90}),
    }
    heads["converted_value"] = {
        "link": "lognormal",
        "given": "converted",
        "per": "product",
        "sigma": 1e-12,
        "terms": named({"1": 3.0}),
    }
    return rich_world(task, Rules(), resolution, None, **{**heads, **changed})


def started(world: World, batch: int, seed: int = 0, **more: Any) -> Simulator:
    """Customers who hold nothing yet, in the middle of the stages, and whose treatments are all asked for by hand."""
    simulator = Simulator(world, seed, record=True, **more)
    simulator.reset(np.arange(batch))
    simulator.state.history.product["holds"] = False
    simulator.state = simulator.state  # look again
    return simulator


def ask(simulator: Simulator, *treatments: str) -> Outcome:
    """The same treatments for everybody, one per desk; decisions are numbered by customer, then desk."""
    batch, wish = simulator.state.batch, [IDS.index(treatment) for treatment in treatments]
    numbers = np.arange(batch * len(wish)).reshape(batch, -1)
    return simulator.step(np.tile(wish, (batch, 1)), numbers)


def events(outcome: Outcome, name: str) -> np.ndarray:
    """The recorded events of one kind."""
    assert outcome.events is not None
    return np.asarray(outcome.events[outcome.events["event"] == NAMES.index(name)])


def grades(simulator: Simulator) -> np.ndarray:
    return np.asarray(simulator.state.person["grade"])
