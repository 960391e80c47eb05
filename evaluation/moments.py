"""Moments of an estimate's influence: how lopsided it is, and how few customers decide it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Sums over customers of what each moves an estimate by; those of several parts can be added."""

    customers: int = 0
    square: float = 0.0
    cube: float = 0.0
    fourth: float = 0.0

    @classmethod
    def of(cls, moved: np.ndarray) -> Moments:
        """moved: (customers,) what each moves the estimate by, 0 in the mean"""
        square = moved * moved
        return cls(len(moved), float(square.sum()), float((square * moved).sum()), float((square * square).sum()))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.customers + other.customers,
            self.square + other.square,
            self.cube + other.cube,
            self.fourth + other.fourth,
        )

    @property
    def error(self) -> float:
        """The estimate's standard error by the delta method, see `Terms.influence`."""
        return float(np.sqrt(self.square / (self.customers - 1) / self.customers))

    @property
    def acceleration(self) -> float:
        """sum moved^3 / (6 (sum moved^2)^1.5); Efron (1987), "Better bootstrap confidence intervals"."""
        return float(self.cube / (6 * self.square**1.5))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the estimate's standard error.

            2 / ((kurtosis - 3) / n + 2 / (n - 1))      kurtosis = n sum moved^4 / (sum moved^2)^2

        n: customers. Those of a chi-squared that varies as much as the variance does from log to log (Satterthwaite
        1946, "An approximate distribution of estimates of variance components"): n - 1 where influence is normal, some
        twice as many as customers who count where all of it is theirs. Infinite where nobody moves anything.
        """
        if self.square == 0:
            return np.inf
        heavy = self.fourth / self.square**2 - 3 / self.customers  # the first term
        return float(2 / (heavy + 2 / (self.customers - 1)))
