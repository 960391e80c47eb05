"""Unmeasured confounding: how wrong would the propensities have to be to overturn a conclusion?

A marginal sensitivity model: whatever the log did not record, the odds of a treatment given it lie within a factor of
the odds that the log states,

    1 / strength <= odds(true) / odds(stated) <= strength,

so that a weight lies between pi (1 + (1/e - 1) / strength) and pi (1 + (1/e - 1) strength). Of all such weights the
self-normalised mean is largest where high rewards have the largest ones: a sort finds it. Tan (2006); Zhao, Small &
Bhattacharya (2019), "Sensitivity analysis for inverse probability weighting estimators via the percentile bootstrap".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.lead import Lead
from evaluation.log import Log

STRENGTHS = (1.0, 1.02, 1.05, 1.1, 1.2, 1.35, 1.5, 2.0, 3.0)  # assumed: from none to three times the odds
LARGEST = 10.0  # strength up to which an overturning one is looked for; assumed
STEPS = 30  # of the bisection


@dataclass(frozen=True)
class Sensitivity:
    """A policy's difference to the reference under confounding of several strengths."""

    policy: str
    strength: tuple[float, ...]
    lo: tuple[float, ...]  # least and largest difference, point estimates
    hi: tuple[float, ...]
    overturned_at: float | None  # strength at which the bounds reach 0; None: not up to the largest


@dataclass(frozen=True)
class Weighed:
    """A self-normalised mean: weights that are products over decisions, in blocks that are normalised by themselves.

    probability, propensity: (items, decisions) of the logged treatments, 1 where there is no decision
    amount: (items,); block: (items,) int from 0; share: (blocks,) factor of each block's mean in the whole
    """

    probability: np.ndarray
    propensity: np.ndarray
    amount: np.ndarray
    block: np.ndarray
    share: np.ndarray

    def bounds(self, strength: float) -> tuple[float, float]:
        """Least and largest value at a strength >= 1."""
        odds = 1 / self.propensity - 1
        least, most = ((self.probability * (1 + odds * factor)).prod(axis=1) for factor in (1 / strength, strength))
        lo = hi = 0.0
        for block, share in enumerate(self.share):
            here = self.block == block
            lo -= share * largest_mean(least[here], most[here], -self.amount[here])
            hi += share * largest_mean(least[here], most[here], self.amount[here])
        return lo, hi


def weighed(log: Log, probability: np.ndarray, reward: np.ndarray, lead: Lead) -> Weighed:
    """The lead estimate in its self-normalised form, without a model. probability: (n,) of the logged treatments;
    reward: (n,) as it is evaluated"""
    gain = log.discount * reward
    if lead.kind in ("one-step", "k-step"):
        return _followed(log, probability, gain, lead.decisions)
    columns = probability[:, None], log.propensity[:, None]
    if log.kind == "continuing":
        return Weighed(*columns, gain, np.zeros(len(log), dtype=np.int64), np.array([len(log) / log.customers]))
    return Weighed(*columns, gain, log.step, log.alive.mean(axis=0))


def _followed(log: Log, probability: np.ndarray, gain: np.ndarray, k: int) -> Weighed:
    """`sequential.kstep`: a block per decision, each with the product up to it; the last has all that follows."""
    p, e = (log.padded(values, fill=1.0)[:, :k] for values in (probability, log.propensity))
    gains = log.padded(gain)
    gains = np.concatenate([gains[:, : k - 1], gains[:, k - 1 :].sum(axis=1, keepdims=True)], axis=1)
    until = np.tril(np.ones((k, k), dtype=bool))[:, None]  # (k, 1, k): decisions up to each
    p, e = (np.where(until, values[None], 1.0).reshape(-1, k) for values in (p, e))
    return Weighed(p, e, gains.T.ravel(), np.repeat(np.arange(k), log.customers), np.ones(k))


def largest_mean(least: np.ndarray, most: np.ndarray, amount: np.ndarray) -> float:
    """max sum w r / sum w over least <= w <= most, (items,) each: the largest weights on the largest amounts."""
    order = np.argsort(-amount, kind="stable")
    least, most, amount = least[order], most[order], amount[order]
    top = np.concatenate([[0.0], np.cumsum((most - least) * amount)]) + float((least * amount).sum())
    bottom = np.concatenate([[0.0], np.cumsum(most - least)]) + float(least.sum())
    known = bottom > 0
    return float((top[known] / bottom[known]).max()) if known.any() else np.nan


def sensitivity(policy: str, mean: Weighed, reference: float) -> Sensitivity:
    """The curve of a policy against a value that needs no weights, the logging policy's."""
    bounds = [mean.bounds(strength) for strength in STRENGTHS]
    lo, hi = (tuple(end - reference for end in ends) for ends in zip(*bounds, strict=True))
    return Sensitivity(policy, STRENGTHS, lo, hi, _overturned(mean, reference, lo[0]))


def _overturned(mean: Weighed, reference: float, difference: float) -> float | None:
    """The strength at which the bound on 0's side reaches 0, by bisection: bounds widen with the strength."""

    def beyond(strength: float) -> bool:
        lo, hi = mean.bounds(strength)
        return bool(lo <= reference if difference > 0 else hi >= reference)

    if not beyond(LARGEST):
        return None
    low, high = 1.0, LARGEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high
