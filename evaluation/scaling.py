"""Scaling of estimated probabilities, so that of what is stated with 10 % one in ten comes true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.propensity_models import LEAST, over_allowed

MOST_ROWS = 60_000  # decisions that a scaling is fitted on, evenly spread; assumed: enough for a number per treatment
STEEPEST = 20.0  # bounds of 1 / temperature are this and its inverse; assumed: beyond, nothing is left of a model


@dataclass(frozen=True)
class Scaling:
    """Temperature and shifts: p'(a|x) ~ p(a|x)^(1 / temperature) exp(shift_a) over the treatments that are allowed.

    Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks") with a shift for each class
    (Alexandari et al. 2020, "Maximum likelihood with bias-corrected calibration"): a model of classes that knows of
    no mask understates what was seldom allowed, and the shift mends that.
    """

    temperature: float  # above 1: the model was too sure of itself
    shift: np.ndarray  # (A,) float64

    def of(self, p: np.ndarray) -> np.ndarray:  # (n, A) float64
        """Scaled probabilities; 0 stays 0, and nothing else becomes it. p: (n, A), rows sum to 1"""
        found = _softmax(_logs(p) / self.temperature + self.shift)
        return over_allowed(np.maximum(found, LEAST), p > 0)


def fit_scaling(p: np.ndarray, treatment: np.ndarray) -> Scaling:
    """By the likelihood of what was chosen (McFadden 1974, conditional logit), with a standard normal prior on shifts.

    p: (n, A) probabilities of a model that did not learn from these decisions, 0 where masked; treatment: (n,) int
    """
    from scipy.optimize import minimize

    if len(treatment) > MOST_ROWS:
        rows = np.linspace(0, len(treatment) - 1, MOST_ROWS).astype(np.int64)
        p, treatment = p[rows], treatment[rows]
    logs, n = _logs(p), len(treatment)
    finite, chosen = np.where(np.isfinite(logs), logs, 0.0), logs[np.arange(n), treatment]
    counts = np.bincount(treatment, minlength=p.shape[1])

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        slope, shift = at[0], at[1:]
        score = slope * logs + shift
        top = score.max(axis=1, keepdims=True)
        total = np.log(np.exp(score - top).sum(axis=1)) + top[:, 0]
        now = np.exp(score - total[:, None])
        value = (total - slope * chosen - shift[treatment]).sum() + ((slope - 1) ** 2 + (shift**2).sum()) / 2
        turned = np.r_[(now * finite).sum() - chosen.sum() + slope - 1, now.sum(axis=0) - counts + shift]
        return float(value / n), turned / n

    start = np.r_[1.0, np.zeros(p.shape[1])]
    bounds = [(1 / STEEPEST, STEEPEST), *([(None, None)] * p.shape[1])]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Scaling(float(1 / found[0]), found[1:])


def _logs(p: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities; minus infinity for 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p))


def _softmax(score: np.ndarray) -> np.ndarray:
    found = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))
