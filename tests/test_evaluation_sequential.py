"""Sequential estimators: hand-worked trajectories, a tiny decision process whose values are known, a peer's numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from evaluation import sequential
from evaluation.terms import Terms

REFERENCE = Path(
    os.environ.get("NEXTBEST_OPE_REFERENCE", Path(__file__).resolve().parents[2] / "shared" / "ope_reference")
)

# Two customers, two decisions; customer 1 has only the first.
RATIO = np.array([[2.0, 3.0], [0.5, 1.0]])
REWARD = np.array([[1.0, 10.0], [4.0, 0.0]])
DISCOUNT = np.array([[1.0, 0.9], [1.0, 0.0]])
ALIVE = np.array([[True, True], [True, False]])


def test_hand_worked_trajectories() -> None:
    # cumulative ratios: [[2, 6], [0.5, 0.5]]
    assert sequential.pdis(RATIO, REWARD, DISCOUNT).estimate() == pytest.approx((2 + 0.9 * 60 + 2) / 2)
    assert sequential.snpdis(RATIO, REWARD, DISCOUNT).estimate() == pytest.approx(4 / 2.5 + 0.9 * 60 / 6.5)
    assert sequential.tis(RATIO, REWARD, DISCOUNT).estimate() == pytest.approx((6 * 10 + 0.5 * 4) / 2)
    assert sequential.sntis(RATIO, REWARD, DISCOUNT).estimate() == pytest.approx((6 * 10 + 0.5 * 4) / 6.5)
    # deviations: step 0 over both customers, step 1 over the half of them who have it
    deviation = sequential.deviation(RATIO, REWARD, DISCOUNT, ALIVE).estimate()
    assert deviation == pytest.approx(4 / 2.5 + 0.5 * 0.9 * 10)
    # one decision, then the logging policy: returns 10 and 4 at weights 2 and 0.5
    assert sequential.kstep(RATIO, REWARD, DISCOUNT, 1).estimate() == pytest.approx((2 * 10 + 0.5 * 4) / 2.5)
    # the whole log is the k-step value with k = H
    whole = sequential.kstep(RATIO, REWARD, DISCOUNT, 2).estimate()
    assert whole == pytest.approx(sequential.snpdis(RATIO, REWARD, DISCOUNT).estimate())


def test_hand_worked_doubly_robust() -> None:
    q, v = np.array([[1.0, 8.0], [2.0, 0.0]]), np.array([[3.0, 9.0], [2.0, 0.0]])
    plain = (2 * 0 + 3 + 0.9 * (6 * 2 + 2 * 9) + 0.5 * 2 + 2) / 2
    assert sequential.pddr(RATIO, REWARD, q, v, DISCOUNT).estimate() == pytest.approx(plain)
    weighted = 2.5 + (0.5 * 2) / 2.5 + 0.9 * 6 * 2 / 6.5 + 0.9 * 2 * 9 / 2.5
    assert sequential.snpddr(RATIO, REWARD, q, v, DISCOUNT).estimate() == pytest.approx(weighted)
    one = sequential.deviation_dr(RATIO, REWARD, q, v, DISCOUNT, ALIVE).estimate()
    assert one == pytest.approx((3 + 8.1 + 2) / 2 + (0.5 * 2) / 2.5 + 0.5 * 0.9 * 2)


def test_with_a_perfect_model_the_weights_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    q = rng.normal(size=(50, 3))
    reward = np.concatenate([q[:, :2] - q[:, 1:], q[:, 2:]], axis=1)  # deterministic: q_t = r_t + q_{t+1}, v = q
    ones, alive = np.ones((50, 3)), np.ones((50, 3), dtype=bool)
    for seed in (1, 2):
        ratio = np.random.default_rng(seed).uniform(0.1, 4, (50, 3))
        assert sequential.pddr(ratio, reward, q, q, ones).estimate() == pytest.approx(q[:, 0].mean())
        deviation = sequential.deviation_dr(ratio, reward, reward, reward, ones, alive)
        assert deviation.estimate() == pytest.approx(reward.sum(axis=1).mean())
        logged = np.cumsum(reward[:, ::-1], axis=1)[:, ::-1]
        short = sequential.kstep_dr(ratio, reward, logged, logged, ones, 1)
        assert short.estimate() == pytest.approx(logged[:, 0].mean())


@pytest.mark.parametrize("k", [1, 2, 3])
def test_on_policy_every_estimate_is_the_mean_return(k: int) -> None:
    rng = np.random.default_rng(3)
    reward, discount = rng.normal(size=(40, 3)), np.tile([1.0, 0.9, 0.81], (40, 1))
    ones, alive, zeros = np.ones((40, 3)), np.ones((40, 3), dtype=bool), np.zeros((40, 3))
    truth = sequential.on_policy(reward, discount).estimate()
    found: list[Terms] = [
        sequential.pdis(ones, reward, discount),
        sequential.snpdis(ones, reward, discount),
        sequential.kstep(ones, reward, discount, k),
        sequential.kstep_dr(ones, reward, zeros, zeros, discount, k),
        sequential.deviation(ones, reward, discount, alive),
        sequential.pddr(ones, reward, zeros, zeros, discount),
    ]
    assert [terms.estimate() for terms in found] == pytest.approx([truth] * len(found))


def test_estimates_find_the_values_of_a_known_process() -> None:
    """State s in {0, 1}; treatment 1 moves to state 1 and costs .2; state 1 pays 1 at the next decision."""
    rng = np.random.default_rng(4)
    n, steps = 40_000, 3
    state, ratio, reward = np.zeros(n, dtype=int), np.ones((n, steps)), np.zeros((n, steps))
    pi = np.array([0.3, 0.9])  # probability of treatment 1 under the policy, by state; logged: one half
    for t in range(steps):
        action = rng.integers(0, 2, n)
        ratio[:, t] = np.where(action == 1, pi[state], 1 - pi[state]) / 0.5
        reward[:, t] = state - 0.2 * action
        state = action
    ones, alive = np.ones((n, steps)), np.ones((n, steps), dtype=bool)
    # Under pi: P(state 1) is 0, .3, .48; under the log: 0, .5, .5.
    full = (-0.2 * 0.3) + (0.3 - 0.2 * 0.48) + (0.48 - 0.2 * (0.52 * 0.3 + 0.48 * 0.9))
    two = (-0.2 * 0.3) + (0.3 - 0.2 * 0.48) + (0.48 - 0.2 * 0.5)
    alone = (-0.2 * 0.3) + 2 * (0.5 - 0.2 * 0.6)
    assert sequential.pdis(ratio, reward, ones).estimate() == pytest.approx(full, abs=0.03)
    assert sequential.snpdis(ratio, reward, ones).estimate() == pytest.approx(full, abs=0.03)
    assert sequential.kstep(ratio, reward, ones, 2).estimate() == pytest.approx(two, abs=0.03)
    assert sequential.deviation(ratio, reward, ones, alive).estimate() == pytest.approx(alone, abs=0.03)


def test_scope_rl_prints_the_same() -> None:
    if not REFERENCE.is_dir():
        pytest.skip(f"no reference cases in {REFERENCE}; set NEXTBEST_OPE_REFERENCE")
    data = np.load(REFERENCE / "scope_n1k_h6.npz")
    case = json.loads((REFERENCE / "scope_n1k_h6.json").read_text())
    printed, horizon = case["estimates"], case["H"]
    state, action, reward = data["state"].astype(int), data["action"].astype(int), data["reward"]
    pi = data["pi_e"][state]
    ratio = np.take_along_axis(pi, action[:, :, None], axis=2)[:, :, 0] / data["pscore"]
    q = np.take_along_axis(data["q_hat"], action[:, :, None], axis=2)[:, :, 0]
    v = (pi * data["q_hat"]).sum(axis=2)
    discount = np.tile(case["gamma"] ** np.arange(horizon), (len(state), 1))
    close = {"abs": 1e-9}
    assert v[:, 0].mean() == pytest.approx(printed["dm"], **close)
    assert sequential.pdis(ratio, reward, discount).estimate() == pytest.approx(printed["pdis"], **close)
    assert sequential.pddr(ratio, reward, q, v, discount).estimate() == pytest.approx(printed["dr"], **close)
    assert sequential.tis(ratio, reward, discount).estimate() == pytest.approx(printed["tis"], **close)
    found = sequential.sntis(ratio, reward, discount).estimate()
    assert found == pytest.approx(printed["sntis"], abs=1e-7)
    found = sequential.snpdis(ratio, reward, discount).estimate()
    assert found == pytest.approx(printed["snpdis"], abs=1e-7)
    # Ratios that are undiscounted and pooled over time: the peer's form, not ours, but the same sums.
    pooled = data["w_state_action"]
    assert (discount * pooled * reward).sum(axis=1).mean() == pytest.approx(printed["sam_is"], **close)
    found = sequential.marginal(pooled, reward, discount).estimate()
    assert found == pytest.approx(printed["sam_snis"], abs=1e-7)
    found = sequential.snpddr(ratio, reward, q, v, discount).estimate()
    assert found == pytest.approx(printed["sndr"], abs=1e-7)


def test_pooled_deviations_of_a_constant_reward_are_that_constant_and_agree_with_unpooled_ones() -> None:
    rng = np.random.default_rng(3)
    ratio, alive = rng.exponential(size=(4000, 5)), np.ones((4000, 5), bool)
    flat = np.full((4000, 5), 2.0)
    assert sequential.deviation(ratio, flat, np.ones((4000, 5)), alive, pooled=True).estimate() == pytest.approx(10.0)
    reward = rng.normal(1.0, 1.0, size=(4000, 5))
    apart = sequential.deviation(ratio, reward, np.ones((4000, 5)), alive).estimate()
    together = sequential.deviation(ratio, reward, np.ones((4000, 5)), alive, pooled=True).estimate()
    assert together == pytest.approx(apart, abs=0.05)
