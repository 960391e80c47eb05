"""The exact preset: is its optimum right, what do other policies reach of it, and what is a pool's capacity worth?"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import polars as pl

from agents.baselines import Random, Silence, fixed_treatment
from agents.exact import Optimum, choices, evaluate, solve
from agents.exact_bound import Bound, capacities, lagrangian_bound
from agents.exact_joint import joint_optimum, shortened
from agents.myopic import Myopic
from agents.policy import Policy
from benchmarks.kit import Options, Result, main, show
from envs.exact import ExactModel, build
from envs.prices import Prices
from envs.simulator import Simulator
from envs.world import load_world
from evaluation.intervals import mean_interval
from evaluation.simulation import simulate
from training.configs import TrainConfig
from training.train import train

USUAL = 20.0  # CNY per opt-out's worth of annoyance, the preset's default
ANNOYANCE_PRICES = (0.0, 20.0, 60.0, 100.0, 200.0)
CUSTOMERS = 10_000  # of one population
SECONDS = 10.0  # for the model and one dynamic programme
FIRST = 20_000_000  # number of the first customer, apart from those that a policy was trained on


def exact(options: Options, result: Result) -> None:
    """Model and optimum; every policy's exact value beside simulation, then across prices; capacity and its bound."""
    started = time.monotonic()
    model = build(load_world("exact"))
    built = time.monotonic()
    solve(model, Prices(USUAL, (0.0,)))
    seconds = {"model": built - started, "dynamic programme": time.monotonic() - built}
    links = sum(layer.chances.nnz for layer in model.layers)
    result.figures |= {"states": model.states, "pairs": model.pairs, "transitions": links, "seconds": seconds}
    print(f"{model.states} states, {model.pairs} pairs with a treatment, {links} transitions; seconds: {seconds}")
    result.target("time", f"model and optimum in at most {SECONDS:.0f} s", sum(seconds.values()) <= SECONDS)
    policies = _policies(model, options)
    _simulated(model, policies, 4000 if options.quick else 50_000, options.seed, result)
    _across_prices(model, policies, result)
    _capacity(model, 2 if options.quick else 20, options.seed, result)
    _brute_force(result)


def _policies(model: ExactModel, options: Options) -> dict[str, Policy]:
    """Fixed policies, the myopic rule with and without levers, PPO as it is trained by default, the optimum."""
    world, steps = model.world, 10_000 if options.quick else TrainConfig(world="").steps
    run = train(
        TrainConfig(world="exact", steps=steps, imitation_steps=5000 if options.quick else 200_000, seed=options.seed,
                    track=False, register_policy=False, out=options.work / "training")
    )  # fmt: skip
    fixed = [fixed_treatment(world.catalogue, t, f"always {t}") for t in world.catalogue.treatment_ids[1:]]
    tuned = Myopic(world, run.levers, name="myopic, tuned levers")
    found: list[Policy] = [Silence(), Random(), *fixed, Myopic(world), tuned, run.policy, Optimum(model)]
    return {policy.name: policy for policy in found}


def _simulated(model: ExactModel, policies: Mapping[str, Policy], customers: int, seed: int, result: Result) -> None:
    """Exact and simulated value of the same customers, at the usual price; intervals that hold together at 95 %."""
    prices, numbers = Prices(USUAL, (0.0,)), FIRST + np.arange(customers)
    simulator = Simulator(model.world, seed)
    simulator.reset(numbers)
    _, start = model.locate(simulator.view().observation)
    rows = []
    for name, policy in policies.items():
        expected = evaluate(model, choices(model, policy, prices), prices).value[start]
        found = simulate(model.world, policy, numbers, 1, seed=seed, prices=prices).value
        off = mean_interval(found - expected, 1 - 0.05 / len(policies))
        value = float(expected.mean())
        rows.append((name, value, value + off.value, value + off.lo, value + off.hi, off.lo <= 0 <= off.hi))
    frame = pl.DataFrame(rows, orient="row", schema=["policy", "exact", "simulated", "lo", "hi", "inside"])
    show(f"Value of {customers} customers, CNY each, at an annoyance price of {USUAL:.0f}", frame)
    result.figures["simulated"] = frame.to_dicts()
    inside = int(frame["inside"].sum())
    words = f"exact values inside the intervals of simulation, 95 % for all together ({inside} of {len(frame)})"
    result.target("simulation", words, inside == len(frame))


def _across_prices(model: ExactModel, policies: Mapping[str, Policy], result: Result) -> None:
    """Exact parts of the optimum, and what each policy reaches of (optimum - silence), at several prices."""
    parts, reached = [], []
    for price in ANNOYANCE_PRICES:
        prices = Prices(price, (0.0,))
        worth = {name: evaluate(model, choices(model, p, prices), prices) for name, p in policies.items()}
        value = {name: float(model.shares @ w.value) for name, w in worth.items()}
        best, silence = worth["optimum"], value["silence"]
        means = [float(model.shares @ part) for part in (best.margin, best.cost, best.annoyance, best.effort[:, 0])]
        parts.append((price, value["optimum"], silence, *means))
        reached.append({n: (v - silence) / (value["optimum"] - silence) for n, v in value.items() if n != "silence"})
    columns = ["annoyance price", "optimum", "silence", "margin", "cost", "annoyance", "minutes"]
    frame = pl.DataFrame(parts, orient="row", schema=columns)
    show("The optimum, exact, per customer and discounted (CNY; annoyance in opt-outs)", frame)
    rows = [(name, *(share[name] for share in reached)) for name in reached[0]]
    shares = pl.DataFrame(rows, orient="row", schema=["policy", *(f"at {price:.0f}" for price in ANNOYANCE_PRICES)])
    show("Share of (optimum - silence) that a policy reaches, by annoyance price", shares)
    result.figures |= {"optimum": frame.to_dicts(), "reached": shares.to_dicts()}
    highest = max(max(share.values()) for share in reached)
    result.target("optimum", "no policy above the optimum at any price", highest <= 1 + 1e-9)


def _capacity(model: ExactModel, populations: int, seed: int, result: Result) -> None:
    """The bound at full and half capacity, and a policy under that very capacity."""
    customers, rows = model.shares * CUSTOMERS, []
    prices = Prices(USUAL, (0.0,))
    free = float(model.shares @ solve(model, prices).values[0])
    silence = float(model.shares @ evaluate(model, choices(model, Silence(), prices), prices).value)
    holds = True
    for words, share in (("1/1", 1.0), ("1/2", 0.5)):
        capacity = capacities(model, CUSTOMERS, share)
        for by_day in (False, True):
            started = time.monotonic()
            bound = lagrangian_bound(model, customers, capacity, USUAL, by_day=by_day)
            seconds = time.monotonic() - started
            found = mean_interval(rationed(model, bound, populations, seed))
            ratio = (found.value - silence) / (bound.value / CUSTOMERS - silence)
            holds &= found.lo <= bound.value / CUSTOMERS
            price = f"{bound.prices.min():.2f} to {bound.prices.max():.2f}"
            used = (bound.demand / capacity).ravel()
            asked = f"{used.min():.2f} to {used.max():.2f}"
            values = (bound.value / CUSTOMERS, bound.left, price, asked, found.value, found.lo, found.hi, ratio)
            rows.append((words, "by day" if by_day else "constant", bound.cuts, seconds, *values))
    columns = ["capacity", "prices", "cuts", "seconds", "bound", "left", "CNY a minute", "demand / capacity"]
    columns += ["rationed", "lo", "hi", "share of bound"]
    frame = pl.DataFrame(rows, orient="row", schema=columns)
    show(
        f"The Lagrangian bound, CNY per customer of {CUSTOMERS} (free optimum {free:.2f}, silence {silence:.2f})", frame
    )
    result.figures |= {"bound": frame.to_dicts(), "free": free, "silence": silence}
    result.target("bound", "a policy that keeps to the capacity is not above the bound", holds)


def rationed(model: ExactModel, bound: Bound, populations: int, seed: int) -> np.ndarray:
    """Value per customer of each population under hard capacity: expected reward of every decision, CNY.

    Every customer is decided by one policy of the bound's mixture, drawn by its share. Requests are granted in random
    order until the pools are used up; the others take the best of what is left. -> (populations,) float64.
    """
    policies = [Optimum(model, solve(model, schedule)) for _, schedule in bound.mixture]
    return np.array([_one_population(model, policies, bound, seed, number) for number in range(populations)])


def _one_population(model: ExactModel, policies: list[Optimum], bound: Bound, seed: int, number: int) -> float:
    task, rng = model.world.schema.task, np.random.default_rng([seed, number])
    shares = np.array([share for share, _ in bound.mixture])
    mine = rng.choice(len(policies), CUSTOMERS, p=shares / shares.sum())
    simulator, total, effort = Simulator(model.world, seed), 0.0, model.world.catalogue.effort
    simulator.reset(FIRST + number * CUSTOMERS + np.arange(CUSTOMERS))

    def decided(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        every = [policy.probabilities(observation, mask).argmax(axis=1) for policy in policies]
        return np.asarray(np.stack(every)[mine, np.arange(CUSTOMERS)])

    for step, layer in enumerate(model.layers):
        view, there = simulator.view(), np.flatnonzero(simulator.state.alive)
        mask, order = view.mask.copy(), rng.permutation(there)
        asked = effort[decided(view.observation, mask)[order]]  # (customers in order, pools)
        over = (asked.cumsum(axis=0) > bound.capacity[step] + 1e-9).any(axis=1)
        refused = order[over & (asked > 0).any(axis=1)]
        mask[np.ix_(refused, (effort > 0).any(axis=1))] = False
        treatment = decided(view.observation, mask)
        assert (effort[treatment[there]].sum(axis=0) <= bound.capacity[step] + 1e-9).all()
        pair = layer.pair(model.locate(view.observation[there])[1], treatment[there])
        reward = layer.margin[pair] - layer.cost[pair] - bound.schedule.annoyance * layer.annoyance[pair]
        total += task.gamma ** task.days[step] * float(reward.sum())
        simulator.step(treatment)
    return total / CUSTOMERS


def _brute_force(result: Result) -> None:
    """Two customers with one call a day between them, calls alone, three decisions: the bound beside the optimum."""
    model = build(shortened(load_world("exact"), 3, ("app_push", "sms")))
    capacity = np.full((3, 1), 6.0)
    joint, rows = joint_optimum(model, capacity, USUAL), []
    for first in range(len(joint)):
        for second in range(first, len(joint)):
            two = np.bincount([first, second], minlength=len(joint)).astype(float)
            constant, daily = (lagrangian_bound(model, two, capacity, USUAL, by_day=b).value for b in (False, True))
            best = float(joint[first, second])
            rows.append((best, constant, daily, (constant - best) / abs(best), (daily - best) / abs(best)))
    frame = pl.DataFrame(rows, orient="row", schema=["optimum", "constant", "by day", "gap constant", "gap by day"])
    told = frame.describe(percentiles=[0.5]).filter(pl.col("statistic").is_in(["mean", "min", "50%", "max"]))
    show(f"Two customers, one call a day between them: {len(frame)} pairs of states, by brute force", told)
    result.figures["brute force"] = told.to_dicts()
    slack = -1e-5
    holds = frame["gap constant"].min() >= slack and frame["gap by day"].min() >= slack
    result.target("brute force", "the bound is not below the optimum of two customers", holds)


if __name__ == "__main__":
    main("exact", exact)
