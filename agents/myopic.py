"""The myopic rule: the treatment with the best expected reward until the next decision, with levers.

    score = margin - cost lever x (cost + pool prices x effort)
            - annoyance lever x annoyance price x annoyance - contact lever

What commercial next-best-action engines do (propensity x value x levers), on the fitted heads of a calibrated world.
With all levers at 1 and the contact lever at 0 it is the plain one-step expectation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.baselines import Scored
from envs.errors import InputError
from envs.expectation import Expectation, observable
from envs.prices import price_of
from envs.world import World


@dataclass(frozen=True)
class Levers:
    """Multipliers by which a myopic rule is made to look ahead."""

    annoyance: float = 1.0
    cost: float = 1.0
    contact: float = 0.0  # currency per contact


@dataclass(frozen=True)
class Myopic(Scored):
    """Greedy on one-step expectations of a world's heads."""

    world: World
    levers: Levers = field(default_factory=Levers)
    name: str = "myopic"

    def __post_init__(self) -> None:
        for name, head in self.world.coefficients.heads.items():
            if not all(observable(term.feature) for term in head.terms):
                need = "must not look at hidden states: the myopic rule needs fitted heads, so calibrate a world first"
                raise InputError(need, field=f"heads.{name}", value="latent")

    def scores(self, observation: np.ndarray) -> np.ndarray:
        """Expected reward of every treatment, in currency. -> (batch, treatments) float64."""
        expected = Expectation(self.world)(observation)
        encoder, levers = self.world.encoder, self.levers
        columns = list(encoder.price_columns.values())
        prices = price_of(observation[:, columns].astype(np.float64), encoder.price_highs)
        efforts = prices[:, 1:] @ self.world.catalogue.effort.T
        contact = np.array([0.0] + [levers.contact] * len(self.world.catalogue.treatments))
        annoyance = levers.annoyance * prices[:, :1] * expected.annoyance
        return np.asarray(expected.margin - levers.cost * (expected.cost + efforts) - annoyance - contact)
