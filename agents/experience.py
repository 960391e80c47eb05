"""Experience: decisions and what followed each, as arrays: what every baseline that learns is shown."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

from envs.prices import Prices

PLAIN = ("gamma", "customer_days")  # numbers, not a column


@dataclass(frozen=True)
class Experience:
    """One row per decision, sorted by customer, then time. n rows, F fields, A treatments, P pools; money in currency.

    Two readings of the same events: what *followed* until the next decision, whoever caused it, and what the decision's
    own contact *led to*, whenever that happened, as far as events name their decision.
    """

    customer: np.ndarray  # (n,) int64, non-decreasing
    observation: np.ndarray  # (n, F) float32
    mask: np.ndarray  # (n, A) bool
    treatment: np.ndarray  # (n,) int64
    propensity: np.ndarray  # (n,) float64, in (0, 1]
    margin: np.ndarray  # (n,) float64, followed
    cost: np.ndarray  # (n,) float64, followed
    annoyance: np.ndarray  # (n,) float64, followed; opt-outs
    effort: np.ndarray  # (n, P) float64, followed; units
    signed: np.ndarray  # (n,) bool: it led to an application or a conversion
    value: np.ndarray  # (n,) float64: the margin it led to, after credit loss and cancellations
    settled: np.ndarray  # (n,) bool: `value` is final, nothing can still mature or be cancelled
    upset: np.ndarray  # (n,) float64: annoyance of the events it led to (opt-outs, complaints, blocks)
    following: np.ndarray  # (n,) int64, row of the customer's next decision, -1: none
    terminated: np.ndarray  # (n,) bool: the customer left or the task ended before another decision
    days: np.ndarray  # (n,) float64, to the next decision
    gamma: float  # discount per day
    customer_days: int  # what it took to collect it

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def contacts(self) -> np.ndarray:  # (m,) int64
        """Rows that are no silence."""
        return np.flatnonzero(self.treatment > 0)

    def reward(self, prices: Prices) -> np.ndarray:  # (n,) float64
        """What followed, at these prices: margin - cost - pool prices x effort - annoyance price x annoyance."""
        pools = self.effort @ np.asarray(prices.pools, np.float64).reshape(self.effort.shape[1])
        return np.asarray(self.margin - self.cost - pools - prices.annoyance * self.annoyance)

    def rows(self, kept: np.ndarray) -> Experience:
        """The experience of some customers, whole. kept: (n,) bool."""
        place = np.cumsum(kept) - 1
        chosen = {f.name: getattr(self, f.name)[kept] for f in fields(self) if f.name not in PLAIN}
        after = chosen["following"]
        chosen["following"] = np.where(after < 0, -1, place[after])
        return replace(self, **chosen)

    def parts(self, shares: tuple[float, ...], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Rows of disjoint groups of customers. shares: of the customers, 1 in all -> a (n,) bool per group."""
        _, person = np.unique(self.customer, return_inverse=True)
        luck = rng.permutation(int(person.max()) + 1) / (int(person.max()) + 1)
        edges = np.concatenate([[0.0], np.cumsum(shares)])
        edges[-1] = np.inf
        return tuple((luck[person] >= low) & (luck[person] < high) for low, high in pairwise(edges))


def joined(parts: list[Experience]) -> Experience:
    """Experience of different customers, one after another."""
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    arrays = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(Experience)
        if f.name not in (*PLAIN, "following")
    }
    following = [
        np.where(p.following < 0, -1, p.following + start) for p, start in zip(parts, starts.tolist(), strict=True)
    ]
    days = sum(part.customer_days for part in parts)
    return Experience(following=np.concatenate(following), gamma=parts[0].gamma, customer_days=days, **arrays)
