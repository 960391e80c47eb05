"""Resampling customers: a bootstrap in one pass over the data, whose resamples all estimates share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
        return self.of_parts([several])

    def of_parts(self, parts: Iterable[Sequence[Terms]]) -> list[np.ndarray]:  # (resamples,) float64 each
        """Several estimates in every resample, in one pass over customers who come part by part, in their order.

        parts: the same estimates, of the customers of each part; NaN where there is but one customer
        """
        sums: list[np.ndarray] = []
        start, drawn = 0, np.zeros((self.size, 1))
        for several in parts:
            columns = [part for terms in several for part in terms.parts]
            sums = sums or [np.zeros((self.size, part.shape[1])) for part in columns]
            stop = start + len(several[0].numerator)
            drawn += self._add(columns, slice(start, stop), sums)
            start = stop
        if start != self.customers:
            raise ValueError(f"the parts hold {start} customers, not {self.customers}")
        means = [total / drawn for total in sums]
        if self.customers < 2:  # one customer drawn again and again tells nothing of the luck in it
            return [np.full(self.size, np.nan) for _ in range(0, len(means), 3)]
        return [Terms.of_means(*means[k : k + 3]) for k in range(0, len(means), 3)]

    def _add(self, columns: Sequence[np.ndarray], here: slice, sums: list[np.ndarray]) -> np.ndarray:
        """Add what some customers bring in every resample to the sums; -> how often any is drawn, (resamples, 1)."""
        wide = [k for k, column in enumerate(columns) if len(column) > 1]
        own, drawn = np.zeros((self.size, sum(columns[k].shape[1] for k in wide))), np.zeros((self.size, 1))
        for some, counts in self._blocks(here):
            weight = counts.astype(np.float64)
            drawn += weight.sum(axis=1, keepdims=True)
            if wide:
                own += weight @ np.concatenate([columns[k][some] for k in wide], axis=1)
        found = iter(np.split(own, np.cumsum([columns[k].shape[1] for k in wide])[:-1], axis=1))
        for k, column in enumerate(columns):
            sums[k] += next(found) if len(column) > 1 else drawn * column  # one row: the same for every customer
        return drawn

    def _blocks(self, here: slice) -> Iterator[tuple[slice, np.ndarray]]:
        """Some customers in blocks, as positions among them, and how often each is drawn: (resamples, block) int."""
        for number in range(here.start // BLOCK, -(-here.stop // BLOCK)):
            block = slice(number * BLOCK, min((number + 1) * BLOCK, self.customers))
            start, stop = max(block.start, here.start), min(block.stop, here.stop)
            counts = self.drawn[:, block] if self.customers <= EXACT else self._poisson(number, block)
            yield slice(start - here.start, stop - here.start), counts[:, start - block.start : stop - block.start]

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
