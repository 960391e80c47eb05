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
    within(reward, stated)
    most = largest_possible(log.behaviour, probabilities)
    return guaranteed_by(policy, (weights(log, probabilities) - 1) * reward, most, stated, confidence)


def within(reward: np.ndarray, stated: tuple[float, float], before: int = 0) -> None:
    """InputError for the first reward outside the stated range. reward: (n,), of which `before` others come first"""
    outside = np.flatnonzero((reward < stated[0]) | (reward > stated[1]))
    if len(outside):
        need, row = f"must be in the stated range [{stated[0]:g}, {stated[1]:g}]", int(outside[0])
        raise InputError(need, field="reward", value=float(reward[row]), row=before + row)


def largest_possible(behaviour: np.ndarray, probabilities: np.ndarray) -> float:
    """The largest weight that any treatment could have got; both (n, A)."""
    return float(np.where(behaviour > 0, probabilities / np.where(behaviour > 0, behaviour, 1.0), 0.0).max())


def guaranteed_by(
    policy: str, values: np.ndarray, most: float, stated: tuple[float, float], confidence: float
) -> Guaranteed:
    """Bounds of the mean of values, (customers,) (w - 1) r. most: the largest weight there could have been"""
    corners = np.outer([-1.0, most - 1.0], stated)
    amounts = Bounded(values, float(corners.min()), float(corners.max()))
    lo, hi = betting_bounds(amounts, confidence)
    lower = empirical_bernstein(amounts, confidence)
    return Guaranteed(policy, float(values.mean()), lo, hi, lower, amounts.least, amounts.most)
