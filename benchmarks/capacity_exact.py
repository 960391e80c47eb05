"""The exact preset under hard capacity: what policies reach of the Lagrangian bound at prices found by dual ascent."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from agents.baselines import Silence
from agents.exact import Optimum, Solution, choices, evaluate
from agents.exact_bound import capacities, lagrangian_bound
from agents.exact_prices import Plan, Scheduled, planned
from agents.policy import Policy
from agents.turns import take_turns
from benchmarks.kit import Options, Result, show
from envs.exact import ExactModel, build
from envs.pools import Pools
from envs.prices import Prices, price_of
from envs.randomness import Luck
from envs.simulator import Simulator
from envs.world import World, load_world
from evaluation.market import TOLD, Clearing, Market
from evaluation.run_differences import jackknife

CUSTOMERS = 10_000  # of one population
USUAL = 20.0  # CNY per opt-out's worth of annoyance, the preset's default
AIM = 0.92
FIRST = 30_000_000  # number of the first customer, apart from those that a policy was trained on
SHARES = {"1/1": 1.0, "1/2": 0.5, "1/4": 0.25}
Told = Callable[[int, Simulator, Pools], np.ndarray]  # a decision -> (n, 1 + pools) prices of the customers


@dataclass(frozen=True)
class Shared:
    """A population that kept to the capacity."""

    value: float  # expected reward of its decisions at no price of the pools, discounted, CNY per customer
    used: np.ndarray  # (decisions, pools) units granted / capacity
    wanted: np.ndarray  # (decisions, pools) units asked for / capacity
    prices: np.ndarray  # (decisions, pools) mean price told, currency


def shared(model: ExactModel, policy: Policy, told: Told, share: float, annoyance: float, number: int) -> Shared:
    """One population by turns: the pools' masks before the draw, every decision worth its expectation."""
    task, world = model.world.schema.task, model.world
    simulator, pools, value = Simulator(world, 0), Pools(world.catalogue, CUSTOMERS, share), 0.0
    simulator.reset(FIRST + number * CUSTOMERS + np.arange(CUSTOMERS))
    rows: list[tuple[np.ndarray, ...]] = []
    for step, layer in enumerate(model.layers):
        pools.morning()
        alive = simulator.state.alive.copy()
        prices = told(step, simulator, pools)
        simulator.set_prices(prices)
        view, luck = simulator.view(), Luck(number, simulator.state.customer, simulator.state.history.day)
        turns = take_turns(policy, view.observation, view.mask, alive, pools, luck)
        treatment = turns.treatment[:, 0]
        asked = pools.effort[turns.wanted[alive, 0]].sum(axis=0)
        rows.append((1 - pools.left / pools.capacity, asked / pools.capacity, prices[:, 1:].mean(axis=0)))
        assert (pools.left >= -1e-6).all()
        pair = layer.pair(model.locate(view.observation[alive])[1], treatment[alive])
        reward = layer.margin[pair] - layer.cost[pair] - annoyance * layer.annoyance[pair]
        value += task.gamma ** task.days[step] * float(reward.sum())
        simulator.step(treatment)
    return Shared(value / CUSTOMERS, *(np.stack(column) for column in zip(*rows, strict=True)))


def as_planned(plan: Plan) -> Told:
    """The plan's prices: to each customer one schedule of its path, for good."""

    def told(step: int, simulator: Simulator, pools: Pools) -> np.ndarray:
        path = np.stack([schedule.pools[step] for schedule in plan.schedules])
        found = path[simulator.state.customer % len(path)]
        return np.column_stack([np.full(len(found), plan.annoyance), found])

    return told


def by_day(world: World, policy: Policy, annoyance: float) -> Callable[[], Told]:
    """Prices that clear each decision day by the policy's own demand, as in a population: a market for each one."""

    def opened() -> Told:
        market = Market(world, policy, Prices(annoyance, (0.0,) * len(world.catalogue.pools)), Clearing())

        def told(step: int, simulator: Simulator, pools: Pools) -> np.ndarray:
            view, alive = simulator.view(), simulator.state.alive
            cleared = market.open(lambda: [(view.observation[alive], view.mask[alive])], int(alive.sum()), pools, 1)
            luck = Luck(simulator.seed, simulator.state.customer, simulator.state.history.day)
            return market.told(cleared, luck.uniform(TOLD))

        return told

    return opened


def exact_capacity(policies: Mapping[str, Policy], options: Options, result: Result) -> None:
    """The optimum at planned prices, and other policies at planned and at their own prices, beside the bound."""
    model, populations = build(load_world("exact")), 1 if options.quick else 8
    free = Prices(USUAL, (0.0,))
    silence = float(model.shares @ evaluate(model, choices(model, Silence(), free), free).value)
    rows: list[tuple[object, ...]] = []
    paths: list[tuple[object, ...]] = []
    for words, share in [("1/2", 0.5)] if options.quick else SHARES.items():
        capacity, began = capacities(model, CUSTOMERS, share), time.monotonic()
        plan = planned(model, model.shares * CUSTOMERS, capacity, USUAL)
        seconds = time.monotonic() - began
        bound = lagrangian_bound(model, model.shares * CUSTOMERS, capacity, USUAL, by_day=True)
        best = bound.value / CUSTOMERS - silence
        pairs = zip(plan.cleared.prices[:, 0], bound.prices[:, 0], strict=True)
        off = (plan.bound - bound.value) / CUSTOMERS / best
        paths.append((words, seconds, off, *(f"{mine:.2f} ({least:.2f})" for mine, least in pairs)))
        for name, how, policy, told in _ways(model, plan, policies):
            runs = [shared(model, policy, told(), share, USUAL, number) for number in range(populations)]
            rows.append((words, name, how, *_reached(runs, silence, best)))
    days = [f"day {day}" for day in model.world.schema.task.days]
    prices = pl.DataFrame(paths, orient="row", schema=["capacity", "seconds", "gap", *days])
    show("Prices by dual ascent, CNY a minute (the Lagrangian bound's); gap of the dual / gain of the bound", prices, 4)
    columns = ["capacity", "policy", "prices", "share of bound", "lo", "hi", "used", "used if scarce", "most used"]
    frame = pl.DataFrame(rows, orient="row", schema=columns)
    show(f"Share of (Lagrangian bound - silence) under hard capacity, {populations} x {CUSTOMERS} customers", frame)
    result.figures |= {"exact prices": prices.to_dicts(), "exact shares": frame.to_dicts()}
    _exact_targets(frame, prices, result)


def _ways(
    model: ExactModel, plan: Plan, policies: Mapping[str, Policy]
) -> Iterator[tuple[str, str, Policy, Callable[[], Told]]]:
    """Who decides, at which prices: policy, words, and what tells the prices of a population."""
    told = as_planned(plan)
    yield "optimum", "planned, knows all days'", Scheduled(model, plan.schedules), lambda: told
    for name, policy in {"optimum": Rounded(model), **policies}.items():
        yield name, "planned, sees today's", policy, lambda: told
        yield name, "cleared day by day", policy, by_day(model.world, policy, USUAL)


def _reached(runs: list[Shared], silence: float, best: float) -> tuple[float, ...]:
    """Share of the bound's gain with its interval over populations, and how much of the capacity was used."""
    shares = np.array([(run.value - silence) / best for run in runs])
    found = jackknife(lambda kept: float(shares[kept].mean()), len(shares)) if len(shares) > 1 else None
    used, wanted = (np.stack([getattr(run, part) for run in runs]) for part in ("used", "wanted"))
    scarce = float(used[wanted >= 1].mean()) if (wanted >= 1).any() else float("nan")
    lo, hi = (np.nan, np.nan) if found is None else (found.lo, found.hi)
    return float(shares.mean()), lo, hi, float(used.mean()), scarce, float(used.max())


class Rounded(Optimum):
    """The optimum at the price it is shown, to a hundredth, as if that stayed: few prices, few dynamic programmes."""

    def _at(self, fields: np.ndarray) -> Solution:
        encoder = self.model.world.encoder
        annoyance, *pools = price_of(fields.astype(np.float64), encoder.price_highs).round(2).tolist()
        return self._solution(Prices(annoyance, tuple(pools)))


def _exact_targets(frame: pl.DataFrame, prices: pl.DataFrame, result: Result) -> None:
    for name, how in itertools.product(frame["policy"].unique(maintain_order=True), ("planned", "cleared day by day")):
        told = frame.filter(pl.col("policy") == name, pl.col("prices").str.starts_with(how))["share of bound"]
        low, high = (f"{float(str(end)):.3f}" for end in (told.min(), told.max()))
        words = f"exact preset: {name} reaches {AIM:.0%} of the bound's gain at prices {how} ({low} to {high})"
        result.target(f"bound {name}, {how}", words, bool((told >= AIM).all()))
    gap = float(prices["gap"].max())
    result.target("ascent", f"the ascent's dual is at most .5 % of the gain above the bound ({gap:.4f})", gap <= 0.005)
    most = float(frame["most used"].max())
    result.target("exact pools", f"no pool of the exact preset is exceeded ({most:.4f})", most <= 1 + 1e-9)
