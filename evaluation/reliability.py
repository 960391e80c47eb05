"""Reliability of estimated propensities: of what was stated with 10 %, was one in ten chosen?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from evaluation.intervals import Between
from evaluation.log import Log
from evaluation.propensity_check import ALARM, FEWEST

BINS = 10  # of equal counts
MOST_NAMED = 6  # treatments up to which each is also looked at by itself; assumed: what a picture shows
CELLS = 2_400  # of a grid over log-odds, from which bins of equal counts are put together
REACH = 12.0  # log-odds at which the grid ends; assumed: 6 in a million
LEVEL = 0.95


@dataclass(frozen=True)
class Bin:
    """Pairs of a decision and a treatment that it allowed, of about the same stated probability."""

    treatment: str | None  # None: of any
    pairs: int
    stated: float  # mean probability
    chosen: Between  # share that was chosen, with its 95 % interval, by customer
    wrong: bool  # the two are surely apart


@dataclass(frozen=True)
class Reliability:
    """Estimated propensities on the evaluated customers, of whom they did not learn."""

    bins: tuple[Bin, ...]  # of all treatments together, then of each where there are few
    error: float  # expected calibration error: mean distance of stated and chosen over the bins of all treatments
    chance: float  # what it would be by chance alone, were every stated probability right

    @property
    def wrong(self) -> tuple[Bin, ...]:
        """Bins in which what was stated surely is not what was chosen."""
        return tuple(one for one in self.bins if one.wrong)


@dataclass(frozen=True)
class Binned:
    """Sums over some decisions, (groups, BINS) each; the last four over customers, of their own sums."""

    pairs: np.ndarray
    stated: np.ndarray
    chosen: np.ndarray
    noise: np.ndarray  # p (1 - p): variance of what is chosen, were pairs independent
    apart_square: np.ndarray  # (chosen - stated)^2
    apart_pairs: np.ndarray  # (chosen - stated) x pairs
    pairs_square: np.ndarray

    @classmethod
    def of(cls, log: Log, bins: np.ndarray) -> Binned:
        """Of a part of a log whose propensities were estimated. bins: (groups, CELLS), see `bins_of`"""
        groups = [_binned(log, which, own) for which, own in zip(groups_of(log), bins, strict=True)]
        return cls(*(np.stack(column) for column in zip(*groups, strict=True)))


def groups_of(log: Log) -> Iterator[np.ndarray]:  # (n, A) bool each
    """The pairs of every group: all, then each treatment's where there are few. Where one alone is allowed, none."""
    free = log.mask & (log.mask.sum(axis=1, keepdims=True) > 1)
    yield free
    for treatment in range(log.width if log.width <= MOST_NAMED else 0):
        yield free & (np.arange(log.width) == treatment)


def counted_by_cell(log: Log) -> np.ndarray | None:  # (groups, CELLS) int64
    """How many pairs have about which stated probability; None where nothing was estimated."""
    if log.estimated is None:
        return None
    cell = _cell(log.estimated)
    return np.stack([np.bincount(cell[which], minlength=CELLS) for which in groups_of(log)])


def bins_of(counts: np.ndarray) -> np.ndarray:  # (groups, CELLS) int64
    """The bin of every cell, so that bins hold about as many pairs each. counts: (groups, CELLS)"""
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    middle = counts.cumsum(axis=1) - counts / 2
    return np.asarray(np.minimum(BINS * middle / total, BINS - 1), dtype=np.int64)


def judged(sums: Binned, treatments: tuple[str, ...]) -> Reliability:
    """What the sums over all customers say.

    A bin's share chosen - stated d = (Y - P) / N has the variance sum over customers (D_c - d N_c)^2 / N^2, a ratio's
    (Cochran 1977, "Sampling techniques", section 6.3), or sum p (1 - p) / N^2 where that is larger: a few choices more
    or none at all say little of their own spread. A bin is wrong where |d| is beyond what one right model in a
    thousand shows in any bin (Bonferroni). Expected calibration error: Naeini, Cooper & Hauskrecht (2015).
    """
    n = np.maximum(sums.pairs, 1)
    apart = (sums.chosen - sums.stated) / n
    robust = sums.apart_square - 2 * apart * sums.apart_pairs + apart**2 * sums.pairs_square
    se = np.sqrt(np.maximum(robust, sums.noise)) / n
    told = (sums.pairs > 0) & (np.maximum(sums.chosen, sums.stated) >= FEWEST)
    limit = ndtri(1 - ALARM / (2 * max(1, int(told.sum()))))
    names = [None, *treatments][: len(n)]
    bins = [
        _bin(names[g], sums, (g, b), float(se[g, b]), bool(told[g, b] and abs(apart[g, b]) > limit * se[g, b]))
        for g, b in np.argwhere(sums.pairs > 0).tolist()
    ]
    share = sums.pairs[0] / max(1, sums.pairs[0].sum())
    by_chance = float((share * se[0]).sum() * np.sqrt(2 / np.pi))
    return Reliability(tuple(bins), float((share * np.abs(apart[0])).sum()), by_chance)


def _bin(treatment: str | None, sums: Binned, at: tuple[int, int], se: float, wrong: bool) -> Bin:
    pairs, stated, chosen = (float(column[at]) for column in (sums.pairs, sums.stated, sums.chosen))
    share, reach = chosen / pairs, float(ndtri((1 + LEVEL) / 2)) * se
    found = Between(share, max(0.0, share - reach), min(1.0, share + reach))
    return Bin(treatment, int(pairs), stated / pairs, found, wrong)


def _binned(log: Log, which: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, ...]:
    """One group's sums, (BINS,) each. which: (n, A) bool; bins: (CELLS,)"""
    assert log.estimated is not None
    row, treatment = np.nonzero(which)
    p = log.estimated[row, treatment].astype(np.float64)
    y = (log.treatment[row] == treatment).astype(np.float64)
    place = log.customer[row] * BINS + bins[_cell(p)]

    def summed(values: np.ndarray) -> np.ndarray:  # (customers, BINS)
        return np.bincount(place, values, log.customers * BINS).reshape(-1, BINS)

    pairs, stated, chosen, noise = (summed(v) for v in (np.ones_like(p), p, y, p * (1 - p)))
    apart = chosen - stated
    several = (pairs, stated, chosen, noise, apart**2, apart * pairs, pairs**2)
    return tuple(values.sum(axis=0) for values in several)


def _cell(p: np.ndarray) -> np.ndarray:  # int64, of the grid over log-odds
    odds = np.clip(p.astype(np.float64), 1e-9, 1 - 1e-9)
    place = (np.log(odds / (1 - odds)) + REACH) * CELLS / (2 * REACH)
    return np.asarray(np.clip(place, 0, CELLS - 1), dtype=np.int64)
