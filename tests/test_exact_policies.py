"""Nothing beats the optimum, and what dynamic programming says a policy is worth is what simulation finds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exact_kit import haphazard, preset, small
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from agents.baselines import Random, Silence, fixed_treatment
from agents.exact import Optimum, Schedule, choices, demand, evaluate, solve
from agents.myopic import Myopic
from agents.policy import Policy
from envs.prices import Prices
from envs.simulator import Simulator
from envs.vector import BankVectorEnv
from evaluation.simulation import simulate

FAMILY = 0.001  # level at which one of all comparisons of a test may fail by chance
PRICES = st.builds(lambda annoyance, agents: Prices(annoyance, (agents,)), st.floats(0, 1000), st.floats(0, 20))


def policies() -> dict[str, Policy]:
    """Fixed ones, one that draws, the myopic rule and the optimum of the preset."""
    world, treatments = preset().world, preset().world.catalogue.treatment_ids[1:]
    found: list[Policy] = [Silence(), Random(), Myopic(world), Optimum(preset()), haphazard(preset(), 1, 1.0)]
    return {p.name: p for p in [*found, *(fixed_treatment(world.catalogue, t, t) for t in treatments)]}


def agrees(prices: Prices, customers: int, comparisons: int) -> None:
    """Simulated and exact: value, and undiscounted margin, cost and annoyance, of the same customers."""
    model = preset()
    simulator = Simulator(model.world, 21)
    simulator.reset(np.arange(customers))
    _, start = model.locate(simulator.view().observation)
    level = norm.isf(FAMILY / 2 / comparisons)
    for name, policy in policies().items():
        choice = choices(model, policy, prices)
        exact, plain = evaluate(model, choice, prices), evaluate(model, choice, prices, gamma=1.0)
        found = simulate(model.world, policy, np.arange(customers), 1, seed=21, prices=prices)
        pairs = [(found.value, exact.value), (found.margin, plain.margin)]
        pairs += [(found.cost, plain.cost), (found.annoyance, plain.annoyance)]
        for simulated, expected in pairs:
            off = simulated - expected[start]
            assert abs(off.sum()) <= level * np.sqrt((off**2).sum()) + 1e-9, name


def test_simulation_finds_the_exact_value_of_every_policy() -> None:
    """Ten policies, four parts each (Bonferroni)."""
    agrees(Prices(20.0, (0.0,)), 6_000, 4 * len(policies()))


@pytest.mark.slow
@pytest.mark.parametrize("prices", [Prices(20.0, (0.0,)), Prices(100.0, (2.0,))], ids=["usual", "dear"])
def test_simulation_finds_the_exact_value_of_every_policy_at_large(prices: Prices) -> None:
    agrees(prices, 60_000, 2 * 4 * len(policies()))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 5), prices=PRICES)
def test_no_policy_is_worth_more_than_the_optimum_in_any_state(seed: int, scale: float, prices: Prices) -> None:
    model = small()
    best = solve(model, prices).values[0]
    worth = evaluate(model, choices(model, haphazard(model, seed, scale), prices), prices)
    assert (worth.value <= best + 1e-9 * (1 + np.abs(best))).all()
    parts = worth.margin - worth.cost - prices.annoyance * worth.annoyance - worth.effort @ np.array(prices.pools)
    np.testing.assert_allclose(parts, worth.value, rtol=1e-9, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(prices=PRICES)
def test_the_optimum_solves_the_bellman_equation_and_is_worth_its_value(prices: Prices) -> None:
    """V = max over allowed treatments of reward + gamma^days E V', row by row."""
    model = small()
    solution, gamma = solve(model, prices), model.world.schema.task.gamma
    rng = np.random.default_rng(0)
    for step, layer in enumerate(model.layers):
        after = solution.values[step + 1] if step + 1 < len(model.layers) else np.zeros(0)
        dense = layer.chances.toarray()[:, :-1]
        for state in rng.choice(len(layer.keys), min(40, len(layer.keys)), replace=False):
            best = -np.inf
            for pair in np.flatnonzero(layer.state == state):
                reward = layer.margin[pair] - layer.cost[pair] - prices.annoyance * layer.annoyance[pair]
                reward -= sum(p * e for p, e in zip(prices.pools, layer.effort[pair], strict=True))
                q = reward + gamma**layer.days * float(dense[pair] @ after)
                assert solution.scores[step][state, layer.treatment[pair]] == pytest.approx(q, abs=1e-9)
                best = max(best, q)
            assert solution.values[step][state] == pytest.approx(best, abs=1e-9)
    np.testing.assert_allclose(evaluate(model, solution.choice, prices).value, solution.values[0], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(low=PRICES, more=PRICES, share=st.floats(0, 1))
def test_the_optimum_falls_with_every_price_and_is_convex_in_them(low: Prices, more: Prices, share: float) -> None:
    model = small()
    high = Prices(low.annoyance + more.annoyance, (low.pools[0] + more.pools[0],))
    middle = Prices(low.annoyance + share * more.annoyance, (low.pools[0] + share * more.pools[0],))
    cheap, dear, between = (solve(model, prices).values[0] for prices in (low, high, middle))
    assert (dear <= between + 1e-9).all()
    assert (between <= cheap + 1e-9).all()
    assert (between <= (1 - share) * cheap + share * dear + 1e-9 * (1 + np.abs(cheap))).all()


def test_at_prices_beyond_reason_silence_is_best_and_demand_falls_with_the_price() -> None:
    model = preset()
    silence = evaluate(model, choices(model, Silence(), Prices(0.0, (0.0,))), Prices(0.0, (0.0,)))
    np.testing.assert_allclose(solve(model, Prices(1e5, (0.0,))).values[0], silence.value)
    asked = []
    for price in (0.0, 1.0, 2.0, 4.0, 8.0, 100.0):
        solution, gamma = solve(model, Prices(20.0, (price,))), model.world.schema.task.gamma
        units = demand(model, solution.choice, model.shares)[:, 0]
        asked.append(float(units @ gamma ** np.array(model.world.schema.task.days)))
    assert asked == sorted(asked, reverse=True)
    assert asked[0] > 1
    assert asked[-1] == 0


def test_demand_is_the_effort_of_the_customers_who_are_left() -> None:
    model, prices = preset(), Prices(20.0, (0.0,))
    choice = choices(model, Random(), prices)
    plain = evaluate(model, choice, prices, gamma=1.0)
    assert demand(model, choice, model.shares).sum() == pytest.approx(model.shares @ plain.effort[:, 0])


def test_the_optimum_reads_the_prices_that_it_is_shown() -> None:
    """One policy for all prices acts as the solution at each; told nothing else, it keeps to its own."""
    model = preset()
    for prices in (Prices(20.0, (0.0,)), Prices(137.0, (1.25,)), Prices(0.0, (7.5,))):
        solution = solve(model, prices)
        shown, own = choices(model, Optimum(model), prices), choices(model, Optimum(model, solution), prices)
        for read, known, best in zip(shown, own, solution.choice, strict=True):
            np.testing.assert_array_equal(read, known)
            np.testing.assert_array_equal(known, best)


def test_where_the_best_is_closed_the_optimum_takes_the_best_of_what_is_left() -> None:
    model, prices = preset(), Prices(20.0, (0.0,))
    solution = solve(model, prices)
    calls = model.world.catalogue.effort[:, 0] > 0
    layer, seen = model.layers[0], model.observation(0, prices)
    closed = layer.allowed & ~calls
    chosen = Optimum(model, solution).probabilities(seen, closed)
    assert (chosen[~closed] == 0).all()
    left = np.where(closed, solution.scores[0], -np.inf)
    np.testing.assert_allclose(left[chosen > 0], left.max(axis=1))
    free = Optimum(model, solution).probabilities(seen, layer.allowed)
    assert (free[:, calls].sum(axis=1) > 0).any()


def test_prices_may_differ_from_decision_to_decision() -> None:
    """With calls dear at the first decision only, they are put off; the same schedule all along changes nothing."""
    model = preset()
    usual = Prices(20.0, (0.0,))
    schedule = Schedule.constant(usual, len(model.layers))
    np.testing.assert_array_equal(solve(model, schedule).values[0], solve(model, usual).values[0])
    dear = schedule.pools.copy()
    dear[0] = 1000.0
    late = demand(model, solve(model, Schedule(20.0, dear)).choice, model.shares)
    assert late[0, 0] == 0
    assert late[1, 0] > 1


def test_the_optimum_decides_in_the_vector_environment() -> None:
    """Learning's environment puts new customers in the place of the ended; the first ones' returns are as expected."""
    model, prices, customers = preset(), Prices(20.0, (0.0,)), 10_000
    solution, gamma = solve(model, prices), model.world.schema.task.gamma
    policy, env = Optimum(model, solution), BankVectorEnv(customers, world=model.world)
    observation, info = env.reset(seed=4)
    _, start = model.locate(observation)
    returns = np.zeros(customers)
    for day in model.world.schema.task.days:
        first = env.simulator.state.customer < customers
        chosen = policy.probabilities(observation, info["action_mask"]).argmax(axis=1)
        observation, reward, _, _, info = env.step(chosen)
        returns += np.where(first, reward, 0.0) * gamma**day
        assert not any(info["blocked_by"])
    off = returns - solution.values[0][start]
    assert abs(off.sum()) < norm.isf(FAMILY / 2) * np.sqrt((off**2).sum())


def test_the_guide_computes_shares_of_optimum_less_silence() -> None:
    """The Python of docs/exact.md runs as it stands, and its myopic rule reaches what the guide's table says."""
    text = (Path(__file__).resolve().parent.parent / "docs" / "exact.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    told: dict[str, Any] = {}
    exec(code, told)
    assert told["reached"]["silence"] == 0
    assert told["reached"]["optimum"] == pytest.approx(1.0)
    row = next(line for line in text.splitlines() if line.startswith("| myopic rule, true heads"))
    assert f"{told['reached']['myopic']:.2f}"[1:] == row.split("|")[3].strip()
    states, pairs = told["model"].states, told["model"].pairs
    assert f"{states:,}\nstates, {pairs:,} pairs" in text
