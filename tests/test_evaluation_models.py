"""Models: regressions, fitted Q and estimated propensities against worlds whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.fqe import POINTS, Side, decisions_left, fitted_q, has_next, returns_to_go, thinned
from evaluation.log import Log, log_from_arrays
from evaluation.propensity import estimate_propensity
from evaluation.regression import Recipe, TreatmentFeatures
from evaluation.reward_model import at_most, choose_recipe, other_customers
from evaluation.settings import EvaluationSettings

ALIKE = TreatmentFeatures(np.zeros((3, 0)))  # nothing tells treatments apart but their number
RECIPES = (Recipe("ridge", 1.0), Recipe("trees"))


def world(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    state, treatment = rng.normal(size=(n, 2)).astype(np.float32), rng.integers(0, 3, n)
    return state, treatment, np.array([0.0, 5.0, -5.0])[treatment] * (1 + state[:, 0]) + state[:, 1]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.kind)
def test_a_regression_tells_treatments_apart_by_number_alone(recipe: Recipe) -> None:
    state, treatment, amount = world(4_000, 0)
    model = recipe.fitter(state, treatment, ALIKE, amount[:, None], 0).fit(amount)
    fresh, chosen, truth = world(1_000, 1)
    error = ((model.values(fresh, chosen) - truth) ** 2).mean() / truth.var()
    assert error < 0.12


@pytest.mark.parametrize("recipe", [*RECIPES, Recipe("constant")], ids=lambda r: r.kind)
def test_the_expectation_is_the_weighted_sum_over_treatments(recipe: Recipe) -> None:
    state, treatment, amount = world(500, 0)
    model = recipe.fitter(state, treatment, ALIKE, amount[:, None], 0).fit(amount)
    p = np.random.default_rng(2).dirichlet(np.ones(3), 500)
    p[:100, 1] = 0.0
    p /= p.sum(axis=1, keepdims=True)
    q = np.stack([model.values(state, np.full(500, a)) for a in range(3)], axis=1)
    assert model.expected(state, p) == pytest.approx((p * q).sum(axis=1))


def test_a_linear_model_of_many_treatments_finds_the_direction_in_which_they_differ() -> None:
    """Forty treatments and sixty fields have no room for a slope each; the effects vary along one direction."""
    rng = np.random.default_rng(6)
    state, treatment = rng.normal(size=(8_000, 60)).astype(np.float32), rng.integers(0, 40, 8_000)
    truth = (treatment % 5) * state[:, 0]
    amount = truth + rng.normal(size=8_000)
    features = TreatmentFeatures(rng.normal(size=(40, 4)))
    model = Recipe("ridge", 10.0).fitter(state, treatment, features, amount[:, None], 0).fit(amount)
    assert ((model.values(state, treatment) - truth) ** 2).mean() / truth.var() < 0.2


def test_the_better_regression_is_chosen_on_held_out_rows() -> None:
    state, treatment, _ = world(3_000, 3)
    bent = np.where(np.abs(state[:, 0]) < 0.5, 3.0, 0.0)
    held_out = np.arange(3_000) % 4 == 0
    choice = choose_recipe("x", state, treatment, bent, held_out, ALIKE, RECIPES, 0)
    assert choice.recipe.kind == "trees"
    straight = choose_recipe("x", state, treatment, state[:, 0], held_out, ALIKE, RECIPES, 0)
    assert straight.recipe.kind == "ridge"
    assert choose_recipe("x", state, treatment, np.ones(3_000), held_out, ALIKE, RECIPES, 0).recipe.kind == "constant"


def process(n: int, steps: int, seed: int, kind: str = "finite", gamma: float = 1.0) -> Log:
    """Treatment 1 moves to state 1 and costs .2, treatment 0 to state 0; state 1 pays 1. Logged: one half each."""
    rng = np.random.default_rng(seed)
    action = rng.integers(0, 2, (n, steps))
    state = np.concatenate([np.zeros((n, 1), dtype=int), action[:, :-1]], axis=1)
    last = np.tile(np.arange(steps) == steps - 1, n)
    return log_from_arrays(
        state.reshape(-1, 1), action.ravel(), np.full(n * steps, 0.5), (state - 0.2 * action).ravel(),
        customer=np.repeat(np.arange(n), steps), gamma=gamma, kind=kind,
        terminated=last & (kind == "finite"),
    )  # fmt: skip


def value_of_always(treatment: int, steps: int, gamma: float) -> float:
    pay = [gamma**t * ((treatment if t else 0) - 0.2 * treatment) for t in range(steps)]
    return float(sum(pay))


@pytest.mark.parametrize("kind", ["finite", "continuing"])
@pytest.mark.parametrize("treatment", [0, 1])
def test_fitted_q_finds_the_value_of_a_policy_never_logged_as_such(kind: str, treatment: int) -> None:
    log, fresh = process(3_000, 5, 0, kind, 0.9), process(100, 5, 1, kind, 0.9)
    features = TreatmentFeatures(np.zeros((2, 0)))
    always = np.eye(2)[treatment]
    sides = [Side(x, np.tile(always, (len(x), 1))) for x in (log, fresh)]
    found = fitted_q(sides[0], log.reward(), sides[1], features, Recipe("ridge", 1e-3), 0)
    truth = value_of_always(treatment, 5, 0.9)
    assert found.v[fresh.step == 0].mean() == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize("kind", ["finite", "continuing"])
def test_fitted_q_of_the_logging_policy_is_its_mean_return(kind: str) -> None:
    log = process(3_000, 4, 2, kind)
    side = Side(log, None)
    found = fitted_q(side, log.reward(), side, TreatmentFeatures(np.zeros((2, 0))), Recipe("ridge", 1e-3), 0)
    mean = log.by_customer(log.reward()).mean()
    assert found.v[log.step == 0].mean() == pytest.approx(mean, abs=0.03)


def test_fitted_q_of_k_decisions_hands_over_to_the_logging_policy() -> None:
    log = process(6_000, 4, 3)
    side = Side(log, np.tile([0.0, 1.0], (len(log), 1)))
    features = TreatmentFeatures(np.zeros((2, 0)))
    found = fitted_q(side, log.reward(), side, features, Recipe("ridge", 1e-3), 0, decisions=2)
    # treatment 1 twice: -.2, 1 - .2; then logged: 1 - .1 and .5 - .1
    assert found.v[log.step == 0].mean() == pytest.approx(0.6 + 0.9 + 0.4, abs=0.03)
    assert not found.v[log.step >= 2].any()


def test_returns_to_go_and_ends() -> None:
    log = log_from_arrays(
        np.zeros((3, 1)), np.array([0, 1, 1]), np.ones(3), np.array([1.0, 2.0, 4.0]),
        customer=np.array([0, 0, 1]), gamma=0.5, gap_days=np.array([1.0, 1.0, 1.0]),
    )  # fmt: skip
    assert returns_to_go(log, log.reward()).tolist() == [2.0, 2.0, 4.0]
    assert has_next(log).tolist() == [True, False, False]
    assert decisions_left(log).tolist() == [2, 1, 2]  # the second left after one of two decisions


def test_models_never_see_the_customers_they_predict() -> None:
    log = process(40, 3, 4)
    passes = list(other_customers(log, crossed=True, rng=np.random.default_rng(0)))
    assert len(passes) == 2
    for fit, here in passes:
        assert not set(log.customer[fit]) & set(log.customer[here])
    first, second = (np.asarray(here) for _, here in passes)
    assert (first ^ second).all()


def test_a_large_log_is_thinned_by_whole_customers() -> None:
    log = process(100, 3, 5)
    keep = at_most(log, 60, np.random.default_rng(0))
    assert keep.sum() == 60
    assert set(np.bincount(log.customer[keep])) <= {0, 3}


def assignments(n: int, seed: int, follows_customer: bool) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    observation = rng.normal(size=(n, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(-2 * observation[:, 0])) if follows_customer else np.full(n, 0.3)
    treatment = (rng.random(n) < chance).astype(int)
    return observation, np.ones((n, 2), dtype=bool), treatment, np.zeros(n, dtype=int), np.arange(n), chance


@pytest.mark.parametrize(("follows", "name"), [(False, "frequencies per step"), (True, "multinomial logistic")])
def test_propensities_are_estimated_by_the_better_model(follows: bool, name: str) -> None:
    *data, chance = assignments(6_000, 0, follows)
    model = estimate_propensity(*data, np.random.default_rng(0))
    assert model.name == name
    p = model.distribution(data[0], data[1], data[3])
    assert np.abs(p[:, 1] - chance).mean() < 0.02
    assert name in model.note


def test_estimated_propensities_respect_the_mask() -> None:
    *data, _ = assignments(500, 1, True)
    mask = data[1].copy()
    mask[:50, 1] = False
    model = estimate_propensity(
        data[0], mask, np.where(mask[:, 1], data[2], 0), data[3], data[4], np.random.default_rng(0)
    )
    p = model.distribution(data[0], mask, data[3])
    assert (p[:50, 1] == 0).all()
    assert p.sum(axis=1) == pytest.approx(np.ones(500))


def test_settings_are_frozen_and_described() -> None:
    assert all(field.description for field in EvaluationSettings.model_fields.values())


def test_a_thinned_distribution_keeps_its_mean() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(40, 0.3), size=500)
    few = thinned(probabilities)
    assert ((few > 0).sum(axis=1) <= POINTS).all()
    np.testing.assert_allclose(few.sum(axis=1), 1.0)
    worth = np.sort(rng.normal(size=40))  # in order of the treatments, where quantiles are at their best
    exact, rough = probabilities @ worth, few @ worth
    assert abs((exact - rough).mean()) < 0.02
    narrow = np.eye(40)[:3]
    np.testing.assert_array_equal(thinned(narrow), narrow)
