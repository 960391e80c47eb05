"""Foresight: what a contact makes one expect of a customer whose hidden states leave marks in what is observed.

Heads may look at hidden states: a taste, a reach, an irritation. A rule that takes these at their mean forgets what a
customer's history says of them. A simulator knows them, so that a network can learn by how much every treatment's
margin is more or less than at the mean, from the observation alone (`agents/watching.py`):

    expected margin(o, a) = margin at the mean(o, a) x exp(factor(o, a))

The network is built like the policy's: nothing in it names a product. Where no head looks at hidden states there is
nothing to learn.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from agents.network import TreatmentScorer
from envs.expectation import Expectation, Expected
from envs.features import latent_columns
from envs.world import World

LARGEST = 4.0  # of a factor's size: a margin moves by a factor of 55 at most; assumed


@dataclass(frozen=True)
class Foresight:
    """One-step expectations from what is observed. network: None takes hidden states at their mean, 0."""

    world: World
    network: TreatmentScorer | None = field(default=None, repr=False)

    def __call__(self, observation: np.ndarray) -> Expected:
        """(batch, fields) float32 -> parts, (batch, treatments) float64 each."""
        mean = self._expectation.knowing(observation, np.zeros((len(observation), self._columns), np.float32))
        if self.network is None:
            return mean
        with torch.no_grad():
            factor = factors(self.network, torch.as_tensor(observation)).numpy().astype(np.float64)
        return replace(mean, margin=mean.margin * np.exp(factor))

    @cached_property
    def _expectation(self) -> Expectation:
        return Expectation(self.world)

    @cached_property
    def _columns(self) -> int:
        return latent_columns(self.world.catalogue)


def factors(network: TreatmentScorer, observation: torch.Tensor) -> torch.Tensor:
    """Logarithms of the factors, (batch, treatments); silence's is 0."""
    return network.forward_actor(observation).clamp(-LARGEST, LARGEST)


def hides(world: World) -> bool:
    """Whether some head looks at what no observation shows."""
    return any(head.needs_latent for head in world.heads.values())
