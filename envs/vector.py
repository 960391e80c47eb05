"""The vector environment: a batch of customers behind Gymnasium's VectorEnv, stepped by the simulator at once.

An episode is one customer. Churn terminates it; the horizon truncates a continuing task; a finite task ends by itself.
Autoreset is of the same-step kind: the observation returned after an end is the next customer's, the last one stands
in `info["final_obs"]`, and what it allowed in `info["final_info"]["action_mask"]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from envs.errors import InputError
from envs.prices import Prices, prices_from
from envs.randomness import Luck
from envs.rules import Situation
from envs.simulator import Outcome, Simulator
from envs.world import World, load_world

PRICE_DRAWS = -3  # the "day" of price draws


class BankVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A batch of customers. Observation: the world's table of fields; action: the position of a treatment.

    `info["action_mask"]` (num_envs, treatments) says what is allowed; a masked treatment is executed as silence and
    `info["blocked_by"]` names the rules, or, with `strict=True`, raises. `info["reward_vector"]` is (margin, cost,
    annoyance), in currency, currency and opt-outs.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}

    def __init__(
        self,
        num_envs: int = 1,
        world: str | Path | World = "bank",
        prices: dict[str, float] | None = None,
        horizon: int = 90,
        *,
        strict: bool = False,
        cadence_days: int | None = None,
        random_prices: bool = False,
        stagger: bool = False,
        first_customer: int = 0,
        render_mode: str | None = None,
    ) -> None:
        """horizon: days; prices: by name, missing ones at their defaults; random_prices: drawn anew for each customer,
        half of them at the default and half log-uniform below the top of the range; stagger: first episodes end at
        different times; first_customer: number of the first customer of the population."""
        if horizon < 1:
            raise InputError("must be at least 1 day", field="horizon", value=horizon)
        self.num_envs, self.horizon, self.strict = num_envs, horizon, strict
        self.world = world if isinstance(world, World) else load_world(world)
        self.prices = prices_from(prices, self.world.catalogue, self.world.schema)
        self.random_prices, self.stagger, self.first_customer = random_prices, stagger, first_customer
        self.render_mode = render_mode
        self.cadence_days = cadence_days or self.world.schema.task.cadence_days
        fields = self.world.encoder.fields
        low, high = (np.array([getattr(f, end) for f in fields], np.float32) for end in ("low", "high"))
        self.single_observation_space = gymnasium.spaces.Box(low, high)
        self.single_action_space = gymnasium.spaces.Discrete(len(self.world.catalogue.treatment_ids))
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start with new customers; the seed fixes their luck."""
        if isinstance(seed, list):
            seed = seed[0]
        super().reset(seed=seed)
        luck = seed if seed is not None else int(self.np_random.integers(2**31))
        self.simulator = Simulator(self.world, luck, cadence_days=self.cadence_days)
        self._next = self.first_customer + self.num_envs
        customers = self.first_customer + np.arange(self.num_envs)
        self.simulator.reset(customers, prices=self.prices)
        self.simulator.set_prices(self._prices(customers))
        self._days = np.zeros(self.num_envs, np.int64)
        if self.stagger and self.world.schema.task.kind == "continuing":
            self._days = np.floor(Luck(luck, customers, np.full(self.num_envs, -4)).uniform(0) * self.horizon).astype(
                int
            )
        return self._observation(), {"action_mask": self.action_masks()}

    def action_masks(self) -> np.ndarray:
        """(num_envs, treatments) bool: what is allowed now, a copy."""
        return self.simulator.view().mask.copy()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Carry out one treatment per customer."""
        asked = self._checked(actions)
        blocked_by = self._blocked_by(asked)
        prices = self.simulator.state.prices.copy()
        outcome = self.simulator.step(asked)
        self._days += outcome.days
        continuing = self.world.schema.task.kind == "continuing"
        truncated = (self._days >= self.horizon) & ~outcome.terminated & continuing
        info: dict[str, Any] = {"reward_vector": _vector(outcome), "blocked_by": blocked_by}
        ended = outcome.terminated | truncated
        if ended.any():
            self._start_anew(ended, info)
        info["action_mask"] = self.action_masks()
        return self._observation(), outcome.reward(prices), outcome.terminated, truncated, info

    def _checked(self, actions: np.ndarray) -> np.ndarray:  # (num_envs,) int64
        asked = np.asarray(actions, dtype=np.int64).reshape(self.num_envs)
        count = len(self.world.catalogue.treatment_ids)
        strange = np.flatnonzero((asked < 0) | (asked >= count))
        if len(strange):
            row = int(strange[0])
            raise InputError(f"must be a position from 0 to {count - 1}", field="action", value=asked[row], row=row)
        return asked

    def _observation(self) -> np.ndarray:
        return self.simulator.view().observation.copy()

    def _start_anew(self, ended: np.ndarray, info: dict[str, Any]) -> None:
        rows = np.flatnonzero(ended)
        info["final_obs"] = np.array([None] * self.num_envs, dtype=object)
        last = self._observation()
        for row in rows:
            info["final_obs"][row] = last[row]
        info["_final_obs"] = ended.copy()
        info["final_info"] = {"action_mask": self.action_masks(), "_action_mask": ended.copy()}
        customers = self._next + np.arange(len(rows))
        self._next += len(rows)
        state = self.simulator.fresh(customers, prices=self.prices)
        state.prices[:] = self._prices(customers)
        self.simulator.replace(rows, state)
        self._days[rows] = 0

    def _prices(self, customers: np.ndarray) -> np.ndarray:  # (customers, 1 + pools)
        fixed = np.tile(self.prices.vector(), (len(customers), 1))
        if not self.random_prices:
            return fixed
        luck = Luck(self.simulator.seed, customers, np.full(len(customers), PRICE_DRAWS))
        return draw_prices(luck, self.prices, self.world.encoder.price_highs)

    def _blocked_by(self, asked: np.ndarray) -> list[list[str]]:
        """Names of the rules in the way of each masked treatment that was asked for."""
        mask, state = self.simulator.view().mask, self.simulator.state
        wrong = np.flatnonzero(~mask[np.arange(self.num_envs), asked])
        out: list[list[str]] = [[] for _ in range(self.num_envs)]
        if len(wrong):
            situation = Situation(state.profile[wrong], state.history.take(wrong), state.trigger[wrong].astype(np.int64))
            ids = self.world.catalogue.treatment_ids
            for row, reasons in zip(wrong, self.world.rule_book.reasons(situation), strict=True):
                out[row] = reasons[ids[asked[row]]]
            if self.strict:
                first = int(wrong[0])
                need = f"must be allowed; blocked by: {', '.join(out[first])}"
                raise InputError(need, field="treatment", value=ids[asked[first]], row=first)
        return out


def draw_prices(luck: Luck, base: Prices, highs: np.ndarray) -> np.ndarray:
    """Training prices: each with probability 1/2 at its base, else log-uniform from 1 % of its top to its top."""
    columns = []
    for k, (level, high) in enumerate(zip(base.vector(), highs, strict=True)):
        drawn = high * 0.01 ** (1 - luck.uniform(2 * k))
        columns.append(np.where(luck.uniform(2 * k + 1) < 0.5, level, drawn))
    return np.stack(columns, axis=1)


def _vector(outcome: Outcome) -> np.ndarray:  # (num_envs, 3) float64
    return np.stack([outcome.tally.margin, outcome.tally.cost, outcome.tally.annoyance], axis=1)
