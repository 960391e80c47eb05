"""What one more unit of a pool would have been worth.

Requests are granted in a random order, so one more unit goes to any of the refused requests with the same probability.
Its value is therefore the mean over them of what the refused treatment would have brought beyond what was done instead,
per unit of its effort: expected margin - cost - annoyance price x annoyance until the next decision, by the world's own
heads and hidden states. What comes after the next decision is left out; pool prices are, too, for this is the price.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from agents.turns import Turns
from envs.expectation import Expectation
from envs.hidden_states import HiddenStates, hidden_states
from envs.simulator import Simulator
from envs.world import World


@dataclass
class Shadow:
    """Refused requests of a day, a sample of each part."""

    world: World
    most: int = 16  # refused requests per pool and part that are valued
    _samples: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def note(self, simulator: Simulator, turns: Turns) -> None:
        """The refused requests of a part, before its step."""
        state, view = simulator.state, simulator.view()
        for pool, short in enumerate(turns.short):
            row, desk = np.nonzero(short & state.alive[:, None])
            if not len(row):
                continue
            row, desk, weight = row[: self.most], desk[: self.most], len(row) / min(len(row), self.most)
            wanted, done = turns.wanted[row, desk], turns.treatment[row, desk]
            price = state.prices[row, 0]
            self._samples.append(
                (view.observation[row], *hidden_states(self.world, state.take(row)), wanted, done, price,
                 np.full(len(row), pool), np.full(len(row), weight))
            )  # fmt: skip

    def value(self) -> tuple[np.ndarray, np.ndarray]:
        """What the refused requests were worth (currency) and their effort (units), each (pools,); then forget them."""
        effort = self.world.catalogue.effort
        worth, units = np.zeros((2, effort.shape[1]))
        if self._samples:
            parts = (np.concatenate(column) for column in zip(*self._samples, strict=True))
            observation, latent, clash, wanted, done, price, pool, weight = parts
            expected = self._expectation.knowing(observation, HiddenStates(latent, clash))
            reward = expected.margin - expected.cost - price[:, None] * expected.annoyance
            rows = np.arange(len(wanted))
            np.add.at(worth, pool, weight * (reward[rows, wanted] - reward[rows, done]))
            np.add.at(units, pool, weight * effort[wanted, pool])
            self._samples.clear()
        return worth, units

    @cached_property
    def _expectation(self) -> Expectation:
        return Expectation(self.world)
