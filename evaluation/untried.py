"""Treatments that the log never tried: what an estimate would be if they were worth the least or the most of all."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evaluation.adding import LARGEST, SMALLEST
from evaluation.log import Log

FEWEST = 30  # decisions of a treatment below which its mean is not one of the extremes; assumed


@dataclass(frozen=True)
class Untried:
    """A policy's value between the extremes; importance sampling says nothing of what was never tried."""

    policy: str
    share: float  # of the policy's probability
    lo: float
    hi: float


@dataclass(frozen=True)
class Earned:
    """What decisions of each treatment earned: sums over some of them."""

    count: np.ndarray  # (treatments,) int64
    total: np.ndarray  # (treatments,) float64
    most: float = field(metadata=LARGEST)  # of any decision
    least: float = field(metadata=SMALLEST)

    @classmethod
    def of(cls, log: Log, reward: np.ndarray) -> Earned:
        """Of a log, or a part of one; reward: (n,)"""
        count, total = (np.bincount(log.treatment, w, log.width) for w in (None, reward))
        return cls(count, total, float(reward.max()), float(reward.min()))

    @property
    def extremes(self) -> tuple[float, float]:
        """Least and largest mean of a decision, over treatments that were tried often enough."""
        often = self.count >= FEWEST
        means = self.total[often] / self.count[often]
        return (float(means.min()), float(means.max())) if len(means) else (self.least, self.most)


def untried(policy: str, share: float, value: float, earned: Earned, decisions: float) -> Untried:
    """(1 - share) value + share x decisions x extreme: the tried part as estimated, the rest at either end.

    value: the lead estimate per customer; decisions: of a customer, each counted by its discount. Manski (1990),
    "Nonparametric bounds on treatment effects", with the extremes of treatment means in the place of the reward's own
    """
    lo, hi = ((1 - share) * value + share * decisions * end for end in earned.extremes)
    return Untried(policy, share, lo, hi)
