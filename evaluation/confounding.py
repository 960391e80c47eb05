"""Unmeasured confounding: how wrong would the propensities have to be to overturn a conclusion?

A marginal sensitivity model: whatever the log did not record, the odds of a treatment given it lie within a factor of
the odds that the log states,

    1 / strength <= odds(true) / odds(stated) <= strength,

so that a weight lies between pi (1 + (1/e - 1) / strength) and pi (1 + (1/e - 1) strength). Of all such weights the
self-normalised mean is largest where high rewards have the largest ones: a sort finds it. Tan (2006); Zhao, Small &
Bhattacharya (2019), "Sensitivity analysis for inverse probability weighting estimators via the percentile bootstrap".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

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

    probability: np.ndarray = field(repr=False)
    propensity: np.ndarray = field(repr=False)
    amount: np.ndarray = field(repr=False)
    block: np.ndarray = field(repr=False)
    share: np.ndarray

    def bounds(self, strength: float) -> tuple[float, float]:
        """Least and largest value at a strength >= 1."""
        lo = hi = 0.0
        for share, (probability, odds, amount) in zip(self.share, self._falling, strict=True):
            least, most = ((probability * (1 + odds * factor)).prod(axis=1) for factor in (1 / strength, strength))
            lo -= share * _largest_mean(least[::-1], most[::-1], -amount[::-1])
            hi += share * _largest_mean(least, most, amount)
        return lo, hi

    @cached_property
    def _falling(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Per block probabilities, odds against the logged treatments and amounts, the largest amount first."""
        out = []
        for block in range(len(self.share)):
            here = np.flatnonzero(self.block == block)
            here = here[np.argsort(-self.amount[here], kind="stable")]
            out.append((self.probability[here], 1 / self.propensity[here] - 1, self.amount[here]))
        return out


@dataclass(frozen=True)
class Said:
    """What some customers of a log say of one policy, (customers, H) each."""

    probability: np.ndarray  # of the logged treatments, 1 where there is no decision
    propensity: np.ndarray  # the same
    gain: np.ndarray  # discounted reward
    alive: np.ndarray


def weighed(log: Log, probability: np.ndarray, reward: np.ndarray, lead: Lead) -> Weighed:
    """Of a log, see `weighed_by`. probability: (n,) of the logged treatments; reward: (n,) as it is evaluated"""
    p, e = (log.padded(values, fill=1.0) for values in (probability, log.propensity))
    said = Said(p, e, log.padded(log.discount * reward), log.alive)
    return weighed_by([said], lead, pooled=log.kind == "continuing")


def weighed_by(parts: Iterable[Said], lead: Lead, *, pooled: bool) -> Weighed:
    """The lead estimate in its self-normalised form, without a model; parts: of the customers."""
    customers, alive, found = 0, np.zeros(1), []
    for part in parts:
        customers, alive = customers + len(part.alive), alive + part.alive.sum(axis=0)
        found.append(_followed(part, lead.decisions) if lead.kind in ("one-step", "k-step") else _alone(part, pooled))
    p, e, gain, block = (np.concatenate(columns) for columns in zip(*found, strict=True))
    if lead.kind in ("one-step", "k-step"):
        return Weighed(p, e, gain, block, np.ones(lead.decisions))
    return Weighed(p, e, gain, block, np.array([alive.sum()]) / customers if pooled else alive / customers)


def _alone(part: Said, pooled: bool) -> tuple[np.ndarray, ...]:
    """`sequential.deviation`: every decision by itself, in one block or in one for each step."""
    p, e, gain = (values[part.alive] for values in (part.probability, part.propensity, part.gain))
    step = np.broadcast_to(np.arange(part.alive.shape[1], dtype=np.int16), part.alive.shape)[part.alive]
    return p[:, None], e[:, None], gain, np.zeros_like(step) if pooled else step


def _followed(part: Said, k: int) -> tuple[np.ndarray, ...]:
    """`sequential.kstep`: a block per decision, each with the product up to it; the last has all that follows."""
    p, e, gains = part.probability[:, :k], part.propensity[:, :k], part.gain
    gains = np.concatenate([gains[:, : k - 1], gains[:, k - 1 :].sum(axis=1, keepdims=True)], axis=1)
    until = np.tril(np.ones((k, k), dtype=bool))[:, None]  # (k, 1, k): decisions up to each
    p, e = (np.where(until, values[None], 1.0).reshape(-1, k) for values in (p, e))
    return p, e, gains.T.ravel(), np.repeat(np.arange(k, dtype=np.int16), len(part.gain))


def largest_mean(least: np.ndarray, most: np.ndarray, amount: np.ndarray) -> float:
    """max sum w r / sum w over least <= w <= most, (items,) each: the largest weights on the largest amounts."""
    order = np.argsort(-amount, kind="stable")
    return _largest_mean(least[order], most[order], amount[order])


def _largest_mean(least: np.ndarray, most: np.ndarray, amount: np.ndarray) -> float:
    """The same, the largest amount first."""
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
