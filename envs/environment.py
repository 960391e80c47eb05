"""The single environment: one customer behind Gymnasium's Env. `import envs; gymnasium.make("nextbest/Bank-v0")`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.episode import SEEDS, reward_vector, terms
from envs.errors import InputError
from envs.inside import reasons_of
from envs.render import FRAMES_PER_SECOND, MODES, Picture
from envs.simulator import Outcome, Simulator
from envs.spaces import action_space, observation_space
from envs.world import World

FIRST = np.zeros(1, np.int64)  # the one row


class BankEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One customer at a time. Observation: the world's table of fields; action: the position of a treatment.

    `info["action_mask"]` (treatments,) says what is allowed; a masked treatment is executed as silence and
    `info["blocked_by"]` names the rules, or, with `strict=True`, raises. `info["reward_vector"]` is (margin, cost,
    annoyance), in currency, currency and opt-outs. docs/environment.md tells the rest.
    """

    metadata = {"render_modes": MODES, "render_fps": FRAMES_PER_SECOND}

    def __init__(
        self,
        world: str | Path | World | None = "bank",
        prices: dict[str, float] | None = None,
        horizon: int = 90,
        *,
        strict: bool = False,
        cadence_days: int | None = None,
        random_prices: bool = False,
        price_walk: float = 0.0,
        first_customer: int = 0,
        render_mode: str | None = None,
    ) -> None:
        """horizon: days; prices: by name, missing ones at their defaults; random_prices: drawn anew at each reset;
        price_walk: a day's step of their logarithms (standard deviation), 0: they hold;
        first_customer: the number of the customer, whose profile and fate the seed decides."""
        self.terms = terms(world, prices, horizon, cadence_days, random_prices, price_walk, first_customer)
        self.world, self.strict, self.render_mode = self.terms.world, strict, render_mode
        self.observation_space = observation_space(self.world.encoder)
        self.action_space = action_space(self.world.catalogue)
        self._count = len(self.world.catalogue.treatment_ids)
        self.simulator: Simulator
        self._picture = None if render_mode is None else Picture(render_mode, self.world, horizon)
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start with a new customer; the seed fixes their luck. options: `first_customer`, `prices`, for this once."""
        now = self.terms.told(options)
        super().reset(seed=seed)
        luck = seed if seed is not None else int(self.np_random.integers(SEEDS))
        customers = np.array([now.first_customer])
        self.simulator = now.simulator(luck, customers, record=self._picture is not None)
        self._prices, self._luck = now.prices_of(customers, luck), luck
        self.simulator.set_prices(self._prices)
        self._days, self._over = 0, False
        if self._picture is not None:
            self._picture.begin(self.simulator)
        view = self.simulator.view()
        return view.observation[0].copy(), {"action_mask": view.mask[0].copy()}

    def action_masks(self) -> np.ndarray:
        """(treatments,) bool: what is allowed now, a copy."""
        self._must_be_started()
        return np.array(self.simulator.view().mask[0])

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carry out one treatment."""
        outcome, observation, terminated, truncated, info = self._take(action)
        return observation, float(outcome.reward(info["prices"][None])[0]), terminated, truncated, info

    def _take(self, action: np.int64) -> tuple[Outcome, np.ndarray, bool, bool, dict[str, Any]]:
        """The step but for its reward."""
        if self._over:
            self._must_be_started()
            raise gymnasium.error.ResetNeeded("The episode has ended: call reset() before the next step().")
        treatment, charged = self._checked(action), self._prices
        mask = self.simulator.view().mask[0]
        blocked_by = () if mask[treatment] else self._blocked_by(treatment)
        outcome = self.simulator.step(np.array([treatment]))
        self._days += outcome.days
        terminated = bool(outcome.terminated[0])
        truncated = self.terms.continuing and not terminated and self._days >= self.terms.horizon
        self._over = terminated or truncated
        if self._picture is not None:
            self._picture.add(self.simulator, outcome)
        state = self.simulator.state
        self._prices = self.terms.walked(charged, state.customer, state.history.day, self._luck, outcome.days)
        if self._prices is not charged:
            self.simulator.set_prices(self._prices)
        view = self.simulator.view()
        info = {
            "action_mask": view.mask[0].copy(),
            "reward_vector": reward_vector(outcome)[0],
            "effort": outcome.tally.effort[0].copy(),
            "prices": charged[0].copy(),
            "blocked_by": blocked_by,
        }
        return outcome, view.observation[0].copy(), terminated, truncated, info

    def _must_be_started(self) -> None:
        if not hasattr(self, "simulator"):
            raise gymnasium.error.ResetNeeded("There is no customer yet: call reset() first.")

    def _checked(self, action: np.int64) -> int:
        treatment = int(action)
        if treatment != action or not 0 <= treatment < self._count:
            raise InputError(f"must be a position from 0 to {self._count - 1}", field="action", value=action)
        return treatment

    def _blocked_by(self, treatment: int) -> tuple[str, ...]:
        (rules,) = reasons_of(self.simulator, FIRST, np.array([treatment]))
        if self.strict:
            ids = self.world.catalogue.treatment_ids
            need = f"must be allowed; blocked by: {', '.join(rules)}"
            raise InputError(need, field="treatment", value=ids[treatment])
        return rules

    def render(self) -> np.ndarray | None:
        """The customer's timeline, (height, width, 3) uint8; None when a window shows it."""
        if self._picture is None:
            gymnasium.logger.warn("render() draws nothing without a render mode, e.g. render_mode='rgb_array'.")
            return None
        self._must_be_started()
        return self._picture.frames()[0] if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._picture is not None:
            self._picture.close()
