"""Every estimate of one policy from plain arrays, with intervals, in one call: for whoever has weights and rewards."""

from __future__ import annotations

import numpy as np

from evaluation.estimators import Inputs, estimated, estimators_for
from evaluation.intervals import Interval, interval
from evaluation.moments import Moments
from evaluation.resampling import Resamples


def estimates(inputs: Inputs, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0) -> dict[str, Interval]:
    """By the name of the estimator, see `evaluation.estimators`; those whose inputs are there.

    A customer is a row of the inputs; fields that are not known stay None.
    """
    asked = estimators_for(inputs.ratio.shape[1], inputs.given)
    terms = {estimator.name: estimated(estimator, inputs, logging=False).terms for estimator in asked}
    draws = Resamples(len(inputs.ratio), resamples, seed).of_all(list(terms.values()))
    return {
        name: interval(found.estimate(), drawn, confidence, Moments.of(found.influence()))
        for (name, found), drawn in zip(terms.items(), draws, strict=True)
    }


def one_step(weight: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray) -> Inputs:
    """Inputs of a log of one decision per customer; (n,) each.

    weight: pi(a|x) / propensity of the logged treatment; q: a model's reward of it, of other customers; v: its
    expectation under the policy
    """
    for name, values in {"weight": weight, "reward": reward, "q": q, "v": v}.items():
        if values.shape != weight.shape or values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"{name}: must be finite and of shape {weight.shape}")
    ones = np.ones((len(weight), 1))
    return Inputs(weight[:, None], reward[:, None], ones, ones > 0, q[:, None], v[:, None])
