"""Customers' effects: the integral is right, sigma comes back with its error, and expectations average over it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from agents.myopic import Myopic
from envs.errors import InputError
from envs.expectation import Expectation, observable
from envs.response import Coefficients, Head, Term
from envs.simulator import Simulator
from envs.tables import write_tables
from envs.world import World, load_world
from training.calibrate import Calibration, calibrate
from training.calibration_effects import FRAILTY, HIDDEN, correlations, pooled, whole_customers
from training.calibration_ensemble import ensemble
from training.calibration_rows import HeadRows
from training.configs import CalibrateConfig
from training.glm import Link, Rows, fit, log_likelihood, solve
from training.random_effects import fit_mixed, marginal, overdispersion
from training.random_log import random_log

WORLD = Path(__file__).parent.parent / "benchmarks" / "worlds" / "recovery"
TRUE, SIGMA = np.array([-1.5, 0.6, 0.4]), 0.8


def drawn(seed: int, link: Link, sigma: float = SIGMA, customers: int = 800, each: int = 10) -> tuple[np.ndarray, Rows]:
    rng, n = np.random.default_rng(seed), customers * each
    of = np.repeat(np.arange(customers), each)
    x = np.column_stack([np.ones(n), rng.normal(size=n), rng.normal(size=customers)[of]])
    eta = x @ TRUE + sigma * rng.normal(size=customers)[of]
    days = rng.integers(1, 4, n).astype(float)
    p = 1 / (1 + np.exp(-eta)) if link == "logit" else -np.expm1(-days * np.exp(eta))
    return x, Rows((rng.random(n) < p).astype(float), days, np.ones(n), of)


def mixed(seed: int, link: Link, **more: float):  # type: ignore[no-untyped-def]
    x, rows = drawn(seed, link, **more)
    return x, rows, fit_mixed(x, rows, link, np.zeros(3), solve(x, rows, link, np.zeros(3)).beta)


@pytest.mark.parametrize("link", ["logit", "rate"])
def test_the_likelihood_is_the_integral(link: Link) -> None:
    x, rows = drawn(0, link, customers=6, each=5)
    found = fit_mixed(x, rows, link, np.full(3, 0.5), np.zeros(3))
    none = float(log_likelihood(link, np.zeros(30), rows).sum())

    def of_customer(k: int) -> float:
        mine = rows.take(np.flatnonzero(rows.customer == k))
        eta = x[rows.customer == k] @ found.beta
        value = quad(lambda u: np.exp(log_likelihood(link, eta + found.sigma * u, mine).sum()) * norm.pdf(u), -9, 9)
        return float(np.log(value[0]))

    standard = found.beta * np.r_[1, x[:, 1:].std(axis=0)]
    penalty = 0.25 * float(((standard[1:]) ** 2).sum()) + 0.25 * float(
        (found.beta[0] + x[:, 1:].mean(axis=0) @ found.beta[1:]) ** 2
    )
    by_hand = sum(of_customer(k) for k in range(6)) - penalty
    assert found.ratio / 2 + none == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.parametrize("link", ["logit", "rate"])
def test_sigma_and_coefficients_come_back_within_their_errors(link: Link) -> None:
    errors = []
    for seed in range(12):
        _, _, found = mixed(seed, link)
        assert found.converged
        errors.append((np.r_[found.beta, found.sigma] - np.r_[TRUE, SIGMA]) / found.se)
    assert np.abs(np.mean(errors, axis=0)).max() < 1.2
    assert 0.4 < np.std(errors) < 1.6
    assert np.abs(errors).max() < 4.5


def test_without_effects_none_is_found_and_with_them_both_tests_say_so() -> None:
    for seed in range(8):
        x, rows, found = mixed(seed, "logit", sigma=0.0)
        assert found.ratio < 8
        assert found.sigma < 0.45
        assert abs(overdispersion(x @ found.beta, rows, "logit")) < 4
    x, rows, found = mixed(0, "logit")
    assert found.p < 1e-8
    assert overdispersion(x @ solve(x, rows, "logit", np.zeros(3)).beta, rows, "logit") > 5


def test_a_weight_counts_a_row_as_often_within_its_customer() -> None:
    x, rows = drawn(1, "logit", customers=200)
    weight = np.where(np.arange(len(x)) % 3 == 0, 2.0, 1.0)
    twice = np.sort(np.r_[np.arange(len(x)), np.flatnonzero(weight == 2)])
    counted = fit_mixed(x, replace(rows, weight=weight), "logit", np.zeros(3), np.zeros(3))
    copied = fit_mixed(x[twice], rows.take(twice), "logit", np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(np.r_[counted.beta, counted.sigma], np.r_[copied.beta, copied.sigma], rtol=1e-4)
    np.testing.assert_allclose(counted.se, copied.se, rtol=1e-3)


def test_influence_predicts_what_leaving_a_customer_out_does() -> None:
    x, rows, found = mixed(2, "logit", customers=150)
    rest = np.flatnonzero(rows.customer != 7)
    without = fit_mixed(x[rest], rows.take(rest), "logit", np.zeros(3), found.beta)
    moved = np.r_[without.beta, without.sigma] - np.r_[found.beta, found.sigma]
    np.testing.assert_allclose(-found.influence[7], moved, atol=0.15 * np.abs(moved).max() + 1e-4)


@pytest.mark.parametrize("link", ["logit", "rate"])
def test_the_marginal_predictor_has_the_mean_probability(link: Link) -> None:
    eta, days = np.array([-4.0, -1.0, 0.5]), np.array([1.0, 3.0, 2.0])

    def chance(at: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-at)) if link == "logit" else -np.expm1(-days * np.exp(at))

    exact = [quad(lambda u, k=k: chance(eta + 0.9 * u)[k] * norm.pdf(u), -9, 9)[0] for k in range(3)]
    np.testing.assert_allclose(chance(marginal(link, eta, 0.9, days)), exact, rtol=1e-3)


def test_whole_customers_are_kept_or_left_out_as_many_as_can_be_afforded() -> None:
    n = 90_000
    customer = np.repeat(np.arange(n // 9), 9)
    rows = Rows(np.ones(n), np.ones(n), np.ones(n), customer)
    head = HeadRows("x", "logit", "always", "decision", np.arange(n), np.zeros(n, int), rows)
    some = whole_customers(head, 200, np.random.default_rng(0))
    assert set(np.bincount(some.head.rows.customer)) == {0, 9}
    assert 39_900 < len(some.head.look) <= 40_000
    assert some.share == len(some.head.look) / n
    assert whole_customers(head, 20, np.random.default_rng(0)).share == 1.0


def test_a_sample_of_customers_pooled_with_the_whole_log_is_nearer_the_truth_and_says_how_near() -> None:
    errors, alone = [], []
    for seed in range(25):
        x, rows = drawn(seed, "logit", customers=1600)
        some = np.flatnonzero(rows.customer < 300)
        head = HeadRows("x", "logit", "always", "decision", np.arange(3000), np.zeros(3000, int), rows.take(some))
        whole, part = fit(x, rows, "logit", np.zeros(3)), fit(x[some], head.rows, "logit", np.zeros(3))
        mixed = fit_mixed(x[some], head.rows, "logit", np.zeros(3), part.beta)
        better = pooled(mixed, part, whole.beta, whole.se, "logit")
        errors.append((better.beta - TRUE) / better.se[:-1])
        alone.append((mixed.beta - TRUE) / better.se[:-1])
    assert np.abs(np.mean(errors, axis=0)).max() < 0.8
    assert 0.7 < np.std(errors) < 1.35
    assert np.std(errors) < 0.85 * np.std(alone)


def test_correlations_are_taken_over_the_customers_that_both_heads_have() -> None:
    ids = np.arange(10)
    assert list(correlations([(ids, ids * 1.0), (ids[3:], -2.0 * ids[3:]), (ids[:1], ids[:1] * 1.0)])) == pytest.approx(
        [1, -1, 0]
    )


def with_effects() -> World:
    """The small bank with customers who differ: the engaged decline less."""
    world = load_world(WORLD)
    heads: dict[str, Head] = dict(world.coefficients.heads)
    for name, sigma in (("engaged", 1.0), ("purchased", -0.7)):
        heads[name] = heads[name].model_copy(update={"terms": (*heads[name].terms, Term(feature=FRAILTY, value=sigma))})
    return replace(world, coefficients=Coefficients(name="effects", heads=heads, hidden=HIDDEN))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    folder = tmp_path_factory.mktemp("effects")
    write_tables(random_log(with_effects(), 2500, 12), folder / "tables")
    config = CalibrateConfig(tables=folder / "tables", form=str(WORLD), random_effects=True, out=folder / "world")
    return calibrate(config)


def test_a_world_with_effects_is_found_with_size_and_relative_sign(found: Calibration) -> None:
    effects = {h.name: h.effect for h in found.heads if h.effect is not None}
    assert set(effects) == {"engaged", "purchased"}
    assert abs(effects["engaged"].sigma - 1.0) < 4 * effects["engaged"].se
    assert abs(effects["purchased"].sigma - 0.7) < 4 * effects["purchased"].se
    values = {h.name: t.value for h in found.heads for t in h.head.terms if t.feature == FRAILTY}
    assert values["engaged"] * values["purchased"] < 0
    assert "customers differ by" in str(found)


def test_replicates_vary_like_the_standard_error_and_keep_the_sign(found: Calibration) -> None:
    def loading(world: World, name: str) -> tuple[float, float | None]:
        return next((t.value, t.se) for t in world.coefficients.heads[name].terms if t.feature == FRAILTY)

    world = load_world(found.path)
    members = ensemble(world, found.path)
    assert len(members) == 10
    for name in ("engaged", "purchased"):
        point, se = loading(world, name)
        drawn = np.array([loading(member, name)[0] for member in members])
        assert se is not None
        assert 0.4 < drawn.std() / se < 1.9
        assert (np.sign(drawn) == np.sign(point)).all()


def test_expectations_average_over_the_effect_as_the_simulation_does() -> None:
    world = with_effects()
    heads = {k: h for k, h in world.coefficients.heads.items() if k not in ("organic", "churned")}
    world = replace(world, coefficients=world.coefficients.model_copy(update={"heads": heads}))
    simulator = Simulator(world, 3)
    simulator.reset(np.arange(150_000))
    expected = Expectation(world)(simulator.view().observation[:2000])
    treatment = np.random.default_rng(0).integers(0, expected.margin.shape[1], 150_000)
    margin = simulator.step(treatment).tally.margin
    for k in range(expected.margin.shape[1]):
        mine = margin[treatment == k]
        error = np.hypot(mine.std() / len(mine) ** 0.5, expected.margin[:, k].std() / 2000**0.5)
        assert abs(mine.mean() - expected.margin[:, k].mean()) < 4.5 * error


def test_expectations_know_no_other_hidden_state() -> None:
    assert observable("age * latent.frailty")
    assert not observable("latent.taste")
    assert not observable("latent.frailty * latent.irritation")
    assert Myopic(with_effects()).scores(np.zeros((2, len(with_effects().encoder.names)), np.float32)).shape == (2, 12)
    with pytest.raises(InputError, match="must not look at hidden states"):
        Myopic(load_world("bank"))
