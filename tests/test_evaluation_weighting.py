"""Smaller weights: what each form keeps, and whether the estimate of bias and variance chooses well."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluation.estimators import ESTIMATORS, Inputs, estimated
from evaluation.weighting import CLIPPED, SHRUNK, SUBGAUSSIAN, SWITCHED, Form, choose, clipped, shrunk, subgaussian

FORMS = (CLIPPED, SWITCHED, SHRUNK, SUBGAUSSIAN)
weights = arrays(np.float64, 30, elements=st.floats(0, 100).map(lambda w: 0.0 if w < 1e-6 else w))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@given(weight=weights)
def test_weights_get_smaller_and_the_last_parameter_changes_nothing(form: Form, weight: np.ndarray) -> None:
    grid = form.grid(weight)
    for parameter in grid:
        found = form.of(weight, float(parameter))
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert (found[weight == 0] == 0).all()
        assert (found <= np.maximum(weight, 1) + 1e-12).all()
    assert form.of(weight, float(grid[-1])) == pytest.approx(weight)


def test_hand_worked_weights() -> None:
    weight = np.array([0.5, 2.0, 10.0])
    assert clipped(weight, 4.0).tolist() == [0.5, 2.0, 4.0]
    assert SWITCHED.of(weight, 4.0).tolist() == [0.5, 2.0, 0.0]
    assert shrunk(weight, 4.0) == pytest.approx([2 / 4.25, 1.0, 40 / 104])
    assert subgaussian(weight, 0.5) == pytest.approx([0.5 / 0.75, 2 / 1.5, 10 / 5.5])


def test_harmless_weights_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 1.5, 5000)
    reward = 10.0 + rng.normal(size=5000)  # every bit of weight that is lost is lost reward
    for form in (CLIPPED, SWITCHED, SHRUNK):
        found = choose(form, weight, lambda w: w * reward)
        assert found.chosen.bias**2 < found.plain.variance


def test_a_few_huge_weights_are_made_smaller_and_the_error_falls() -> None:
    """A reward that says nothing of the weight: the plain estimate is noise, the chosen one is nearer on average."""
    errors, plain = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        weight = np.where(rng.random(400) < 0.005, 150.0, 0.25 / 0.995)  # mean 1
        residual = rng.normal(size=400)  # of a perfect model: truth 0
        found = choose(SHRUNK, weight, lambda w, residual=residual: w * residual)
        errors.append(float((shrunk(weight, found.parameter) * residual).mean()))
        plain.append(float((weight * residual).mean()))
    assert np.square(errors).mean() < 0.8 * np.square(plain).mean()


def test_the_choice_is_the_least_of_those_tried() -> None:
    rng = np.random.default_rng(1)
    weight, reward = rng.pareto(1.2, 3000) + 0.1, rng.normal(1, 1, 3000)
    for form in FORMS:
        found = choose(form, weight, lambda w: w * reward)
        assert found.chosen.mse == min(one.mse for one in found.tried)
        assert found.plain.mse >= found.chosen.mse
        assert len(found.tried) == len(form.grid(weight))


def test_only_estimators_that_ask_for_it_make_weights_smaller() -> None:
    rng = np.random.default_rng(2)
    weight, reward = rng.pareto(1.0, 500)[:, None], rng.normal(1, 1, 500)[:, None]
    ones = np.ones((500, 1))
    inputs = Inputs(weight, reward, ones, ones > 0, reward * 0.5, reward * 0.4)
    for name in ("ips", "dr", "sndr"):
        assert estimated(ESTIMATORS[name], inputs, logging=False).weighting is None
    found = estimated(ESTIMATORS["ips_clipped"], inputs, logging=False)
    assert found.weighting is not None
    assert found.terms.estimate() == pytest.approx((clipped(weight, found.weighting.parameter) * reward).mean())
    assert estimated(ESTIMATORS["ips_clipped"], inputs, logging=True).weighting is None
