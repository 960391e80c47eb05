"""A lever: one price, told at rising levels while the others stay at their usual values, and what came of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from agents.policy import Policy
from benchmarks.judged import decided
from envs.prices import Prices, prices_from
from envs.world import World
from training.foreseen import Foreseen, foresee

# Written down before anything was measured: the ends of the range that is trained, the usual price, what lies between.
ANNOYANCE = (0.0, 20.0, 100.0, 300.0, 1000.0)  # CNY per opt-out
POOL = (0.0, 0.25, 1.0, 2.5, 5.0)  # CNY per minute


@dataclass(frozen=True)
class Lever:
    """One price, told at rising levels, and what came of each."""

    name: str
    place: int  # 0: annoyance, else 1 + that of the pool
    told: tuple[Prices, ...]
    found: tuple[tuple[Foreseen, ...], ...] = field(repr=False)  # by level, one per seed

    @property
    def seeds(self) -> int:
        return len(self.found[0])

    @property
    def levels(self) -> list[float]:
        return [float(prices.vector()[self.place]) for prices in self.told]

    def consumption(self, level: int) -> np.ndarray:  # (seeds, customers) float64, opt-outs or units of the pool
        """What the price is asked for."""
        return np.stack([f.annoyance if self.place == 0 else f.effort[:, self.place - 1] for f in self.found[level]])

    def step(self, level: int) -> np.ndarray:  # (seeds, customers) float64
        """What is used of it beyond what was used at the level before."""
        return self.consumption(level) - self.consumption(level - 1)

    def value(self, judged: int, told: int) -> np.ndarray:  # (seeds, customers) float64, currency, discounted
        """At one level, told another."""
        return np.stack([found.value_at(self.told[judged]) for found in self.found[told]])

    def pays(self, judged: int, told: int) -> np.ndarray:  # (seeds, customers) float64, currency
        """What it brings to be told another level than the one that is judged at."""
        return self.value(judged, told) - self.value(judged, judged)


def asked_levers(
    world: World, policies: Sequence[Policy], numbers: np.ndarray, days: int, seed: int
) -> tuple[Lever, ...]:
    """Annoyance first, then every pool; what several levers are told in common is run once. numbers: (customers,)"""
    usual, known = prices_from(None, world.catalogue, world.schema), {}
    found = []
    for place, name in enumerate(world.encoder.price_names):
        told = tuple(_with(usual, place, level) for level in (POOL if place else ANNOYANCE))
        for prices in told:
            if prices not in known:
                vectors = np.tile(prices.vector(), (len(numbers), 1))
                known[prices] = tuple(
                    foresee(world, decided(policy, seed), numbers, vectors, days, seed) for policy in policies
                )
        found.append(Lever(name, place, told, tuple(known[prices] for prices in told)))
    return tuple(found)


def _with(usual: Prices, place: int, level: float) -> Prices:
    if place == 0:
        return replace(usual, annoyance=level)
    return replace(usual, pools=tuple(level if k == place - 1 else p for k, p in enumerate(usual.pools)))
