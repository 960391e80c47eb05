"""Random states of a world: where customers come to under random treatments at random prices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.vector import BankVectorEnv
from envs.world import World

BATCH = 500  # customers


class States(NamedTuple):
    """Decisions that somebody might have to take."""

    observation: np.ndarray  # (n, fields) float32
    mask: np.ndarray  # (n, treatments) bool


def random_states(world: World, count: int, seed: int) -> States:
    """States that random allowed treatments lead to, one day in three; prices over the whole range."""
    environment = BankVectorEnv(BATCH, world, random_prices=True, stagger=True, horizon=91)
    random = np.random.default_rng(seed)
    observation, info = environment.reset(seed=seed)
    seen: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    for _ in range(-(-count // BATCH)):
        mask = info["action_mask"]
        seen.append(observation)
        masks.append(mask)
        treatment = np.where(mask, random.random(mask.shape), -1.0).argmax(axis=1)
        observation, *_, info = environment.step(np.where(random.random(BATCH) < 1 / 3, treatment, 0))
    return States(np.concatenate(seen)[:count], np.concatenate(masks)[:count])
