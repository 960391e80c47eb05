"""The estimator behind calibration: known coefficients come back, and their standard errors are honest."""

from __future__ import annotations

import numpy as np
import pytest

from training.glm import Link, Rows, by_customer, fit, log_likelihood, scaling, score_z, solve, spread

N = 6000
TRUE = np.array([-0.7, 0.8, -0.5])


def rows(y: np.ndarray, days: np.ndarray | float = 1.0, customer: np.ndarray | None = None) -> Rows:
    n = len(y)
    days = np.broadcast_to(np.asarray(days, float), (n,)).copy()
    return Rows(np.asarray(y, float), days, np.ones(n), np.arange(n) if customer is None else customer)


def columns(rng: np.random.Generator, n: int = N) -> np.ndarray:
    return np.column_stack([np.ones(n), rng.normal(3.0, 1.0, n), rng.random(n) < 0.3]).astype(float)


def drawn(link: Link, x: np.ndarray, rng: np.random.Generator) -> Rows:
    eta, n = x @ TRUE - 1.5, len(x)
    if link == "logit":
        return rows(rng.random(n) < 1 / (1 + np.exp(-eta)))
    if link == "rate":
        days = rng.integers(1, 8, n).astype(float)
        return rows(rng.random(n) < -np.expm1(-days * np.exp(eta)), days)
    return rows(np.exp(eta + 0.6 * rng.normal(size=n) - 0.6**2 / 2))


@pytest.mark.parametrize("link", ["logit", "rate", "lognormal"])
def test_coefficients_come_back_within_their_standard_errors(link: Link) -> None:
    rng = np.random.default_rng(1)
    x = columns(rng)
    found = fit(x, drawn(link, x, rng), link, np.zeros(3))
    z = (found.beta - (TRUE - [1.5, 0, 0])) / found.se
    assert np.abs(z).max() < 3.5
    assert found.se.max() < 0.25
    if link == "lognormal":
        assert found.sigma == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize("link", ["logit", "rate", "lognormal"])
def test_standard_errors_cover_at_their_rate(link: Link) -> None:
    rng, inside = np.random.default_rng(2), []
    for _ in range(200):
        x = columns(rng, 500)
        found = fit(x, drawn(link, x, rng), link, np.zeros(3))
        inside.append(np.abs(found.beta[1] - TRUE[1]) < 1.96 * found.se[1])
    assert 0.90 <= np.mean(inside) <= 0.99


def test_a_model_of_the_constant_alone_gives_the_base_rate() -> None:
    y = np.array([1.0, 0, 0, 0, 1])
    one = np.ones((5, 1))
    assert fit(one, rows(y), "logit", np.zeros(1)).beta[0] == pytest.approx(np.log(0.4 / 0.6))
    assert fit(one, rows(y, 2.0), "rate", np.zeros(1)).beta[0] == pytest.approx(np.log(-np.log(0.6) / 2))
    amounts = np.array([1.0, 10.0, 100.0, 5.0, 4.0])
    assert fit(one, rows(amounts), "lognormal", np.zeros(1)).beta[0] == pytest.approx(np.log(24.0))


def test_a_weight_of_two_is_the_row_twice() -> None:
    rng = np.random.default_rng(3)
    x = columns(rng, 400)
    r = drawn("logit", x, rng)
    twice = np.r_[np.arange(400), np.arange(100)]
    weight = np.where(np.arange(400) < 100, 2.0, 1.0)
    weighted = fit(x, Rows(r.y, r.days, weight, r.customer), "logit", np.ones(3) * [0, 1, 1])
    doubled = fit(x[twice], r.take(twice), "logit", np.ones(3) * [0, 1, 1])
    np.testing.assert_allclose(weighted.beta, doubled.beta, rtol=1e-6)
    np.testing.assert_allclose(weighted.se, doubled.se, rtol=1e-6)


def test_rows_of_one_customer_count_as_one_when_they_say_the_same() -> None:
    rng = np.random.default_rng(4)
    x = columns(rng, 300)
    r = drawn("logit", x, rng)
    ten = np.repeat(np.arange(300), 10)
    alone, copied = fit(x, r, "logit", np.zeros(3)), fit(x[ten], r.take(ten), "logit", np.zeros(3))
    np.testing.assert_allclose(alone.beta, copied.beta, rtol=1e-6)
    np.testing.assert_allclose(alone.se, copied.se, rtol=1e-6)


def test_ridge_shrinks_standardised_coefficients_but_not_the_constant() -> None:
    rng = np.random.default_rng(5)
    x = columns(rng)
    r = drawn("logit", x, rng)
    hard = fit(x, r, "logit", np.array([0, 1e9, 1e9]))
    assert np.abs(hard.beta[1:]).max() < 1e-4
    assert hard.beta[0] == pytest.approx(np.log(r.y.mean() / (1 - r.y.mean())), abs=1e-3)
    scaled = x * [1, 1000, 1]
    stretched = fit(scaled, r, "logit", np.array([0.0, 5, 5]))
    plain = fit(x, r, "logit", np.array([0.0, 5, 5]))
    assert stretched.beta[1] * 1000 == pytest.approx(plain.beta[1])


def test_a_perfectly_separated_response_stays_finite_under_ridge() -> None:
    x = np.column_stack([np.ones(50), np.arange(50.0)])
    found = fit(x, rows(np.arange(50) >= 25), "rate", np.array([0, 1.0]))
    assert np.isfinite(found.beta).all()
    assert found.beta[1] > 0


def test_refitting_from_nearby_reaches_the_same_place() -> None:
    rng = np.random.default_rng(6)
    x = columns(rng)
    r = drawn("rate", x, rng)
    found = fit(x, r, "rate", np.array([0, 1.0, 1]))
    again = solve(x, r, "rate", np.array([0, 1.0, 1]), found.beta + 0.1, 8)
    np.testing.assert_allclose(again.beta, found.beta, rtol=1e-5)


def test_log_likelihoods_by_hand() -> None:
    assert log_likelihood("logit", np.zeros(1), rows(np.ones(1)))[0] == pytest.approx(np.log(0.5))
    rate = log_likelihood("rate", np.log([0.1, 0.1]), rows(np.array([1.0, 0]), 3.0))
    np.testing.assert_allclose(rate, [np.log(1 - np.exp(-0.3)), -0.3])
    from scipy.stats import lognorm

    got = log_likelihood("lognormal", np.log([2.0]), rows(np.array([1.3])), sigma=0.5)
    assert got[0] == pytest.approx(lognorm(s=0.5, scale=2 * np.exp(-0.125)).logpdf(1.3))


def test_sigma_maximises_the_likelihood() -> None:
    rng = np.random.default_rng(7)
    r = rows(np.exp(rng.normal(1, 0.8, 500)))
    eta = np.full(500, 1.2)
    best = spread(r, eta)
    there, above, below = (log_likelihood("lognormal", eta, r, best * k).sum() for k in (1, 1.02, 0.98))
    assert there > max(above, below)


def test_sums_by_customer_and_scales_by_hand() -> None:
    np.testing.assert_array_equal(by_customer(np.array([1.0, 2, 4]), np.array([7, 3, 7])), [2, 5])
    scale = scaling(np.array([[1.0, 2], [1, 4]]), np.array([1.0, 1]))
    np.testing.assert_array_equal(scale.center, [0, 3])
    np.testing.assert_array_equal(scale.scale, [1, 1])


def test_the_score_finds_the_column_that_matters() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(2000, 5))
    y = (rng.random(2000) < 1 / (1 + np.exp(-x[:, 3]))).astype(float)
    z = score_z(x, y - y.mean(), np.full(2000, y.mean() * (1 - y.mean())), np.ones(2000))
    assert z.argmax() == 3
    assert np.delete(z, 3).max() < 4
