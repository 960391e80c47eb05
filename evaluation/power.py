"""Can this data tell? What a log can show of a policy, known before any value is estimated.

The detectable effect and the customers needed follow from the effective sample size and from how much logged returns
differ between customers; no value of the evaluated policy is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from evaluation.diagnostics import kish
from evaluation.lead import Lead
from evaluation.log import Log

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


def power(
    policy: str, log: Log, ratio: np.ndarray, reward: np.ndarray, lead: Lead, effect: float, confidence: float
) -> Power:
    """What the log can show of a policy. ratio: (C, H); reward: (n,) as it is evaluated

        detectable = (z + z_power) sd(return) / sqrt(ESS)        needed = customers (detectable / effect)^2

    A normal approximation that leaves the pairing with the reference out, so that it asks rather for too much (Cohen
    1988, "Statistical power analysis", chapter 2, with the effective sample size for the size).
    """
    weight = customer_weight(ratio, log.alive, lead)
    size, positive = float(kish(weight)), log.by_customer(np.maximum(log.margin, 0.0)) > 0
    spread = float(log.by_customer(log.discount * reward).std())
    reach = float(ndtri((1 + confidence) / 2) + ndtri(POWER))
    detectable = reach * spread / np.sqrt(size) if size > 0 else np.inf
    needed = log.customers * (detectable / effect) ** 2 if effect > 0 else np.inf
    share = float(weight.max() / weight.sum()) if weight.sum() > 0 else 1.0
    return Power(policy, size, float(kish(weight * positive)), share, float(detectable), effect, float(needed))
