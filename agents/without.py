"""A policy from which some treatments are taken away: it decides under a mask that closes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.policy import Policy
from envs.catalogue import Catalogue
from envs.errors import InputError


@dataclass(frozen=True)
class Without:
    """The same policy, its mask closed for some treatments before it is asked; what else it is does not change."""

    policy: Policy
    closed: tuple[bool, ...]  # of each treatment; silence stays open
    name: str

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.policy.probabilities(observation, mask & ~np.array(self.closed))

    @property
    def manifest(self) -> object:
        """That of the policy, for the range of its prices; None where it has none."""
        return getattr(self.policy, "manifest", None)


def without_channel(policy: Policy, catalogue: Catalogue, channel: str) -> Without:
    """A policy that cannot use a channel."""
    if channel not in catalogue.channel_ids:
        raise InputError(f"must be one of: {', '.join(catalogue.channel_ids)}", field="channels", value=channel)
    position = catalogue.channel_ids.index(channel)
    closed = tuple(bool(of == position) for of in catalogue.channel_of)
    return Without(policy, closed, f"{policy.name} without {channel}")
