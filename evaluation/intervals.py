"""Intervals: from a bootstrap over customers, and for means of simulations over customers and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from evaluation.moments import Moments
from evaluation.resampling import Resamples
from evaluation.spread import ROUNDING
from evaluation.terms import Terms


@dataclass(frozen=True)
class Interval:
    """An estimate with what a bootstrap over customers says of it; NaN where it is undefined."""

    value: float
    se: float  # standard error: standard deviation over resamples
    lo: float  # two-sided
    hi: float
    lower: float  # one-sided lower bound at the same confidence
    undefined: float = 0.0  # share of resamples without a value: no weight at some step

    def named(self, name: str) -> dict[str, float]:
        """For a row of a table: NAME, NAME_lo, NAME_hi."""
        return {name: self.value, f"{name}_lo": self.lo, f"{name}_hi": self.hi}

    @property
    def excludes_zero(self) -> bool:
        """True if the whole two-sided interval lies on one side of 0."""
        return self.lo > 0 or self.hi < 0


@dataclass(frozen=True)
class Between:
    """A value with its bounds, where nothing more is known or needed."""

    value: float
    lo: float
    hi: float


def without_rounding(apart: np.ndarray | float, size: np.ndarray | float) -> np.ndarray:
    """A difference of two sums; 0 where it is but their rounding. size: of the sums"""
    return np.asarray(np.where(np.abs(apart) <= ROUNDING * np.abs(size), 0.0, apart))


def interval(value: float, draws: np.ndarray, confidence: float, moments: Moments | None = None) -> Interval:
    """Interval, standard error and one-sided lower bound from bootstrap draws (resamples,).

    moments: of the estimate's influence: percentiles are corrected, see `corrected`; None: plain percentiles. Where
    more than the interval's tail of the resamples have no value there is no interval.
    """
    tail = (1 - confidence) / 2
    known = draws[np.isfinite(draws)]
    undefined = 1 - len(known) / len(draws)
    if not np.isfinite(value) or undefined > tail or len(known) < 2:
        return Interval(value, np.nan, np.nan, np.nan, np.nan, undefined)
    tails = np.array([tail, 1 - tail, 1 - confidence])
    if moments is not None:
        tails = corrected(tails, value, known, moments)
    lo, hi, lower = np.quantile(known, tails)
    return Interval(value, float(known.std(ddof=1)), float(lo), float(hi), float(lower), undefined)


def corrected(tails: np.ndarray, value: float, draws: np.ndarray, moments: Moments) -> np.ndarray:
    """Which percentiles of the draws to take for these tails of the estimate, see `interval`.

        normal(bias + (bias + t_tail) / (1 - skew (bias + t_tail)))

    bias: the normal quantile of the share of draws below the value; skew: `Moments.acceleration` (BCa; Efron 1987,
    "Better bootstrap confidence intervals"). t_tail: the quantile of Student's t, not the normal one: the draws spread
    as the log at hand does, which few customers make too narrow more often than too wide (expanded percentiles;
    Hesterberg 2015, "What teachers should know about the bootstrap", section 4), by `Moments.freedom`. Draws that are
    all alike, or all on one side, are left as they are.
    """
    rounding = ROUNDING * (abs(value) + float(draws.std()))  # the order of a sum must not decide what is below
    tied = np.abs(draws - value) <= rounding
    below = float(((draws < value) & ~tied).mean() + tied.mean() / 2)
    if not 0 < below < 1 or moments.square == 0:
        return tails
    bias, skew = float(ndtri(below)), moments.acceleration
    moved_by = bias + stdtrit(moments.freedom, tails)
    room = np.maximum(1 - skew * moved_by, 1e-3)  # beyond: the last draw
    return np.asarray(ndtr(bias + moved_by / room))


def estimate_interval(terms: Terms, resamples: Resamples, confidence: float = 0.95) -> Interval:
    """An estimate with its interval."""
    return interval(terms.estimate(), resamples.of(terms), confidence, Moments.of(terms.influence()))


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """The mean of independent values (n,) with its normal-theory interval: for simulations, where n is large."""
    mean, se = float(values.mean()), float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    two_sided, one_sided = float(ndtri((1 + confidence) / 2)), float(ndtri(confidence))
    return Interval(mean, se, mean - two_sided * se, mean + two_sided * se, mean - one_sided * se)


def pooled_seeds(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """The mean of values (seeds, customers) when both were drawn: policies of several seeds, all on the same customers.

    se^2 = variance of the seeds' means / seeds + variance of the customers' means / customers

    Seeds and customers are crossed random effects. Each term also holds the interaction's share once, together once too
    often, so the interval errs on the wide side (Owen 2007, "The pigeonhole bootstrap", section 4). Student's t with
    the degrees of freedom of Satterthwaite (1946). With one seed it is the customers' interval alone, and says nothing
    of other seeds.
    """
    return pooled_difference(values, np.zeros((1, values.shape[1])), confidence)


def pooled_difference(mine: np.ndarray, theirs: np.ndarray, confidence: float = 0.95) -> Interval:
    """The mean of mine less theirs, (seeds, customers) each: the same customers, seeds that know nothing of each other.

    As `pooled_seeds`, with a term for the seeds of either side; one seed of a side stands for any.
    """
    customers = mine.shape[1]
    apart = mine.mean(axis=0) - theirs.mean(axis=0)
    if len(mine) == len(theirs) == 1:
        return mean_interval(apart, confidence)
    terms = [(float(apart.var(ddof=1)) / customers, customers - 1)]
    several = [side.mean(axis=1) for side in (mine, theirs) if len(side) > 1]
    terms += [(float(means.var(ddof=1)) / len(means), len(means) - 1) for means in several]
    total = sum(variance for variance, _ in terms)
    free = total**2 / max(sum(variance**2 / own for variance, own in terms), 1e-300)
    mean, se = float(apart.mean()), float(np.sqrt(total))
    two_sided, one_sided = (float(stdtrit(max(free, 1.0), q)) for q in ((1 + confidence) / 2, confidence))
    return Interval(mean, se, mean - two_sided * se, mean + two_sided * se, mean - one_sided * se)


def pooled_ratio(above: np.ndarray, below: np.ndarray, confidence: float = 0.95) -> Interval:
    """mean(above) / mean(below) of values (seeds, customers), paired, by the delta method; NaN where below may be 0.

        ratio + mean of (above - ratio x below) / mean(below)

    The last term is nothing in the mean; its interval, see `pooled_seeds`, is the ratio's (Cochran 1977, "Sampling
    techniques", section 6.3). A denominator whose own interval holds 0 leaves the ratio without one.
    """
    under = pooled_seeds(below, confidence)
    ratio = float(above.mean()) / under.value if under.value else np.nan
    if not under.excludes_zero:
        return Interval(ratio, np.nan, np.nan, np.nan, np.nan)
    rest = pooled_seeds((above - ratio * below) / under.value, confidence)
    return Interval(ratio, rest.se, ratio + rest.lo, ratio + rest.hi, ratio + rest.lower)
