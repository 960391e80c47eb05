"""Spread: mean and variance of numbers that come part by part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-12  # of sums, as a share of what they come to


@dataclass(frozen=True)
class Spread:
    """Of some numbers; those of several parts can be added.

    Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance": no digits are lost where the mean is
    large beside the spread.

    >>> both = Spread.of(np.array([1.0, 2.0])) + Spread.of(np.array([6.0]))
    >>> both.mean, round(both.variance, 6)
    (3.0, 4.666667)
    """

    count: int = 0
    mean: float = 0.0
    square: float = 0.0  # sum of squared distances to the mean

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """values: (n,)"""
        return cls(len(values), float(values.mean()), float(values.var()) * len(values)) if len(values) else cls()

    def __add__(self, other: Spread) -> Spread:
        count = self.count + other.count
        if not count:
            return self
        apart, share = other.mean - self.mean, other.count / count
        return Spread(count, self.mean + apart * share, self.square + other.square + apart**2 * self.count * share)

    @property
    def variance(self) -> float:
        """Of the numbers at hand, as `numpy.var`."""
        return self.square / self.count

    @property
    def alike(self) -> bool:
        """There are several numbers, all the same but for rounding."""
        return self.count > 1 and not self.varied

    @property
    def varied(self) -> bool:
        """Some numbers differ from others, by more than rounding."""
        return self.count > 1 and self.deviation > ROUNDING * abs(self.mean)

    @property
    def deviation(self) -> float:
        """Its root."""
        return float(np.sqrt(self.variance))
