"""The myopic rule: the treatment with the best expected reward until the next decision, with levers.

What commercial next-best-action engines do (propensity x value x levers), on the fitted heads of a calibrated world.
With all levers at 1 and the contact lever at 0 it is the plain one-step expectation (`agents/levers.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.levers import Levers, weighed
from agents.scored import Scored
from envs.errors import InputError
from envs.expectation import Expectation, observable
from envs.world import World

__all__ = ["Levers", "Myopic"]


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
        return weighed(Expectation(self.world)(observation), self.world.encoder, observation, self.levers)
