"""What the data determine by themselves is not shrunk, and covered at its rate; what they cannot is held and named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.calibration_held import empty_class, separated
from training.calibration_rows import HeadRows
from training.calibration_support import floor, separations, unshrunk
from training.glm import Link, Rows, fit, solve

TRUE = np.array([-1.0, 0.6, -0.8])


def rows(y: np.ndarray, customer: np.ndarray | None = None) -> Rows:
    n = len(y)
    return Rows(np.asarray(y, float), np.ones(n), np.ones(n), np.arange(n) if customer is None else customer)


def head(y: np.ndarray) -> HeadRows:
    return HeadRows("engaged", "logit", "delivered", "decision", np.arange(len(y)), np.zeros(len(y), int), rows(y))


def drawn(rng: np.random.Generator, n: int, link: Link = "logit") -> tuple[np.ndarray, Rows]:
    x = np.column_stack([np.ones(n), rng.normal(size=n), rng.random(n) < 0.4]).astype(float)
    eta = x @ TRUE
    p = 1 / (1 + np.exp(-eta)) if link == "logit" else -np.expm1(-np.exp(eta))
    return x, rows(rng.random(n) < p)


def test_unshrunk_is_maximum_likelihood_where_the_data_determine_everything() -> None:
    x, r = drawn(np.random.default_rng(0), 4000)
    shrunk = solve(x, r, "logit", np.array([0.0, 200, 200]))
    free = unshrunk(x, r, "logit", shrunk.beta)
    plain = fit(x, r, "logit", np.zeros(3))
    assert not free.held.any()
    np.testing.assert_allclose(free.fit.beta, plain.beta, rtol=1e-6)
    np.testing.assert_allclose(free.fit.se, plain.se, rtol=1e-5)
    assert abs(shrunk.beta[1]) < abs(free.fit.beta[1])


def test_intervals_cover_without_shrinkage_and_not_with_it() -> None:
    inside = np.zeros(2)
    for seed in range(150):
        x, r = drawn(np.random.default_rng(seed), 600)
        shrunk = fit(x, r, "logit", np.array([0.0, 60, 60]))
        free = unshrunk(x, r, "logit", shrunk.beta).fit
        inside += [coverage(f.beta, f.se) for f in (free, shrunk)]
    assert inside[0] / 150 > 0.92
    assert inside[1] / 150 < 0.75


def coverage(beta: np.ndarray, se: np.ndarray) -> float:
    return float((np.abs(beta - TRUE) < 1.96 * se)[1:].mean())


def test_scores_of_customers_make_wider_intervals_than_scores_of_rows_where_customers_repeat_themselves() -> None:
    rng = np.random.default_rng(1)
    x, r = drawn(rng, 500)
    again = np.repeat(np.arange(500), 8)
    many = Rows(r.y[again], r.days[again], r.weight[again], again)
    by_customer = fit(x[again], many, "logit", np.zeros(3), errors="customer").se
    by_row = fit(x[again], many, "logit", np.zeros(3), errors="row").se
    np.testing.assert_allclose(by_customer / by_row, 8**0.5, rtol=0.01)
    np.testing.assert_allclose(by_customer, fit(x, r, "logit", np.zeros(3)).se, rtol=0.01)


def test_a_form_without_a_constant_keeps_its_coefficients() -> None:
    rng = np.random.default_rng(2)
    which = rng.integers(0, 2, 3000)
    x = np.column_stack([which == 0, which == 1]).astype(float)
    r = rows(rng.random(3000) < np.where(which == 0, 0.2, 0.6))
    found = fit(x, r, "logit", np.zeros(2))
    for k in (0, 1):
        share = r.y[which == k].mean()
        assert found.beta[k] == pytest.approx(np.log(share / (1 - share)), abs=1e-5)


def test_separation_is_found_with_its_level_and_counts() -> None:
    y = np.array([0, 0, 0, 1, 1, 0, 0, 1.0])
    level = np.array([1, 1, 1, 0, 0, 0, 0, 0.0])  # never at 1
    scale = np.array([1, 2, 3, 9, 8, 4, 5, 7.0])  # always above 5
    mixed = np.array([1, 0, 1, 0, 1, 0, 0, 1.0])
    found = separations(np.column_stack([np.ones(8), level, scale, mixed]), rows(y))
    assert [(s.column, s.level, s.rows, s.always) for s in found] == [(1, "= 1", 3, False), (2, "< 7", 5, False)]
    said = separated(head(y), ("1", "channel=fax", "age", "x"), np.column_stack([np.ones(8), level, scale, mixed]))
    assert str(said[0]) == (
        "head engaged: feature channel=fax = 1 separates: there it never happens "
        "(0 events in 3 rows with channel=fax = 1). Assumed: its coefficient is held by its prior."
    )


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=4, max_size=40))
def test_a_column_separates_exactly_when_one_threshold_does(seen: list[tuple[bool, int]]) -> None:
    y, values = np.array([s[0] for s in seen], float), np.array([s[1] for s in seen], float)
    yes, no = values[y > 0], values[y == 0]
    by_hand = len(yes) and len(no) and np.ptp(values) > 0 and (yes.max() <= no.min() or yes.min() >= no.max())
    assert bool(separations(values[:, None], rows(y))) == bool(by_hand)


def test_separated_and_aliased_columns_are_held_and_the_others_are_not() -> None:
    rng = np.random.default_rng(3)
    x, r = drawn(rng, 3000)
    rare = (np.arange(3000) < 60) * 1.0
    r.y[:60] = 0
    wide = np.column_stack([x, rare, x[:, 2], 1 - x[:, 2]])
    free = unshrunk(wide, r, "logit", np.zeros(6))
    assert free.held.tolist() == [False, False, True, True, True, True]
    assert np.isfinite(free.fit.beta).all()
    assert free.fit.beta[3] < -1.5
    assert abs(free.fit.beta[1] - TRUE[1]) < 4 * free.fit.se[1]


def test_columns_that_separate_together_are_held_too() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 400))
    x = np.column_stack([np.ones(400), a, b])
    free = unshrunk(x, rows(a + b > 0), "logit", np.zeros(3))
    assert free.held.tolist() == [False, True, True]
    assert np.abs(free.fit.beta).max() < 40


def test_without_a_ridge_a_separated_column_still_has_a_prior() -> None:
    y = np.r_[np.zeros(10), np.tile([0.0, 1.0], 20)]
    x = np.column_stack([np.ones(50), np.r_[np.ones(10), np.zeros(40)], np.tile([0.0, 1, 1, 0, 1], 10)])
    assert floor(x, rows(y), np.zeros(3)).tolist() == [0, 1, 0]
    assert np.isfinite(solve(x, rows(y), "logit", floor(x, rows(y), np.zeros(3))).beta).all()


def test_a_response_with_an_empty_class_is_said_with_its_counts() -> None:
    assert "40 of 40 rows happened" in str(empty_class(head(np.ones(40)))[0])
    assert "3 events in 40 rows" in str(empty_class(head(np.r_[np.ones(3), np.zeros(37)]))[0])
    assert empty_class(head(np.tile([0.0, 1], 20))) == ()


def test_a_bad_start_does_not_keep_the_fit_from_its_maximum() -> None:
    x, r = drawn(np.random.default_rng(5), 2000, "rate")
    lost = solve(x, r, "rate", np.zeros(3), np.array([0.0, 500, -500]))
    np.testing.assert_allclose(lost.beta, solve(x, r, "rate", np.zeros(3)).beta, rtol=1e-5)
