"""Rules on the built-in bank that ask for people and read prices: the true heads, hidden states taken to be zero."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.baselines import Scored
from agents.myopic import Levers
from envs.expectation import Expectation
from envs.features import latent_columns
from envs.prices import price_of
from envs.world import World


@dataclass(frozen=True)
class Asker(Scored):
    """The myopic rule of `agents.myopic`, of the bank itself: no customer's irritation is known to it."""

    world: World
    levers: Levers = field(default_factory=lambda: Levers(5.0, 1.5, 1.0))
    name: str = "asker"

    def scores(self, observation: np.ndarray) -> np.ndarray:
        """Expected reward of every treatment, currency. -> (batch, treatments) float64."""
        encoder, levers, catalogue = self.world.encoder, self.levers, self.world.catalogue
        nothing = np.zeros((len(observation), latent_columns(catalogue)), np.float32)
        expected = Expectation(self.world).knowing(observation, nothing)
        columns = list(encoder.price_columns.values())
        prices = price_of(observation[:, columns].astype(np.float64), encoder.price_highs)
        contact = np.array([0.0] + [levers.contact] * len(catalogue.treatments))
        cost = levers.cost * (expected.cost + prices[:, 1:] @ catalogue.effort.T)
        return np.asarray(expected.margin - cost - levers.annoyance * prices[:, :1] * expected.annoyance - contact)
