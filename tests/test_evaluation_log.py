"""The log record: padding, sums, prices; what else it refuses: tests/test_bad_input_*.py."""

from __future__ import annotations

import numpy as np
import pytest

from envs.errors import InputError
from envs.prices import Prices
from evaluation.log import Log, log_from_arrays


def small_log(**more: object) -> Log:
    """Customer a has decisions at days 0 and 2, customer b one decision."""
    given: dict[str, object] = {
        "customer": np.array(["a", "a", "b"]),
        "gap_days": np.array([2.0, 3.0, 5.0]),
        "gamma": 0.5,
        "cost": np.array([0.0, 1.0, 0.0]),
        "annoyance": np.array([1.0, 0.0, 2.0]),
        "pools": ("calls",),
        "effort": np.array([[3.0], [0.0], [1.0]]),
        "price_columns": {"annoyance": 1, "calls": 0},
        "price_scales": {"annoyance": 10.0, "calls": 4.0},
    }
    return log_from_arrays(
        np.array([[0.0, 0, 7], [0, 0, 8], [0, 0, 9]]),
        np.array([0, 1, 1]),
        np.array([0.5, 0.5, 0.25]),
        np.array([10.0, 20.0, 30.0]),
        **(given | more),
    )


def test_shapes_sums_and_discount() -> None:
    log = small_log()
    assert (log.customers, log.horizon, len(log)) == (2, 2, 3)
    assert log.step.tolist() == [0, 1, 0]
    assert log.elapsed_days.tolist() == [0.0, 2.0, 0.0]
    assert log.discount.tolist() == [1.0, 0.25, 1.0]
    assert log.by_customer(log.margin).tolist() == [30.0, 30.0]
    assert log.padded(log.margin, fill=-1.0).tolist() == [[10.0, 20.0], [30.0, -1.0]]
    assert log.alive.tolist() == [[True, True], [True, False]]


def test_reward_at_prices() -> None:
    log = small_log(logged_prices=np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]))
    assert log.reward(Prices(2.0, (4.0,))).tolist() == [10 - 12 - 2, 19, 30 - 4 - 4]
    assert log.reward().tolist() == [9.0, 19.0, 28.0]
    assert small_log().reward().tolist() == [10.0, 19.0, 30.0]


def test_prices_are_shown_in_the_observation_and_hidden_from_the_state() -> None:
    log = small_log()
    shown = float(np.float32(np.log(51) / np.log(101)))  # both at half of their ranges
    assert log.observation_at(Prices(5.0, (2.0,)))[0].tolist() == pytest.approx([shown, shown, 7.0])
    assert log.observation[0].tolist() == [0.0, 0.0, 7.0]
    assert log.state.tolist() == [[7.0], [8.0], [9.0]]


def test_a_price_far_above_its_range_is_shown_as_the_highest() -> None:
    assert small_log().observation_at(Prices(1e9, (1e9,)))[0].tolist() == [2.0, 2.0, 7.0]


def test_selecting_customers_counts_them_anew() -> None:
    log = small_log().select(np.array([False, True]))
    assert (log.customers, log.customer.tolist(), log.customer_id.tolist()) == (1, [0], ["b"])
    assert log.margin.tolist() == [30.0]


def test_rows_may_come_in_any_order_of_customers() -> None:
    log = log_from_arrays(
        np.zeros((3, 1)), np.array([0, 1, 1]), np.ones(3), np.array([1.0, 2, 3]), customer=np.array([5, 2, 5])
    )
    assert log.margin.tolist() == [2.0, 1.0, 3.0]
    assert log.step.tolist() == [0, 0, 1]


def test_the_digest_follows_the_content() -> None:
    assert small_log().digest == small_log().digest
    assert small_log().digest != small_log(cost=np.zeros(3)).digest


def test_windows_that_end_before_they_begin_are_refused() -> None:
    with pytest.raises(InputError) as fault:
        small_log(gap_days=np.array([1.0, 1.0, -1.0]))
    assert str(fault.value) == "gap_days == -1.0 (row 2), must be >= 0"


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(InputError, match="must hold at least one decision"):
        log_from_arrays(np.zeros((0, 1)), np.zeros(0), np.zeros(0), np.zeros(0))
