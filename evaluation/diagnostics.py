"""Diagnostics: how much of the log speaks about a policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.log import Log


@dataclass(frozen=True)
class Support:
    """How far a log supports a policy; sizes are in customers."""

    policy: str
    ess: np.ndarray  # (H,) float64, Kish effective sample size of each decision alone
    ess_cumulative: np.ndarray  # (H,) float64, of the product of ratios up to each decision
    alive: np.ndarray  # (H,) int64, customers who have such a decision
    largest_weight: np.ndarray  # (H,) float64, of each decision alone
    largest_cumulative: np.ndarray  # (H,) float64, of the product
    untried: float  # share of the policy's probability on treatments that the log never tried
    ess_pooled: float  # of each customer's weights summed over decisions: what single decisions of all steps say


def kish(weight: np.ndarray, axis: int = 0) -> np.ndarray:
    """Effective sample size (sum w)^2 / sum w^2; 0 where all weights are 0.

    Kish (1965), "Survey sampling".

    >>> float(kish(np.array([1.0, 1.0, 0.0])))
    2.0
    """
    square = (weight**2).sum(axis=axis)
    return np.asarray(np.where(square > 0, weight.sum(axis=axis) ** 2 / np.where(square > 0, square, 1.0), 0.0))


def weights(log: Log, probabilities: np.ndarray) -> np.ndarray:  # (n,) float64
    """pi(a|x) / propensity of each logged treatment; probabilities: (n, treatments)."""
    return np.asarray(probabilities[np.arange(len(log)), log.treatment] / log.propensity)


def group_weights(log: Log, probabilities: np.ndarray, groups: np.ndarray) -> np.ndarray:  # (n,) float64
    """As `weights`, of the groups that treatments belong to; groups: (treatments,) int. Needs the log's distribution.

    sum_{a in g} pi(a|x) / sum_{a in g} mu(a|x). Saito & Joachims (2022), "Off-policy evaluation for large action spaces
    via embeddings", with the group as the embedding.
    """
    if log.behaviour is None:
        raise ValueError("the log does not hold the whole distribution over treatments")
    same = groups[None, :] == groups[log.treatment][:, None]
    return np.asarray((probabilities * same).sum(axis=1) / (log.behaviour * same).sum(axis=1))


def untried_share(log: Log, probabilities: np.ndarray) -> float:
    """Share of the policy's probability on treatments that the log's rules closed, or that no logged decision at that
    step ever chose."""
    seen = np.zeros((log.horizon, len(log.treatments)), dtype=bool)
    seen[log.step, log.treatment] = True
    anywhere = seen.any(axis=0)
    pooled = log.kind == "continuing"  # steps of a continuing task are alike: what one tried counts for all
    known = np.broadcast_to(anywhere, seen.shape) if pooled else seen
    return float((probabilities * ~(known[log.step] & log.mask)).sum() / len(log))


def support(policy: str, log: Log, probabilities: np.ndarray) -> Support:
    """Effective sample sizes and largest weights of a policy on a log; probabilities: (n, treatments)."""
    ratio = log.padded(weights(log, probabilities), fill=1.0)
    alone = ratio * log.alive
    product = np.cumprod(ratio, axis=1)
    return Support(
        policy=policy,
        ess=kish(alone),
        ess_cumulative=kish(product),
        alive=log.alive.sum(axis=0),
        largest_weight=alone.max(axis=0),
        largest_cumulative=product.max(axis=0),
        untried=untried_share(log, probabilities),
        ess_pooled=float(kish(alone.sum(axis=1))),
    )
