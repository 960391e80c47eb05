"""The ensemble: replicates weigh whole customers anew, so they vary as much as the clustered error says."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from training.calibration_choice import Model
from training.calibration_estimates import Estimator, Numbers, Use
from training.calibration_rows import HeadRows
from training.glm import Rows, solve

CUSTOMERS, EACH, REPLICATES = 400, 6, 150
NAMES = ("1", "age", "urban")


def drawn(alike: bool) -> tuple[np.ndarray, HeadRows]:
    """Rows of customers; alike: all of a customer's rows say the same."""
    rng = np.random.default_rng(0)
    count = CUSTOMERS if alike else CUSTOMERS * EACH
    x = np.column_stack([np.ones(count), rng.normal(size=count), rng.random(count) < 0.4]).astype(float)
    y = (rng.random(count) < 1 / (1 + np.exp(1 - 0.7 * x[:, 1]))).astype(float)
    if alike:
        x, y = x.repeat(EACH, axis=0), y.repeat(EACH)
    n = len(y)
    rows = Rows(y, np.ones(n), np.ones(n), np.repeat(np.arange(CUSTOMERS), EACH))
    return x, HeadRows("engaged", "logit", "delivered", "decision", np.arange(n), np.zeros(n, int), rows)


def estimated(use: Use, alike: bool, penalty: float = 30.0) -> Numbers:
    x, head = drawn(alike)
    weights = np.array([0.0, penalty, penalty])
    model = Model(NAMES, weights, solve(x, head.rows, head.link, weights))
    luck = np.random.default_rng(1).exponential(size=(REPLICATES, CUSTOMERS))
    return Estimator(use, "customer", luck).plain(model, x, head)


@pytest.mark.parametrize("use", get_args(Use))
@pytest.mark.parametrize("alike", [True, False])
def test_replicates_vary_like_the_clustered_standard_error_around_the_estimate_in_use(use: Use, alike: bool) -> None:
    found = estimated(use, alike)
    point, se = Estimator(use, "customer", np.zeros((0, 1))).used(found)
    assert found.replicates.shape == (REPLICATES, len(NAMES))
    np.testing.assert_allclose(found.replicates.std(axis=0) / se, 1.0, atol=0.2)
    np.testing.assert_allclose(found.replicates.mean(axis=0), point, atol=0.35 * se.max())


def test_rows_that_repeat_themselves_do_not_make_replicates_agree() -> None:
    often, once = estimated("debiased", alike=True), estimated("debiased", alike=False)
    assert often.replicates.std(axis=0)[1] > 1.8 * once.replicates.std(axis=0)[1]


def test_a_replicate_weighs_a_customer_alike_in_every_head_whatever_the_order_of_its_rows() -> None:
    x, head = drawn(False)
    order = np.random.default_rng(2).permutation(len(x))
    luck = np.random.default_rng(1).exponential(size=(5, CUSTOMERS))
    model = Model(NAMES, np.ones(3) * [0, 1, 1], solve(x, head.rows, head.link, np.ones(3) * [0, 1, 1]))
    one = Estimator("penalised", "customer", luck).plain(model, x, head)
    other = Estimator("penalised", "customer", luck).plain(model, x[order], head.take(order))
    np.testing.assert_allclose(one.replicates, other.replicates, rtol=1e-6)
    assert np.ptp(one.replicates[:, 1]) > 0


def test_no_replicates_are_none() -> None:
    x, head = drawn(True)
    model = Model(NAMES, np.zeros(3), solve(x, head.rows, head.link, np.zeros(3)))
    assert Estimator("penalised", "customer", np.zeros((0, CUSTOMERS))).plain(model, x, head).replicates.shape == (0, 3)
