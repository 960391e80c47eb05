"""Luck is a pure function of seed, customer, day and draw; uniform, strictly inside (0, 1), and of the batch alone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from envs.randomness import Luck, inverse_normal, key_of, normal, seed_word, uniform

NUMBERS = np.arange(200_000)


def luck(seed: int = 1, customers: np.ndarray = NUMBERS, day: int = 20_000) -> Luck:
    return Luck(seed, customers, np.full(customers.shape, day))


def test_a_batch_draws_what_a_kernel_draws_for_one_customer() -> None:
    customers, days = NUMBERS[:50], 20_000 - NUMBERS[:50]
    batch = Luck(-3, customers, days)
    for draw in (0, 7, 9000):
        words = [key_of(seed_word(-3), customer, day) for customer, day in zip(customers, days, strict=True)]
        keys = [np.uint64(word) for word in words]
        assert batch.uniform(draw).tolist() == [uniform(key, draw) for key in keys]
        assert batch.normal(draw).tolist() == [normal(key, draw) for key in keys]


@settings(max_examples=60, deadline=None)
@given(st.floats(2.0**-53, 1 - 2.0**-53))
def test_the_normal_quantile_is_that_of_the_textbook(u: float) -> None:
    assert inverse_normal(u) == pytest.approx(stats.norm.ppf(u), rel=1e-12, abs=1e-15)
    assert inverse_normal(1 - u) == pytest.approx(-inverse_normal(u), rel=1e-9, abs=1e-9) or u < 1e-6 or u > 1 - 1e-6


@pytest.mark.parametrize("draw", [0, 1, 9000])
def test_draws_are_uniform(draw: int) -> None:
    values = luck().uniform(draw)
    assert values.min() > 0
    assert values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_normals_are_normal() -> None:
    values = luck().normal(3)
    assert np.isfinite(values).all()
    assert stats.kstest(values, "norm").pvalue > 0.01


def test_the_days_of_one_customer_are_uniform_too() -> None:
    values = Luck(1, np.full(100_000, 7), np.arange(100_000)).uniform(0)
    assert stats.kstest(values, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 4 / np.sqrt(len(values))


def test_neighbours_in_seed_customer_day_and_draw_are_uncorrelated() -> None:
    first = luck()
    base = first.uniform(0)
    others = {
        "draw": first.uniform(1),
        "far draw": first.uniform(9000),
        "seed": luck(seed=2).uniform(0),
        "day": luck(day=20_001).uniform(0),
        "customer": luck(customers=NUMBERS + 1).uniform(0),
    }
    for name, other in others.items():
        rank = abs(np.corrcoef(base, other)[0, 1])
        assert rank < 4 / np.sqrt(len(NUMBERS)), name
        assert abs(np.corrcoef((base - 0.5) ** 2, (other - 0.5) ** 2)[0, 1]) < 4 / np.sqrt(len(NUMBERS)), name


def test_no_two_of_a_million_draws_are_equal() -> None:
    grid = np.concatenate(
        [luck(seed, np.arange(1000), day).uniform(d) for seed in (0, 1) for day in range(25) for d in range(20)]
    )
    assert len(np.unique(grid)) == len(grid)


@settings(max_examples=60, deadline=None)
@given(st.integers(-(2**70), 2**70), st.lists(st.integers(-5, 2**40), min_size=1, max_size=20), st.randoms())
def test_a_customer_has_the_same_luck_in_every_batch_and_order(seed: int, numbers: list[int], random: object) -> None:
    customers = np.array(numbers)
    days = (customers % 3) - 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together = Luck(seed, customers, days).uniform(5)
    order = list(range(len(numbers)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert (Luck(seed, customers[order], days[order]).uniform(5) == together[order]).all()
    for row in range(len(numbers)):
        assert Luck(seed, customers[row : row + 1], days[row : row + 1]).uniform(5)[0] == together[row]
