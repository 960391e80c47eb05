"""Kept matrices: the same inputs give the same matrix once, other inputs another one, and never more than so many."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation import keeping
from evaluation.keeping import MOST, kept_matrix
from evaluation.regression import Recipe, TreatmentFeatures


def test_what_is_kept_is_told_by_content_shape_and_kind() -> None:
    made: list[int] = []

    def asked(*inputs: np.ndarray) -> np.ndarray:
        def make() -> np.ndarray:
            made.append(1)
            return np.full((2, 2), float(len(made)))

        return kept_matrix(inputs, make)

    values = np.random.default_rng(1).random(12)
    first = asked(values, values[:3])
    assert asked(values.copy(), values[:3].copy()) is first
    others = [(values[:3], values), (values.reshape(3, 4), values[:3]), (values.astype(np.float32), values[:3])]
    changed = np.where(np.arange(12) == 7, values + 1e-12, values)
    assert all(asked(*other) is not first for other in [*others, (changed, values[:3])])
    assert len(made) == 5
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1.0


def test_no_more_is_kept_than_can_be_used() -> None:
    for number in range(2 * MOST):
        kept_matrix((np.array([0.5, number]),), lambda: np.zeros((1, 1)))
    assert len(keeping._kept) == MOST


def test_a_regression_is_the_same_whether_its_matrix_was_kept_or_not() -> None:
    """And another emphasis, state or treatment is not mistaken for it."""
    random = np.random.default_rng(2)
    state, treatment, target = random.random((300, 4)), random.integers(0, 3, 300), random.random(300)
    features, none = TreatmentFeatures(np.zeros((3, 0))), np.ones(300)

    def fit(state: np.ndarray, treatment: np.ndarray, emphasis: np.ndarray, penalty: float = 1.0) -> np.ndarray:
        recipe = Recipe("ridge", penalty)
        fitted = recipe.fitter(state, treatment, features, target[:, None], 0, emphasis).fit(target)
        return fitted.values(state, treatment)

    cases = [
        (state, treatment, none), (state + random.random((300, 4)), treatment, none),
        (state, (treatment + 1) % 3, none), (state, treatment, random.random(300)), (state, treatment, none, 50.0),
    ]  # fmt: skip
    fresh = []
    for case in cases:
        keeping._kept.clear()
        fresh.append(fit(*case))
    for case, expected in zip([*cases, *cases[::-1]], [*fresh, *fresh[::-1]], strict=True):
        np.testing.assert_array_equal(fit(*case), expected)
