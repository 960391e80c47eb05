"""The batch simulator as stable-baselines3's vector environment: the simulator is the vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from agents.finite import check_finite
from envs.expected_reward import ExpectedReward
from envs.vector import BankVectorEnv


class SimulatorVecEnv(VecEnv):
    """BankVectorEnvs side by side, each in its own world of one form, as one SB3 VecEnv with action masks.

    Rewards are divided by `reward_scale`, and expected ones instead of what happened if `expected` is set. Several
    worlds are the members of a calibration's ensemble; each batch has luck of its own. Where an episode is cut off at
    its horizon, the discounted value of the last observation is added to its last reward, by `value_of` for all such
    rows at once (SB3 would ask row by row).
    """

    def __init__(self, batches: Sequence[BankVectorEnv], reward_scale: float = 1.0, *, expected: bool = False) -> None:
        self.batches, self.reward_scale = tuple(batches), reward_scale
        self.world = batches[0].world
        self.render_mode = None
        self.returns: list[float] = []  # undiscounted rewards of finished episodes, in currency
        self.annoyance: list[float] = []  # annoyance of each step, mean over customers, opt-outs
        self.value_of: Callable[[np.ndarray], np.ndarray] | None = None  # (rows, fields) -> (rows,), scaled as rewards
        self._expected = [ExpectedReward(batch.world) for batch in batches] if expected else None
        self._seed: int | None = 0
        self._ends = np.cumsum([batch.num_envs for batch in batches])
        count = int(self._ends[-1])
        self._actions = np.zeros(count, np.int64)
        self._so_far = np.zeros(count)
        super().__init__(count, batches[0].single_observation_space, batches[0].single_action_space)

    @property
    def gamma(self) -> float:
        """Discount per decision. A finite task, whose gaps differ, is discounted in its rewards instead: 1."""
        task = self.world.schema.task
        return 1.0 if task.kind == "finite" else task.gamma ** self.batches[0].cadence_days

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        self._seed = seed
        return [seed] * self.num_envs

    def reset(self) -> np.ndarray:
        self._so_far[:] = 0
        seeds = [None if self._seed is None else self._seed + number for number in range(len(self.batches))]
        return np.concatenate([batch.reset(seed=seed)[0] for batch, seed in zip(self.batches, seeds, strict=True)])

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        discount, parts = self._discount(), np.split(self._actions, self._ends[:-1])
        forecast = self._forecast(parts)
        told = [batch.step(actions) for batch, actions in zip(self.batches, parts, strict=True)]
        observation, reward, terminated, truncated = (np.concatenate([t[k] for t in told]) for k in range(4))
        ended = terminated | truncated
        self._so_far += reward
        self.annoyance.append(float(np.mean([t[4]["reward_vector"][:, 2].mean() for t in told])))
        learned = (discount * (reward if forecast is None else forecast) / self.reward_scale).astype(np.float32)
        check_finite("observation", observation)
        check_finite("reward", learned)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        last = self._last_seen(np.flatnonzero(ended), told)
        for row, seen in last.items():
            infos[row]["TimeLimit.truncated"] = bool(truncated[row])
            if self.value_of is None:
                infos[row]["terminal_observation"] = seen
        if self.value_of is not None and truncated.any():
            cut = np.flatnonzero(truncated)
            learned[cut] += (self.gamma * self.value_of(np.stack([last[int(row)] for row in cut]))).astype(np.float32)
        self.returns += self._so_far[ended].tolist()
        self._so_far[ended] = 0
        return observation, learned, ended, infos

    def _forecast(self, parts: Sequence[np.ndarray]) -> np.ndarray | None:
        """Expected rewards of what is about to be done, (num_envs,) float64, currency."""
        if self._expected is None:
            return None
        rewards = zip(self._expected, self.batches, parts, strict=True)
        return np.concatenate([expected(batch.simulator, actions) for expected, batch, actions in rewards])

    def _last_seen(self, rows: np.ndarray, told: Sequence[Any]) -> dict[int, np.ndarray]:
        """The last observation of rows that ended."""
        batch, starts = np.searchsorted(self._ends, rows, side="right"), np.array([0, *self._ends[:-1]])
        return {int(row): told[b][4]["final_obs"][row - starts[b]] for b, row in zip(batch, rows, strict=True)}

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on."""
        found = {f"{k}/{name}": a for k, batch in enumerate(self.batches) for name, a in batch.snapshot().items()}
        return {"so_far": self._so_far.copy(), **found}

    def restore(self, arrays: Mapping[str, np.ndarray], file: Path) -> None:
        """Go on where a snapshot was taken. file: for error messages"""
        self._so_far = arrays["so_far"].copy()
        for k, batch in enumerate(self.batches):
            start = f"{k}/"
            own = {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
            batch.restore(own, file)

    def _discount(self) -> np.ndarray | float:
        """Of a finite task: gamma to the power of the days since its start."""
        task = self.world.schema.task
        if task.kind != "finite":
            return 1.0
        steps = np.concatenate([batch.simulator.state.person["step"] for batch in self.batches])
        return np.asarray(task.gamma ** np.array(task.days, float)[steps])

    def action_masks(self) -> np.ndarray:
        """(num_envs, treatments) bool."""
        return np.concatenate([batch.action_masks() for batch in self.batches])

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        if method_name != "action_masks":
            raise AttributeError(f"method {method_name!r}: only action_masks is there")
        return list(self.action_masks()[list(self._get_indices(indices))])

    def has_attr(self, attr_name: str) -> bool:
        return hasattr(self, attr_name)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"attribute {attr_name!r} cannot be set: the batch is one simulator")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[np.ndarray | None]:
        return [None] * self.num_envs

    def close(self) -> None:
        """Nothing to close."""
