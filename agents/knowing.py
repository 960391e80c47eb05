"""Yardsticks that know what no observation says: how a simulator tells them the hidden states, openly."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from agents.policy import Policy
from envs.hidden_states import HiddenStates, hidden_states
from envs.simulator import Simulator


@runtime_checkable
class Knowing(Protocol):
    """A policy that cannot be deployed: before it decides, a simulator hands it the customers' hidden states."""

    @property
    def name(self) -> str: ...

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Raises an InputError: without hidden states it has no answer."""
        ...

    def knowing(self, hidden: HiddenStates) -> Policy:
        """The policy for exactly these customers, today."""
        ...


def informed(policy: Policy, simulator: Simulator) -> Policy:
    """What decides about a simulator's customers: the policy itself, or, if it declares `knowing`, what it says."""
    return told(policy, known_to(policy, simulator))


def known_to(policy: Policy, simulator: Simulator) -> HiddenStates | None:
    """The hidden states, for a policy that declares `knowing`; None for every other one."""
    return hidden_states(simulator.world, simulator.state) if isinstance(policy, Knowing) else None


def told(policy: Policy, hidden: HiddenStates | None) -> Policy:
    """The policy for customers with these hidden states. hidden: None for a policy that does not ask."""
    return policy.knowing(hidden) if isinstance(policy, Knowing) and hidden is not None else policy
