"""Intervals: they cover a known truth, share their resamples, and say when they do not exist."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.intervals import estimate_interval, interval, pooled_ratio
from evaluation.moments import Moments
from evaluation.onestep import ips, snips
from evaluation.resampling import COUNT_OF, EXACT, Resamples, resample
from evaluation.sequential import snpdis
from evaluation.terms import mean_of


def test_each_resample_draws_as_many_customers_as_there_are() -> None:
    counts = resample(50, 200, np.random.default_rng(0)).drawn
    assert (counts.sum(axis=1) == 50).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(50), abs=0.3)


def test_many_customers_are_drawn_a_poisson_number_of_times() -> None:
    """More than are drawn exactly: standard errors and the pairing are those of the plain bootstrap."""
    size = EXACT + 5000
    values = np.random.default_rng(1).normal(3.0, 2.0, size)
    resamples = Resamples(size, 1000, 7)
    draws, other = resamples.of_all([mean_of(values), mean_of(values + 1)])
    assert draws.std() == pytest.approx(2.0 / np.sqrt(size), rel=0.08)
    assert draws.mean() == pytest.approx(values.mean(), abs=3 * 2.0 / np.sqrt(size * 1000) + 1e-3)
    assert other - draws == pytest.approx(np.ones(1000))
    assert resamples.of(mean_of(values)) == pytest.approx(draws)
    counts = np.bincount(COUNT_OF) / len(COUNT_OF)
    assert counts[:4] == pytest.approx(np.exp(-1) / np.array([1, 1, 2, 6]), abs=1e-4)


def test_ratios_of_many_customers_keep_the_variance_of_their_normaliser() -> None:
    rng = np.random.default_rng(2)
    weight, size = rng.exponential(size=EXACT + 1), EXACT + 1
    exact, moving = Resamples(size, 200, 3).of_all([snips(weight, np.full(size, 7.0)), ips(weight, np.full(size, 7.0))])
    assert exact == pytest.approx(np.full(200, 7.0))
    assert moving.std() == pytest.approx(7 / np.sqrt(size), rel=0.2)


def test_the_standard_error_is_that_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 2_000)
    found = estimate_interval(mean_of(values), resample(2_000, 1_000, np.random.default_rng(2)))
    assert found.value == pytest.approx(values.mean())
    assert found.se == pytest.approx(values.std() / np.sqrt(2_000), rel=0.1)
    assert found.lo < found.lower < found.value < found.hi


def test_a_paired_difference_cancels_what_is_shared() -> None:
    rng = np.random.default_rng(3)
    shared, resamples = rng.normal(0, 10, 500), resample(500, 500, rng)
    a, b = mean_of(shared + 1), mean_of(shared)
    mine, theirs = resamples.of_all([a, b])
    difference = interval(a.estimate() - b.estimate(), mine - theirs, 0.95, Moments.of(a.influence() - b.influence()))
    assert (difference.value, difference.lo, difference.hi) == pytest.approx((1.0, 1.0, 1.0))
    assert estimate_interval(a, resamples).se > 0.3


def test_a_ratio_keeps_the_variance_of_its_normaliser() -> None:
    """At a constant reward the self-normalised estimate is exact and its interval has no width; IPS has one."""
    weight, resamples = np.random.default_rng(4).exponential(size=300), resample(300, 300, np.random.default_rng(5))
    reward = np.full(300, 7.0)
    exact = estimate_interval(snips(weight, reward), resamples)
    assert (exact.lo, exact.hi) == pytest.approx((7.0, 7.0))
    assert estimate_interval(ips(weight, reward), resamples).se > 0.2


def test_without_support_there_is_no_interval() -> None:
    weight = np.zeros(50)
    weight[0] = 1.0  # one customer in fifty: a third of the resamples miss it
    found = estimate_interval(snips(weight, np.ones(50)), resample(50, 300, np.random.default_rng(6)))
    assert found.value == 1.0
    assert found.undefined == pytest.approx(np.exp(-1), abs=0.1)
    assert np.isnan([found.lo, found.hi, found.lower, found.se]).all()


def test_the_lower_bound_is_one_sided() -> None:
    draws = np.arange(1001) / 1000
    found = interval(0.5, draws, 0.95)
    assert (found.lo, found.hi, found.lower) == pytest.approx((0.025, 0.975, 0.05))


def test_skewed_means_are_missed_less_often_with_corrected_percentiles() -> None:
    """Forty log-normal amounts: plain percentiles end too low, so that the truth lies above them too often."""
    truth, above = float(np.exp(0.5)), {True: 0, False: 0}
    for seed in range(400):
        rng = np.random.default_rng(seed)
        terms, resamples = mean_of(rng.lognormal(0, 1, 40)), resample(40, 400, rng)
        draws = resamples.of(terms)
        for corrects in above:
            found = interval(terms.estimate(), draws, 0.95, Moments.of(terms.influence()) if corrects else None)
            above[corrects] += truth > found.hi
    assert above[True] < 0.8 * above[False]
    assert above[False] > 0.05 * 400  # 2.5 % were asked for


def test_symmetric_means_keep_their_percentiles() -> None:
    values = np.random.default_rng(7).normal(size=2000)
    values = np.concatenate([values, -values])
    terms, resamples = mean_of(values), resample(4000, 2000, np.random.default_rng(8))
    draws = resamples.of(terms)
    plain, found = interval(0.0, draws, 0.95), interval(0.0, draws, 0.95, Moments.of(terms.influence()))
    assert (found.lo, found.hi) == pytest.approx((plain.lo, plain.hi), abs=0.2 * plain.se)


def covered(seed: int) -> bool:
    """One log of a two-step process with a known value: does the 95 % interval of its value cover it?

    Treatments 0 and 1, logged with probability 0.7 and 0.3; the policy takes 1 with probability 0.6. A reward is
    exponential with mean 1 + treatment, so the policy's value is 2 * 1.6.
    """
    rng = np.random.default_rng(seed)
    action = rng.random((400, 2)) < 0.3
    ratio = np.where(action, 0.6 / 0.3, 0.4 / 0.7)
    reward = rng.exponential(1.0 + action)
    found = estimate_interval(snpdis(ratio, reward, np.ones((400, 2))), resample(400, 200, rng))
    return found.lo <= 3.2 <= found.hi


def test_intervals_cover_the_truth() -> None:
    share = np.mean([covered(seed) for seed in range(300)])
    assert 0.915 <= share <= 0.985  # 0.95, three standard errors of 300 trials wide


def test_a_ratio_of_means_covers_its_truth_and_needs_a_denominator() -> None:
    rng, inside = np.random.default_rng(6), 0
    for _ in range(300):
        shared = rng.normal(1.0, 1.0, (1, 400))  # customers; what both have in common
        below = shared + rng.normal(0.0, 0.1, (4, 1)) + rng.normal(0.0, 0.3, (4, 400))  # seeds differ, too
        above = 0.8 * shared + rng.normal(0.0, 0.1, (4, 1)) + rng.normal(0.0, 0.3, (4, 400))
        found = pooled_ratio(above, below)
        inside += found.lo <= 0.8 <= found.hi
    assert 0.92 <= inside / 300 <= 1.0  # on the wide side, see pooled_seeds
    exact = pooled_ratio(0.25 * below, below)
    assert (exact.value, exact.lo, exact.hi) == pytest.approx((0.25, 0.25, 0.25))
    nothing = rng.normal(0.0, 1.0, (4, 400))
    assert np.isnan(pooled_ratio(above, nothing - nothing.mean()).lo)
