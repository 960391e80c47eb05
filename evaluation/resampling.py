"""Resampling customers: a bootstrap in one pass over the data, whose resamples all estimates share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, factorial

import numpy as np

from evaluation.terms import Terms

EXACT = 20_000  # customers up to which as many are drawn as there are; assumed: above, the difference is noise of noise
BLOCK = 4096  # customers that are weighed together: with 1,000 resamples their counts take 32 MB
MOST = 10  # times that a customer is drawn at most: of ten million one would be drawn oftener
LATTICE = 1 << 16  # equally likely numbers that a count is made of
COUNT_OF = np.searchsorted(
    np.cumsum([exp(-1) / factorial(k) for k in range(MOST)]), (np.arange(LATTICE) + 0.5) / LATTICE
).astype(np.uint8)  # Poisson with mean 1


@dataclass(frozen=True)
class Resamples:
    """How often each customer is drawn in each resample; the same for every estimate that is asked for.

    Few customers are drawn with replacement, as many as there are. Many are each drawn a Poisson number of times, mean
    1, which needs no count of them beforehand (Chamandy, Muralidharan, Najmi & Naidu 2012, "Estimating uncertainty for
    massive data streams"); estimates are means over the resample, so that its size cancels.
    """

    customers: int
    size: int
    seed: int

    def of(self, terms: Terms) -> np.ndarray:  # (resamples,) float64
        """The estimate in every resample. Two estimates differ on the same resamples: that is the pairing."""
        return self.of_all([terms])[0]

    def of_all(self, several: Sequence[Terms]) -> list[np.ndarray]:  # (resamples,) float64 each
        """Several estimates in every resample, in one pass."""
        parts = [part for terms in several for part in terms.parts]
        wide = [part for part in parts if len(part) == self.customers]
        sums, drawn = np.zeros((self.size, sum(part.shape[1] for part in wide))), np.zeros((self.size, 1))
        for here, counts in self._blocks():
            weight = counts.astype(np.float64)
            sums += weight @ np.concatenate([part[here] for part in wide], axis=1)
            drawn[:, 0] += weight.sum(axis=1)
        sums /= drawn
        ends = np.cumsum([part.shape[1] for part in wide])[:-1]
        found = iter(np.split(sums, ends, axis=1))
        means = [next(found) if len(part) == self.customers else part for part in parts]
        return [terms.of_means(*means[3 * k : 3 * k + 3]) for k, terms in enumerate(several)]

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Customers in blocks, and how often each of them is drawn: (resamples, block) int."""
        for number, start in enumerate(range(0, self.customers, BLOCK)):
            here = slice(start, min(start + BLOCK, self.customers))
            yield here, self.drawn[:, here] if self.customers <= EXACT else self._poisson(number, here)

    @cached_property
    def drawn(self) -> np.ndarray:  # (resamples, customers) uint16
        """Counts of few customers. Efron & Tibshirani (1993), "An introduction to the bootstrap"."""
        random = np.random.default_rng(self.seed)
        counts = np.empty((self.size, self.customers), dtype=np.uint16)
        for row in counts:
            row[:] = np.bincount(random.integers(0, self.customers, self.customers), minlength=self.customers)
        return counts

    def _poisson(self, block: int, here: slice) -> np.ndarray:  # (resamples, block) uint8
        width = here.stop - here.start
        raw = np.random.SFC64([self.seed, block]).random_raw(-(-self.size * width // 4))
        return np.asarray(COUNT_OF[raw.view(np.uint16)[: self.size * width]]).reshape(self.size, width)


def resample(customers: int, resamples: int, rng: np.random.Generator) -> Resamples:
    """Draw whole customers, `resamples` times: the decisions of one customer depend on each other."""
    return Resamples(customers, resamples, int(rng.integers(2**31)))
