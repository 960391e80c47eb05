"""Density ratios and blends, where the truth is a small chain of states that can be counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from evaluation import sequential
from evaluation.blending import Blend, blended
from evaluation.density_ratio import density_ratios
from evaluation.evaluate import evaluate
from evaluation.log import Log, log_from_arrays
from evaluation.onestep import snips
from evaluation.regression import Recipe
from evaluation.settings import EvaluationSettings

H = 10
STAY = np.array([[0.8, 0.3], [0.4, 0.9]])  # P(state 1 | state, treatment)
PAYS = np.array([[0.0, -0.2], [1.0, 0.8]])  # by state and treatment
POLICY = np.array([0.2, 0.8])  # P(treatment 1 | state); logged: one half


@dataclass(frozen=True)
class Chain:
    """Trajectories of the logging policy, (n, H) each, and the log of them."""

    state: np.ndarray
    treatment: np.ndarray
    ratio: np.ndarray
    reward: np.ndarray

    @property
    def log(self) -> Log:
        n = len(self.state)
        seen = np.eye(2, dtype=np.float32)[self.state.ravel()]
        customer = np.repeat(np.arange(n), H)
        half = np.full(n * H, 0.5)
        return log_from_arrays(seen, self.treatment.ravel(), half, self.reward.ravel(), customer=customer)


def chain(seed: int, n: int) -> Chain:
    rng = np.random.default_rng(seed)
    state, treatment = np.zeros((n, H), dtype=int), rng.integers(0, 2, (n, H))
    for t in range(1, H):
        state[:, t] = rng.random(n) < STAY[state[:, t - 1], treatment[:, t - 1]]
    chosen = np.where(treatment == 1, POLICY[state], 1 - POLICY[state])
    return Chain(state, treatment, chosen / 0.5, PAYS[state, treatment] + rng.normal(0, 0.5, (n, H)))


def known() -> tuple[float, np.ndarray, np.ndarray]:
    """The policy's value; its density ratios by step and state; its value from each step and state on."""
    mine, logged, value = np.array([1.0, 0.0]), np.array([1.0, 0.0]), 0.0
    ratios = []
    by_state = np.stack([1 - POLICY, POLICY], axis=1)
    move = (by_state * STAY).sum(axis=1)
    for _ in range(H):
        ratios.append(mine / np.where(logged > 0, logged, 1.0))
        value += float(mine @ (by_state * PAYS).sum(axis=1))
        up, base = float(mine @ move), float(logged @ STAY.mean(axis=1))
        mine, logged = np.array([1 - up, up]), np.array([1 - base, base])
    ahead = np.zeros((H + 1, 2))
    for t in reversed(range(H)):
        ahead[t] = (by_state * PAYS).sum(axis=1) + (1 - move) * ahead[t + 1, 0] + move * ahead[t + 1, 1]
    return value, np.array(ratios), ahead


def fitted_ratios(fit: Chain, onto: Chain) -> np.ndarray:
    held_out = np.repeat(np.arange(len(fit.state)) % 4 == 0, H)
    found = density_ratios(fit.log, fit.ratio.ravel(), onto.log, held_out, (Recipe("ridge", 10.0),), 0)
    return found.reshape(-1, H)


def test_density_ratios_are_those_of_the_chain() -> None:
    fit, onto = chain(0, 20_000), chain(1, 500)
    found, (_, ratios, _) = fitted_ratios(fit, onto), known()
    assert (found[:, 0] == 1).all()
    for t in range(1, H):
        for state in (0, 1):
            here = found[onto.state[:, t] == state, t]
            assert here == pytest.approx(ratios[t, state], abs=0.12), (t, state)


def test_the_variance_of_marginal_ratios_does_not_multiply() -> None:
    truth, ratios, _ = known()
    plain, marginal, ones = [], [], np.ones((400, H))
    for seed in range(100):
        c = chain(seed, 400)
        weight = ratios[np.arange(H)[None], c.state] * c.ratio
        plain.append(sequential.snpdis(c.ratio, c.reward, ones).estimate())
        marginal.append(sequential.marginal(weight, c.reward, ones).estimate())
    error = np.array(marginal) - truth
    assert abs(error.mean()) < 3 * error.std() / 10 + 0.01
    assert error.std() < 0.5 * np.std(plain)


def test_marginalised_doubly_robust_forgives_either_model() -> None:
    truth, ratios, ahead = known()
    c, ones = chain(2, 40_000), np.ones((40_000, H))
    steps = np.arange(H)[None]
    weight = ratios[steps, c.state] * c.ratio
    v = ahead[steps, c.state]
    q = PAYS[c.state, c.treatment] + (1 - STAY[c.state, c.treatment]) * ahead[steps + 1, 0]
    q = q + STAY[c.state, c.treatment] * ahead[steps + 1, 1]
    wrong = np.full_like(v, 0.7)
    right = sequential.marginal_dr(weight, sequential.before(weight), c.reward, q, v, ones)
    no_model = sequential.marginal_dr(weight, sequential.before(weight), c.reward, wrong, wrong, ones)
    no_ratio = sequential.marginal_dr(c.ratio, sequential.before(c.ratio), c.reward, q, v, ones)
    for terms in (right, no_model, no_ratio):
        assert terms.estimate() == pytest.approx(truth, abs=0.12)


def test_a_blend_at_its_ends() -> None:
    c, ones = chain(3, 300), np.ones((300, H))
    rng = np.random.default_rng(0)
    q, v = rng.normal(size=(2, 300, H))
    sampled = sequential.blend(c.ratio, c.reward, q, v, ones, np.ones(H)).estimate()
    assert sampled == pytest.approx(sequential.snpddr(c.ratio, c.reward, q, v, ones).estimate())
    modelled = sequential.blend(c.ratio, c.reward, q, v, ones, np.zeros(H)).estimate()
    assert modelled == pytest.approx(v[:, 0].mean())


def _blend_of(offset: float, n: int = 1500, seed: int = 4) -> tuple[float, Blend]:
    """With a model of the chain that is wrong by an offset at every decision."""
    _, _, ahead = known()
    c, ones, steps = chain(seed, n), np.ones((n, H)), np.arange(H)[None]
    v = ahead[steps, c.state] + offset
    q = PAYS[c.state, c.treatment] + (1 - STAY[c.state, c.treatment]) * ahead[steps + 1, 0]
    q = q + STAY[c.state, c.treatment] * ahead[steps + 1, 1] + offset
    terms, found = blended(c.ratio, c.reward, q, v, ones)
    return terms.estimate(), found


def test_a_right_model_is_believed_and_a_wrong_one_is_not() -> None:
    truth, _, _ = known()
    value, right = _blend_of(0.0)
    assert value == pytest.approx(truth, abs=0.3)
    value, wrong = _blend_of(40.0)
    assert value == pytest.approx(truth, abs=2.0)
    assert right.share @ right.steps < wrong.share @ wrong.steps
    assert wrong.share[0] < 0.05
    for found in (right, wrong):
        assert found.share.sum() == pytest.approx(1.0)
        assert (found.share >= 0).all()
        assert (np.diff(found.sampled(H)) <= 1e-12).all()


def test_where_weights_run_out_the_model_goes_on() -> None:
    """Nobody follows the policy beyond the third decision: the blend samples at most so far, and has a value."""
    rng = np.random.default_rng(7)
    ratio = np.where(np.arange(H) < 3, rng.uniform(0.5, 1.5, (200, H)), 0.0)
    reward, ones = rng.normal(1.0, 0.1, (200, H)), np.ones((200, H))
    v = np.tile(np.arange(H, 0, -1.0), (200, 1))
    terms, found = blended(ratio, reward, v, v, ones)
    assert np.isnan(sequential.snpddr(ratio, reward, v, v, ones).estimate())
    assert found.steps.max() <= 3
    assert terms.estimate() == pytest.approx(10.0, abs=0.3)
    never, alone = blended(np.zeros((200, H)), reward, v, v, ones)
    assert never.estimate() == pytest.approx(10.0)
    assert alone.steps.tolist() == [0]


def test_influence_is_what_leaving_one_customer_out_says() -> None:
    rng = np.random.default_rng(5)
    weight, reward = rng.exponential(size=200), rng.normal(size=200)
    terms = snips(weight, reward)
    moved = terms.influence()
    without = np.array([snips(np.delete(weight, i), np.delete(reward, i)).estimate() for i in range(200)])
    jackknife = 199 * (terms.estimate() - without)
    assert moved == pytest.approx(jackknife, abs=0.2)
    assert moved.mean() == pytest.approx(0.0, abs=1e-12)


class _Policy:
    name = "chain"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        one = POLICY[observation[:, 1].astype(int)]
        return np.stack([1 - one, one], axis=1)


def test_a_report_shows_them_for_a_short_log_only() -> None:
    truth, _, _ = known()
    log = chain(6, 1500).log
    report = evaluate(log, [_Policy()], settings=EvaluationSettings(model="ridge", resamples=200))
    for name in ("tis", "sntis", "snpddr", "blend", "marginal", "marginal_dr"):
        found = report.estimate("chain", name).interval
        assert np.isfinite(found.value), name
    for name in ("blend", "marginal", "marginal_dr"):
        found = report.estimate("chain", name).interval
        assert found.lo - 0.3 < truth < found.hi + 0.3, name
    booked = report.estimate("logged", "marginal").interval.value
    assert booked == pytest.approx(report.estimate("logged", "pdis").interval.value)
    short = evaluate(log, [_Policy()], settings=EvaluationSettings(model="ridge", resamples=200, ratio_decisions=5))
    assert "marginal" not in short.estimators
