"""Bounds by betting: they hold for any bounded amount, at all times together, and narrow as fast as they may."""

from __future__ import annotations

import numpy as np
import pytest

from envs.errors import InputError
from evaluation.betting import Bounded, betting_bounds, confidence_sequence, empirical_bernstein

LOOKS = np.arange(10, 401, 10)


def _amounts(seed: int, n: int, kind: str) -> tuple[np.ndarray, float]:
    """Values in [-2, 8] and their mean."""
    rng = np.random.default_rng(seed)
    if kind == "rare":
        return np.where(rng.random(n) < 0.03, 8.0, 0.0), 0.24
    if kind == "even":
        return rng.uniform(-2, 8, n), 3.0
    return np.full(n, 1.5), 1.5


@pytest.mark.parametrize("kind", ["rare", "even", "constant"])
def test_a_sequence_holds_the_mean_at_every_look(kind: str) -> None:
    missed = 0
    for seed in range(120):
        values, truth = _amounts(seed, 400, kind)
        found = confidence_sequence(Bounded(values, -2.0, 8.0), LOOKS, 0.9)
        missed += bool(((found.lo > truth) | (found.hi < truth)).any())
    assert missed <= 0.1 * 120 + 2 * (120 * 0.1 * 0.9) ** 0.5


def test_looking_every_day_at_an_ordinary_interval_is_another_matter() -> None:
    """The reason for all this: a 90 % interval that is read forty times misses far more often than in one of ten."""
    missed = 0
    for seed in range(120):
        values, truth = _amounts(seed, 400, "even")
        mean = np.cumsum(values)[LOOKS - 1] / LOOKS
        half = 1.645 * np.array([values[:n].std(ddof=1) for n in LOOKS]) / np.sqrt(LOOKS)
        missed += bool((np.abs(mean - truth) > half).any())
    assert missed > 0.3 * 120


def test_bounds_never_widen_and_hold_the_running_mean() -> None:
    values, _ = _amounts(3, 400, "even")
    found = confidence_sequence(Bounded(values, -2.0, 8.0), LOOKS)
    assert (np.diff(found.lo) >= 0).all()
    assert (np.diff(found.hi) <= 0).all()
    assert (found.lo <= found.mean).all()
    assert (found.mean <= found.hi).all()
    assert found.mean[-1] == pytest.approx(values.mean())


def test_for_all_values_at_once_bounds_are_narrower_than_the_sequence_s_and_bernstein_s() -> None:
    values, truth = _amounts(4, 2000, "rare")
    amounts = Bounded(values, -2.0, 8.0)
    lo, hi = betting_bounds(amounts)
    sequence = confidence_sequence(amounts, np.array([500, 1000, 2000]))
    assert lo <= truth <= hi
    assert hi - lo < sequence.hi[-1] - sequence.lo[-1]
    assert lo > empirical_bernstein(amounts, 0.975)


def test_bernstein_by_hand_and_in_the_long_run() -> None:
    values = np.array([0.0, 1.0, 1.0, 0.0])
    told = np.log(2 / 0.05)
    expected = 0.5 - np.sqrt(2 * values.var(ddof=1) * told / 4) - 7 * told / (3 * 3)
    assert empirical_bernstein(Bounded(values, 0.0, 1.0)) == pytest.approx(expected)
    missed = sum(empirical_bernstein(Bounded(_amounts(s, 500, "rare")[0], -2.0, 8.0)) > 0.24 for s in range(200))
    assert missed <= 10


def test_a_value_outside_the_stated_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"values == 8.5 \(row 2\), must be in the stated range \[-2, 8\]"):
        Bounded(np.array([0.0, 8.0, 8.5]), -2.0, 8.0)
    with pytest.raises(InputError, match="must be below `most`"):
        Bounded(np.array([1.0]), 1.0, 1.0)
