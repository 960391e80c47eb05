"""A tiny third environment, which knows nothing of banks, and every flaw that a check must find in it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

MASK = np.array([True, True, False])
PRICES = np.array([2.0, 0.5])  # of annoyance and of a minute


class Kiosk(gymnasium.Env[np.ndarray, np.int64]):
    """A passer-by with a mood. Treatments: silence, ask, push; pushing is allowed only after a day of silence."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}
    crowd: list[float] = []  # what a flaw shares between environments

    def __init__(self, flaw: str = "", render_mode: str | None = None) -> None:
        self.flaw, self.render_mode = flaw, render_mode
        high = np.inf if flaw == "unbounded" else 1.0
        self.observation_space = gymnasium.spaces.Box(0.0, high, (3,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3, start=1 if flaw == "counts from one" else 0)
        self.asked, self.own = 0, np.random.default_rng(0)
        self.buffer, self.canvas = np.zeros(3, np.float32), np.zeros((4, 5, 3), np.uint8)
        self.old_mask = MASK.copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if self.flaw == "deaf to seeds" or (self.flaw == "fresh luck" and seed is None):
            self.np_random = np.random.default_rng()
        if self.flaw == "one seed":
            self.np_random = np.random.default_rng(0)
        if self.flaw == "starts again":
            self.last = seed if seed is not None else self.last
            self.np_random = np.random.default_rng(self.last)
        if self.flaw == "global luck" and seed is not None:
            np.random.seed(seed)  # noqa: NPY002  the flaw
        self.state = np.array([self.draw(), 0.0, 0.0], np.float32)  # mood, share of days asked, share of days gone
        self.day, self.quiet = 0, False
        if self.flaw != "leftovers":
            self.asked = 0
        return self.seen(), {"action_mask": self.mask()} if self.flaw != "no mask" else {}

    def draw(self) -> float:
        if self.flaw == "global luck":
            return float(np.random.random())  # noqa: NPY002  the flaw
        if self.flaw == "crowd":
            self.crowd.append(1.0)
            return (float(self.np_random.random()) + len(self.crowd)) % 1.0
        return float(self.np_random.random())

    def seen(self) -> np.ndarray:
        if self.flaw == "wide":
            return self.state.astype(np.float64)
        if self.flaw == "outside":
            return self.state + 2
        if self.flaw == "one buffer":
            self.buffer[:] = self.state
            return self.buffer
        return self.state if self.flaw == "bare state" else self.state.copy()

    def mask(self) -> np.ndarray:
        self.old_mask = getattr(self, "new_mask", MASK).copy()
        self.new_mask = np.array([self.flaw != "no silence", True, self.quiet or self.flaw == "no rules"])
        if self.flaw == "one mask":
            return MASK
        if self.flaw == "int mask":
            return self.new_mask.astype(np.int8)
        return self.new_mask if self.flaw == "bare mask" else self.new_mask.copy()

    def action_masks(self) -> np.ndarray:
        return (
            self.old_mask if self.flaw == "old masks" else MASK if self.flaw == "one mask" else self.new_mask
        ).copy()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        treatment = int(action)
        if not self.new_mask[treatment] and self.flaw != "goes ahead":
            if self.flaw in ("refuses", "counts refusals"):
                self.quiet |= self.flaw == "counts refusals"
                self.new_mask[2] |= self.flaw == "counts refusals"
                raise ValueError("must be allowed")
            treatment = 0
        luck, self.quiet = self.draw(), treatment == 0
        self.asked += treatment > 0
        self.day += 1
        self.state = self.state.copy() if self.flaw != "bare state" else np.array(self.state)
        self.state[0] = 0.5 * self.state[0] + 0.5 * luck
        self.state[1:] = min(self.asked, 8) / 8, self.day / 8
        self.state = np.clip(self.state, 0, 1)
        vector = np.array([10 * luck * treatment, 0.5 * treatment, 0.1 * treatment * (1 + self.state[0])])
        effort = np.array([3.0 * (treatment == 2)])
        reward = float(vector @ [1, -1, -PRICES[0]] - effort @ PRICES[1:])
        reward += float(PRICES[0] * vector[2]) if self.flaw == "annoyance is free" else 0.0
        reward = float("nan") if self.flaw == "no number" else reward
        terminated, truncated = luck < 0.1, luck >= 0.1 and self.day == 8
        if self.flaw == "ends both ways":
            terminated = truncated = luck < 0.1 or self.day == 8
        if self.flaw == "never ends":
            terminated = truncated = False
            self.state[2] = 0
        info = {"action_mask": self.mask(), "reward_vector": vector, "effort": effort, "prices": PRICES.copy()}
        flags = (int(terminated), int(truncated)) if self.flaw == "counts ends" else (bool(terminated), bool(truncated))
        return self.seen(), reward, flags[0], flags[1], info  # type: ignore[return-value]

    def render(self) -> Any:
        if self.flaw == "draws luck":
            self.draw()
        if self.flaw == "one canvas":
            return self.canvas
        return self.canvas.astype(np.float32 if self.flaw == "real colours" else np.uint8)


class Row(SyncVectorEnv):
    """Kiosks in a row, by Gymnasium's own vector environment, with flaws that only a row can have."""

    def __init__(self, rows: int, flaw: str = "", mode: AutoresetMode = AutoresetMode.SAME_STEP) -> None:
        super().__init__([Kiosk] * rows, autoreset_mode=mode)
        self.flaw, self.pay, self.kept, self.waiting = flaw, np.zeros(rows), np.zeros(rows, int), np.zeros(rows, bool)
        if flaw == "no mode":
            self.metadata = {"render_modes": []}
        if flaw == "not batched":
            self.observation_space = self.single_observation_space
        if flaw == "fewer rows":
            self.num_envs = rows - 1

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=seed + 1 if self.flaw == "other seeds" and seed is not None else seed)

    def step(self, actions: Any) -> Any:
        if self.flaw == "rows mix" and actions[0] == 1:
            self.envs[1].unwrapped.state[0] *= 0.5  # type: ignore[attr-defined]
        if self.flaw == "keeps actions":
            self.envs[1].unwrapped.state[0] *= 0.5 + 0.5 * (self.kept[0] < 3)  # type: ignore[attr-defined]
            self.kept = actions
        seen, reward, terminated, truncated, info = super().step(actions)
        ended = terminated | truncated
        if self.flaw == "pays at a reset":
            reward = reward + self.waiting
        if self.flaw == "one reward":
            self.pay[:] = reward
            reward = self.pay
        if self.flaw == "column of rewards":
            reward = reward[:, None]
        if self.flaw == "always final":
            info.setdefault("final_obs", np.full(len(ended), None))
        if ended.any():
            self._flawed_ends(seen, ended, info)
        self.waiting = ended
        return seen, reward, terminated, truncated, info

    def _flawed_ends(self, seen: np.ndarray, ended: np.ndarray, info: dict[str, Any]) -> None:
        rows = np.flatnonzero(ended)
        if self.flaw == "no final_obs":
            del info["final_obs"]
        if self.flaw == "everybody ended":
            info["_final_obs"][:] = True
        if self.flaw == "no last mask":
            del info["final_info"]["action_mask"]
        for row in rows:
            if self.flaw == "the next one's":
                info["final_obs"][row] = seen[row].copy()
            if self.flaw == "still the last":
                seen[row] = info["final_obs"][row]
