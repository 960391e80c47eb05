"""Bounds of a one-decision difference that hold at any size of log, for rewards whose range was stated beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.errors import InputError
from evaluation.betting import Bounded, betting_bounds, empirical_bernstein
from evaluation.diagnostics import weights
from evaluation.log import Log


@dataclass(frozen=True)
class Guaranteed:
    """A policy's difference to the logging policy by plain importance sampling, per customer."""

    policy: str
    value: float
    lo: float  # two-sided, by betting
    hi: float
    lower: float  # one-sided, empirical Bernstein
    least: float  # range of what a customer can say of the difference
    most: float


def guaranteed(
    policy: str,
    log: Log,
    probabilities: np.ndarray,
    reward: np.ndarray,
    stated: tuple[float, float],
    confidence: float,
) -> Guaranteed | None:
    """Bounds of mean (w - 1) r; None where the largest weight is not known, which takes the whole logged distribution.

    probabilities: (n, A); reward: (n,) within the stated range, else an InputError names the first row that is not
    """
    if log.behaviour is None or log.horizon > 1:
        return None
    outside = np.flatnonzero((reward < stated[0]) | (reward > stated[1]))
    if len(outside):
        need, row = f"must be in the stated range [{stated[0]:g}, {stated[1]:g}]", int(outside[0])
        raise InputError(need, field="reward", value=float(reward[row]), row=row)
    possible = np.where(log.behaviour > 0, probabilities / np.where(log.behaviour > 0, log.behaviour, 1.0), 0.0)
    corners = np.outer([-1.0, float(possible.max()) - 1.0], stated)
    values = (weights(log, probabilities) - 1) * reward
    amounts = Bounded(values, float(corners.min()), float(corners.max()))
    lo, hi = betting_bounds(amounts, confidence)
    lower = empirical_bernstein(amounts, confidence)
    return Guaranteed(policy, float(values.mean()), lo, hi, lower, amounts.least, amounts.most)
