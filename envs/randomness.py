"""Counter-based random numbers: every draw is a pure function of (seed, customer, day, draw).

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators"), applied after each of the four words is added. Elementwise, so that a customer's luck does not depend on
the batch that it is simulated in.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

_WORDS = np.array([0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xAEF17502108EF2D9, 0xDB4F0B9175AE2165], np.uint64)


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def open_unit(bits: np.ndarray) -> np.ndarray:
    """64 random bits -> float64 in (0, 1), never 0 or 1: the middles of 2^52 cells, each an exact float."""
    return np.asarray(((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)


class Luck:
    """The draws of a batch of customers on their days."""

    def __init__(self, seed: int, customer: np.ndarray, day: np.ndarray) -> None:
        """seed: any int; customer, day: (batch,) int."""
        start = _mix(np.array([seed % 2**64], np.uint64) + _WORDS[:1])
        key = _mix((customer.astype(np.int64).view(np.uint64) + _WORDS[1]) ^ start)
        self._key = _mix((day.astype(np.int64).view(np.uint64) * _WORDS[2]) ^ key)

    def uniform(self, draw: int) -> np.ndarray:
        """(batch,) float64 in (0, 1)."""
        step = np.uint64((int(_WORDS[3]) * (draw + 1)) % 2**64)
        return open_unit(_mix(self._key + step))

    def normal(self, draw: int) -> np.ndarray:
        """(batch,) float64, standard normal, by inversion."""
        return np.asarray(ndtri(self.uniform(draw)))
