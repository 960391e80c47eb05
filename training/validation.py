"""Validation: what the learner is worth beside silence, on customers of its own, at several prices.

Expected rewards (`envs.expected_reward`) with the same luck for all: the differences between two states of one learner
are told by a few hundred customers. Chosen by them, a policy is tested on others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from agents.network import ScoringPolicy
from agents.policy import draw, softened
from envs.prices import Prices
from envs.randomness import Luck
from envs.simulator import Simulator
from envs.world import World
from evaluation.intervals import Interval, mean_interval
from training.foreseen import foresee, silent

FIRST_VALIDATED = 8_000_000  # number of the first customer that a learner is judged by
CHOICE = 9000  # draw of the treatment
STEPS = (0.25, 1.0, 5.0, 15.0)  # annoyance prices, times the usual one


@dataclass(frozen=True)
class Validation:
    """The judge of a training."""

    world: World
    customers: int
    days: int
    seed: int
    temperature: float
    floor: float
    usual: Prices
    annoyance_prices: tuple[float, ...]

    @classmethod
    def of(
        cls,
        world: World,
        customers: int,
        days: int,
        seed: int,
        temperature: float,
        floor: float,
        usual: Prices,
        *,
        steered: bool,
    ) -> Validation:
        """At a few prices around the usual ones; at these alone, where the learner is not steered."""
        steps = STEPS if steered and usual.annoyance > 0 else (1.0,)
        high = float(world.encoder.price_highs[0])
        levels = tuple(sorted({min(step * usual.annoyance, high) for step in steps}))
        return cls(world, customers, days, seed, temperature, floor, usual, levels)

    def gain(self, policy: ScoringPolicy) -> np.ndarray:
        """Discounted value at the prices less silence's, CNY or other currency. -> (customers, prices) float64."""

        def choose(simulator: Simulator) -> np.ndarray:
            view, state = simulator.view(), simulator.state
            with torch.no_grad():
                scores = policy.mlp_extractor.forward_actor(torch.as_tensor(view.observation)).numpy()
            probabilities = softened(scores, view.mask, self.temperature, self.floor)
            return draw(probabilities, Luck(self.seed, state.customer, state.history.day).uniform(CHOICE))

        found = foresee(self.world, choose, self._numbers, self._prices, self.days, self.seed)
        return np.asarray((found.value - self._silence).reshape(len(self.annoyance_prices), -1).T)

    def interval(self, gain: np.ndarray) -> Interval:
        """The mean over prices, with the interval over customers."""
        return mean_interval(gain.mean(axis=1))

    @cached_property
    def _numbers(self) -> np.ndarray:
        return np.tile(FIRST_VALIDATED + np.arange(self.customers), len(self.annoyance_prices))

    @cached_property
    def _prices(self) -> np.ndarray:  # (customers x prices, 1 + pools)
        out = np.tile(self.usual.vector(), (len(self._numbers), 1))
        out[:, 0] = np.repeat(self.annoyance_prices, self.customers)
        return out

    @cached_property
    def _silence(self) -> np.ndarray:
        return foresee(self.world, silent, self._numbers, self._prices, self.days, self.seed).value
