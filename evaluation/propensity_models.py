"""Candidate models of who was treated how: frequencies per step, a multinomial logistic model, trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# observation (n, F), mask (n, A), step (n,) -> (n, A) float64, rows sum to 1, 0 where masked
Distribution = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
LEAST = 1e-9  # that a model gives to what is allowed; assumed: nobody chooses what is less likely
SMOOTHING = 0.5  # pseudo-count per treatment (Jeffreys' prior)
MOST_STEPS = 20  # beyond the twentieth decision steps are taken to be alike; assumed
MOST_ROWS = 100_000  # decisions that the logistic model is fitted on, evenly spread; assumed
MOST_TREE_ROWS = 120_000  # decisions x treatments that were chosen, of trees; assumed: seconds
MOST_TREED = 12  # treatments beyond which trees are not tried: every round grows one for each; assumed


class Chosen(NamedTuple):
    """Decisions and what was chosen."""

    observation: np.ndarray  # (n, F)
    mask: np.ndarray  # (n, A) bool
    treatment: np.ndarray  # (n,) int
    step: np.ndarray  # (n,) int

    def at(self, rows: np.ndarray) -> Chosen:
        """Some of them; rows: (n,) bool or positions."""
        return Chosen(*(part[rows] for part in self))

    def at_most(self, rows: int) -> Chosen:
        """So many at most, evenly spread."""
        n = len(self.treatment)
        return self if n <= rows else self.at(np.linspace(0, n - 1, rows).astype(np.int64))


def log_losses(p: np.ndarray, treatment: np.ndarray) -> np.ndarray:  # (n,) float64
    """-log probability of each logged treatment, in nats. p: (n, A)"""
    return np.asarray(-np.log(np.maximum(p[np.arange(len(treatment)), treatment], 1e-12)))


def fit_frequencies(observation: np.ndarray, mask: np.ndarray, treatment: np.ndarray, step: np.ndarray) -> Distribution:
    """Share of each treatment among the decisions at the same step that allowed it."""
    steps, width = int(step.max()) + 1, mask.shape[1]
    chosen, allowed = np.zeros((steps, width)), np.zeros((steps, width))
    np.add.at(chosen, (step, treatment), 1.0)
    np.add.at(allowed, step, mask.astype(np.float64))
    share = (chosen + SMOOTHING) / (allowed + SMOOTHING * width)

    def distribution(observation: np.ndarray, mask: np.ndarray, step: np.ndarray) -> np.ndarray:
        return over_allowed(share[np.minimum(step, steps - 1)], mask)

    return distribution


def fit_logistic(observation: np.ndarray, mask: np.ndarray, treatment: np.ndarray, step: np.ndarray) -> Distribution:
    """Multinomial logistic regression on the observation and the step, renormalised over the mask."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = min(int(step.max()) + 1, MOST_STEPS)

    def inputs(observation: np.ndarray, step: np.ndarray) -> np.ndarray:
        return np.concatenate([observation, np.eye(steps)[np.minimum(step, steps - 1)]], axis=1)

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200, tol=1e-3))
    return _classified(model, inputs, Chosen(observation, mask, treatment, step).at_most(MOST_ROWS))


def fit_trees(observation: np.ndarray, mask: np.ndarray, treatment: np.ndarray, step: np.ndarray) -> Distribution:
    """Boosted trees on the observation and the step, renormalised over the mask.

    They stop growing when a tenth of the decisions, set aside, says so; where that cannot be split, early.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    def inputs(observation: np.ndarray, step: np.ndarray) -> np.ndarray:
        return np.concatenate([observation, step[:, None]], axis=1).astype(np.float32)

    chosen = Chosen(observation, mask, treatment, step).at_most(MOST_TREE_ROWS // len(np.unique(treatment)))
    counts = np.bincount(chosen.treatment)
    stopping = bool(counts[counts > 0].min() >= 2 and len(chosen.treatment) >= 20 * len(counts))  # so that it can split
    model = HistGradientBoostingClassifier(
        learning_rate=0.15, max_iter=100 if stopping else 20, max_leaf_nodes=31, min_samples_leaf=20,
        l2_regularization=1.0, max_bins=128, early_stopping=stopping, n_iter_no_change=5, random_state=0,
    )  # fmt: skip
    return _classified(model, inputs, chosen)


def over_allowed(p: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Probabilities (n, A), renormalised over the mask (n, A)."""
    kept = np.where(mask, p, 0.0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def _classified(model: Any, inputs: Callable[[np.ndarray, np.ndarray], np.ndarray], chosen: Chosen) -> Distribution:
    """A classifier's probabilities; frequencies where but one treatment was chosen."""
    seen = np.unique(chosen.treatment)
    if len(seen) < 2:
        return fit_frequencies(*chosen)
    model.fit(inputs(chosen.observation, chosen.step), chosen.treatment)

    def distribution(observation: np.ndarray, mask: np.ndarray, step: np.ndarray) -> np.ndarray:
        p = np.full(mask.shape, LEAST)
        p[:, seen] = np.maximum(model.predict_proba(inputs(observation, step)), LEAST)
        return over_allowed(p, mask)

    return distribution
