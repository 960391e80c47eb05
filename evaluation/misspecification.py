"""A wrong reward model: how far does an estimate lean on it, and how wrong may it be before the conclusion turns?

A doubly robust estimate stands on two legs, the weights and the model, so that it lies on a line between estimates that
stand on one alone:

    difference(factor) = (1 - factor) x one leg + factor x doubly robust

Where the lead is doubly robust the leg is the same estimate without its model, and the factor is what every expectation
of the model is multiplied by (q, v -> factor q, factor v): at 1/2 the model is wrong by half. It is a control variate:
with right propensities its factor changes the noise and not the mean (Owen 2013, "Monte Carlo theory, methods and
examples", chapter 8). Where the lead is model-based the leg is the model alone, and the factor is how often the model's
own error on the log, the mean of weighted residuals, is taken off: doubly robust less direct method (Dudik, Langford &
Li 2011). Both ends are drawn on the same resamples, and the line of draws is the draw of the line: every estimate here
is linear in q and v.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.intervals import Between, Interval, interval
from evaluation.moments import Moments

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)  # assumed: from no model to one that is wrong by its double
LINES = {
    "dr": ("ips", "dr"), "deviation_dr": ("deviation", "deviation_dr"), "kstep_dr": ("kstep", "kstep_dr"),
    "dm": ("dm", "dr"), "fqe": ("fqe", "snpddr"),
}  # fmt: skip
# estimate -> the one leg it is compared to, and the doubly robust end


@dataclass(frozen=True)
class Difference:
    """A paired difference to the reference, with what its intervals are made of."""

    value: float
    draws: np.ndarray  # (resamples,)
    influence: np.ndarray  # (customers,)

    def towards(self, other: Difference, factor: float) -> Difference:
        """On the line from this one (0) to the other one (1) and beyond; at an end the other end need not exist."""
        if factor in (0.0, 1.0):
            return other if factor else self
        near = 1 - factor
        return Difference(
            near * self.value + factor * other.value,
            near * self.draws + factor * other.draws,
            near * self.influence + factor * other.influence,
        )

    def interval(self, confidence: float) -> Interval:
        """With its interval, NaN where too many resamples have no value."""
        return interval(self.value, self.draws, confidence, Moments.of(self.influence))


@dataclass(frozen=True)
class Misspecification:
    """A policy's difference to the reference, were the model more or less wrong."""

    policy: str
    estimator: str  # that uses the model
    model_based: bool
    factor: tuple[float, ...]  # of the model (doubly robust) or of its measured error (model-based)
    difference: tuple[Between, ...]  # at each factor
    moved: Between  # by the model (doubly robust), or by taking its measured error off (model-based)
    overturned_at: float | None  # factor at which the difference is 0; None: at none up to 2
    shrinks_to: float | None  # share of a model's difference below which its interval would hold 0; None: it does

    @property
    def own(self) -> float:
        """The factor at which the estimate itself stands."""
        return 0.0 if self.model_based else 1.0

    @property
    def stands(self) -> bool:
        """Whether at every factor the interval lies on one and the same side of 0."""
        return all(one.lo > 0 for one in self.difference) or all(one.hi < 0 for one in self.difference)

    @property
    def beyond_chance(self) -> bool:
        """Whether the model moves the estimate by more than resamples do: it, or the propensities, must be wrong."""
        return self.moved.lo > 0 or self.moved.hi < 0

    def at(self, factor: float) -> Between:
        """The difference at one of the factors."""
        return self.difference[self.factor.index(factor)]


def misspecification(
    policy: str, estimator: str, model_based: bool, ends: tuple[Difference, Difference], confidence: float
) -> Misspecification:
    """The line of one policy. ends: of one leg alone, and doubly robust"""
    leg, robust = ends
    line = tuple(_between(leg.towards(robust, factor).interval(confidence)) for factor in FACTORS)
    apart = Difference(robust.value - leg.value, robust.draws - leg.draws, robust.influence - leg.influence)
    shrinks = _shrinks_to(line[0]) if model_based else None
    overturned = _root(leg.value, robust.value)
    moved = _between(apart.interval(confidence))
    return Misspecification(policy, estimator, model_based, FACTORS, line, moved, overturned, shrinks)


def lines(
    estimator: str, model_based: bool, found: Mapping[str, Mapping[str, Difference]], confidence: float
) -> Iterator[Misspecification]:
    """Of every policy. found: by estimator and policy, the differences to the reference"""
    leg, robust = (found.get(name, {}) for name in LINES[estimator])
    for policy in leg:
        if policy in robust:
            yield misspecification(policy, estimator, model_based, (leg[policy], robust[policy]), confidence)


def _between(found: Interval) -> Between:
    return Between(found.value, found.lo, found.hi)


def _root(leg: float, robust: float) -> float | None:
    """Where leg + factor (robust - leg) is 0: a line has one such factor; None where it lies outside of those shown."""
    if not np.isfinite([leg, robust]).all() or leg == robust:
        return None
    factor = leg / (leg - robust)
    return float(factor) if FACTORS[0] <= factor <= FACTORS[-1] else None


def _shrinks_to(found: Between) -> float | None:
    """half the interval on 0's side / the difference: what is left of it must be larger, its noise being the same."""
    if not (found.lo > 0 or found.hi < 0):
        return None
    return float(abs((found.value - (found.lo if found.lo > 0 else found.hi)) / found.value))
