"""The simulator: a batch of customers, decision by decision.

simulator = Simulator(world, seed=0)
simulator.reset(customer=np.arange(1000))
view = simulator.view()                       # observation and mask
outcome = simulator.step(treatment)           # margin, cost, annoyance ... until the next decision
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.features import latent_columns
from envs.happening import EVENT, new_out
from envs.mechanics import first_day
from envs.prices import Prices, prices_from
from envs.randomness import seed_word
from envs.rules import Situation
from envs.state import CustomerState, new_customers
from envs.step import After, Asked, see_all, situations, start_all, step_some
from envs.world import World


@dataclass(frozen=True)
class View:
    """What a decision sees."""

    observation: np.ndarray  # (batch, fields) float32
    mask: np.ndarray  # (batch, treatments) bool


@dataclass(frozen=True)
class Tally:
    """What happened to each customer since the decision: the parts of the reward and a few counts."""

    margin: np.ndarray  # (batch,) float64, currency
    cost: np.ndarray  # (batch,) float64, currency
    annoyance: np.ndarray  # (batch,) float64, opt-outs
    effort: np.ndarray  # (batch, pools) float64
    contacts: np.ndarray  # (batch,) int32
    conversions: np.ndarray  # (batch,) int32, organic ones included
    opt_outs: np.ndarray  # (batch,) int32
    complaints: np.ndarray  # (batch,) int32


@dataclass(frozen=True)
class Outcome:
    """What happened until the next decision."""

    tally: Tally
    executed: np.ndarray  # (batch, desks) int, the treatments carried out: a masked one became silence
    blocked: np.ndarray  # (batch, desks) bool, True where a masked treatment was asked for
    terminated: np.ndarray  # (batch,) bool, churned or at the end of a finite task
    days: int  # days that passed (of a finite task: for those who are furthest)
    events: np.ndarray | None = None  # (events,) EVENT of a recording simulator, by customer, in order

    def reward(self, prices: np.ndarray) -> np.ndarray:
        """(batch,) float64 at each customer's prices. prices: (batch, 1 + pools)."""
        t = self.tally
        efforts = (t.effort * prices[:, 1:]).sum(axis=1)
        return np.asarray(t.margin - t.cost - efforts - prices[:, 0] * t.annoyance)


class Simulator:
    """Steps a batch of customers of a world. Churned customers stay where they are until they are replaced."""

    def __init__(self, world: World, seed: int = 0, *, cadence_days: int | None = None, record: bool = False) -> None:
        """cadence_days: days between decisions of a continuing task, default the task's; record: return the events."""
        self.world, self.seed, self.record = world, seed, record
        self.task = world.schema.task
        self.cadence_days = cadence_days or self.task.cadence_days
        self._state: CustomerState
        self._reach: np.ndarray  # by which kernels reach the state
        self._view: View | None = None
        self.morning = np.zeros(0, EVENT)  # events of the first morning of the newest customers, if recording
        catalogue = world.catalogue
        self.out = new_out(0, len(catalogue.pools), len(catalogue.channels), len(catalogue.products))
        self._written = self.out.reach()

    @property
    def state(self) -> CustomerState:
        """The customers; set it to go on with others."""
        return self._state

    @state.setter
    def state(self, state: CustomerState) -> None:
        catalogue, fields = self.world.catalogue, self.world.encoder.plan.numbers["contact_from"]
        wanted = (fields, latent_columns(catalogue), len(catalogue.channels), len(catalogue.products))
        parts = (state.profile, state.latent, state.history.channel, state.history.product)
        if tuple(part.shape[1] for part in parts) != wanted:
            raise ValueError("state: must be one of customers of this world")
        self._state, self._reach, self._view = state, state.reach(), None

    def reset(
        self, customer: np.ndarray, day: np.ndarray | None = None, prices: Prices | np.ndarray | None = None
    ) -> None:
        """Start with new customers. customer: (batch,) int; day: (batch,) int, first days, default the population's;
        prices: one level, or (batch, 1 + pools), default the schema's."""
        self.begin(self.fresh(customer, day, prices))

    def begin(self, state: CustomerState) -> None:
        """Start with customers to whom nothing has happened yet: their first morning comes."""
        self.state = state
        self._view, self.morning = self._start(self.state, self._reach)

    def fresh(
        self, customer: np.ndarray, day: np.ndarray | None = None, prices: Prices | np.ndarray | None = None
    ) -> CustomerState:
        """The state of new customers, without touching the batch."""
        day = np.full(len(customer), self.first_day) if day is None else day
        level = prices_from(None, self.world.catalogue, self.world.schema) if prices is None else prices
        told = np.tile(level.vector(), (len(customer), 1)) if isinstance(level, Prices) else np.array(level, np.float64)
        self.world.encoder.check_days(day)
        return new_customers(self.world, self.seed, customer, day, told)

    @property
    def first_day(self) -> int:
        """First calendar day, in days since 1970-01-01."""
        return first_day(self.world)

    def view(self) -> View:
        """Observation and mask of the present decisions."""
        if self._view is None:
            observation = self._empty(self.state.batch)
            see_all(self.world.mechanics.record, self._reach, observation)
            self._view = View(observation, self._mask(self.state, self._reach))
        return self._view

    def set_prices(self, prices: np.ndarray) -> None:
        """Tell other prices from now on. prices: (batch, 1 + pools)."""
        self.state.prices[:] = prices
        self.state.price_fields[:] = self.world.encoder.price_fields(self.state.prices)
        if self._view is not None:
            seen = self._view.observation.copy()
            seen[:, list(self.world.encoder.price_columns.values())] = self.state.price_fields
            self._view = View(seen, self._view.mask)

    def replace(self, rows: np.ndarray, state: CustomerState) -> None:
        """Put new customers in the place of some."""
        started, self.morning = self._start(state, state.reach())
        self.morning["row"] = rows[self.morning["row"]]
        view = self.view()
        observation, mask = view.observation.copy(), view.mask.copy()
        self.state.put(rows, state)
        observation[rows], mask[rows] = started.observation, started.mask
        self._view = View(observation, mask)

    def step(self, treatment: np.ndarray, decisions: np.ndarray | None = None) -> Outcome:
        """Carry out a treatment per customer, or per customer and desk, and let time pass until the next decision.

        treatment: (batch,) or (batch, desks) int; decisions: same shape, their numbers in a log, for recording
        """
        view, state = self.view(), self.state
        wanted = np.ascontiguousarray(treatment[:, None] if treatment.ndim == 1 else treatment, np.int64)
        for worst in (wanted.min(initial=0), wanted.max(initial=0)):
            if not 0 <= worst < view.mask.shape[1]:
                raise ValueError(
                    f"treatment == {worst}, must be a position in the catalogue, below {view.mask.shape[1]}"
                )
        numbers = np.full(wanted.shape, -1) if decisions is None else decisions.reshape(wanted.shape)
        asked = Asked(wanted, numbers.astype(np.int64), view.observation, view.mask)
        after = After(
            *(np.empty_like(wanted), np.empty(wanted.shape, bool), np.empty(state.batch, bool)),
            *(np.empty_like(view.observation), np.empty_like(view.mask)),
        )
        days = self._days()
        self.world.encoder.check_days(state.history.day[state.alive] + days)
        events = self._run(asked, after, days)
        self._view = View(after.seen, after.mask)
        told = self.out.tally.copy()
        tally = Tally(effort=self.out.effort.copy(), **{n: told[n] for n in (told.dtype.names or ())})
        return Outcome(tally, after.executed, after.blocked, after.terminated, days, events)

    def _run(self, asked: Asked, after: After, days: int) -> np.ndarray | None:
        """Step all customers; a log that is full is emptied on the way."""
        first, state, room = 0, self.state, self._room(days, asked.treatment.shape[1])
        parts: list[np.ndarray] = []
        self._listen(state.batch, room)
        book, out = (self.world.rule_book.compiled, state.history, state.profile), self.out
        while first < state.batch:
            first = step_some(
                *(self.world.mechanics.record, self._reach, self._written, book, seed_word(self.seed)),
                *(asked, after, days, first, room),
            )
            if self.record:
                parts.append(out.log[: out.logged[0]].copy())
                out.logged[0] = 0
        if not self.record:
            return None
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, EVENT), *parts])

    def _room(self, days: int, desks: int) -> int:
        """The most events that can happen to one customer in a step."""
        length = max(days, *self.task.gaps) if self.task.kind == "finite" else days
        return length * (
            10 * (desks + 1) + 8 * len(self.world.catalogue.products) + len(self.world.schema.triggers) + 10
        )

    def _listen(self, batch: int, room: int) -> None:
        """Make room for what a step writes, beside the running counts."""
        capacity = max(4 * batch, 4 * room) if self.record else 0
        if len(self.out.tally) == batch and len(self.out.log) == capacity:
            return
        catalogue = self.world.catalogue
        new = new_out(batch, len(catalogue.pools), len(catalogue.channels), len(catalogue.products), capacity)
        self.out = self.out._replace(tally=new.tally, effort=new.effort, log=new.log, logged=new.logged)
        self._written = self.out.reach()

    def _start(self, state: CustomerState, at: np.ndarray) -> tuple[View, np.ndarray]:
        """The first morning of new customers. at: their record."""
        catalogue = self.world.catalogue
        capacity = state.batch * self._room(1, 1) if self.record else 0
        new = new_out(state.batch, len(catalogue.pools), len(catalogue.channels), len(catalogue.products), capacity)
        out = self.out._replace(tally=new.tally, effort=new.effort, log=new.log, logged=new.logged)
        observation = self._empty(state.batch)
        start_all(self.world.mechanics.record, at, out.reach(), seed_word(self.seed), observation)
        events = out.log[: out.logged[0]].copy() if self.record else np.zeros(0, EVENT)
        return View(observation, self._mask(state, at)), events

    def _empty(self, batch: int) -> np.ndarray:
        return np.empty((batch, len(self.world.encoder.fields)), np.float32)

    def _mask(self, state: CustomerState, at: np.ndarray) -> np.ndarray:
        trigger, busy = np.empty(state.batch, np.int64), np.empty(state.batch, np.int64)
        situations(self.world.mechanics.record, at, trigger, busy)
        return self.world.rule_book.mask(Situation(state.profile, state.history, trigger, busy))

    def busy(self) -> np.ndarray:  # (batch,) int64
        """The channel on which a contact waits to be made, -1: none."""
        trigger, busy = np.empty(self.state.batch, np.int64), np.empty(self.state.batch, np.int64)
        situations(self.world.mechanics.record, self._reach, trigger, busy)
        return busy

    def _days(self) -> int:
        if self.task.kind == "continuing":
            return self.cadence_days
        return self.task.gaps[min(int(self.state.person["step"].max()), len(self.task.days) - 1)]
