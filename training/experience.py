"""Experience from a simulated exploration, or from the canonical tables of a log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from agents.coordinated import CoordinatedRules
from agents.experience import Experience, joined
from agents.policy import Policy, softened
from agents.simple import Random
from envs.history import APPLIED, CONVERTED, NAMES
from envs.observation import Encoder
from envs.randomness import Luck
from envs.simulator import Simulator
from envs.tables import Tables, read_tables
from envs.world import World
from evaluation.log import Log
from evaluation.reading import read_log
from evaluation.simulation import choose
from evaluation.whom import Part
from training.progress import Advance

DAY = 86_400e6  # microseconds
BATCH = 2048  # customers simulated at once
SILENT, EVEN = 0.6, 0.2  # shares of decisions that are silence and uniform; the rest by the softened coordinated rules
TEMPERATURE = 1.0  # of these, in points
FREE, LOWEST = 0.15, 200.0  # share of drawn prices that are 0; others lie between high / LOWEST and high
SIGNED = (APPLIED, CONVERTED)


class Explorer:
    """The exploring policy: a lottery of silence, uniform and softened coordinated rules, its propensities known.

    A bank that contacted everybody every day would learn what happens to customers it has worn out; shares assumed.
    """

    name = "explorer"

    def __init__(self, world: World) -> None:
        self._rules = CoordinatedRules(world.catalogue, world.encoder)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        ruled = softened(self._rules.scores(observation), mask, TEMPERATURE, 0.0)
        out = EVEN * Random().probabilities(observation, mask) + (1 - SILENT - EVEN) * ruled
        out[:, 0] += SILENT
        return np.asarray(out)


def explored(
    world: World,
    customers: np.ndarray,
    days: int,
    *,
    seed: int,
    policy: Policy | None = None,
    annoyance: np.ndarray | None = None,
    advance: Advance | None = None,
) -> Experience:
    """Experience of some customers under a policy, by default the exploring one.

    customers: (n,) int, their numbers; annoyance: (n,) float, the price that the policy is told of each, default the
    schema's; advance: told the customer-days that are done

    Afterwards customers are left alone until what they signed has matured and can no longer be cancelled.
    """
    parts = []
    for start in range(0, len(customers), BATCH):
        some = customers[start : start + BATCH]
        told = None if annoyance is None else annoyance[start : start + BATCH]
        parts.append(_explored(world, policy or Explorer(world), some, days, seed, told))
        if advance is not None:
            advance(parts[-1].customer_days)
    return joined(parts)


def customer_days(world: World, customers: int, days: int) -> int:
    """What an exploration simulates."""
    task = world.schema.task
    return customers * (task.end_day if task.kind == "finite" else days + _settling_days(world))


def drawn_prices(encoder: Encoder, count: int, rng: np.random.Generator) -> np.ndarray:
    """Prices of annoyance as serving might tell them: (count,) float64, even in the logarithm, and 0 for some."""
    high = float(encoder.price_highs[0])
    return np.asarray(np.where(rng.random(count) < FREE, 0.0, high * LOWEST ** -rng.random(count)))


def _explored(
    world: World, policy: Policy, customers: np.ndarray, days: int, seed: int, annoyance: np.ndarray | None
) -> Experience:
    simulator, task = Simulator(world, seed, record=True), world.schema.task
    simulator.reset(customers)
    if annoyance is not None:
        prices = simulator.state.prices.copy()
        prices[:, 0] = annoyance
        simulator.set_prices(prices)
    batch = len(customers)
    steps: list[tuple[np.ndarray, ...]] = []
    cadence = simulator.cadence_days
    count = len(task.days) if task.kind == "finite" else max(1, days // cadence)
    settling = 0 if task.kind == "finite" else -(-_settling_days(world) // cadence)
    events = []
    for step in range(count):
        view, state = simulator.view(), simulator.state
        luck = Luck(seed, state.customer, state.history.day)
        probabilities, drawn = choose(policy, view.observation, view.mask, luck)
        treatment, alive = drawn[:, 0], state.alive.copy()
        propensity = probabilities[np.arange(batch), 0, treatment]
        outcome = simulator.step(treatment, np.where(alive, step * batch + np.arange(batch), -1))
        t = outcome.tally
        steps.append(
            (
                alive, view.observation.copy(), view.mask.copy(), treatment, propensity, t.margin, t.cost,
                t.annoyance, t.effort, outcome.terminated, np.full(batch, float(outcome.days)),
            )
        )  # fmt: skip
        events.append(outcome.events)
    events += [simulator.step(np.zeros(batch, np.int64)).events for _ in range(settling)]
    happened = np.concatenate([e for e in events if e is not None])
    simulated = batch * sum(int(s[-1][0]) for s in steps) + batch * settling * cadence
    return _by_customer(world, customers, steps, happened, simulated)


def _settling_days(world: World) -> int:
    return max(p.maturing_days + p.cancel_days for p in world.catalogue.products)


def _by_customer(
    world: World, customers: np.ndarray, steps: list[tuple[np.ndarray, ...]], events: np.ndarray, simulated: int
) -> Experience:
    """Steps (outer) x customers turned into rows by customer, then step, of those who were there."""
    batch, count = len(customers), len(steps)
    alive, observation, mask, treatment, propensity, margin, cost, annoyance, effort, terminated, days = (
        np.stack([step[k] for step in steps], axis=1) for k in range(11)
    )
    kept = alive.ravel()
    decision = (np.arange(count)[None] * batch + np.arange(batch)[:, None]).ravel()[kept]
    row_of = np.full(batch * count, -1)
    row_of[decision] = np.arange(len(decision))
    customer = np.repeat(customers, count)[kept]
    last = np.r_[customer[1:] != customer[:-1], True]
    signed, value, upset = led_to(world, events["event"], events["value"], events["decision"], batch * count)
    n = len(customer)
    return Experience(
        customer=customer,
        observation=observation.reshape(batch * count, -1)[kept],
        mask=mask.reshape(batch * count, -1)[kept],
        treatment=treatment.ravel()[kept],
        propensity=propensity.ravel()[kept],
        margin=margin.ravel()[kept],
        cost=cost.ravel()[kept],
        annoyance=annoyance.ravel()[kept],
        effort=effort.reshape(batch * count, -1)[kept],
        signed=signed[decision],
        value=value[decision],
        settled=np.ones(n, bool),
        upset=upset[decision],
        following=np.where(last, -1, np.arange(n) + 1),
        terminated=terminated.ravel()[kept] & last,
        days=days.ravel()[kept],
        gamma=world.schema.task.gamma,
        customer_days=simulated,
    )


def led_to(
    world: World | Tables, event: np.ndarray, value: np.ndarray, decision: np.ndarray, decisions: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What events say of the decisions they name: signed (bool), margin (currency), annoyance (opt-outs), (decisions,).

    event: (m,) int, positions in NAMES; value: (m,) float, NaN: none; decision: (m,) int, -1: none
    """
    task = world.schema.task
    known = decision >= 0
    event, value, decision = event[known], np.nan_to_num(value[known].astype(np.float64)), decision[known]
    per_value = np.array([task.reward.margin_per_value.get(name, 0.0) for name in NAMES])
    per_event = np.array([task.reward.margin_per_event.get(name, 0.0) for name in NAMES])
    weight = np.array([task.annoyance_events.get(name, 0.0) for name in NAMES])
    brought = per_value[event] * value + per_event[event]
    margin = np.bincount(decision, brought, decisions)
    upset = np.bincount(decision, weight[event], decisions)
    signed = np.bincount(decision, np.isin(event, SIGNED) | (brought > 0), decisions) > 0
    return signed, margin, upset


def logged(tables: Path | str | Tables, part: Part = "train", assignment: str | None = None) -> Experience:
    """Experience of the customers of canonical tables.

    Where no event names its decision (many imported logs), what a decision led to is what followed until the next one.
    """
    source = tables if isinstance(tables, Tables) else read_tables(Path(tables))
    log = read_log(source, part, assignment)
    n = len(log)
    place = pl.DataFrame({"decision_id": log.decision_id, "row": np.arange(n)})
    named = source.events.join(place, "decision_id", "inner")
    last = np.r_[log.customer[1:] != log.customer[:-1], True]
    found = Experience(
        customer=log.customer,
        observation=log.observation,
        mask=log.mask,
        treatment=log.treatment,
        propensity=log.propensity,
        margin=log.margin,
        cost=log.cost,
        annoyance=log.annoyance,
        effort=log.effort,
        signed=log.margin > 0,
        value=log.margin,
        settled=np.ones(n, bool),
        upset=np.maximum(log.annoyance, 0.0),
        following=np.where(last, -1, np.arange(n) + 1),
        terminated=log.terminated,
        days=log.gap_days,
        gamma=log.gamma,
        customer_days=int(log.gap_days.sum()),
    )
    if not named.height:
        return found
    code = named["event"].replace_strict(list(NAMES), list(range(len(NAMES))), return_dtype=pl.Int64).to_numpy()
    value = named["value"].fill_null(float("nan")).to_numpy()
    signed, margin, upset = led_to(source, code, value, named["row"].to_numpy(), n)
    return replace(found, signed=signed, value=margin, upset=upset, settled=_settled(source, log))


def _settled(tables: Tables, log: Log) -> np.ndarray:  # (n,) bool
    """True where nothing that a decision led to can still mature or be cancelled before the log ends."""
    products = tables.catalogue.products
    needed = np.array(
        [0, *(products[p].maturing_days + products[p].cancel_days for p in tables.catalogue.product_of[1:])]
    )
    end = tables.events["at"].dt.epoch("us").max()
    left = (int(end if isinstance(end, int) else 0) - log.at.astype(np.int64)) / DAY
    return np.asarray(left >= needed[log.treatment])
