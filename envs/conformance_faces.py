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
        self.env, self.observation_space = env, env.observation_space
        self.reward_space = getattr(env.unwrapped, "reward_space", None)
        self._masks = (int(env.action_space.n),)

    def reset(self, seed: int | None) -> Told:
        observation, info = self._started(seed)
        handed = leaves("info", info) | {"observation": observation}
        nothing, flag = np.zeros((1, *_objectives(self.reward_space))), np.zeros(1, bool)
        return Told(observation[None], info["action_mask"][None], nothing, flag, flag, NO_ENDS, handed)

    def _started(self, seed: int | None) -> tuple[np.ndarray, dict[str, Any]]:
        result = self.env.reset(seed=seed)
        require(isinstance(result, tuple) and len(result) == 2, "contract", "reset() must return (observation, info)")
        observation, info = result
        _must_fit("reset", observation, self.observation_space, info, self._masks)
        return observation, info

    def step(self, actions: np.ndarray) -> Told:
        observation, reward, terminated, truncated, info = self.env.step(np.int64(actions[0]))
        _must_fit("step", observation, self.observation_space, info, self._masks)
        self._must_be_reward(reward)
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            require(isinstance(flag, bool | np.bool_), "contract", f"{name} is a {type(flag).__name__}, not a bool")
        handed = leaves("info", info) | leaves("reward", reward) | {"observation": observation}
        last, mask, parts = NO_ENDS, info["action_mask"], {k: v[None] for k, v in _arrays(info).items()}
        if terminated or truncated:
            last = {0: observation}
            observation, first = self._started(None)
            mask = first["action_mask"]
            handed |= leaves("first", first) | {"last": last[0], "observation": observation}
        flags = np.array([terminated]), np.array([truncated])
        return Told(observation[None], mask[None], np.asarray(reward)[None], *flags, last, handed, parts)

    def _must_be_reward(self, reward: Any) -> None:
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
        self.env, self.observation_space = env, env.observation_space
        self.mode = env.metadata.get("autoreset_mode")
        self.info: Mapping[str, Any] = {}  # of the last step, as it was told
        self._rewards = (env.num_envs, *_objectives(getattr(env.unwrapped, "reward_space", None)))
        self._masks = (env.num_envs, int(env.single_action_space.n))

    def reset(self, seed: int | None) -> Told:
        observation, info = self.env.reset(seed=seed)
        _must_fit("reset", observation, self.observation_space, info, self._masks)
        handed = leaves("info", info) | {"observation": observation}
        nothing, flag = np.zeros(self._rewards), np.zeros(self.env.num_envs, bool)
        return Told(observation, info["action_mask"], nothing, flag, flag, NO_ENDS, handed)

    def step(self, actions: np.ndarray) -> Told:
        observation, reward, terminated, truncated, info = self.env.step(actions)
        self.info = info
        _must_fit("step", observation, self.observation_space, info, self._masks)
        fits = isinstance(reward, np.ndarray) and reward.dtype.kind == "f" and reward.shape == self._rewards
        require(fits, "contract", f"rewards must be {self._rewards} floats")
        require(bool(np.isfinite(reward).all()), "contract", "a reward is not finite")
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            fits = isinstance(flag, np.ndarray) and flag.dtype == np.bool_ and flag.shape == self._rewards[:1]
            require(fits, "contract", f"{name} must be {self._rewards[:1]} bool")
        own = {"observation": observation, "reward": reward, "terminated": terminated, "truncated": truncated}
        final = info.get("final_obs", ())
        last = {row: end for row, end in enumerate(final) if end is not None}
        handed, parts = leaves("info", info) | own, self._parts(info)
        return Told(observation, info["action_mask"], reward, terminated, truncated, last, handed, parts)

    @staticmethod
    def _parts(info: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The arrays of the last step; what it said of an episode that ended may stand in final_info only."""
        parts = _arrays(info)
        for name, value in _arrays(info.get("final_info", {})).items():
            there = info.get(f"_{name}")
            if name in parts and there is not None:
                parts[name] = np.where(there.reshape(-1, *[1] * (value.ndim - 1)), parts[name], value)
        return parts

    def masks(self) -> np.ndarray:
        if hasattr(self.env.unwrapped, "action_masks"):
            return np.asarray(self.env.unwrapped.action_masks())
        return np.stack(self.env.call("action_masks"))

    def frames(self) -> tuple[np.ndarray, ...] | None:
        return self.env.render() if self.env.render_mode == "rgb_array" else None


def _must_fit(where: str, seen: Any, space: Any, info: Any, masks: tuple[int, ...]) -> None:
    """The observation is in its space and of its kind; the info holds a mask of the right shape."""
    require(isinstance(seen, np.ndarray), "contract", f"{where}() returned a {type(seen).__name__}, not an array")
    require(seen.dtype == space.dtype, "contract", f"{where}() returned {seen.dtype}, not {space.dtype}")
    require(space.contains(seen), "contract", f"{where}() returned an observation outside its space")
    mask = info.get("action_mask")
    fits = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == masks
    require(fits, "contract", f"info['action_mask'] of {where}() must be {masks} bool")


def _objectives(reward_space: Any) -> tuple[int, ...]:
    """Shape of one row's reward: () for a number."""
    return () if reward_space is None else tuple(reward_space.shape)


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


def _arrays(info: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The numbers at the top of an info, as arrays."""
    found = {key: value for key, value in info.items() if isinstance(value, np.ndarray) and value.dtype != object}
    return found | {key: np.asarray(value) for key, value in info.items() if isinstance(value, int | float)}
