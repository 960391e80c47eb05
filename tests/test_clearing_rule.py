"""Dual ascent finds the prices of a day: as the linear programme does, within the box, with complementary slackness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.clearing import AscentRule, ascend, paced, smoothed, uncleared
from agents.clearing_oracle import assign, clear, dual_value

HIGH = 20.0


def day(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A day of some dozens or hundreds of customers: values, efforts, capacities."""
    rng = np.random.default_rng(seed)
    customers, pools, treatments = (int(rng.integers(*span)) for span in ((40, 500), (1, 4), (2, 8)))
    effort = np.vstack([np.zeros(pools), rng.integers(0, 4, (treatments, pools)) * 5.0])
    value = np.hstack(
        [np.zeros((customers, 1)), rng.normal(0, 10, (customers, treatments)) + effort[1:].sum(axis=1) / 2]
    )
    value[:, 1:][rng.random((customers, treatments)) < 0.2] = -np.inf
    free = effort[value.argmax(axis=1)].sum(axis=0)
    return value, effort, np.maximum(free * rng.uniform(0.05, 1.2, pools), 5.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_ascent_comes_close_to_the_linear_programme(seed: int) -> None:
    """At its prices the dual is at most .5 % above the optimum."""
    value, effort, capacity = day(seed)
    best, found = assign(value, effort, capacity), clear(value, effort, capacity, np.full(len(capacity), HIGH))
    bound = dual_value(value, effort, capacity, found.prices)
    assert bound >= best.value - 1e-6 * abs(best.value)
    assert bound <= best.value * 1.005 + 0.1
    assert (found.prices >= 0).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_whole_customers_are_worth_no_more_than_shares_of_them(seed: int) -> None:
    """And with as few fractional customers as there are pools, hardly less."""
    value, effort, capacity = day(seed)
    shares, whole = assign(value, effort, capacity), assign(value, effort, capacity, whole=True)
    assert whole.value <= shares.value + 1e-6
    np.testing.assert_allclose(shares.shares.sum(axis=1), 1)
    assert (effort.T @ whole.shares.sum(axis=0) <= capacity + 1e-6).all()
    assert whole.value >= shares.value - len(capacity) * value.max()


def test_by_hand() -> None:
    """Three customers for one call: it goes to whom it is worth most, at a price between the first and the second."""
    value = np.array([[0.0, 9.0], [0.0, 5.0], [0.0, 2.0]])
    effort, capacity = np.array([[0.0], [1.0]]), np.array([1.0])
    best = assign(value, effort, capacity)
    assert best.value == pytest.approx(9)
    np.testing.assert_allclose(best.shares[:, 1], [1, 0, 0], atol=1e-9)
    found = clear(value, effort, capacity, np.array([HIGH]))
    assert 5 <= found.prices[0] <= 9
    assert found.demand == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 20), st.floats(0.05, 3)), min_size=1, max_size=4),
    st.floats(0, 5),
    st.floats(0.5, 2),
)
def test_complementary_slackness(pools: list[tuple[float, float]], start: float, high: float) -> None:
    """Smooth demand a x exp(-k price): it ends where demand is the capacity, or at an end of the box."""
    at_nothing, slope = np.array(pools).T
    size, top = len(pools), np.full(len(pools), high)
    found = ascend(lambda p: at_nothing * np.exp(-slope * p), np.ones(size), np.full(size, start), top)
    assert ((found.prices >= 0) & (found.prices <= high)).all()
    exact = np.clip(np.log(at_nothing) / slope, 0, high)
    asked = at_nothing * np.exp(-slope * found.prices)
    inner = (exact > 1e-3 * high) & (exact < high * 0.999)
    np.testing.assert_allclose(asked[inner], 1, atol=0.03)
    assert (found.prices[at_nothing < 0.97] < 0.02 * high).all()
    assert (found.short() == ((exact == high) & (at_nothing * np.exp(-slope * high) > 1.01))).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1.05, 3.0))
def test_more_capacity_never_costs_more(seed: int, more: float) -> None:
    """One pool: a higher capacity never raises the price beyond the search's tolerance."""
    value, effort, capacity = day(seed)
    effort, capacity = effort[:, :1], capacity[:1]
    less = clear(value, effort, capacity, np.array([HIGH])).prices[0]
    assert clear(value, effort, capacity * more, np.array([HIGH])).prices[0] <= less + 0.02 * HIGH


def test_one_contact_too_many_clears_if_it_may() -> None:
    """Ten customers alike ask for all or nothing: with a lump of what they ask for, their price clears at once."""
    alike = AscentRule(iterations=30)
    asked = lambda p: np.where(p < 1.0, 10.0, 0.0)  # noqa: E731
    never = ascend(asked, np.array([5.0]), np.zeros(1), np.array([2.0]), rule=alike)
    assert len(never.path) > 1
    assert never.prices[0] == pytest.approx(1.0, abs=0.05)
    assert never.demand[0] == pytest.approx(5.0, rel=0.35)  # told different prices, about half of them ask
    once = ascend(asked, np.array([5.0]), np.zeros(1), np.array([2.0]), lump=5.0, rule=alike)
    assert (once.evaluations, len(once.path)) == (1, 1)


def test_customers_are_told_the_prices_of_the_path() -> None:
    never = ascend(lambda p: np.where(p < 1.0, 10.0, 0.0), np.array([5.0]), np.zeros(1), np.array([2.0]))
    told = never.told(np.linspace(0, 1, 5000, endpoint=False))
    assert told.shape == (5000, 1)
    assert set(told[:, 0]) == set(never.path[:, 0])
    assert told.mean() == pytest.approx(never.prices[0], abs=1e-3)


def test_a_stock_is_spread_over_the_days_that_are_left() -> None:
    left, stock = np.array([60.0, 60.0]), np.array([False, True])
    np.testing.assert_allclose(paced(left, stock, 6), [60, 10])
    prices, yesterday = np.array([3.0, 3.0]), np.array([1.0, 1.0])
    np.testing.assert_allclose(smoothed(prices, yesterday, stock, 0, 90), [3, 3])
    np.testing.assert_allclose(smoothed(prices, yesterday, stock, 20, 90), [3, 1 + 2 / 7])
    np.testing.assert_allclose(smoothed(prices, yesterday, stock, 89, 1), [3, 3])


def test_an_end_of_the_box_excuses_what_lies_beyond_it() -> None:
    low, high = np.zeros(4), np.ones(4)
    demand, prices = np.array([0.5, 0.5, 2.0, 2.0]), np.array([0.0, 0.5, 1.0, 0.5])
    np.testing.assert_allclose(uncleared(demand, np.ones(4), prices, low, high), [0, -0.5, 0, 1])
