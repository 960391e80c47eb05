"""Yardsticks that know what no observation says: how a simulator tells them the hidden states, openly."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from agents.policy import Policy


@runtime_checkable
class Knowing(Protocol):
    """A policy that cannot be deployed: before it decides, a simulator hands it the customers' hidden states."""

    @property
    def name(self) -> str: ...

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Raises an InputError: without hidden states it has no answer."""
        ...

    def knowing(self, latent: np.ndarray) -> Policy:
        """The policy for exactly these customers. latent: (batch, latent states) float32, as `CustomerState.latent`."""
        ...


def informed(policy: Policy, latent: np.ndarray) -> Policy:
    """What decides about these customers: the policy itself, or, if it declares `knowing`, what it says of them."""
    return policy.knowing(latent) if isinstance(policy, Knowing) else policy
