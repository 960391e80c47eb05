"""The single environment: one customer behind Gymnasium's Env. `import envs; gymnasium.make("nextbest/Bank-v0")`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.vector import BankVectorEnv
from envs.world import World


class BankEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One customer at a time; see `BankVectorEnv` for the meaning of everything."""

    metadata = {"render_modes": []}

    def __init__(
        self,
        world: str | Path | World = "bank",
        prices: dict[str, float] | None = None,
        horizon: int = 90,
        *,
        strict: bool = False,
        cadence_days: int | None = None,
        random_prices: bool = False,
        first_customer: int = 0,
        render_mode: str | None = None,
    ) -> None:
        self._batch = BankVectorEnv(
            1,
            world,
            prices,
            horizon,
            strict=strict,
            cadence_days=cadence_days,
            random_prices=random_prices,
            first_customer=first_customer,
        )
        self._mask: np.ndarray
        self.world = self._batch.world
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start with a new customer; the seed fixes their luck."""
        super().reset(seed=seed)
        observation, info = self._batch.reset(seed=int(self.np_random.integers(2**31)))
        self._mask = info["action_mask"][0]
        return observation[0], {"action_mask": self._mask.copy()}

    def action_masks(self) -> np.ndarray:
        """(treatments,) bool: what is allowed now."""
        return self._mask.copy()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carry out one treatment."""
        observation, reward, terminated, truncated, info = self._batch.step(np.array([action]))
        ended = bool(terminated[0] or truncated[0])
        last = info["final_obs"][0] if ended else observation[0]
        allowed = info["final_info"]["action_mask"] if ended else info["action_mask"]
        self._mask = allowed[0]
        told = {
            "action_mask": self._mask.copy(),
            "reward_vector": info["reward_vector"][0],
            "blocked_by": info["blocked_by"][0],
        }
        return last, float(reward[0]), bool(terminated[0]), bool(truncated[0]), told
