"""Every estimate of one policy from plain arrays, with intervals, in one call: for whoever has weights and rewards."""

from __future__ import annotations

import numpy as np

from envs.errors import InputError
from envs.table_checks import LARGEST_AMOUNT, LEAST_PROPENSITY
from evaluation.estimators import Inputs, estimated, estimators_for
from evaluation.intervals import Interval, interval
from evaluation.moments import Moments
from evaluation.resampling import Resamples


def estimates(inputs: Inputs, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0) -> dict[str, Interval]:
    """By the name of the estimator, see `evaluation.estimators`; those whose inputs are there.

    A customer is a row of the inputs; fields that are not known stay None. InputError for what is no number, for a
    negative weight, and for fewer than two customers, of whom there is no interval.
    """
    for name, values in vars(inputs).items():
        if isinstance(values, np.ndarray):
            _check(name, values, inputs.ratio.shape)
    if len(inputs.ratio) < 2:
        raise InputError("must hold two customers or more", field="ratio", value=len(inputs.ratio))
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
        _check(name, values, (len(weight),))
    ones = np.ones((len(weight), 1))
    return Inputs(weight[:, None], reward[:, None], ones, ones > 0, q[:, None], v[:, None])


def _check(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    """Finite, of one shape, weights not negative; all so small that products have squares."""
    if values.shape != shape:
        raise InputError(f"must be of shape {shape}", field=name, value=values.shape)
    weights = "ratio" in name or name == "weight"
    least, most = (0.0, 1 / LEAST_PROPENSITY) if weights else (-LARGEST_AMOUNT, LARGEST_AMOUNT)
    wrong = np.argwhere(~((values >= least) & (values <= most)))  # NaN is neither
    if len(wrong):
        place = tuple(wrong[0])
        need = f"must be a number between {least:g} and {most:g}"
        raise InputError(need, field=name, value=values[place], row=int(place[0]))
