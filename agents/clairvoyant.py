"""Myopic rules with a world's true heads: the yardsticks of what one-step expectations can reach.

`Clairvoyant` also knows every customer's hidden states (tastes, reach, irritation, frailty), which only a simulator can
tell (`agents/knowing.py`). `TrueHeads` does not: to it everybody is average, all hidden states at 0, so that what the
first gains over the second is the worth of knowing the customer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.levers import Levers, weighed
from agents.policy import Policy
from agents.scored import Scored
from envs.errors import InputError
from envs.expectation import Expectation
from envs.features import CONTEXT, latent_columns
from envs.hidden_states import HiddenStates
from envs.world import World


@dataclass(frozen=True)
class _Told(Scored):
    """The rule for customers whose hidden states it was told."""

    world: World
    levers: Levers
    hidden: HiddenStates | np.ndarray  # as `Expectation.knowing` takes them
    name: str

    def scores(self, observation: np.ndarray) -> np.ndarray:
        expected = Expectation(self.world).knowing(observation, self.hidden)
        return weighed(expected, self.world.encoder, observation, self.levers)


@dataclass(frozen=True)
class Clairvoyant:
    """The myopic rule with true heads and true hidden states, and levers. Nobody can deploy it."""

    world: World = field(repr=False)
    levers: Levers = field(default_factory=Levers)
    name: str = "clairvoyant"

    def knowing(self, hidden: HiddenStates) -> Policy:
        """The rule for these customers."""
        return _Told(self.world, self.levers, hidden, self.name)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        need = "must be told the hidden states, which only a simulator knows (agents.knowing.informed)"
        raise InputError(need, field="policy", value=self.name)


@dataclass(frozen=True)
class TrueHeads(Scored):
    """The myopic rule with true heads, blind to hidden states, and levers."""

    world: World = field(repr=False)
    levers: Levers = field(default_factory=Levers)
    name: str = "true_heads"

    def scores(self, observation: np.ndarray) -> np.ndarray:
        average = np.zeros((len(observation), latent_columns(self.world.catalogue)), np.float32)
        average[:, CONTEXT] = 1.0  # one desk decides: that much is known
        return _Told(self.world, self.levers, average, self.name).scores(observation)
