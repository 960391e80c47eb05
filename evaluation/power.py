"""Can this data tell? What a log can show of a policy, known before any value is estimated.

The detectable effect and the customers needed follow from the effective sample size and from how much logged returns
differ between customers; no value of the evaluated policy is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from evaluation.adding import LARGEST
from evaluation.diagnostics import kish_of
from evaluation.lead import Lead
from evaluation.log import Log
from evaluation.spread import Spread

POWER = 0.8  # chance of seeing the effect; the field's convention


@dataclass(frozen=True)
class Power:
    """What a log can show of one policy, by the weights of the lead estimate."""

    policy: str
    ess: float  # customers, Kish
    positives: float  # effective number of customers with a positive logged margin
    largest_share: float  # of the sum of weights, of the customer with the largest
    detectable: float  # least difference per customer that is seen with 80 % power, in currency
    effect: float  # the difference in question, in currency per customer
    needed: float  # customers in the log for it, at the same weights


def customer_weight(ratio: np.ndarray, alive: np.ndarray, lead: Lead) -> np.ndarray:  # (C,) float64
    """Each customer's weight in the lead estimate. ratio, alive: (C, H)"""
    if lead.kind in ("one-step", "k-step"):
        return np.asarray(np.cumprod(ratio[:, : lead.decisions], axis=1)[:, -1])
    return np.asarray((ratio * alive).sum(axis=1))


@dataclass(frozen=True)
class Behind:
    """Sums over some customers of their weights in the lead estimate."""

    total: float
    square: float
    positive: float  # of those with a positive logged margin
    positive_square: float
    most: float = field(metadata=LARGEST)

    @classmethod
    def of(cls, weight: np.ndarray, positive: np.ndarray) -> Behind:
        """weight: (customers,); positive: (customers,) bool"""
        earned = weight * positive
        sums = (weight.sum(), (weight**2).sum(), earned.sum(), (earned**2).sum(), weight.max())
        return cls(*(float(one) for one in sums))


def power(
    policy: str, log: Log, ratio: np.ndarray, reward: np.ndarray, lead: Lead, effect: float, confidence: float
) -> Power:
    """What the log can show of a policy, see `power_of`. ratio: (C, H); reward: (n,) as it is evaluated"""
    behind = Behind.of(customer_weight(ratio, log.alive, lead), log.by_customer(np.maximum(log.margin, 0.0)) > 0)
    return power_of(policy, behind, Spread.of(log.by_customer(log.discount * reward)), effect, confidence)


def power_of(policy: str, behind: Behind, returns: Spread, effect: float, confidence: float) -> Power:
    """What a log can show of a policy. returns: of the customers; effect: in question, per customer

        detectable = (z + z_power) sd(return) / sqrt(ESS)        needed = customers (detectable / effect)^2

    A normal approximation that leaves the pairing with the reference out, so that it asks rather for too much (Cohen
    1988, "Statistical power analysis", chapter 2, with the effective sample size for the size).
    """
    size, positives = (float(kish_of(*sums)) for sums in (
        (behind.total, behind.square), (behind.positive, behind.positive_square)
    ))  # fmt: skip
    reach = float(ndtri((1 + confidence) / 2) + ndtri(POWER))
    detectable = reach * returns.deviation / np.sqrt(size) if size > 0 else np.inf
    needed = returns.count * (detectable / effect) ** 2 if effect > 0 else np.inf
    share = behind.most / behind.total if behind.total > 0 else 1.0
    return Power(policy, size, positives, share, float(detectable), effect, float(needed))
