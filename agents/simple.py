"""The simplest baselines: silence, random, one fixed treatment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.policy import Policy
from envs.catalogue import SILENCE, Catalogue
from envs.errors import InputError


@dataclass(frozen=True)
class Silence:
    """Never contacts anybody."""

    name: str = "silence"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        out = np.zeros(mask.shape)
        out[:, 0] = 1.0
        return out


@dataclass(frozen=True)
class Random:
    """Every allowed treatment, silence among them, with the same probability."""

    name: str = "random"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.asarray(mask / mask.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Fixed:
    """One treatment whenever it is allowed, silence otherwise."""

    treatment: int
    name: str = "fixed"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        out = np.zeros(mask.shape)
        allowed = mask[:, self.treatment]
        out[np.arange(len(mask)), np.where(allowed, self.treatment, 0)] = 1.0
        return out


def fixed_treatment(catalogue: Catalogue, treatment: str, name: str = "best_fixed") -> Fixed:
    """The policy that always uses one treatment, by id."""
    if treatment not in catalogue.treatment_ids:
        known = ", ".join(catalogue.treatment_ids)
        raise InputError(f"must be one of: {known}", field="treatment", value=treatment)
    return Fixed(catalogue.treatment_ids.index(treatment), name)


def simple_baselines(catalogue: Catalogue) -> dict[str, Policy]:
    """Silence, random, and every treatment alone."""
    found: dict[str, Policy] = {SILENCE: Silence(), "random": Random()}
    for position, treatment in enumerate(catalogue.treatment_ids[1:], start=1):
        found[f"fixed:{treatment}"] = Fixed(position, f"fixed:{treatment}")
    return found
