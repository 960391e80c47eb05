"""Turning scores into probabilities and probabilities into treatments: sums, masks, limits and frequencies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.policy import draw, greedy, softened

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 9))


@st.composite
def scored(data: st.DataObject) -> tuple[np.ndarray, np.ndarray]:
    """Scores and a mask that allows silence."""
    shape = data(SHAPES)  # type: ignore[operator]
    scores = data(arrays(np.float64, shape, elements=st.floats(-1e6, 1e6)))  # type: ignore[operator]
    mask = data(arrays(np.bool_, shape))  # type: ignore[operator]
    mask[:, 0] = True
    return scores, mask


@settings(max_examples=200, deadline=None)
@given(scored(), st.floats(1e-3, 1e3), st.floats(0, 1))
def test_softened_scores_are_probabilities_over_what_is_allowed(
    case: tuple[np.ndarray, np.ndarray], temperature: float, floor: float
) -> None:
    scores, mask = case
    p = softened(scores, mask, temperature, floor)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert (p[~mask] == 0).all()
    assert (p[mask] >= floor / mask.sum(axis=1, keepdims=True).repeat(mask.shape[1], 1)[mask] * (1 - 1e-12)).all()
    for row, own in zip(p, np.where(mask, scores, -np.inf), strict=True):
        order = np.argsort(own, kind="stable")
        assert (np.diff(row[order]) >= -1e-12).all()  # a better score never has less


def test_softened_by_hand() -> None:
    scores = np.array([[0.0, np.log(3.0), 50.0]])
    mask = np.array([[True, True, False]])
    np.testing.assert_allclose(softened(scores, mask, 1.0, 0.0), [[0.25, 0.75, 0]])
    np.testing.assert_allclose(softened(scores, mask, 1.0, 0.2), [[0.8 * 0.25 + 0.1, 0.8 * 0.75 + 0.1, 0]])
    np.testing.assert_allclose(softened(scores, mask, 1e9, 0.0), [[0.5, 0.5, 0]])
    np.testing.assert_allclose(softened(scores, mask, 1e-9, 0.0), [[0, 1, 0]])


@settings(max_examples=100, deadline=None)
@given(scored())
def test_greedy_puts_everything_on_one_of_the_best(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, mask = case
    p = greedy(scores, mask)
    assert ((p == 0) | (p == 1)).all()
    np.testing.assert_array_equal(p.sum(axis=1), 1)
    assert (p[~mask] == 0).all()
    chosen = (p * scores).sum(axis=1)
    np.testing.assert_array_equal(chosen, np.where(mask, scores, -np.inf).max(axis=1))


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 0.0, 1e-300, 1e-9, 0.1, 1 / 3, 1.0])),
    st.sampled_from([0.0, 2.0**-53, 0.1, 0.5, 1 - 2.0**-53]),
    st.booleans(),
)
def test_a_draw_never_returns_what_has_probability_zero(weights: np.ndarray, u: float, single: bool) -> None:
    weights[:, 0] += 1e-3 * (weights.sum(axis=1) == 0)
    p = weights / weights.sum(axis=1, keepdims=True)
    p = p.astype(np.float32) if single else p
    chosen = draw(p, np.full(len(p), u))
    assert (p[np.arange(len(p)), chosen] > 0).all()


def test_draws_come_as_often_as_they_should() -> None:
    p = np.array([0.0, 0.1, 0.0, 0.65, 0.25, 0.0])
    n = 200_000
    chosen = draw(np.tile(p, (n, 1)), np.random.default_rng(0).random(n))
    counts = np.bincount(chosen, minlength=6)
    assert np.abs(counts / n - p).max() < 4 * np.sqrt(0.25 / n)
    assert (counts[p == 0] == 0).all()


def test_a_draw_is_the_inverse_of_the_cumulated_probabilities() -> None:
    p = np.array([[0.2, 0.0, 0.5, 0.3]] * 4)
    assert draw(p, np.array([0.0, 0.199, 0.2, 0.7])).tolist() == [0, 0, 2, 3]


def test_desks_are_drawn_each_from_its_own() -> None:
    p = np.zeros((2, 3, 4))
    p[..., 0] = 1
    p[1, 2] = [0, 0, 0, 1]
    assert draw(p, np.full((2, 3), 0.5)).tolist() == [[0, 0, 0], [0, 0, 3]]


def test_probabilities_that_do_not_sum_to_one_exactly_are_taken_in_proportion() -> None:
    assert draw(np.array([[0.5, 0.49]]), np.array([0.999999]))[0] == 1
    assert draw(np.array([[2.0, 2.0]]), np.array([0.49])).tolist() == [0]
    assert draw(np.array([[0.0, 1.0]], np.float32), np.array([0.0])) == pytest.approx([1])
