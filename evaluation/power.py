"""Can this data tell? What a log can show of a policy, known before any value is estimated.

The detectable effect and the customers needed follow from the weights of the lead estimate and from how logged rewards
differ between customers and decisions; no value of the evaluated policy is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from evaluation.adding import LARGEST, added
from evaluation.diagnostics import kish_of
from evaluation.lead import Lead
from evaluation.log import Log
from evaluation.sequential import cumulative

POWER = 0.8  # chance of seeing the effect; the field's convention
SINGLE = ("deviation", "model")  # kinds of lead that weigh each decision by itself


@dataclass(frozen=True)
class Power:
    """What a log can show of one policy, by the weights of the lead estimate."""

    policy: str
    ess: float  # customers, Kish: what the lead's threshold is held against
    positives: float  # effective number of customers with a positive logged margin
    largest_share: float  # of the sum of weights, of the customer with the largest; of unlike steps in any of them
    detectable: float  # least difference per customer that is seen with 80 % power, in currency
    effect: float  # the difference in question, in currency per customer
    needed: float  # customers in the log for it, at the same weights


def lead_weights(ratio: np.ndarray, alive: np.ndarray, lead: Lead) -> np.ndarray:  # (C, H) float64
    """The weight of every decision's reward in the lead estimate. ratio, alive: (C, H)"""
    if lead.kind not in SINGLE:
        product = cumulative(ratio)
        product[:, lead.decisions :] = product[:, [lead.decisions - 1]]
        return np.asarray(product * alive)
    return np.asarray(ratio * alive)


@dataclass(frozen=True)
class Behind:
    """Sums over some customers of their weights in the lead estimate."""

    customer: float  # each customer's weight: of a sequence the last product, of single decisions their sum
    customer_square: float
    positive: float  # the same of those with a positive logged margin
    positive_square: float
    weight: np.ndarray  # (H,) of each decision
    product: np.ndarray  # (H, H) of two decisions of a customer
    most: np.ndarray = field(metadata=LARGEST)  # (H,) largest weight of each decision
    customer_most: float = field(metadata=LARGEST)

    @classmethod
    def of(cls, ratio: np.ndarray, alive: np.ndarray, positive: np.ndarray, lead: Lead) -> Behind:
        """ratio, alive: (C, H); positive: (C,) bool"""
        weight = lead_weights(ratio, alive, lead)
        own = weight.sum(axis=1)
        if lead.kind not in SINGLE:
            own = cumulative(ratio[:, : lead.decisions])[:, -1]
        earned = own * positive
        return cls(
            float(own.sum()), float((own**2).sum()), float(earned.sum()), float((earned**2).sum()),
            weight.sum(axis=0), weight.T @ weight, weight.max(axis=0), float(own.max()),
        )  # fmt: skip


@dataclass(frozen=True)
class Rewards:
    """Sums over some customers of what each of their decisions brought, discounted."""

    customers: int
    alive: np.ndarray  # (H, H) customers who have both decisions
    product: np.ndarray  # (H, H) of the rewards' distances to a centre

    @classmethod
    def of(cls, gain: np.ndarray, alive: np.ndarray, centre: np.ndarray) -> Rewards:
        """gain, alive: (C, H); centre: (H,) about the mean of each decision"""
        there = alive.astype(np.float64)
        apart = (gain - centre) * there
        return cls(len(gain), there.T @ there, apart.T @ apart)

    @property
    def covariance(self) -> np.ndarray:  # (H, H)
        """Between the decisions of a customer who has both."""
        return np.asarray(self.product / np.maximum(self.alive, 1.0))


def rewards_of(parts: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]], *, pooled: bool) -> Rewards:
    """About the mean of each decision; pooled: of all of them. parts: (gain, alive), (C, H) each, gone through twice"""
    sums = [(gain.sum(axis=0), alive.sum(axis=0)) for gain, alive in parts()]
    gain, alive = (np.sum(columns, axis=0) for columns in zip(*sums, strict=True))
    centre = np.full(len(gain), gain.sum() / alive.sum()) if pooled else gain / np.maximum(alive, 1)
    return added(Rewards.of(gain, alive, centre) for gain, alive in parts())


def power(
    policy: str, log: Log, ratio: np.ndarray, reward: np.ndarray, lead: Lead, effect: float, confidence: float
) -> Power:
    """What the log can show of a policy, see `power_of`. ratio: (C, H); reward: (n,) as it is evaluated"""
    pooled, gain = log.kind == "continuing", log.padded(log.discount * reward)
    rewards = rewards_of(lambda: [(gain, log.alive)], pooled=pooled)
    behind = Behind.of(ratio, log.alive, log.by_customer(np.maximum(log.margin, 0.0)) > 0, lead)
    return power_of(policy, behind, rewards, lead, effect, confidence, pooled=pooled)


def power_of(
    policy: str, behind: Behind, rewards: Rewards, lead: Lead, effect: float, confidence: float, *, pooled: bool
) -> Power:
    """What a log can show of a policy.

        variance   = sum_st mean(w_s w_t) cov(r_s, r_t) / customers,   each decision's weights w of mean 1
        detectable = (z + z_power) sqrt(variance)        needed = customers (detectable / effect)^2

    Weights are taken to be independent of what rewards differ by. Of one decision it is sd(r) / sqrt(ESS) (Cohen 1988,
    "Statistical power analysis", chapter 2, with the effective sample size for the size). Model and pairing with the
    reference are left out, so that it asks rather for too much. pooled: steps are alike, their weights have one mean.
    """
    here, alike = np.diag(rewards.alive), pooled and lead.kind in SINGLE
    mean = np.full(len(here), behind.weight.sum() / here.sum()) if alike else behind.weight / np.maximum(here, 1.0)
    if not (mean > 0).all():
        return Power(policy, 0.0, 0.0, 1.0, np.inf, effect, np.inf)
    alone = float((behind.most / np.where(behind.weight > 0, behind.weight, np.inf)).max())
    share = behind.customer_most / behind.customer if alike else alone
    joint = behind.product / np.outer(mean, mean) / rewards.customers
    variance = max(float((joint * rewards.covariance).sum()), 0.0) / rewards.customers
    detectable = float(ndtri((1 + confidence) / 2) + ndtri(POWER)) * np.sqrt(variance)
    needed = rewards.customers * (detectable / effect) ** 2 if effect > 0 else np.inf
    whole = float(kish_of(behind.customer, behind.customer_square))
    size = whole if alike or lead.kind not in SINGLE else _least(behind, here, rewards.customers)
    positives = float(kish_of(behind.positive, behind.positive_square)) * (size / whole if whole > 0 else 0.0)
    return Power(policy, size, positives, share, float(detectable), effect, float(needed))


def _least(behind: Behind, alive: np.ndarray, customers: int) -> float:
    """Effective size, in customers, of the decision with the least; see `evaluation.lead.single_size`."""
    return float((kish_of(behind.weight, np.diag(behind.product)) / np.maximum(alive, 1.0) * customers).min())
