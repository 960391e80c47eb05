"""More robust doubly robust: a reward model fitted for one policy, so that what it leaves varies least."""

from __future__ import annotations

import numpy as np

from evaluation.diagnostics import weights
from evaluation.log import Log
from evaluation.regression import Model, Recipe, TreatmentFeatures


def emphasis(weight: np.ndarray, propensity: np.ndarray) -> np.ndarray:  # (n,)
    """w^2 (1 - propensity): what a squared error at the logged treatment adds to the variance of `onestep.dr`.

    Farajtabar, Chow & Ghavamzadeh (2018), "More robust doubly robust off-policy evaluation", their loss's diagonal.
    """
    return np.asarray(weight**2 * (1 - propensity))


def fit_more_robust(
    log: Log, probabilities: np.ndarray, target: np.ndarray, features: TreatmentFeatures, recipe: Recipe, seed: int
) -> Model:
    """A model of the reward, (n,), of a one-step log, emphasised for a policy; probabilities: (n, A)."""
    counts = emphasis(weights(log, probabilities), log.propensity)
    counts = counts / counts.mean() if counts.any() else np.ones(len(log))
    return recipe.fitter(log.state, log.treatment, features, target[:, None], seed, counts).fit(target)
