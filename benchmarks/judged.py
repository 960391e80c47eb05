"""What policies are worth on simulated customers at several prices of annoyance, the luck of conversions taken out.

A day's reward is what heads and hidden states make one expect of the decision (`envs/expected_reward.py`): the same
mean as what happens, a fifth of the spread. Differences of a few per cent need it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from agents.policy import Policy
from envs.observation import Encoder
from envs.prices import Prices, prices_from
from envs.randomness import Luck
from envs.simulator import Simulator
from envs.world import World
from evaluation.simulation import choose
from training.foreseen import Choose, foresee, silent


@dataclass(frozen=True)
class Judge:
    """Some customers, the same luck for every policy, and what they are charged."""

    world: World = field(repr=False)
    numbers: np.ndarray = field(repr=False)  # (customers,) int, in the population
    days: int
    seed: int
    annoyance: tuple[float, ...]  # prices, currency per opt-out; pools are at their defaults

    def gain(self, policy: Policy) -> np.ndarray:
        """Discounted value less silence's, in currency. -> (customers, prices) float64"""
        return np.stack([self.gain_at(price, policy) for price in self.annoyance], axis=1)

    def gain_at(self, price: float, policy: Policy) -> np.ndarray:  # (customers,) float64
        """The same at one price of annoyance."""
        return self._value(price, decided(policy, self.seed)) - self._silence[price]

    @cached_property
    def _silence(self) -> dict[float, np.ndarray]:
        return {price: self._value(price, silent) for price in self.annoyance}

    def _value(self, price: float, who: Choose) -> np.ndarray:
        prices = prices_from({"annoyance": price}, self.world.catalogue, self.world.schema).vector()
        charged = np.tile(prices, (len(self.numbers), 1))
        return foresee(self.world, who, self.numbers, charged, self.days, self.seed).value


def decided(policy: Policy, seed: int) -> Choose:
    """Who decides by a policy. seed: of the luck with which it draws"""

    def chosen(simulator: Simulator) -> np.ndarray:
        view, state = simulator.view(), simulator.state
        luck = Luck(seed, state.customer, state.history.day)
        return choose(policy, view.observation, view.mask, luck)[1][:, 0]

    return chosen


@dataclass(frozen=True)
class Told:
    """A policy that is told these prices, whatever the observation shows."""

    policy: Policy
    prices: Prices
    encoder: Encoder = field(repr=False)
    name: str = "told"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.policy.probabilities(self.encoder.with_prices(observation, self.prices.vector()), mask)
