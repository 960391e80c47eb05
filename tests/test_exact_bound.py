"""The Lagrangian bound holds: over brute force for two customers, over every policy that keeps to the capacity."""

from __future__ import annotations

import numpy as np
import pytest
from exact_kit import preset, small
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.exact import Schedule, demand, evaluate, solve
from agents.exact_bound import capacities, lagrangian_bound
from agents.exact_joint import joint_optimum
from envs.errors import InputError
from envs.exact import ExactModel
from envs.prices import Prices

CLOSED = ("app_push", "sms")  # calls alone: few enough states for two customers at once
CALL = 6.0  # minutes


def two(model: ExactModel, first: int, second: int) -> np.ndarray:
    """Two customers, by their states. -> (states,) numbers."""
    return np.bincount([first, second], minlength=len(model.shares)).astype(np.float64)


def asked_at(model: ExactModel, schedule: Schedule) -> np.ndarray:
    """Demand of the optimum at some prices. -> (decisions, pools) units per customer."""
    return demand(model, solve(model, schedule).choice, model.shares)


def earned_at(model: ExactModel, schedule: Schedule) -> float:
    """What the optimum at some prices brings when pools cost nothing, per customer."""
    free = Schedule(schedule.annoyance, np.zeros_like(schedule.pools))
    return float(model.shares @ evaluate(model, solve(model, schedule).choice, free).value)


@settings(max_examples=25, deadline=None)
@given(
    first=st.integers(0, 11), second=st.integers(0, 11), annoyance=st.floats(0, 200), units=st.sampled_from([1, 1.5, 2])
)
def test_no_two_customers_together_are_worth_more_than_their_bound(
    first: int, second: int, annoyance: float, units: float
) -> None:
    """One call a day for two customers (or one and a half, or two) by brute force, against both bounds."""
    model = small(3, CLOSED)
    capacity = np.full((3, 1), units * CALL)
    best = joint_optimum(model, capacity, annoyance)[first, second]
    loose = lagrangian_bound(model, two(model, first, second), capacity, annoyance)
    tight = lagrangian_bound(model, two(model, first, second), capacity, annoyance, by_day=True)
    slack = 1e-5 * (1 + abs(best))
    assert best <= tight.value + slack
    assert tight.value <= loose.value + slack
    alone = solve(model, Prices(annoyance, (0.0,))).values[0]
    assert loose.value <= alone[first] + alone[second] + slack
    assert best <= alone[first] + alone[second] + slack


def test_with_room_for_everybody_the_bound_is_the_optimum() -> None:
    model = small(3, CLOSED)
    capacity = np.full((3, 1), 2 * CALL)
    alone = solve(model, Prices(20.0, (0.0,))).values[0]
    joint = joint_optimum(model, capacity, 20.0)
    np.testing.assert_allclose(joint, alone[:, None] + alone, rtol=1e-12)
    bound = lagrangian_bound(model, two(model, 4, 5), capacity, 20.0, by_day=True)
    assert bound.value == pytest.approx(joint[4, 5])
    assert (bound.prices == 0).all()


def test_without_room_for_a_call_brute_force_and_bound_are_silence() -> None:
    model = small(3, CLOSED)
    joint = joint_optimum(model, np.full((3, 1), 0.5 * CALL), 20.0)
    silent = solve(model, Prices(20.0, (1e6,))).values[0]
    np.testing.assert_allclose(joint, silent[:, None] + silent, rtol=1e-12)


def test_the_gap_to_brute_force_is_small_by_day_and_shrinks_with_more_capacity() -> None:
    """Two customers with one call a day lose at most a twentieth between bound and optimum; what is lost is known."""
    model, gaps = small(3, CLOSED), []
    joint = joint_optimum(model, np.full((3, 1), CALL), 20.0)
    for first in range(12):
        for second in range(first, 12):
            bound = lagrangian_bound(model, two(model, first, second), np.full((3, 1), CALL), 20.0, by_day=True)
            gaps.append((bound.value - joint[first, second]) / bound.value)
    assert min(gaps) > -1e-6
    assert np.median(gaps) < 0.05


@pytest.mark.parametrize("by_day", [False, True])
def test_mixing_the_policies_met_on_the_way_meets_the_capacity_on_average_and_reaches_the_bound(by_day: bool) -> None:
    model = preset()
    capacity, discount = capacities(model, 1.0), model.world.schema.task.gamma ** np.array(model.world.schema.task.days)
    bound = lagrangian_bound(model, model.shares, capacity, 20.0, by_day=by_day)
    assert bound.reached <= bound.value
    assert bound.left < 1e-5
    assert sum(share for share, _ in bound.mixture) == pytest.approx(1.0)
    mixed = sum(share * asked_at(model, schedule) for share, schedule in bound.mixture)
    np.testing.assert_allclose(mixed, bound.demand, rtol=1e-6, atol=1e-9)
    earned = sum(share * earned_at(model, schedule) for share, schedule in bound.mixture)
    assert earned == pytest.approx(bound.reached, rel=1e-5)  # value of the mixture, no pool charged
    room, asked = discount[:, None] * capacity, discount[:, None] * bound.demand
    if by_day:
        assert (asked <= room * (1 + 1e-6)).all()
        held = (bound.prices * (room - asked)).sum()
    else:
        assert asked.sum() <= room.sum() * (1 + 1e-6)
        held = bound.prices[0, 0] * (room - asked).sum()
    assert held == pytest.approx(0, abs=1e-4 * bound.value)  # a pool with a price is used up


def test_any_prices_give_a_bound_and_the_search_finds_the_least() -> None:
    model = preset()
    capacity, task = capacities(model, 1.0, 0.5), model.world.schema.task
    least = lagrangian_bound(model, model.shares, capacity, 20.0)
    for price in np.linspace(0, 4, 9):
        prices = Schedule.constant(Prices(20.0, (price,)), len(task.days))
        paid = (task.gamma ** np.array(task.days)[:, None] * prices.pools * capacity).sum()
        assert model.shares @ solve(model, prices).values[0] + paid >= least.value - 1e-9
    spent = evaluate(model, solve(model, least.schedule).choice, least.schedule)
    assert model.shares @ spent.value <= least.value


def test_the_bound_grows_with_capacity_and_scales_with_the_population() -> None:
    model = small(4)
    values = [
        lagrangian_bound(model, model.shares, capacities(model, 1.0, share), 20.0, by_day=True).value
        for share in (0.5, 1.0, 30.0)
    ]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(model.shares @ solve(model, Prices(20.0, (0.0,))).values[0])
    many = lagrangian_bound(model, 5000 * model.shares, capacities(model, 5000.0), 20.0, by_day=True)
    assert many.value == pytest.approx(5000 * values[1], rel=1e-5)


def test_a_pool_without_capacity_is_refused_and_so_is_brute_force_at_large() -> None:
    with pytest.raises(InputError, match=r"capacity == 0.0, must be above 0"):
        lagrangian_bound(small(3, CLOSED), small(3, CLOSED).shares, np.zeros((3, 1)), 20.0)
    with pytest.raises(InputError, match="must be at most 6000 for brute force"):
        joint_optimum(preset(), np.full((8, 1), CALL), 20.0)
