"""Bounds that hold for any bounded amount and any number of customers, and may be read every day.

A bet on each value against "the mean is m" multiplies a capital that in the mean does not grow if m is the mean. Means
at which the capital ever reached 1 / (1 - confidence) are given up: what is left holds the mean at all times together
with that confidence, however often one looks and whenever one stops. Waudby-Smith & Ramdas (2024), "Estimating means of
bounded random variables by betting": the hedged capital of section 4 with predictable plug-in bets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.errors import InputError

GRID = 1000  # means that are bet against; the bounds are as fine as that
MOST = 0.75  # of the capital that a bet may lose; their choice lies between 1/2 and 3/4
CHUNK = 4096  # values that are bet on at a time: bounds memory


@dataclass(frozen=True)
class Bounded:
    """Amounts in the order in which they came, with the range that was stated before any was seen."""

    values: np.ndarray  # (n,) float64
    least: float
    most: float

    def __post_init__(self) -> None:
        outside = np.flatnonzero((self.values < self.least) | (self.values > self.most) | ~np.isfinite(self.values))
        if len(outside):
            need, row = f"must be in the stated range [{self.least:g}, {self.most:g}]", int(outside[0])
            raise InputError(need, field="values", value=float(self.values[row]), row=row)
        if not self.least < self.most:
            raise InputError("must be below `most`", field="least", value=self.least)

    @property
    def unit(self) -> np.ndarray:  # (n,) in [0, 1]
        return np.asarray((self.values - self.least) / (self.most - self.least))

    def scaled(self, unit: np.ndarray) -> np.ndarray:
        """From [0, 1] to the range."""
        return np.asarray(self.least + (self.most - self.least) * unit)


@dataclass(frozen=True)
class Sequence:
    """Bounds after so many values each; they never widen, and hold together."""

    counts: np.ndarray  # (looks,) int
    mean: np.ndarray  # (looks,) float64
    lo: np.ndarray
    hi: np.ndarray


def confidence_sequence(amounts: Bounded, counts: np.ndarray, confidence: float = 0.95) -> Sequence:
    """Two-sided bounds that may be read after any of these numbers of values, rising. -> in the amounts' units"""
    x = amounts.unit
    bets = _bets(x, 1 - confidence, None)
    lo, hi = _bounds(x, bets, np.asarray(counts), np.log(2 / (1 - confidence)))
    mean = np.cumsum(amounts.values)[np.asarray(counts) - 1] / counts
    return Sequence(np.asarray(counts), mean, amounts.scaled(lo), amounts.scaled(hi))


def betting_bounds(amounts: Bounded, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided bounds for all values at once: bets are made for this number of them."""
    x = amounts.unit
    bets = _bets(x, 1 - confidence, len(x))
    lo, hi = _bounds(x, bets, np.array([len(x)]), np.log(2 / (1 - confidence)))
    return float(amounts.scaled(lo)[0]), float(amounts.scaled(hi)[0])


def empirical_bernstein(amounts: Bounded, confidence: float = 0.95) -> float:
    """One-sided lower bound: mean - sqrt(2 V ln(2/d) / n) - 7 range ln(2/d) / (3 (n - 1)), d = 1 - confidence.

    Maurer & Pontil (2009), "Empirical Bernstein bounds and sample variance penalization", theorem 4.
    """
    n, told = len(amounts.values), float(np.log(2 / (1 - confidence)))
    if n < 2:
        return amounts.least
    spread = float(np.sqrt(2 * amounts.values.var(ddof=1) * told / n))
    return float(amounts.values.mean()) - spread - 7 * (amounts.most - amounts.least) * told / (3 * (n - 1))


def _bets(x: np.ndarray, alpha: float, planned: int | None) -> np.ndarray:  # (n,)
    """Size of the bet on each value, from the values before it: sqrt(2 ln(2/alpha) / (variance x how many))."""
    number = np.arange(1, len(x) + 1)
    after = (0.5 + np.cumsum(x)) / (number + 1)
    variance = (0.25 + np.concatenate([[0.0], np.cumsum((x - after) ** 2)[:-1]])) / number
    many = number * np.log(number + 1) if planned is None else float(planned)
    return np.asarray(np.sqrt(2 * np.log(2 / alpha) / (np.maximum(variance, 1e-12) * many)))


def _bounds(x: np.ndarray, bets: np.ndarray, counts: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest mean on the grid that no bet has refuted, after each count. -> (looks,) each, in [0, 1]"""
    means = np.linspace(0, 1, GRID + 1)
    above, below = np.zeros(GRID + 1), np.zeros(GRID + 1)  # log capital of bets that the mean is larger, smaller
    alive = np.ones(GRID + 1, dtype=bool)
    lo, hi = np.zeros(len(counts)), np.ones(len(counts))
    with np.errstate(divide="ignore"):
        most_above, most_below = MOST / means, MOST / (1 - means)
    start = 0
    for look, stop in enumerate(counts):
        for first in range(start, int(stop), CHUNK):
            here = slice(first, min(first + CHUNK, int(stop)))
            apart, bet = x[here, None] - means, bets[here, None]
            up = above + np.cumsum(np.log1p(np.minimum(bet, most_above) * apart), axis=0)
            down = below + np.cumsum(np.log1p(-np.minimum(bet, most_below) * apart), axis=0)
            alive &= (np.maximum(up, down) < limit).all(axis=0)
            above, below = up[-1], down[-1]
        start = int(stop)
        left = np.flatnonzero(alive)
        lo[look] = means[max(left[0] - 1, 0)] if len(left) else lo[look - 1]
        hi[look] = means[min(left[-1] + 1, GRID)] if len(left) else hi[look - 1]
    return lo, hi
