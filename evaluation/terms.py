"""Terms: what an estimator says per customer, so that one bootstrap serves them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Terms:
    """An estimate as a sum of ratios of means over customers, `sum_j mean(N_j) * mean(S_j) / mean(D_j)`.

    A mean has one block with D = S = 1; a self-normalised estimate has its weights in D. Because the
    normaliser is kept per customer, a resample of customers recomputes it: the interval has its variance.

    numerator:   (customers, blocks) float64
    denominator: (customers or 1, blocks or 1) float64; one row: the same for every customer
    scale:       (customers or 1, blocks or 1) float64
    """

    numerator: np.ndarray
    denominator: np.ndarray
    scale: np.ndarray

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numerator, denominator, scale."""
        return self.numerator, self.denominator, self.scale

    def estimate(self) -> float:
        """The value over all customers; NaN where a normaliser is 0 (nothing logged supports the policy)."""
        return Means.of([self]).estimate()

    @staticmethod
    def of_means(top: np.ndarray, bottom: np.ndarray, scale: np.ndarray) -> np.ndarray:  # (resamples,) float64
        """The estimate from means of the three parts, (resamples or 1, blocks) each."""
        empty = bottom == 0
        share = np.where(empty, np.nan, scale / np.where(empty, 1.0, bottom))
        # A block that no customer reaches (scale 0) adds nothing, whatever its weights are.
        return np.asarray(np.where(scale == 0, 0.0, top * share).sum(axis=1), dtype=np.float64)

    def taken(self, rows: np.ndarray) -> Terms:
        """The same of some customers, (rows,) int."""
        size = len(self.numerator)
        return Terms(*(part[rows] if len(part) == size else part for part in self.parts))

    def influence(self) -> np.ndarray:  # (customers,) float64
        """What each customer moves the estimate by, see `Means.influence`."""
        return Means.of([self]).influence(self)


@dataclass(frozen=True)
class Means:
    """Means over customers of the three parts of an estimate, (1, blocks) each: all that its value needs of them."""

    numerator: np.ndarray
    denominator: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, several: Iterable[Terms]) -> Means:
        """Of one estimate; several: of some customers each, all of them together."""
        return cls.of_all([terms] for terms in several)[0]

    @classmethod
    def of_all(cls, parts: Iterable[Sequence[Terms]]) -> list[Means]:
        """Of several estimates; parts: the same estimates, of the customers of each part."""
        customers, sums = 0, list[np.ndarray]()
        for several in parts:
            own = len(several[0].numerator)
            columns = [part for terms in several for part in terms.parts]
            there = [c.sum(axis=0, keepdims=True) if len(c) == own else own * c for c in columns]
            sums = [total + part for total, part in zip(sums, there, strict=True)] if sums else there
            customers += own
        means = [total / customers for total in sums]
        return [cls(*means[k : k + 3]) for k in range(0, len(means), 3)]

    @classmethod
    def pooled(cls, one: Means, customers: int, other: Means, others: int) -> Means:
        """Of so many customers together with others."""
        share = others / (customers + others)
        pairs = ((getattr(one, name), getattr(other, name)) for name in ("numerator", "denominator", "scale"))
        return cls(*(a + share * (b - a) for a, b in pairs))

    def estimate(self) -> float:
        """The value; NaN where a normaliser is 0."""
        return float(Terms.of_means(self.numerator, self.denominator, self.scale)[0])

    def influence(self, terms: Terms) -> np.ndarray:  # (customers,) float64
        """What each of some customers moves the estimate by, times all customers; 0 in the mean of all.

        The delta method of a sum of ratios of means; the variance of the estimate is its variance over the customers.
        """
        top, bottom, scale = self.numerator[0], self.denominator[0], self.scale[0]
        nothing = (bottom == 0) | (scale == 0)
        below = np.where(bottom == 0, 1.0, bottom)
        share = top / below
        moved = (terms.numerator - share * terms.denominator) / below * scale + share * (terms.scale - scale)
        return np.asarray(np.where(nothing, 0.0, moved).sum(axis=1))


ONE = np.ones((1, 1))


def mean_of(values: np.ndarray) -> Terms:
    """The plain mean over customers; values: (customers,)."""
    return Terms(values[:, None], ONE, ONE)


def ratio_of(numerator: np.ndarray, denominator: np.ndarray, scale: np.ndarray = ONE) -> Terms:
    """Sum over blocks of mean(numerator) * mean(scale) / mean(denominator); each (customers, blocks)."""
    return Terms(numerator, denominator, scale)


def joined(*parts: Terms) -> Terms:
    """The sum of estimates as one estimate."""

    def blocks(name: str) -> np.ndarray:
        rows = max(len(getattr(p, name)) for p in parts)  # 1 where it is the same for every customer
        wide = [np.broadcast_to(getattr(p, name), (rows, p.numerator.shape[1])) for p in parts]
        return np.concatenate(wide, axis=1)

    return Terms(blocks("numerator"), blocks("denominator"), blocks("scale"))
