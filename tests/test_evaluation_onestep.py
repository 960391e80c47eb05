"""One-step estimators: hand-worked arrays, properties, and the numbers that a peer library printed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluation.onestep import dm, dr, expected, ips, sndr, snips
from evaluation.weighting import clipped, shrunk, subgaussian, switched

REFERENCE = Path(
    os.environ.get("NEXTBEST_OPE_REFERENCE", Path(__file__).resolve().parents[2] / "shared" / "ope_reference")
)

# Two rounds: weights 2 and 0.5, rewards 1 and 3, model says 0.5 and 2 for what was logged, 1 and 2 for the policy.
WEIGHT, REWARD = np.array([2.0, 0.5]), np.array([1.0, 3.0])
Q, V = np.array([0.5, 2.0]), np.array([1.0, 2.0])


def test_hand_worked_rounds() -> None:
    assert dm(V).estimate() == pytest.approx(1.5)
    assert ips(WEIGHT, REWARD).estimate() == pytest.approx((2.0 + 1.5) / 2)
    assert snips(WEIGHT, REWARD).estimate() == pytest.approx(3.5 / 2.5)
    assert dr(WEIGHT, REWARD, Q, V).estimate() == pytest.approx((1 + 2 * 0.5 + 2 + 0.5 * 1) / 2)
    assert sndr(WEIGHT, REWARD, Q, V).estimate() == pytest.approx(1.5 + (2 * 0.5 + 0.5 * 1) / 2.5)


def test_expected_is_the_policy_weighted_model() -> None:
    pi, q = np.array([[0.25, 0.75], [1.0, 0.0]]), np.array([[4.0, 8.0], [3.0, 9.0]])
    assert expected(pi, q).tolist() == [7.0, 3.0]


positive = arrays(np.float64, 20, elements=st.floats(0.01, 50))
amounts = arrays(np.float64, 20, elements=st.floats(-1000, 1000))


@given(positive, st.floats(-100, 100))
def test_a_constant_reward_gives_that_constant(weight: np.ndarray, constant: float) -> None:
    reward = np.full(20, constant)
    assert snips(weight, reward).estimate() == pytest.approx(constant, abs=1e-9)
    assert dr(weight, reward, reward, reward).estimate() == pytest.approx(constant, abs=1e-9)
    assert sndr(weight, reward, reward, reward).estimate() == pytest.approx(constant, abs=1e-9)


@given(positive, amounts, st.floats(-100, 100))
def test_self_normalised_estimates_move_with_the_reward(weight: np.ndarray, reward: np.ndarray, shift: float) -> None:
    moved = snips(weight, reward + shift).estimate()
    assert moved == pytest.approx(snips(weight, reward).estimate() + shift, abs=1e-6)


@given(positive, amounts, amounts)
def test_with_a_perfect_model_the_weights_do_not_matter(weight: np.ndarray, reward: np.ndarray, v: np.ndarray) -> None:
    assert dr(weight, reward, reward, v).estimate() == pytest.approx(v.mean(), abs=1e-9)
    assert sndr(weight, reward, reward, v).estimate() == pytest.approx(v.mean(), abs=1e-9)


@given(amounts)
def test_on_policy_every_weighted_estimate_is_the_mean(reward: np.ndarray) -> None:
    ones = np.ones(20)
    assert ips(ones, reward).estimate() == pytest.approx(reward.mean(), abs=1e-9)
    assert snips(ones, reward).estimate() == pytest.approx(reward.mean(), abs=1e-9)


def test_without_weight_there_is_no_self_normalised_estimate() -> None:
    assert np.isnan(snips(np.zeros(3), np.ones(3)).estimate())
    assert ips(np.zeros(3), np.ones(3)).estimate() == 0.0


@pytest.mark.parametrize("case", ["obp_n1k_k5", "obp_n10k_k10"])
def test_open_bandit_pipeline_prints_the_same(case: str) -> None:
    if not REFERENCE.is_dir():
        pytest.skip(f"no reference cases in {REFERENCE}; set NEXTBEST_OPE_REFERENCE")
    data = np.load(REFERENCE / f"{case}.npz")
    printed = json.loads((REFERENCE / f"{case}.json").read_text())["estimates"]
    rows = np.arange(len(data["action"]))
    weight = data["action_dist"][rows, data["action"]] / data["pscore"]
    reward = data["reward"].astype(np.float64)
    q, v = data["q_hat"][rows, data["action"]], expected(data["action_dist"], data["q_hat"])
    assert dm(v).estimate() == pytest.approx(printed["dm"], abs=1e-9)
    assert ips(weight, reward).estimate() == pytest.approx(printed["ipw"], abs=1e-9)
    assert ips(clipped(weight, 10), reward).estimate() == pytest.approx(printed["ipw_clip10"], abs=1e-9)
    assert snips(weight, reward).estimate() == pytest.approx(printed["snipw"], abs=1e-7)
    assert dr(weight, reward, q, v).estimate() == pytest.approx(printed["dr"], abs=1e-9)
    assert sndr(weight, reward, q, v).estimate() == pytest.approx(printed["sndr"], abs=1e-7)
    mrdr_q, mrdr_v = data["q_hat_mrdr"][rows, data["action"]], expected(data["action_dist"], data["q_hat_mrdr"])
    assert dr(weight, reward, mrdr_q, mrdr_v).estimate() == pytest.approx(printed["mrdr"], abs=1e-9)
    smaller = {
        "dr_clip10": clipped(weight, 10), "switch-dr_5": switched(weight, 5), "switch-dr_20": switched(weight, 20),
        "dr-os_100": shrunk(weight, 100), "dr-os_5": shrunk(weight, 5), "sg-dr_0.05": subgaussian(weight, 0.05),
    }  # fmt: skip
    for name, w in smaller.items():
        assert dr(w, reward, q, v).estimate() == pytest.approx(printed[name], abs=1e-9), name
    assert ips(subgaussian(weight, 0.05), reward).estimate() == pytest.approx(printed["sg-ipw_0.05"], abs=1e-9)
