"""Scores and forecasts: each formula against its definition, on numbers that can be worked out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit, ndtr
from scipy.stats import lognorm, norm

from evaluation.resampling import resample
from training.fidelity_frailty import filtered
from training.fidelity_scores import LEVELS, crps_lognormal, crps_quantiles, log_loss, mean_score, score_ratio
from training.glm import Rows

positive = st.floats(0.05, 50.0)


def test_log_loss_of_a_coin_is_log_two_and_certainty_costs_nothing_when_right() -> None:
    assert log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx([np.log(2)] * 2)
    assert log_loss(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == pytest.approx([0.0, 0.0], abs=1e-9)


@given(positive, positive, st.floats(0.1, 1.5))
@settings(max_examples=40, deadline=None)
def test_crps_of_a_lognormal_is_the_integral_of_its_definition(y: float, mean: float, sigma: float) -> None:
    mu = np.log(mean) - sigma**2 / 2

    def squared(x: float) -> float:
        return float((ndtr((np.log(x) - mu) / sigma) - (x >= y)) ** 2)

    top = float(np.exp(mu + 9 * sigma))
    edges = sorted({1e-9, y, max(top, y)} | set(np.exp(mu + sigma * np.arange(-8, 9)).tolist()))
    integral = sum(quad(squared, a, b)[0] for a, b in itertools.pairwise(edges) if b > a)
    assert crps_lognormal(np.array([y]), np.array([mean]), sigma)[0] == pytest.approx(integral, rel=1e-3, abs=1e-5)


@given(positive, positive, st.floats(0.1, 1.0))
@settings(max_examples=40, deadline=None)
def test_two_hundred_quantiles_stand_for_a_distribution(y: float, mean: float, sigma: float) -> None:
    quantiles = mean * np.exp(sigma * norm.ppf(LEVELS) - sigma**2 / 2)
    exact = crps_lognormal(np.array([y]), np.array([mean]), sigma)[0]
    assert crps_quantiles(np.array([y]), quantiles[None])[0] == pytest.approx(exact, rel=0.02, abs=0.003 * mean)


def test_the_true_distribution_has_the_smallest_crps() -> None:
    rng = np.random.default_rng(0)
    y = lognorm(0.7, scale=2.0).rvs(20_000, random_state=rng)
    mean = np.full(len(y), 2.0 * np.exp(0.7**2 / 2))
    right = crps_lognormal(y, mean, 0.7).mean()
    for other in (crps_lognormal(y, 1.3 * mean, 0.7), crps_lognormal(y, mean, 0.4), crps_lognormal(y, mean, 1.2)):
        assert other.mean() > right


def test_the_ratio_of_a_score_with_itself_is_one_and_of_twice_it_is_two() -> None:
    rng = np.random.default_rng(1)
    score, weight, customer = rng.random(60), rng.random(60) + 0.5, np.repeat(np.arange(20), 3)
    draws = resample(20, 200, rng)
    one, two = (score_ratio(k * score, score, weight, customer, draws, 0.95) for k in (1, 2))
    assert (one.value, one.lo, one.hi) == pytest.approx((1, 1, 1))
    assert (two.value, two.lo, two.hi) == pytest.approx((2, 2, 2))
    assert mean_score(score, weight) == pytest.approx((score * weight).sum() / weight.sum())


def _rows(y: np.ndarray, customer: np.ndarray) -> Rows:
    return Rows(y, np.ones(len(y)), np.ones(len(y)), customer)


@pytest.mark.parametrize("link", ["logit", "rate"])
def test_a_forecast_is_the_conditional_probability_of_the_random_effects_model(link: str) -> None:
    sigma, eta, y = 0.9, np.array([-0.4, 0.3, -1.0]), np.array([1.0, 0.0, 1.0])
    rows, at = _rows(y, np.zeros(3, np.int64)), np.array([1, 2, 3])

    def p(k: int, u: float) -> float:
        x = eta[k] + sigma * u
        return float(expit(x) if link == "logit" else -np.expm1(-np.exp(x)))

    def both(count: int) -> float:
        """Probability of the first `count` answers, the effect integrated out."""

        def each(u: float) -> float:
            return float(norm.pdf(u) * np.prod([p(k, u) if y[k] else 1 - p(k, u) for k in range(count)]))

        return float(quad(each, -8, 8)[0])

    out = filtered(link, eta, sigma, rows, np.ones(3), at)  # type: ignore[arg-type]
    forecast = expit(out) if link == "logit" else -np.expm1(-np.exp(out))
    chance = [both(1), both(2) / both(1), both(3) / both(2)]
    expected = [c if happened else 1 - c for c, happened in zip(chance, y, strict=True)]
    assert forecast == pytest.approx(expected, abs=1e-4)


def test_forecasts_do_not_depend_on_other_customers_or_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(2)
    customer, at = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)
    y, eta = (rng.random(24) < 0.4).astype(float), rng.normal(size=24)
    whole = filtered("logit", eta, 0.8, _rows(y, customer), np.ones(24), at)
    own = customer == 3
    alone = filtered("logit", eta[own], 0.8, _rows(y[own], customer[own]), np.ones(4), at[own])
    mixed = rng.permutation(24)
    again = filtered("logit", eta[mixed], 0.8, _rows(y[mixed], customer[mixed]), np.ones(24), at[mixed])
    assert whole[own] == pytest.approx(alone)
    assert again == pytest.approx(whole[mixed])
