"""Diagnostics: how much of the log speaks about a policy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evaluation.adding import LARGEST
from evaluation.log import Log
from evaluation.sequential import cumulative

SURE = 1e-9  # by which a propensity may miss 1 and the treatment is certain: rounding


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
    return kish_of(weight.sum(axis=axis), (weight**2).sum(axis=axis))


def kish_of(total: np.ndarray | float, square: np.ndarray | float) -> np.ndarray:
    """The same of sums: of the weights, and of their squares."""
    return np.asarray(np.where(np.asarray(square) > 0, total**2 / np.where(np.asarray(square) > 0, square, 1.0), 0.0))


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


@dataclass(frozen=True)
class Tried:
    """What some customers were given, by decision and treatment."""

    alive: np.ndarray  # (H,) int64, customers who have such a decision
    chosen: np.ndarray  # (H, treatments) int64

    @classmethod
    def of(cls, log: Log) -> Tried:
        """Of a log, or a part of one."""
        chosen = np.bincount(log.step * log.width + log.treatment, minlength=log.horizon * log.width)
        return cls(log.alive.sum(axis=0), chosen.reshape(log.horizon, log.width))

    def known(self, pooled: bool) -> np.ndarray:  # (H, treatments) bool
        """What was ever tried at each decision; pooled: steps are alike, what one tried counts for all."""
        seen = self.chosen > 0
        return np.broadcast_to(seen.any(axis=0), seen.shape) if pooled else seen


@dataclass(frozen=True)
class Weighted:
    """Sums over some customers of a policy's weights and probabilities, from which its support follows."""

    alone: np.ndarray  # (H,) weights of each decision alone
    alone_square: np.ndarray
    product: np.ndarray  # (H,) products of weights up to each decision
    product_square: np.ndarray
    pooled: float  # each customer's weights, summed over decisions
    pooled_square: float
    opened: np.ndarray  # (H, treatments) the policy's probability of what the log's rules allowed
    shut: float  # of what they closed, or was never done though they did not
    pairs: int  # of decisions and treatments to which the policy gives any probability
    largest_alone: np.ndarray = field(metadata=LARGEST)  # (H,)
    largest_product: np.ndarray = field(metadata=LARGEST)  # (H,)

    @classmethod
    def of(cls, log: Log, probabilities: np.ndarray) -> Weighted:
        """Of a log, or a part of one; probabilities: (n, treatments)."""
        ratio = log.padded(weights(log, probabilities), fill=1.0)
        alone, product = ratio * log.alive, cumulative(ratio)
        pooled, opened = alone.sum(axis=1), probabilities * possible(log)
        return cls(
            alone.sum(axis=0), (alone**2).sum(axis=0), product.sum(axis=0), (product**2).sum(axis=0),
            float(pooled.sum()), float((pooled**2).sum()), by_step(log, opened), float((probabilities - opened).sum()),
            int((probabilities > 0).sum()), alone.max(axis=0), product.max(axis=0),
        )  # fmt: skip

    def support(self, policy: str, tried: Tried, pooled: bool) -> Support:
        """The support of a policy by a whole log."""
        untried = (self.shut + float(self.opened[~tried.known(pooled)].sum())) / int(tried.alive.sum())
        return Support(
            policy=policy,
            ess=kish_of(self.alone, self.alone_square),
            ess_cumulative=kish_of(self.product, self.product_square),
            alive=tried.alive,
            largest_weight=self.largest_alone,
            largest_cumulative=self.largest_product,
            untried=untried,
            ess_pooled=float(kish_of(self.pooled, self.pooled_square)),
        )


def certain(log: Log) -> np.ndarray:  # (n,) bool
    """Decisions whose treatment was certain, though the rules left a choice; estimated propensities make none so."""
    if log.propensity_source != "logged":
        return np.zeros(len(log), dtype=bool)
    return np.asarray((log.propensity >= 1 - SURE) & (log.mask.sum(axis=1) > 1))


def possible(log: Log) -> np.ndarray:  # (n, treatments) bool
    """What could have been logged: what the rules allowed, but what the logging policy gave no probability.

    Where its whole distribution is not known, all that is known is that beside a certain treatment there was no other.
    """
    if log.behaviour is not None:
        return np.asarray(log.mask & (log.behaviour > 0))
    done = np.arange(log.width) == log.treatment[:, None]
    return np.asarray(log.mask & (done | ~certain(log)[:, None]))


def by_step(log: Log, values: np.ndarray) -> np.ndarray:  # (H, columns) float64
    """Sums over the decisions of each step; values: (n, columns)."""
    order = np.argsort(log.step, kind="stable")
    steps, first = np.unique(log.step[order], return_index=True)
    out = np.zeros((log.horizon, values.shape[1]))
    out[steps] = np.add.reduceat(values[order], first, axis=0)
    return out


def support(policy: str, log: Log, probabilities: np.ndarray) -> Support:
    """Effective sample sizes and largest weights of a policy on a log; probabilities: (n, treatments).

    Untried is what the log's rules closed, what the logging policy gave no probability, and what no logged decision at
    that step ever chose.
    """
    return Weighted.of(log, probabilities).support(policy, Tried.of(log), log.kind == "continuing")
