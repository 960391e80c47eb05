"""Faces: single and vector environments told alike, row by row, so that one check serves every kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

NO_ENDS: dict[int, np.ndarray] = {}


class Nonconformance(AssertionError):
    """An environment does what none may do."""


def require(held: bool, check: str, found: str, step: int | None = None) -> None:
    """Raise Nonconformance unless it held. check: name of the check; found: what is wrong; step: when."""
    if not held:
        raise Nonconformance(f"{check}: {found}" + ("" if step is None else f" (step {step})"))


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit, kinds and shapes included."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        if a.dtype == object:
            return all(same(x, y) for x, y in zip(a.flat, b.flat, strict=True))
        return a.tobytes() == b.tobytes() or bool(np.array_equal(a, b))
    return type(a) is type(b) and bool(np.all(a == b))


@dataclass(frozen=True)
class Told:
    """What an environment says at a reset or after a step. One row per customer; a single environment has one."""

    observation: np.ndarray  # (rows, fields)
    mask: np.ndarray  # (rows, treatments)
    reward: np.ndarray  # (rows,) or (rows, objectives); 0 at a reset
    terminated: np.ndarray  # (rows,) bool
    truncated: np.ndarray  # (rows,) bool
    last: Mapping[int, np.ndarray]  # row -> last observation of the episode that ended
    handed: Mapping[str, np.ndarray]  # every array that was handed out, by its place, the very object
    info: Mapping[str, np.ndarray] = field(default_factory=dict)  # of step: rows of what is not at the top level

    @property
    def rows(self) -> int:
        return int(self.observation.shape[0])


class Face(Protocol):
    """An environment under test. After the end of an episode the same row goes on with the next one."""

    observation_space: Any  # of the whole: (fields,) or (rows, fields)

    def reset(self, seed: int | None) -> Told:
        """Start all rows."""
        ...

    def step(self, actions: np.ndarray) -> Told:
        """Carry out one treatment per row. actions: (rows,) int."""
        ...

    def masks(self) -> np.ndarray:
        """What the environment's `action_masks()` says now."""
        ...

    def frames(self) -> tuple[np.ndarray, ...] | None:
        """Pictures, if it was made to draw any."""
        ...


class SingleFace:
    """A gymnasium.Env, started anew as soon as an episode ends."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.observation_space = env.observation_space
        self.reward_space = getattr(env.unwrapped, "reward_space", None)

    def reset(self, seed: int | None) -> Told:
        observation, info = self._started(seed)
        handed = leaves("info", info) | {"observation": observation}
        nothing = np.zeros((1,) if self.reward_space is None else (1, *self.reward_space.shape))
        flag = np.zeros(1, bool)
        return Told(observation[None], info["action_mask"][None], nothing, flag, flag, NO_ENDS, handed)

    def _started(self, seed: int | None) -> tuple[np.ndarray, dict[str, Any]]:
        result = self.env.reset(seed=seed)
        require(isinstance(result, tuple) and len(result) == 2, "contract", "reset() must return (observation, info)")
        observation, info = result
        self._is_observation(observation, "reset")
        mask = info.get("action_mask")
        self._is_mask(mask, "reset")
        return observation, info

    def step(self, actions: np.ndarray) -> Told:
        observation, reward, terminated, truncated, info = self.env.step(np.int64(actions[0]))
        self._is_observation(observation, "step")
        self._is_mask(info.get("action_mask"), "step")
        self._is_reward(reward)
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            require(isinstance(flag, bool | np.bool_), "contract", f"{name} is a {type(flag).__name__}, not a bool")
        handed = leaves("info", info) | {"observation": observation}
        if isinstance(reward, np.ndarray):
            handed["reward"] = reward
        last, mask, parts = NO_ENDS, info["action_mask"], {k: np.asarray(v)[None] for k, v in _numbers(info).items()}
        if terminated or truncated:
            last = {0: observation}
            handed["last"] = observation
            observation, first = self._started(None)
            mask = first["action_mask"]
            handed |= leaves("first", first) | {"observation": observation}
        flags = np.array([terminated]), np.array([truncated])
        return Told(observation[None], mask[None], np.asarray(reward)[None], *flags, last, handed, parts)

    def _is_observation(self, observation: Any, where: str) -> None:
        space = self.observation_space
        require(isinstance(observation, np.ndarray), "contract", f"{where}() returned {type(observation).__name__}")
        shown = f"{observation.dtype} {observation.shape}"
        require(observation.dtype == space.dtype, "contract", f"{where}() returned {shown}, not {space.dtype}")
        require(space.contains(observation), "contract", f"{where}() returned an observation outside its space")

    def _is_mask(self, mask: Any, where: str) -> None:
        count = int(self.env.action_space.n)
        fits = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (count,)
        require(fits, "contract", f"info['action_mask'] of {where}() must be ({count},) bool")

    def _is_reward(self, reward: Any) -> None:
        if self.reward_space is None:
            require(isinstance(reward, float | int | np.floating | np.integer), "contract", "the reward is no number")
            require(bool(np.isfinite(reward)), "contract", f"the reward is {reward}")
        else:
            require(self.reward_space.contains(reward), "contract", f"the reward {reward!r} is outside its space")

    def masks(self) -> np.ndarray:
        return np.asarray(self.env.get_wrapper_attr("action_masks")())

    def frames(self) -> tuple[np.ndarray, ...] | None:
        return (self.env.render(),) if self.env.render_mode == "rgb_array" else None


class VectorFace:
    """A gymnasium.vector.VectorEnv, which starts its rows anew by itself."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.observation_space = env.observation_space
        self.reward_space = getattr(env.unwrapped, "reward_space", None)
        self.mode = env.metadata.get("autoreset_mode")
        self._info: dict[str, Any] = {}

    def reset(self, seed: int | None) -> Told:
        observation, info = self.env.reset(seed=seed)
        self._is_told(observation, info, "reset")
        rows = self.env.num_envs
        nothing = np.zeros((rows,) if self.reward_space is None else (rows, *self.reward_space.shape))
        flag = np.zeros(rows, bool)
        handed = leaves("info", info) | {"observation": observation}
        return Told(observation, info["action_mask"], nothing, flag, flag, NO_ENDS, handed)

    def step(self, actions: np.ndarray) -> Told:
        observation, reward, terminated, truncated, info = self.env.step(actions)
        self._info = info
        self._is_told(observation, info, "step")
        rows = self.env.num_envs
        shape = (rows,) if self.reward_space is None else (rows, *self.reward_space.shape)
        fits = isinstance(reward, np.ndarray) and reward.dtype.kind == "f" and reward.shape == shape
        require(fits, "contract", f"rewards must be {shape} floats")
        require(bool(np.isfinite(reward).all()), "contract", "a reward is not finite")
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            fits = isinstance(flag, np.ndarray) and flag.dtype == np.bool_ and flag.shape == (rows,)
            require(fits, "contract", f"{name} must be ({rows},) bool")
        own = {"observation": observation, "reward": reward, "terminated": terminated, "truncated": truncated}
        final = info.get("final_obs")
        last = {} if final is None else {row: end for row, end in enumerate(final) if end is not None}
        parts = _numbers(info)
        for name, value in _numbers(info.get("final_info", {})).items():
            there = info.get(f"_{name}")  # where it is not, the last step of an episode told it
            if name in parts and there is not None:
                parts[name] = np.where(there.reshape(-1, *[1] * (value.ndim - 1)), parts[name], value)
        return Told(
            observation, info["action_mask"], reward, terminated, truncated, last, leaves("info", info) | own, parts
        )

    def _is_told(self, observation: Any, info: Mapping[str, Any], where: str) -> None:
        space, rows, count = self.observation_space, self.env.num_envs, int(self.env.single_action_space.n)
        require(isinstance(observation, np.ndarray), "contract", f"{where}() returned {type(observation).__name__}")
        require(observation.dtype == space.dtype, "contract", f"{where}() returned {observation.dtype}")
        require(space.contains(observation), "contract", f"{where}() returned an observation outside its space")
        mask = info.get("action_mask")
        fits = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (rows, count)
        require(fits, "contract", f"info['action_mask'] of {where}() must be ({rows}, {count}) bool")

    def explain(self, ended: np.ndarray, step: int) -> None:
        """What the same-step autoreset must say of the rows that ended, as in Gymnasium's own environments."""
        info, name = self._info, "autoreset"
        if not ended.any():
            require("final_obs" not in info, name, "info tells final_obs though nothing ended", step)
            return
        for key in ("final_obs", "_final_obs", "final_info", "_final_info"):
            require(key in info, name, f"info lacks {key!r} though an episode ended", step)
        for key in ("_final_obs", "_final_info"):
            require(same(info[key], ended), name, f"info[{key!r}] does not name the rows that ended", step)
        final = info["final_obs"]
        require(
            isinstance(final, np.ndarray) and final.dtype == object, name, "final_obs must be an object array", step
        )
        there = np.array([end is not None for end in final])
        require(same(there, ended), name, "final_obs must hold an observation where a row ended, else None", step)
        space = self.env.single_observation_space
        inside = all(space.contains(end) for end in final[ended])
        require(inside, name, "a last observation is outside its space", step)
        mask = info["final_info"].get("action_mask")
        require(mask is not None, name, "info['final_info'] lacks the last action_mask", step)

    def masks(self) -> np.ndarray:
        if hasattr(self.env.unwrapped, "action_masks"):
            return np.asarray(self.env.unwrapped.action_masks())
        return np.stack(self.env.call("action_masks"))

    def frames(self) -> tuple[np.ndarray, ...] | None:
        return self.env.render() if self.env.render_mode == "rgb_array" else None


def leaves(place: str, value: Any) -> dict[str, np.ndarray]:
    """Every array inside a value, by its place, the very object."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return {place: value}
    inside: Mapping[Any, Any] = {}
    if isinstance(value, Mapping):
        inside = value
    elif isinstance(value, np.ndarray | list | tuple):
        inside = dict(enumerate(value))
    return {name: leaf for key, part in inside.items() for name, leaf in leaves(f"{place}.{key}", part).items()}


def _numbers(info: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays at the top of an info."""
    return {key: value for key, value in info.items() if isinstance(value, np.ndarray) and value.dtype != object}
