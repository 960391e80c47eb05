"""A region's market: every morning, the prices of the pools at which its customers ask for no more than there is.

Demand is what the policy itself says: the expected effort of its probabilities over the customers who are decided
today, at the prices that are tried. Not yesterday's demand: that is known without a pass, but weekdays, paydays and the
customers who came in this morning change what is asked for, and a price set by yesterday is late by a day.

Everybody is asked once, at half of yesterday's prices; whoever asks for no pool then asks for none at higher prices and
is left out of the ascent. It starts where yesterday's prices stood and ends as soon as they clear, to one contact. If
prices have to fall by more than half, everybody is asked again, at the lowest prices there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from agents.clearing import AscentRule, Cleared, ascend, paced, smoothed
from agents.policy import Policy
from agents.price_range import told_prices
from envs.errors import InputError
from envs.pools import Pools
from envs.prices import Prices, prices_from
from envs.world import World

Seen = tuple[np.ndarray, np.ndarray]  # (n, fields) float32 observation, (n, treatments) bool mask
ASKS = 1e-6  # expected effort below which a customer does not ask for a pool, in the pool's unit
TOLD = 8700  # draw: which of the day's prices a customer is told


DAILY = AscentRule(iterations=20)


@dataclass(frozen=True)
class Clearing:
    """How a region's prices are found."""

    rule: AscentRule = DAILY
    spread: float = 0.5  # standard deviations of a day's demand, by chance, by which it may exceed what there is
    most: int = 20_000  # customers of a region and day whose probabilities are asked for; each stands for more
    fall: float = 0.5  # of yesterday's prices, at which everybody is asked


def price_ranges(policy: Policy, world: World) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every price: the range that a policy was trained on; else the schema's, from 0."""
    manifest, names = getattr(policy, "manifest", None), world.encoder.price_names
    if manifest is None:
        return {name: (0.0, float(high)) for name, high in zip(names, world.encoder.price_highs, strict=True)}
    return {name: (float(manifest.price_range[name][0]), float(manifest.price_range[name][1])) for name in names}


def price_limits(policy: Policy, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest price of each pool. Each (pools,)."""
    ranges = price_ranges(policy, world)
    found = np.array([ranges[pool] for pool in world.catalogue.pool_ids], np.float64)
    return found[:, 0], found[:, 1]


class Market:
    """The prices of one region, day by day."""

    def __init__(self, world: World, policy: Policy, prices: Prices | None, clearing: Clearing) -> None:
        """prices: whose annoyance price holds, default the schema's; its pools' prices are what the first day starts
        from."""
        start = prices_from(None, world.catalogue, world.schema) if prices is None else prices
        self._world, self._policy, self._clearing = world, policy, clearing
        self.low, self.high = price_limits(policy, world)
        if (self.high <= self.low).any():
            pool = world.catalogue.pool_ids[int((self.high <= self.low).argmax())]
            need = "must leave room for a price that clears: the policy was trained at one price only"
            raise InputError(need, field=f"price_range.{pool}", value=[float(self.low.max()), float(self.high.min())])
        told_prices([policy], start, world.catalogue.pool_ids, free=world.catalogue.pool_ids)
        self._annoyance = start.annoyance
        self._prices = np.clip(np.array(start.pools, np.float64), self.low, self.high)
        self._day = 0

    def open(self, seen: Callable[[], Iterable[Seen]], customers: int, pools: Pools, days_left: int) -> Cleared:
        """Today's prices. seen: the day's customers, part by part; customers: how many; pools: as they are in the
        morning; days_left: with today."""
        capacity = paced(pools.left, pools.stock, days_left)
        fallen = np.maximum(self.low, self._prices * self._clearing.fall)
        found = self._search(seen, customers, pools, capacity, fallen)
        stuck = (found.prices <= fallen) & (found.demand < capacity) & (fallen > self.low)
        if stuck.any():
            found = self._search(seen, customers, pools, capacity, self.low)
        path = smoothed(found.path, self._prices, pools.stock, self._day, days_left)
        self._prices, self._day = path.mean(axis=0), self._day + 1
        return Cleared(self._prices, found.demand, capacity, self.high, path, found.evaluations)

    def _search(
        self, seen: Callable[[], Iterable[Seen]], customers: int, pools: Pools, capacity: np.ndarray, lowest: np.ndarray
    ) -> Cleared:
        """Ask everybody at the lowest prices, then search above them."""
        closed, clearing = pools.lacking.any(axis=0), self._clearing
        share = min(1.0, clearing.most / max(customers, 1))
        asking = _Asking(self._policy, self._world, self._annoyance, pools.effort, clearing.spread, share)
        for observation, mask in seen():
            asking.hear(observation, mask & ~closed, lowest)
        span, contact = self.high - self.low, pools.effort.max(axis=0)
        start = np.maximum(self._prices, lowest)
        return ascend(asking.demand, capacity, start, self.high, lowest, span=span, lump=contact, rule=clearing.rule)

    def told(self, cleared: Cleared, uniform: np.ndarray) -> np.ndarray:
        """Prices of customers, annoyance first. uniform: (n,) in [0, 1) -> (n, 1 + pools) float64."""
        return np.column_stack([np.full(len(uniform), self._annoyance), cleared.told(uniform)])


class _Asking:
    """The customers of a day who ask for a pool at the lowest prices, and what they ask for at others."""

    def __init__(
        self, policy: Policy, world: World, annoyance: float, effort: np.ndarray, spread: float, share: float
    ) -> None:
        self._policy, self._encoder, self._annoyance = policy, world.encoder, annoyance
        self._effort, self._spread, self._share = effort, spread, share
        self._parts: list[Seen] = []

    def hear(self, observation: np.ndarray, mask: np.ndarray, lowest: np.ndarray) -> None:
        """Ask a part of the customers, or a share of it, evenly spaced."""
        rows = np.arange(round(len(observation) * self._share)) / max(self._share, 1e-12)
        observation, mask = observation[rows.astype(np.int64)], mask[rows.astype(np.int64)]
        if not len(observation):
            return
        asked = self._probabilities(observation, mask, lowest) @ self._effort
        some = np.flatnonzero((asked > ASKS).any(axis=1))
        self._parts.append((observation[some], mask[some]))

    def demand(self, prices: np.ndarray) -> np.ndarray:
        """Units of each pool that are asked for, less the spread that chance gives it. -> (pools,) float64."""
        mean, variance = np.zeros((2, self._effort.shape[1]))
        for observation, mask in self._joined:
            probabilities = self._probabilities(observation, mask, prices)
            expected = probabilities @ self._effort  # (n, pools)
            mean += expected.sum(axis=0)
            variance += (probabilities @ self._effort**2 - expected**2).sum(axis=0)
        mean, variance = mean / self._share, np.maximum(variance, 0.0) / self._share
        return np.asarray(np.maximum(mean - self._spread * np.sqrt(variance), 0.0))

    @property
    def _joined(self) -> list[Seen]:
        if len(self._parts) > 1:
            observation, mask = zip(*self._parts, strict=True)
            self._parts = [(np.concatenate(observation), np.concatenate(mask))]
        return self._parts

    def _probabilities(self, observation: np.ndarray, mask: np.ndarray, pools: np.ndarray) -> np.ndarray:
        told = self._encoder.with_prices(observation, np.array([self._annoyance, *pools]))
        said = self._policy.probabilities(told, mask)
        if said.ndim != 2:
            raise InputError(
                "must make one choice per customer, to be told prices", field="policy", value=self._policy.name
            )
        return said
