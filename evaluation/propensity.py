"""Propensities of a log that did not record them: estimated on the training customers, and marked as estimated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.language import mark

Distribution = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
NOTE = mark("estimated by {name} on the training customers (held-out log-loss: {tried})")
HELD_OUT = 0.25  # share of training customers on which the candidates are compared; assumed
SMOOTHING = 0.5  # pseudo-count per treatment (Jeffreys' prior)


@dataclass(frozen=True)
class PropensityModel:
    """The chosen model of who was treated how.

    distribution(observation (n, F), mask (n, A), step (n,)) -> (n, A) float64, rows sum to 1, 0 where masked
    """

    name: str
    distribution: Distribution
    losses: tuple[tuple[str, float], ...]  # held-out log-loss of each candidate, nats per decision

    @property
    def note(self) -> str:
        """One phrase for reports."""
        tried = ", ".join(f"{name} {loss:.4f}" for name, loss in self.losses)
        return NOTE.format(name=self.name, tried=tried)


def estimate_propensity(
    observation: np.ndarray,
    mask: np.ndarray,
    treatment: np.ndarray,
    step: np.ndarray,
    customer: np.ndarray,
    rng: np.random.Generator,
) -> PropensityModel:
    """Choose between frequencies per step and a multinomial logistic model by held-out log-loss, refit on all.

    observation: (n, F); mask: (n, A) bool; treatment, step: (n,) int; customer: (n,) int from 0.
    The logistic model must win by more than one standard error (Breiman et al. 1984): that assignment ignores
    the customer is the simpler reading.
    """
    held_out = (rng.random(int(customer.max()) + 1) < HELD_OUT)[customer]
    data = (observation, mask, treatment, step)
    if held_out.all() or not held_out.any():
        return PropensityModel("frequencies per step", fit_frequencies(*data), ())
    fit, test = ([part[rows] for part in data] for rows in (~held_out, held_out))
    fitters = {"frequencies per step": fit_frequencies, "multinomial logistic": fit_logistic}
    losses = {name: log_losses(fitter(*fit), *test) for name, fitter in fitters.items()}
    simple, other = losses.values()
    better = simple - other
    name = list(fitters)[int(better.mean() > better.std() / np.sqrt(len(better)))]
    means = tuple((key, float(loss.mean())) for key, loss in losses.items())
    return PropensityModel(name, fitters[name](*data), means)


def log_losses(
    distribution: Distribution, observation: np.ndarray, mask: np.ndarray, treatment: np.ndarray, step: np.ndarray
) -> np.ndarray:  # (n,) float64
    """-log probability of each logged treatment, in nats."""
    p = distribution(observation, mask, step)[np.arange(len(treatment)), treatment]
    return np.asarray(-np.log(np.maximum(p, 1e-12)))


def fit_frequencies(observation: np.ndarray, mask: np.ndarray, treatment: np.ndarray, step: np.ndarray) -> Distribution:
    """Share of each treatment among the decisions at the same step that allowed it."""
    steps, width = int(step.max()) + 1, mask.shape[1]
    chosen, allowed = np.zeros((steps, width)), np.zeros((steps, width))
    np.add.at(chosen, (step, treatment), 1.0)
    np.add.at(allowed, step, mask.astype(np.float64))
    share = (chosen + SMOOTHING) / (allowed + SMOOTHING * width)

    def distribution(observation: np.ndarray, mask: np.ndarray, step: np.ndarray) -> np.ndarray:
        return _over_allowed(share[np.minimum(step, steps - 1)], mask)

    return distribution


def fit_logistic(observation: np.ndarray, mask: np.ndarray, treatment: np.ndarray, step: np.ndarray) -> Distribution:
    """Multinomial logistic regression on the observation and the step, renormalised over the mask."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = min(int(step.max()) + 1, 20)  # beyond the twentieth decision steps are taken to be alike
    seen = np.unique(treatment)
    if len(seen) < 2:
        return fit_frequencies(observation, mask, treatment, step)

    def inputs(observation: np.ndarray, step: np.ndarray) -> np.ndarray:
        return np.concatenate([observation, np.eye(steps)[np.minimum(step, steps - 1)]], axis=1)

    model: Any = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200, tol=1e-3))
    model.fit(inputs(observation, step), treatment)

    def distribution(observation: np.ndarray, mask: np.ndarray, step: np.ndarray) -> np.ndarray:
        p = np.full(mask.shape, 1e-9)
        p[:, seen] = model.predict_proba(inputs(observation, step))
        return _over_allowed(p, mask)

    return distribution


def _over_allowed(p: np.ndarray, mask: np.ndarray) -> np.ndarray:
    kept = np.where(mask, p, 0.0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))
