"""The simulator: a batch of customers, decision by decision.

simulator = Simulator(world, seed=0)
simulator.reset(customer=np.arange(1000))
view = simulator.view()                       # observation and mask
outcome = simulator.step(treatment)           # margin, cost, annoyance ... until the next decision
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from envs.dynamics import background, come_in, contact, pass_time
from envs.observation import Moment
from envs.population import DescribedPopulation
from envs.prices import Prices, prices_from
from envs.randomness import Luck
from envs.rules import Situation
from envs.scene import Chance, Note, Scene, Tally
from envs.state import CustomerState, new_customers
from envs.world import World


@dataclass(frozen=True)
class View:
    """What a decision sees."""

    observation: np.ndarray  # (batch, fields) float32
    mask: np.ndarray  # (batch, treatments) bool


@dataclass(frozen=True)
class Outcome:
    """What happened until the next decision."""

    tally: Tally
    executed: np.ndarray  # (batch, desks) int, the treatments carried out: a masked one became silence
    blocked: np.ndarray  # (batch, desks) bool, True where a masked treatment was asked for
    terminated: np.ndarray  # (batch,) bool, churned or at the end of a finite task
    days: int  # days that passed (of a finite task: for those who are furthest)

    def reward(self, prices: np.ndarray) -> np.ndarray:
        """(batch,) float64 at each customer's prices. prices: (batch, 1 + pools)."""
        t = self.tally
        efforts = (t.effort * prices[:, 1:]).sum(axis=1)
        return np.asarray(t.margin - t.cost - efforts - prices[:, 0] * t.annoyance)


@dataclass(frozen=True)
class _RowsOf:
    """Passes notes of a part of a batch on, with the rows of the batch."""

    note: Note
    batch_rows: np.ndarray  # (part,) int

    def __call__(self, event: str, customer: np.ndarray, day: np.ndarray, *, rows: Any = None, **more: Any) -> None:
        self.note(event, customer, day, rows=None if rows is None else self.batch_rows[rows], **more)


class Simulator:
    """Steps a batch of customers of a world. Churned customers stay where they are until they are replaced."""

    def __init__(
        self, world: World, seed: int = 0, *, cadence_days: int | None = None, note: Note | None = None
    ) -> None:
        """cadence_days: days between decisions of a continuing task, default the task's. note: where events go."""
        self.world, self.seed, self.note = world, seed, note
        self.task = world.schema.task
        self.cadence_days = cadence_days or self.task.cadence_days
        self.state: CustomerState
        self._view: View | None = None

    def reset(self, customer: np.ndarray, day: np.ndarray | None = None, prices: Prices | None = None) -> None:
        """Start with new customers. customer: (batch,) int; day: (batch,) int, first days, default the population's."""
        self.state = self.fresh(customer, day, prices)
        self._view = None
        self._morning()

    def fresh(self, customer: np.ndarray, day: np.ndarray | None = None, prices: Prices | None = None) -> CustomerState:
        """The state of new customers, without touching the batch."""
        day = np.full(len(customer), self.first_day) if day is None else day
        state = new_customers(self.world, self.seed, customer, day)
        level = prices or prices_from(None, self.world.catalogue, self.world.schema)
        state.prices[:] = level.vector()
        return state

    @property
    def first_day(self) -> int:
        """First calendar day, in days since 1970-01-01."""
        population = self.world.population
        spec = population.spec if isinstance(population, DescribedPopulation) else None
        return int(np.datetime64(spec.first_day if spec else "2026-01-05", "D").astype(np.int64))

    def view(self) -> View:
        """Observation and mask of the present decisions."""
        if self._view is None:
            situation = Situation(self.state.profile, self.state.history, self.state.trigger)
            self._view = View(self._observe(), self.world.rule_book.mask(situation))
        return self._view

    def set_prices(self, prices: np.ndarray) -> None:
        """Tell other prices from now on. prices: (batch, 1 + pools)."""
        self.state.prices[:] = prices
        self._view = None

    def replace(self, rows: np.ndarray, state: CustomerState) -> None:
        """Put new customers in the place of some."""
        mornings = Simulator(self.world, self.seed, cadence_days=self.cadence_days, note=self.note)
        mornings.state = state
        mornings._morning()
        self.state.put(rows, state)
        self._view = None

    def step(self, treatment: np.ndarray) -> Outcome:
        """Carry out a treatment per customer, or per customer and desk, and let time pass until the next decision.

        treatment: (batch,) or (batch, desks) int.
        """
        asked = treatment.reshape(len(self.state), -1)
        apart = self._same_clock()
        return self._step(asked) if len(apart) == 1 else self._step_apart(asked, apart)

    def _same_clock(self) -> list[np.ndarray]:
        """Customers by the decision that they stand at: those of a finite task who were replaced are behind."""
        if self.task.kind == "continuing":
            return [np.arange(len(self.state))]
        return [np.flatnonzero(self.state.step == number) for number in np.unique(self.state.step)]

    def _step_apart(self, asked: np.ndarray, apart: list[np.ndarray]) -> Outcome:
        """Group by group, which changes nothing: a customer's fate does not depend on the batch."""
        outcomes = []
        for rows in apart:
            note = None if self.note is None else _RowsOf(self.note, rows)
            part = Simulator(self.world, self.seed, note=note)
            part.state = self.state.take(rows)
            outcomes.append(part._step(asked[rows]))
            self.state.put(rows, part.state)
        self._view = None
        order = np.argsort(np.concatenate(apart))

        def joined(parts: list[np.ndarray]) -> np.ndarray:
            return np.asarray(np.concatenate(parts)[order])

        tally = Tally(**{f.name: joined([getattr(o.tally, f.name) for o in outcomes]) for f in fields(Tally)})
        executed, blocked = joined([o.executed for o in outcomes]), joined([o.blocked for o in outcomes])
        return Outcome(tally, executed, blocked, joined([o.terminated for o in outcomes]), outcomes[-1].days)

    def _step(self, asked: np.ndarray) -> Outcome:
        """One step of customers who stand at the same decision. asked: (batch, desks) int."""
        view, state = self.view(), self.state
        allowed = np.take_along_axis(view.mask, asked, axis=1) & state.alive[:, None]
        executed = np.where(allowed, asked, 0)
        tally = Tally.empty(len(state), len(self.world.catalogue.pools))
        days = self._days()
        was_alive = state.alive.copy()
        self._live(view.observation, executed, tally, days)
        state.step += was_alive
        if self.task.kind == "finite":
            state.alive[state.step >= len(self.task.days)] = False
        self._morning(tally)
        return Outcome(tally, executed, (asked != executed) & was_alive[:, None], was_alive & ~state.alive, days)

    def _days(self) -> int:
        if self.task.kind == "continuing":
            return self.cadence_days
        return self.task.gaps[min(int(self.state.step[0]), len(self.task.days) - 1)]

    def _live(self, observation: np.ndarray, executed: np.ndarray, tally: Tally, days: int) -> None:
        """Contacts today, then the days until the next decision."""
        lead = executed.max(axis=1)  # with several desks, models of the whole customer see the last one
        for desk in range(executed.shape[1]):
            contact(self._scene(observation, tally), executed[:, desk], desk)
        window = self.world.coefficients.resolution == "window"
        lengths = [days] if window else [1] * days
        for number, length in enumerate(lengths):
            if number:
                observation = self._observe()
            before = length // 2  # in a window, what happened unasked happened in the middle
            if before:
                pass_time(self.world, self.state, before)
            background(self._scene(observation, tally), length, lead)
            pass_time(self.world, self.state, length - before)
            if number < len(lengths) - 1:
                self._morning(tally)

    def _morning(self, tally: Tally | None = None) -> None:
        """A new day: who comes in? Before the next decision, and so part of the last one's outcome."""
        self._view = None
        self.state.trigger[:] = -1
        if self.world.schema.triggers and self.state.alive.any():
            before = tally or Tally.empty(len(self.state), len(self.world.catalogue.pools))
            come_in(self._scene(self._observe(), before))

    def _observe(self) -> np.ndarray:
        state, task = self.state, self.task
        batch = len(state)
        left, gap = np.zeros(batch), np.zeros(batch)
        if task.kind == "finite":
            at = np.minimum(state.step, len(task.days) - 1)
            left, gap = task.end_day - np.array(task.days)[at], np.array(task.gaps)[at]
        moment = Moment(state.trigger, state.prices, left, gap)
        return self.world.encoder.encode(state.profile, state.history, moment)

    def _scene(self, observation: np.ndarray, tally: Tally) -> Scene:
        state = self.state
        luck = Luck(self.seed, state.customer, state.history.day)
        return Scene(self.world, state, Chance(self.world, luck, observation, state.latent), tally, self.note)
