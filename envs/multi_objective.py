"""The vector reward, in the convention of MO-Gymnasium: what is weighed against what is left to the learner.

`step` returns (margin, -cost, -annoyance), every part to be made large, in currency, currency and opt-outs, float32;
with `pools=True` the efforts follow, negated, one per pool, in its units. At the weights (1, 1, price of annoyance,
prices of the pools) the parts add up to the reward of the plain environment. `reward_space` and `reward_dim` describe
one row, in the vector environment too, whose rewards have the shape (num_envs, reward_dim).

The prices are still observed. A learner of many trade-offs sets them to the weights it tries: `options={"prices": ...}`
at a reset, or `random_prices=True`.

Convention: Felten et al. 2023, "A toolkit for reliable benchmarking and research in multi-objective reinforcement
learning"; MO-Gymnasium, whose `LinearReward`, `MORecordEpisodeStatistics` and `MOSyncVectorEnv` read `reward_space`.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.environment import BankEnv
from envs.simulator import Outcome
from envs.vector import BankVectorEnv
from envs.world import World


class MOBankEnv(BankEnv):
    """One customer at a time, with a vector for a reward."""

    def __init__(self, *args: Any, pools: bool = False, **options: Any) -> None:
        """pools: report the effort drawn from each pool as well; everything else as in `BankEnv`."""
        super().__init__(*args, **options)
        self.pools = pools
        self.reward_space = reward_space(self.world, pools)
        self.reward_dim = int(self.reward_space.shape[0])

    def step(  # type: ignore[override]  # a vector where Gymnasium has a number: the convention
        self, action: np.int64
    ) -> tuple[np.ndarray, np.ndarray, bool, bool, dict[str, Any]]:
        """Carry out one treatment; the reward is (reward_dim,) float32."""
        outcome, observation, terminated, truncated, info = self._take(action)
        return observation, objectives(outcome, self.pools)[0], terminated, truncated, info


class MOBankVectorEnv(BankVectorEnv):
    """A batch of customers, with a vector for each one's reward."""

    def __init__(self, *args: Any, pools: bool = False, **options: Any) -> None:
        """pools: report the effort drawn from each pool as well; everything else as in `BankVectorEnv`."""
        super().__init__(*args, **options)
        self.pools = pools
        self.reward_space = reward_space(self.world, pools)
        self.reward_dim = int(self.reward_space.shape[0])

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Carry out one treatment per customer; rewards are (num_envs, reward_dim) float32."""
        _, outcome, terminated, truncated, info = self._take(actions)
        return self._observation(), objectives(outcome, self.pools), terminated, truncated, info


def objectives(outcome: Outcome, pools: bool) -> np.ndarray:
    """(batch, objectives) float32: margin, -cost, -annoyance and, with pools, -effort of each."""
    tally = outcome.tally
    parts = np.column_stack([tally.margin, -tally.cost, -tally.annoyance, *([-tally.effort] if pools else [])])
    return parts.astype(np.float32)


def weights(prices: np.ndarray, pools: bool) -> np.ndarray:
    """The weights at which the objectives add up to the plain reward. prices: (1 + pools,) -> (objectives,)."""
    return np.array([1.0, 1.0, *(prices if pools else prices[:1])])


def reward_space(world: World, pools: bool) -> gymnasium.spaces.Box:
    """One customer's objectives: margins are unbounded, the others are never above 0."""
    top = 0.0 if all(weight >= 0 for weight in world.schema.task.reward.cost_per_value.values()) else np.inf
    count = 2 + (len(world.catalogue.pools) if pools else 0)
    high = np.array([np.inf, top, *[0.0] * (count - 1)], np.float32)
    return gymnasium.spaces.Box(np.full(1 + count, -np.inf, np.float32), high)
