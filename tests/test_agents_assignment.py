"""Budgeted assignment: the program against brute force, duality, and budgets that hold."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import CATALOGUE, small_world

from agents.assignment import BudgetedAssignment, assign
from agents.levers import Levers
from envs.expectation import Expectation, Expected
from envs.prices import Prices
from envs.world import World
from evaluation.simulation import simulate

CUSTOMERS, TREATMENTS = 5, 4


def drawn(seed: int, budgets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    value = rng.normal(2, 3, (CUSTOMERS, TREATMENTS))
    value[:, 0] = 0.0
    value[rng.random(value.shape) < 0.2] = -np.inf
    value[:, 0] = 0.0
    use = rng.uniform(0, 1, (CUSTOMERS, TREATMENTS, budgets))
    use[:, 0] = 0.0
    return value, use, rng.uniform(0.2, 2.0, budgets)


def brute_force(value: np.ndarray, use: np.ndarray, budget: np.ndarray) -> float:
    """The best choice of one treatment each that keeps to the budgets."""
    rows, best = np.arange(CUSTOMERS), 0.0
    for choice in itertools.product(range(TREATMENTS), repeat=CUSTOMERS):
        kept = (use[rows, list(choice)].sum(axis=0) <= budget + 1e-12).all()
        best = max(best, float(value[rows, list(choice)].sum())) if kept else best
    return best


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2))
def test_the_program_bounds_brute_force_and_is_off_by_a_few_customers(seed: int, budgets: int) -> None:
    value, use, budget = drawn(seed, budgets)
    found, best = assign(value, use, budget), brute_force(value, use, budget)
    assert found.value >= best - 1e-9
    whole = np.where(found.shares > 1 - 1e-9, value, 0.0)
    fractional = ((found.shares > 1e-9) & (found.shares < 1 - 1e-9)).any(axis=1).sum()
    assert fractional <= budgets  # a vertex: one customer per budget is divided
    assert np.where(np.isfinite(whole), whole, 0.0).sum() <= best + 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_prices_are_the_lagrangian_optimum(seed: int, budgets: int) -> None:
    """Strong duality: sum of everybody's best at these prices + prices x budget = the optimum."""
    value, use, budget = drawn(seed, budgets)
    found = assign(value, use, budget)
    assert (found.prices >= -1e-12).all()
    alone = np.maximum((value - use @ found.prices).max(axis=1), 0.0).sum()
    assert alone + found.prices @ budget == pytest.approx(found.value, abs=1e-7)
    assert ((use * found.shares[:, :, None]).sum(axis=(0, 1)) <= budget + 1e-9).all()


def test_without_scarcity_everybody_has_the_best_and_prices_are_nothing() -> None:
    value, use, _ = drawn(3, 2)
    found = assign(value, use, np.array([100.0, 100.0]))
    assert found.value == pytest.approx(np.maximum(value.max(axis=1), 0).sum())
    assert found.value == pytest.approx(brute_force(value, use, np.array([100.0, 100.0])))
    np.testing.assert_allclose(found.prices, 0)


def test_nothing_worth_doing_is_silence() -> None:
    found = assign(np.array([[0.0, -1.0], [0.0, -np.inf]]), np.ones((2, 2, 1)), np.array([1.0]))
    assert found.value == 0
    assert not found.shares.any()


@dataclass(frozen=True)
class Heads:
    """The engine of a world whose heads are known."""

    world: World

    def expected(self, observation: np.ndarray, mask: np.ndarray) -> Expected:
        return Expectation(self.world)(observation)


def test_the_budget_of_annoyance_holds_day_by_day_and_more_of_it_gains_more() -> None:
    world, free = small_world(churned=None, churned_value=None), Prices(0.0, (0.0,))
    profits = []
    for budget in (0.01, 0.05, 0.2):
        policy = BudgetedAssignment(Heads(world), world.encoder, budget)
        run = simulate(world, policy, np.arange(1500), 10, seed=1, prices=free)
        expected = run.annoyance.mean() / 10
        assert expected < 1.25 * budget + 0.005  # the heads' expectation holds; what comes out is luck around it
        profits.append(run.profit.mean())
    assert profits[0] < profits[1] < profits[2]


def test_pools_have_budgets_and_levers_act() -> None:
    world, free = small_world(churned=None, churned_value=None), Prices(0.0, (0.0,))
    open_policy = BudgetedAssignment(Heads(world), world.encoder, 1.0)
    scarce = BudgetedAssignment(Heads(world), world.encoder, 1.0, pools=(0.2,))
    wide, narrow = (simulate(world, p, np.arange(1000), 6, seed=1, prices=free) for p in (open_policy, scarce))
    assert narrow.effort.sum() < 0.5 * wide.effort.sum()
    assert narrow.effort.mean() / 6 <= 1.25 * 0.2  # its price is known from half of the customers
    quiet = open_policy.dialled(Levers(contact=1e6), 1.0)
    assert simulate(world, quiet, np.arange(100), 3, seed=1, prices=free).contacts.sum() == 0
    assert len(CATALOGUE.pools) == 1
