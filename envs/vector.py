"""The vector environment: a batch of customers behind Gymnasium's VectorEnv, stepped by the simulator at once.

An episode is one customer. Churn terminates it; the horizon truncates a continuing task; a finite task ends by itself.
Autoreset is of the same-step kind: the observation and mask returned after an end are the next customer's; the last
ones stand in `info["final_obs"]` and `info["final_info"]`, as in Gymnasium's own vector environments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.episode import SEEDS, reward_vector, terms
from envs.errors import InputError
from envs.inside import reasons_of
from envs.render import FRAMES_PER_SECOND, MODES, Picture
from envs.simulator import Outcome, Simulator
from envs.spaces import action_space, observation_space
from envs.supply import Supply
from envs.world import World


class BankVectorEnv(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A batch of customers. Observation: the world's table of fields; action: the position of a treatment.

    `info["action_mask"]` (num_envs, treatments) says what is allowed; a masked treatment is executed as silence and
    `info["blocked_by"]` names the rules, or, with `strict=True`, raises. `info["reward_vector"]` is (margin, cost,
    annoyance), in currency, currency and opt-outs. docs/environment.md tells the rest.
    """

    metadata = {
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": MODES,
        "render_fps": FRAMES_PER_SECOND,
    }

    def __init__(
        self,
        num_envs: int = 1,
        world: str | Path | World | None = "bank",
        prices: dict[str, float] | None = None,
        horizon: int = 90,
        *,
        strict: bool = False,
        cadence_days: int | None = None,
        random_prices: bool = False,
        price_walk: float = 0.0,
        stagger: bool = False,
        first_customer: int = 0,
        render_mode: str | None = None,
        render_customer: int | None = 0,
    ) -> None:
        """horizon: days; prices: by name, missing ones at their defaults; random_prices: drawn anew for each customer
        (`envs.episode.draw_prices`); price_walk: a day's step of their logarithms (standard deviation), 0: they hold;
        stagger: first episodes end at different times; first_customer: number of the first customer of the population;
        render_customer: the row of the batch that is drawn, None: all of them."""
        if num_envs < 1:
            raise InputError("must be at least 1", field="num_envs", value=num_envs)
        if render_customer is not None and not 0 <= render_customer < num_envs:
            raise InputError(f"must be from 0 to {num_envs - 1}", field="render_customer", value=render_customer)
        self.terms = terms(world, prices, horizon, cadence_days, random_prices, price_walk, first_customer)
        self.num_envs, self.strict, self.stagger, self.render_mode = num_envs, strict, stagger, render_mode
        self.world, self.cadence_days = self.terms.world, self.terms.cadence_days
        self.single_observation_space = observation_space(self.world.encoder)
        self.single_action_space = action_space(self.world.catalogue)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.simulator: Simulator
        drawn = range(num_envs) if render_customer is None else (render_customer,)
        self._picture = None if render_mode is None else Picture(render_mode, self.world, horizon, drawn)
        self._rows = np.arange(num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start with new customers; the seed fixes their luck. options: `first_customer`, `prices`, until a reset."""
        now = self.terms.told(options)
        if not (seed is None or isinstance(seed, int | np.integer)):
            raise InputError("must be one int: the rows are customers of one population", field="seed", value=seed)
        super().reset(seed=seed)
        luck = int(self.np_random.integers(SEEDS)) if seed is None else int(seed)
        customers = now.first_customer + self._rows
        self.simulator, self._now, self._luck = (
            now.simulator(luck, customers, record=self._picture is not None),
            now,
            luck,
        )
        self._supply = Supply(self.simulator, now.first_customer + self.num_envs)
        self._prices = now.prices_of(customers, luck)
        self.simulator.set_prices(self._prices)
        ahead = self.stagger and now.continuing
        self._days = now.days_before(customers, luck) if ahead else np.zeros(self.num_envs, np.int64)
        if self._picture is not None:
            self._picture.begin(self.simulator)
        return self._observation(), {"action_mask": self.action_masks(), "_action_mask": self._everyone()}

    def action_masks(self) -> np.ndarray:
        """(num_envs, treatments) bool: what is allowed now, a copy."""
        self._must_be_started()
        return self.simulator.view().mask.copy()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Carry out one treatment per customer."""
        charged, outcome, terminated, truncated, info = self._take(actions)
        return self._observation(), outcome.reward(charged), terminated, truncated, info

    def _take(self, actions: np.ndarray) -> tuple[np.ndarray, Outcome, np.ndarray, np.ndarray, dict[str, Any]]:
        """The step but for its reward and observation; first the prices that hold for it, (num_envs, 1 + pools)."""
        self._must_be_started()
        asked = self._checked(actions)
        told = {"blocked_by": self._blocked_by(asked), "prices": self._prices.copy()}
        charged, outcome = self._prices, self.simulator.step(asked)
        self._days += outcome.days
        terminated = outcome.terminated.copy()
        truncated = (self._days >= self._now.horizon) & ~terminated & self._now.continuing
        told |= {"reward_vector": reward_vector(outcome), "effort": outcome.tally.effort.copy()}
        if self._picture is not None:
            self._picture.add(self.simulator, outcome)
        info: dict[str, Any] = {}
        ended = terminated | truncated
        if ended.any():
            info = self._last_words(ended, told)
            self._start_anew(np.flatnonzero(ended))
        self._walk_prices(~ended, outcome.days)
        info |= told | {"action_mask": self.action_masks()}
        info |= {f"_{name}": self._everyone() for name in (*told, "action_mask")}
        return charged, outcome, terminated, truncated, info

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, besides the options the batch was made with."""
        self._must_be_started()
        own = {"days": self._days.copy(), "luck": np.array([self._luck, self._supply.next])}
        return own | {f"state/{name}": raw for name, raw in self.simulator.state.to_bytes().items()}

    def restore(self, arrays: Mapping[str, np.ndarray], file: Path) -> None:
        """Go on where a snapshot of a batch with the same options was taken. file: for error messages"""
        luck, following = (int(number) for number in arrays["luck"])
        self.reset(seed=luck)
        raw = {name.removeprefix("state/"): a for name, a in arrays.items() if name.startswith("state/")}
        self.simulator.state = self.simulator.state.from_bytes(raw, file)
        self._prices, self._days = self.simulator.state.prices.copy(), arrays["days"].copy()
        self._supply = Supply(self.simulator, following)

    def _last_words(self, ended: np.ndarray, told: dict[str, np.ndarray]) -> dict[str, Any]:
        """What the ended rows would have said without the autoreset, as Gymnasium's vector environments tell it."""
        rows, view = np.flatnonzero(ended), self.simulator.view()
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row, last in zip(rows, view.observation[rows], strict=True):
            final_obs[row] = last
        final_info: dict[str, np.ndarray] = {}
        for name, value in {**told, "action_mask": view.mask}.items():
            final_info[name] = np.full(self.num_envs, None) if value.dtype == object else np.zeros_like(value)
            final_info[name][rows] = value[rows]
            final_info[f"_{name}"] = ended.copy()
        words = {"final_obs": final_obs, "final_info": final_info}
        return words | {f"_{name}": ended.copy() for name in words}

    def _start_anew(self, rows: np.ndarray) -> None:
        """Put new customers in some rows."""
        state = self._supply.take(len(rows))
        prices = self._now.prices_of(state.customer, self._luck)
        state.prices[:], state.price_fields[:] = prices, self.world.encoder.price_fields(prices)
        self.simulator.replace(rows, state)
        self._prices = self._prices.copy()
        self._prices[rows] = prices
        self._days[rows] = 0
        if self._picture is not None:
            self._picture.begin(self.simulator, rows)

    def _walk_prices(self, rows: np.ndarray, days: int) -> None:
        """Prices change on the way. rows: (num_envs,) bool, who goes on."""
        state = self.simulator.state
        prices = self._now.walked(self._prices, state.customer, state.history.day, self._luck, days)
        if prices is not self._prices:
            self._prices = np.where(rows[:, None], prices, self._prices)
            self.simulator.set_prices(self._prices)

    def _must_be_started(self) -> None:
        if not hasattr(self, "simulator"):
            raise gymnasium.error.ResetNeeded("There are no customers yet: call reset() first.")

    def _everyone(self) -> np.ndarray:
        return np.ones(self.num_envs, bool)

    def _observation(self) -> np.ndarray:
        return self.simulator.view().observation.copy()

    def _checked(self, actions: np.ndarray) -> np.ndarray:  # (num_envs,) int64, a copy
        asked = np.array(actions, dtype=np.int64).reshape(-1)
        if len(asked) != self.num_envs:
            raise InputError(f"must hold {self.num_envs} actions, one per row", field="actions", value=len(asked))
        count = len(self.world.catalogue.treatment_ids)
        strange = np.flatnonzero((asked < 0) | (asked >= count))
        if len(strange):
            row = int(strange[0])
            raise InputError(f"must be a position from 0 to {count - 1}", field="action", value=asked[row], row=row)
        return asked

    def _blocked_by(self, asked: np.ndarray) -> np.ndarray:  # (num_envs,) object, tuples of names
        """Names of the rules in the way of each masked treatment that was asked for; () where there are none."""
        out = np.empty(self.num_envs, object)
        out.fill(())
        wrong = np.flatnonzero(~self.simulator.view().mask[self._rows, asked])
        if len(wrong):
            for row, rules in zip(wrong, reasons_of(self.simulator, wrong, asked[wrong]), strict=True):
                out[row] = rules
            if self.strict:
                first = int(wrong[0])
                name = self.world.catalogue.treatment_ids[asked[first]]
                need = f"must be allowed; blocked by: {', '.join(out[first])}"
                raise InputError(need, field="treatment", value=name, row=first)
        return out

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The timelines of the rows that are drawn, each (height, width, 3) uint8; None when a window shows them."""
        if self._picture is None:
            gymnasium.logger.warn("render() draws nothing without a render mode, e.g. render_mode='rgb_array'.")
            return None
        self._must_be_started()
        return self._picture.frames() if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Close the windows, if there are any."""
        if self._picture is not None:
            self._picture.close()
