"""Steering: the optimum listens to its prices, a policy that is deaf does not, areas by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.baselines import Silence
from agents.exact import Optimum
from agents.myopic import Myopic
from agents.steering import hypervolume, regret, steered
from envs.exact import build
from envs.prices import Prices
from envs.world import load_world

PRICES = (0.0, 20.0, 100.0)


@pytest.fixture(scope="module")
def model():  # type: ignore[no-untyped-def]
    return build(load_world("exact"))


def test_the_optimum_listens(model) -> None:  # type: ignore[no-untyped-def]
    found = steered(model, Optimum(model), PRICES)
    np.testing.assert_allclose(found.share, 1.0, rtol=1e-4)
    assert (found.wrongly_told <= 1e-9).all()
    assert found.monotone
    assert (np.diff(found.annoyance) < 0).all()
    np.testing.assert_allclose(np.diag(found.cross), found.optimum, rtol=1e-4)


def test_who_is_deaf_gains_nothing_by_being_told(model) -> None:  # type: ignore[no-untyped-def]
    from agents.exact import solve

    deaf = Optimum(model, solve(model, Prices(100.0, (0.0,))))
    found = steered(model, deaf, PRICES)
    np.testing.assert_allclose(found.wrongly_told, 0.0, atol=1e-12)  # whatever it is told
    assert found.share[0] < 0.95
    assert found.share[2] == pytest.approx(1.0, rel=1e-4)
    listens = steered(model, Optimum(model), PRICES)
    missed = regret(found, dict.fromkeys(PRICES, listens))
    np.testing.assert_allclose(missed, 1 - found.share, atol=1e-4)


def test_silence_is_worth_nothing_and_myopia_something(model) -> None:  # type: ignore[no-untyped-def]
    np.testing.assert_allclose(steered(model, Silence(), PRICES).share, 0.0, atol=1e-12)
    assert (steered(model, Myopic(model.world), PRICES).share > 0.5).all()


def test_areas_by_hand() -> None:
    profit, annoyance = np.array([3.0, 5.0, 4.0]), np.array([1.0, 3.0, 3.5])
    assert hypervolume(profit, annoyance, (1.0, 4.0)) == pytest.approx((3 - 1) * 2 + (5 - 1) * 1)
    assert hypervolume(profit, annoyance, (6.0, 4.0)) == 0.0
    assert hypervolume(profit[:1], annoyance[:1], (1.0, 1.0)) == 0.0


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=8),
    st.tuples(st.floats(0, 9), st.floats(0, 9)),
)
def test_one_more_point_never_takes_area_away(points: list[tuple[float, float]], more: tuple[float, float]) -> None:
    few, many = np.array(points), np.array([*points, more])
    before, after = (hypervolume(p[:, 0], p[:, 1], (0.0, 10.0)) for p in (few, many))
    assert after >= before - 1e-9
    assert after <= 9 * 10
