"""Exact worlds for tests: the preset as it is, and shorter ones of the same kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agents.exact_joint import shortened
from envs.exact import ExactModel, build
from envs.world import load_world


@lru_cache(maxsize=1)
def preset() -> ExactModel:
    """The exact model of the preset."""
    return build(load_world("exact"))


@lru_cache(maxsize=4)
def small(decisions: int = 3, closed: tuple[str, ...] = ()) -> ExactModel:
    """An exact model of a few thousand states."""
    return build(shortened(load_world("exact"), decisions, closed))


@dataclass(frozen=True)
class Haphazard:
    """A stochastic policy without sense: the softmax of random weights on the observation."""

    weights: np.ndarray  # (fields, treatments)
    name: str = "haphazard"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        weights = np.where(mask, np.exp(observation.astype(np.float64) @ self.weights), 0.0)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def haphazard(model: ExactModel, seed: int, scale: float) -> Haphazard:
    """A policy of its own for every seed; the larger the scale, the more decided."""
    shape = (len(model.world.encoder.names), len(model.world.catalogue.treatment_ids))
    return Haphazard(scale * np.random.default_rng(seed).normal(size=shape))
