"""Estimators made for one policy or for groups of treatments: more robust doubly robust, marginalised weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluation.diagnostics import group_weights, weights
from evaluation.evaluate import evaluate
from evaluation.log import Log, log_from_arrays
from evaluation.more_robust import emphasis, fit_more_robust
from evaluation.onestep import dr, ips
from evaluation.regression import Recipe, TreatmentFeatures
from evaluation.settings import EvaluationSettings

A = 6
GROUPS = np.array([0, 1, 1, 1, 2, 2])


def log_of(seed: int, n: int = 3000, *, known: bool = True) -> tuple[Log, np.ndarray]:
    """A one-step log whose reward depends on the group alone, and the probabilities of another policy."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    behaviour = _softmax(np.stack([0.8 * x[:, 0] * np.cos(a) - 0.6 * a for a in range(A)], axis=1))
    treatment = _drawn(behaviour, rng)
    reward = np.array([0.0, 1.0, 2.5])[GROUPS[treatment]] + x[:, 0] ** 2 + rng.normal(size=n)
    target = _softmax(np.stack([x[:, 1] + 0.5 * a for a in range(A)], axis=1))
    propensity = behaviour[np.arange(n), treatment]
    more: dict[str, Any] = {"behaviour": behaviour} if known else {}
    return log_from_arrays(x, treatment, propensity, reward, mask=np.ones((n, A), dtype=bool), **more), target


def _softmax(scores: np.ndarray) -> np.ndarray:
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _drawn(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray((p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1).clip(0, A - 1))


def test_weights_of_groups_by_hand() -> None:
    log, target = log_of(0, 5)
    assert log.behaviour is not None
    row = 3
    own = GROUPS[log.treatment[row]] == GROUPS
    assert group_weights(log, target, GROUPS)[row] == pytest.approx(
        target[row, own].sum() / log.behaviour[row, own].sum()
    )
    assert group_weights(log, target, np.arange(A)) == pytest.approx(weights(log, target))
    assert group_weights(log, target, np.zeros(A, dtype=int)) == pytest.approx(np.ones(5))


def test_weights_of_groups_say_the_same_with_less_noise() -> None:
    """Where only the group moves the reward both are unbiased, and the group's weights vary less."""
    by_treatment, by_group, truths = [], [], []
    for seed in range(60):
        log, target = log_of(seed, 1500)
        reward = log.reward()
        by_treatment.append(ips(weights(log, target), reward).estimate())
        by_group.append(ips(group_weights(log, target, GROUPS), reward).estimate())
        truths.append(float((target @ np.array([0.0, 1.0, 2.5])[GROUPS] + log.observation[:, 0] ** 2).mean()))
    apart = np.array(by_group) - truths
    assert abs(apart.mean()) < 3 * apart.std() / np.sqrt(len(apart))
    assert apart.std() < 0.9 * (np.array(by_treatment) - truths).std()


def test_a_model_for_one_policy_leaves_less_noise() -> None:
    """A linear model of a reward that is not linear: fitted where the weights are, it errs less where they are."""
    weighted, plain = [], []
    for seed in range(20):
        fit, fit_target = log_of(seed, 2000)
        log, target = log_of(1000 + seed, 2000)
        features, recipe = TreatmentFeatures(np.zeros((A, 0))), Recipe("ridge", 10.0)
        own = fit_more_robust(fit, fit_target, fit.reward(), features, recipe, 0)
        usual = recipe.fitter(fit.state, fit.treatment, features, fit.reward()[:, None], 0).fit(fit.reward())
        for model, found in ((own, weighted), (usual, plain)):
            q, v = model.values(log.state, log.treatment), model.expected(log.state, target)
            found.append(float(dr(weights(log, target), log.reward(), q, v).numerator.var()))
    assert np.mean(weighted) < np.mean(plain)


def test_emphasis_is_nothing_where_the_log_had_no_choice() -> None:
    assert emphasis(np.array([1.0, 2.0]), np.array([1.0, 0.5])).tolist() == [0.0, 2.0]


class _Fixed:
    def __init__(self, target: np.ndarray) -> None:
        self.target = target
        self.name = "fixed"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.target


def test_a_report_holds_them_where_they_can_be_had() -> None:
    for known, groups, there in ((True, GROUPS, True), (False, GROUPS, False), (True, None, False)):
        log, target = log_of(5, 800, known=known)
        report = evaluate(log, [_Fixed(target)], kinds=None if groups is None else groups.astype(str).tolist())
        assert ("mips" in report.estimators) is there
        assert {"mrdr", "ips_clipped", "ips_subgaussian", "dr_switched", "dr_shrunk", "dr_subgaussian"} <= set(
            report.estimators
        )
        shrunk = report.estimate("fixed", "dr_shrunk")
        assert shrunk.weighting is not None
        assert report.estimate("logged", "dr_shrunk").weighting is None
        assert "λ" in report.to_html()
    values = [report.estimate("fixed", name).interval for name in ("ips", "dr", "mrdr", "dr_shrunk", "ips_clipped")]
    assert max(v.lo for v in values) < min(v.hi for v in values)


def test_models_for_one_policy_need_no_density_ratios() -> None:
    """Nor does a log of one decision need them: other customers' probabilities are there all the same."""
    (log, target), (other, there) = log_of(6, 400), log_of(7, 400)
    other = replace(other, customer_id=np.char.add("other-", other.customer_id))

    class Both:
        name = "both"

        def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
            return target if np.array_equal(observation, log.observation) else there

    settings = EvaluationSettings(model="ridge", resamples=100, ratio_decisions=0)
    report = evaluate(log, [Both()], training_log=other, settings=settings)
    assert np.isfinite(report.estimate("both", "mrdr").interval.value)
