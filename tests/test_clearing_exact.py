"""Prices of the exact preset by dual ascent: the Lagrangian bound's, near enough, and fewer where there is more."""

from __future__ import annotations

import numpy as np
import pytest
from exact_kit import preset, small

from agents.baselines import Silence
from agents.clearing import AscentRule
from agents.exact import Optimum, choices, evaluate, solve
from agents.exact_bound import capacities, lagrangian_bound
from agents.exact_prices import Scheduled, planned
from envs.prices import Prices

CUSTOMERS, USUAL = 10_000, 20.0


@pytest.mark.parametrize(
    ("decisions", "share"),
    [(4, 1.0), (4, 0.25), pytest.param(8, 1.0, marks=pytest.mark.slow), pytest.param(8, 0.25, marks=pytest.mark.slow)],
)
def test_the_ascent_finds_the_prices_of_the_bound(decisions: int, share: float) -> None:
    """The dual at its prices lies within .5 % of the gain above the least there is, the prices within a twentieth."""
    model = preset() if decisions == 8 else small(decisions)
    customers, capacity = model.shares * CUSTOMERS, capacities(model, CUSTOMERS, share)
    plan = planned(model, customers, capacity, USUAL)
    bound = lagrangian_bound(model, customers, capacity, USUAL, by_day=True, tolerance=1e-4)
    free = Prices(USUAL, (0.0,))
    silence = float(customers @ evaluate(model, choices(model, Silence(), free), free).value)
    assert bound.value * (1 - 1e-4) <= plan.bound <= bound.value + 0.005 * (bound.value - silence)
    np.testing.assert_allclose(plan.cleared.prices, bound.prices, rtol=0.05, atol=0.05)
    np.testing.assert_allclose(plan.cleared.demand / capacity, 1, atol=0.2)


def test_where_there_is_enough_nothing_costs() -> None:
    model = small(4)
    plan = planned(model, model.shares * CUSTOMERS, capacities(model, CUSTOMERS, 100.0), USUAL)
    assert (plan.cleared.prices == 0).all()
    free = float(model.shares @ solve(model, Prices(USUAL, (0.0,))).values[0]) * CUSTOMERS
    assert plan.bound == pytest.approx(free)


def test_the_schedule_is_read_off_the_price() -> None:
    """Told one constant price it decides as the optimum does; told one of two schedules it decides as that one does."""
    model = small(4)
    rule = AscentRule(rounds=2, iterations=8)
    plan = planned(model, model.shares * CUSTOMERS, capacities(model, CUSTOMERS, 0.5), USUAL, rule)
    first, last = plan.schedules[0], plan.schedules[-1]
    policy = Scheduled(model, (first, last))
    for schedule in (first, last):
        for step in (0, 1, 3):
            observation = model.observation(step, schedule.at(step))
            mask = model.layers[step].allowed
            said = policy.probabilities(observation, mask)
            alone = Optimum(model, solve(model, schedule)).probabilities(observation, mask)
            np.testing.assert_array_equal(said, alone)
