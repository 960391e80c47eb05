"""A small world with numbers chosen by hand: three channels, three products, every kind of event, nothing hidden."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.catalogue import Catalogue
from envs.population import DescribedPopulation, PopulationSpec
from envs.response import Coefficients
from envs.rules import Rules
from envs.schema import Schema
from envs.simulator import Outcome, Simulator
from envs.world import World

CATALOGUE = Catalogue.model_validate(
    {
        "name": "small",
        "currency": "EUR",
        "products": [
            {"id": "loan", "once": True, "risk_level": 1, "features": {"complexity": 0.2}},
            {"id": "fund", "risk_level": 3, "features": {"complexity": 0.8}},
            {"id": "care", "selling": False},
        ],
        "benefits": [{"id": "bonus", "cost": 5.0}],
        "channels": [
            {"id": "sms", "family": "online", "annoyance": 0.1},
            {"id": "call", "family": "remote", "annoyance": 0.3},
            {"id": "app", "family": "online", "inbound": "app_session", "annoyance": 0.01},
        ],
        "pools": [{"id": "minutes", "capacity": 100}],
        "treatments": [
            {"id": "sms-loan", "product": "loan", "channel": "sms", "cost": 0.1},
            {"id": "sms-loan-bonus", "product": "loan", "channel": "sms", "benefit": "bonus", "cost": 0.1},
            {"id": "sms-care", "product": "care", "channel": "sms", "cost": 0.1, "daypart": "evening"},
            {"id": "call-fund", "product": "fund", "channel": "call", "cost": 3.0, "effort": {"minutes": 5}},
            {"id": "app-loan", "product": "loan", "channel": "app"},
            {"id": "app-fund", "product": "fund", "channel": "app"},
        ],
    }
)
COLUMNS = [
    {"name": "age", "type": "number", "center": 40, "scale": 10},
    {"name": "rating", "type": "number", "center": 3, "scale": 1, "nullable": True},
    {"name": "vip", "type": "flag"},
    {"name": "segment", "type": "category", "categories": ["mass", "rich"]},
]
POPULATION = PopulationSpec.model_validate(
    {
        "columns": [
            {"column": "age", "mean": 40, "sd": 10, "low": 18, "high": 90, "round": True},
            {"column": "rating", "mean": 3, "sd": 1, "low": 1, "high": 5, "round": True},
            {"column": "vip", "share": 0.2, "depends": {"age": 0.5}},
            {"column": "segment", "shares": {"mass": 0.7, "rich": 0.3}},
        ],
        "holds": {"loan": 0.3},
        "first_day": "2026-01-05",
    }
)
REWARD = {
    "margin_per_value": {"converted": 1, "churned": -1},
    "margin_per_event": {"browsed": 0.25},
    "cost_per_value": {"redeemed": 1},
}
CONTINUING = {"kind": "continuing", "gamma": 0.9, "cadence_days": 1, "window_days": 1, "reward": REWARD}
FINITE = {"kind": "finite", "gamma": 1.0, "days": [0, 3, 5], "end_day": 9, "reward": REWARD}


def named(values: dict[str, float]) -> list[dict[str, Any]]:
    """Terms by feature."""
    return [{"feature": name, "value": value, "source": "by hand"} for name, value in values.items()]


def heads(**changed: Any) -> dict[str, Any]:
    """Every head of the small world, events frequent; `changed` replaces heads, None drops one."""
    own: dict[str, Any] = {
        "delivered": {"link": "logit", "given": "contacted", "terms": named({"channel=sms": 1.0, "channel=call": 0.0})},
        "engaged": {
            "link": "logit",
            "given": "delivered",
            "terms": named({"contact": 0.3, "own_product.intent": 1.0, "own_channel.pressure": -0.5, "age": 0.2}),
        },
        "converted": {
            "link": "logit",
            "given": "engaged",
            "terms": named({"contact": -0.2, "vip * product=fund": 0.7, "product=care": -30, "benefit=bonus": 0.5}),
        },
        "declined": {"link": "logit", "given": "unconverted", "terms": named({"contact": -0.5})},
        "opted_out": {"link": "logit", "given": "delivered", "terms": named({"contact": -2.5, "conflict": 0.5})},
        "complained": {"link": "logit", "given": "delivered", "terms": named({"contact": -3.0})},
        "churned": {"link": "rate", "given": "always", "terms": named({"1": -4.0, "contact:complaints": 2.0})},
        "churned_value": {"link": "lognormal", "given": "churned", "sigma": 0.3, "terms": named({"1": 2.0})},
        "organic": {
            "link": "rate",
            "per": "product",
            "terms": named({"product=loan": -4.0, "product=fund": -3.5, "product=care": -30}),
        },
        "browsed": {"link": "rate", "per": "product", "terms": named({"1": -3.0, "product=care": -30})},
        "abandoned": {"link": "rate", "per": "product", "terms": named({"1": -4.0, "product=care": -30})},
        "converted_value": {
            "link": "lognormal",
            "given": "converted",
            "per": "product",
            "sigma": 0.5,
            "terms": named({"1": 3.0, "product=fund": 0.5, "age * product=fund": 0.1}),
        },
        "trigger:app_session": {"link": "logit", "terms": named({"1": -0.5, "vip": 0.5})},
    }
    return {name: head for name, head in {**own, **changed}.items() if head is not None}


def small_schema(task: dict[str, Any] | None = None, **more: Any) -> Schema:
    """The schema of the small world."""
    prices = {"annoyance": {"default": 2.0, "high": 10.0}, "minutes": {"default": 0.5, "high": 2.0}}
    said = {"columns": COLUMNS, "triggers": ["app_session"], "prices": prices, "task": task or CONTINUING}
    return Schema.model_validate({**said, **more})


def small_world(
    task: dict[str, Any] | None = None,
    rules: Rules | None = None,
    resolution: str = "window",
    hidden: dict[str, Any] | None = None,
    catalogue: Catalogue = CATALOGUE,
    schema: Schema | None = None,
    **changed: Any,
) -> World:
    """The small world; `changed` replaces heads."""
    schema = schema or small_schema(task)
    said = {"name": "small", "resolution": resolution, "heads": heads(**changed), "hidden": hidden}
    coefficients = Coefficients.model_validate(said)
    book = rules or Rules(suitability="rating")
    return World(catalogue, schema, book, coefficients, DescribedPopulation(POPULATION, schema))


def some_allowed(simulator: Simulator, step: int) -> np.ndarray:
    """An allowed treatment of each customer that depends on the customer's number and the step alone."""
    mask = simulator.view().mask
    wish = (simulator.state.customer * 7919 + step * 104_729 + 13) % 1009 / 1009
    rank = np.floor(wish * mask.sum(axis=1)).astype(int)
    return np.argsort(~mask, axis=1, kind="stable")[np.arange(len(mask)), rank]


def lived(simulator: Simulator, steps: int) -> list[Outcome]:
    """Some steps of allowed treatments."""
    return [simulator.step(some_allowed(simulator, step)) for step in range(steps)]
