"""Moments of influence: they add up, and tell how few customers decide an estimate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.intervals import estimate_interval
from evaluation.moments import Moments
from evaluation.resampling import resample
from evaluation.terms import mean_of


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.integers(1, 39))
def test_moments_of_parts_are_those_of_the_whole(values: list[float], cut: int) -> None:
    moved = np.array(values)
    whole, parts = Moments.of(moved), Moments.of(moved[:cut]) + Moments.of(moved[cut:])
    assert parts.customers == whole.customers
    for name in ("square", "cube", "fourth"):
        size = float((np.abs(moved) ** 4).sum()) + 1
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), abs=1e-12 * size)


def test_the_error_is_that_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 500)
    assert Moments.of(values - values.mean()).error == pytest.approx(values.std(ddof=1) / np.sqrt(500))


def test_a_normal_mean_has_one_degree_of_freedom_less_than_customers() -> None:
    values = np.random.default_rng(1).normal(size=200_000)
    assert Moments.of(values - values.mean()).freedom == pytest.approx(199_999, rel=0.05)


@pytest.mark.parametrize("few", [5, 20, 80])
def test_where_few_count_there_are_twice_as_many_degrees_of_freedom(few: int) -> None:
    """The same amount for each of a few, nothing for the other thousands: a chi-squared of twice their number."""
    moved = np.zeros(100_000)
    moved[:few] = 1.0
    assert Moments.of(moved - moved.mean()).freedom == pytest.approx(2 * few, rel=0.02)


def test_the_degrees_of_freedom_tell_how_much_the_variance_varies() -> None:
    """By definition: the variance of an estimated variance is 2 / freedom of its square; amounts are exponential."""
    rng = np.random.default_rng(2)
    found = rng.exponential(size=(4_000, 300)).var(axis=1, ddof=1)
    one = rng.exponential(size=1_000_000)
    wide = Moments.of(one - one.mean())
    told = Moments(300, *(float(m * 300 / wide.customers) for m in (wide.square, wide.cube, wide.fourth))).freedom
    assert told == pytest.approx(2 * found.mean() ** 2 / found.var(), rel=0.1)


def test_an_estimate_that_nobody_moves_has_no_end_of_them() -> None:
    assert Moments.of(np.zeros(10)).freedom == np.inf


def test_intervals_of_rare_amounts_cover() -> None:
    """Two customers in a hundred bring an exponential amount: some twenty of a thousand."""
    covered, beyond = 0, 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        amount = np.where(rng.random(1_000) < 0.02, rng.exponential(size=1_000), 0.0)
        found = estimate_interval(mean_of(amount), resample(1_000, 400, rng))
        covered += found.lo <= 0.02 <= found.hi
        beyond += found.lower > 0.02
    assert 0.925 <= covered / 400 <= 0.98  # two standard errors of 400 logs
    assert beyond / 400 <= 0.075
