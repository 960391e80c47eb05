"""Treatments that the log never tried: what an estimate would be if they were worth the least or the most of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.log import Log

FEWEST = 30  # decisions of a treatment below which its mean is not one of the extremes; assumed


@dataclass(frozen=True)
class Untried:
    """A policy's value between the extremes; importance sampling says nothing of what was never tried."""

    policy: str
    share: float  # of the policy's probability
    lo: float
    hi: float


def extremes(log: Log, reward: np.ndarray) -> tuple[float, float]:
    """Least and largest mean reward of a decision, over treatments that were tried often enough. reward: (n,)"""
    count = np.bincount(log.treatment, minlength=log.width)
    total = np.bincount(log.treatment, weights=reward, minlength=log.width)
    means = total[count >= FEWEST] / count[count >= FEWEST]
    return (float(means.min()), float(means.max())) if len(means) else (float(reward.min()), float(reward.max()))


def untried(policy: str, share: float, value: float, log: Log, reward: np.ndarray) -> Untried:
    """(1 - share) value + share x decisions x extreme: the tried part as estimated, the rest at either end.

    value: the lead estimate per customer; Manski (1990), "Nonparametric bounds on treatment effects", with the extremes
    of treatment means in the place of those of the reward
    """
    decisions = float(log.discount.sum()) / log.customers
    lo, hi = ((1 - share) * value + share * decisions * end for end in extremes(log, reward))
    return Untried(policy, share, lo, hi)
