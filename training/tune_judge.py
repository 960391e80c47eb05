"""The judge of a search: what a trained policy is worth beside silence, on simulated customers, at named prices.

The same customers and the same luck for every trial, so that differences between trials are paired. None of them is a
customer of the log: those are for the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agents.baselines import Silence
from agents.policy import Policy
from envs.prices import Prices, prices_from
from envs.world import World
from evaluation.simulation import simulate
from training.tune_configs import TuneConfig

FIRST_JUDGED = 30_000_000  # number of the first simulated customer that trials are chosen by
FIRST_TESTED = 40_000_000  # of those that the best is tested on in the end
TIMES = (0.25, 1.0, 5.0, 15.0)  # the schema's annoyance price, where none is named; assumed: levers a bank would try


@dataclass(frozen=True)
class Judge:
    """Some customers, and what they are worth in silence."""

    world: World
    prices: tuple[Prices, ...]
    first: int
    customers: int
    days: int
    seed: int
    _silence: list[np.ndarray] = field(default_factory=list)  # per price, once it was needed

    def gain(self, policy: Policy) -> np.ndarray:
        """Discounted value at the prices less silence's, in currency, mean over prices. -> (customers,) float64"""
        if not self._silence:
            self._silence.extend(self._values(Silence()))
        parts = zip(self._values(policy), self._silence, strict=True)
        return np.asarray(np.mean([value - silent for value, silent in parts], axis=0))

    def _values(self, policy: Policy) -> list[np.ndarray]:
        numbers = self.first + np.arange(self.customers)
        return [
            simulate(self.world, policy, numbers, self.days, seed=self.seed, prices=prices).value
            for prices in self.prices
        ]


def judge_of(config: TuneConfig, world: World, first: int = FIRST_JUDGED) -> Judge:
    """The judge that a configuration names; InputError for a price that does not exist.

    A training at fixed prices is judged at these, unless others are named.
    """
    fixed = {} if config.train.random_prices else config.train.prices
    usual = prices_from(fixed, world.catalogue, world.schema).annoyance
    times = TIMES if config.train.random_prices else (1.0,)
    high = world.schema.prices["annoyance"].high if "annoyance" in world.schema.prices else np.inf
    levels: Sequence[float] = config.annoyance_prices or sorted({min(step * usual, high) for step in times})
    prices = tuple(
        prices_from({**fixed, **config.pool_prices, "annoyance": level}, world.catalogue, world.schema)
        for level in levels
    )
    return Judge(world, prices, first, config.customers, config.days, config.seed)
