"""Logs whose truth is known: one from the form that calibration fits, and others that it cannot express."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from agents.baselines import Random
from agents.policy import draw
from envs.catalogue import Catalogue, Channel, Product, Treatment
from envs.population import DescribedPopulation, Marginal, PopulationSpec
from envs.randomness import Luck
from envs.recorder import Decided, Recorder
from envs.response import Coefficients, Head, Hidden, Term
from envs.rules import Rules
from envs.schema import Column, PriceRange, Reward, Schema, Split, Task
from envs.simulator import Simulator
from envs.tables import Tables
from envs.world import World
from evaluation.simulation import CHOICE

WEEK, DECISIONS = 7, 8  # days between decisions; decisions of a customer
LATER = 84  # days after which the customers of a drifting log's second half begin
STEEP = 2.5  # factor on the coefficients under another link, so that the tails are reached where links differ
OWN, FRAILTY = "its own form", "frailty"

CATALOGUE = Catalogue(
    name="two-by-two",
    products=(Product(id="loan"), Product(id="fund")),
    channels=(Channel(id="sms", family="online", annoyance=0.02), Channel(id="call", family="remote", annoyance=0.1)),
    treatments=tuple(
        Treatment(id=f"{p}_{c}", product=p, channel=c, cost=0.1) for p in ("loan", "fund") for c in ("sms", "call")
    ),
)
SCHEMA = Schema(
    columns=(
        Column(name="age", type="number", center=45, scale=12),
        Column(name="income", type="number", center=9, scale=0.6),
        Column(name="vip", type="flag"),
    ),
    prices={"annoyance": PriceRange(high=10)},
    task=Task(
        kind="continuing",
        cadence_days=WEEK,
        window_days=WEEK,
        reward=Reward(margin_per_value={"converted": 1, "purchased": 1}),
    ),
    split=Split(salt="fidelity", test_share=0.4),
)
POPULATION = PopulationSpec(
    columns=(
        Marginal(column="age", mean=45, sd=12),
        Marginal(column="income", mean=9, sd=0.6, depends={"age": 0.3}),
        Marginal(column="vip", share=0.4),
    )
)
HEADS: dict[str, tuple[str, str, str, dict[str, float]]] = {  # link, given, per, feature -> value
    "engaged": (
        *("logit", "contacted", "decision"),
        {"1": -0.9, "channel=call": 0.6, "age": 0.5, "product=fund * income": 0.5, "own_channel.pressure": -2.0},
    ),
    "converted": ("logit", "engaged", "decision", {"1": -0.4, "product=fund": -0.5, "age": 0.4}),
    "opted_out": ("logit", "delivered", "decision", {"1": -3.2, "channel=call": 0.4, "contact:pressure": 1.5}),
    "purchased": ("rate", "always", "decision", {"1": -3.2, "income": 0.5, "product=loan": 0.5}),
    "purchased_value": ("lognormal", "purchased", "decision", {"1": 3.0, "income": 0.4}),
    "converted_value": ("lognormal", "converted", "product", {"1": 4.0, "product=fund": 0.5, "age": 0.2}),
}
SIGMA = 0.6  # spread of the logarithm of amounts
THREE = ("channel=call * product=fund * vip", "channel=sms * product=loan * vip")
CHANGES: dict[str, dict[str, dict[str, float]]] = {  # process -> head -> features that are added to its terms
    OWN: {},
    "a product of three": {"engaged": dict.fromkeys(THREE, 2.5)},
    FRAILTY: {"engaged": {"latent.frailty": 1.0}},
    "another link": {"engaged": {}},
    "drift": {"engaged": {}},
    "amounts of two kinds": {},
}
HIDDEN = Hidden(care_heals=0.0, factors=1, own_taste=0.0, own_reach=0.0, source="of the benchmark: a frailty alone")


@dataclass(frozen=True)
class Truth:
    """A log and the head in which its process differs from the form, if it does."""

    tables: Tables
    wrong: str | None


def truth(process: str, customers: int, seed: int) -> Truth:
    """A log of this process under uniformly random treatments."""
    numbers = np.arange(customers)
    if process == "drift":
        half = customers // 2
        earlier, later = world_of(process), world_of(process, {"engaged": {"1": 0.8}})
        recorder = Recorder(earlier)
        first = Simulator(earlier).first_day
        _live(recorder, earlier, numbers[:half], seed, first)
        _live(recorder, later, numbers[half:], seed, first + LATER)
        tables = recorder.tables(earlier.population, seed, numbers, first)
    else:
        tables = log_of(world_of(process), numbers, seed)
    if process == "amounts of two kinds":
        return Truth(_of_two_kinds(tables, seed), "converted_value")
    return Truth(tables, None if process == OWN else "engaged")


def log_of(world: World, customers: np.ndarray, seed: int) -> Tables:
    """Some customers of a world under uniformly random treatments."""
    recorder, first = Recorder(world), Simulator(world).first_day
    _live(recorder, world, customers, seed, first)
    return recorder.tables(world.population, seed, customers, first)


def world_of(process: str, more: Mapping[str, Mapping[str, float]] | None = None) -> World:
    """The world of a process; more: values added to terms of heads."""
    heads = {}
    for name, (link, given, per, terms) in HEADS.items():
        values = {**terms, **CHANGES[process].get(name, {})}
        for feature, value in (more or {}).get(name, {}).items():
            values[feature] = values.get(feature, 0.0) + value
        if process == "another link" and name == "engaged":
            link, values = "rate", {feature: STEEP * value for feature, value in values.items()}
        written = tuple(Term(feature=f, value=v, source="of the benchmark") for f, v in values.items())
        sigma = SIGMA if link == "lognormal" else None
        heads[name] = Head.model_validate({"link": link, "given": given, "per": per, "sigma": sigma, "terms": written})
    heads["delivered"] = Head(
        link="logit",
        given="contacted",
        terms=(Term(feature="1", value=1.8), Term(feature="channel=call", value=-1.0), Term(feature="age", value=0.2)),
    )
    hidden = HIDDEN if process == FRAILTY else None
    coefficients = Coefficients(name=f"truth: {process}", heads=heads, hidden=hidden)
    return World(CATALOGUE, SCHEMA, Rules(), coefficients, DescribedPopulation(POPULATION, SCHEMA))


def _live(recorder: Recorder, world: World, customers: np.ndarray, seed: int, first: int) -> None:
    """Some customers' decisions, from a day of their first week on."""
    simulator = Simulator(world, seed, cadence_days=WEEK, record=True)
    simulator.reset(customers, day=first + customers % WEEK)
    recorder.happened(simulator.morning, customers)
    policy = Random()
    for _ in range(DECISIONS):
        view, state = simulator.view(), simulator.state
        p = policy.probabilities(view.observation, view.mask)
        treatment = draw(p, Luck(seed, state.customer, state.history.day).uniform(CHOICE))
        made = Decided(
            state.customer.copy(),
            state.history.day.copy(),
            state.trigger.copy(),
            view.observation,
            view.mask,
            treatment,
            p,
            state.prices.copy(),
            "randomised",
            "uniform",
        )
        outcome = simulator.step(treatment, recorder.decide(made))
        if outcome.events is not None:
            recorder.happened(outcome.events, state.customer)


def _of_two_kinds(tables: Tables, seed: int) -> Tables:
    """The same log with margins of conversions that are either small or large, at the same mean."""
    happened = (pl.col("event") == "converted") & pl.col("value").is_not_null()
    large = np.random.default_rng([seed, 1]).random(tables.events.height) < 0.25
    factor = pl.Series(np.where(large, 2.8, 0.4))
    value = pl.when(happened).then(pl.col("value") * factor).otherwise(pl.col("value"))
    return replace(tables, events=tables.events.with_columns(value))
