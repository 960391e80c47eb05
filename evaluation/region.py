"""One region of a population, day by day: its customers share the region's pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.clearing import Cleared
from agents.knowing import known_to
from agents.policy import Policy
from agents.turns import Turns, take_turns
from envs.pools import Pools
from envs.prices import Prices
from envs.randomness import Luck
from envs.running import RunningCounts
from envs.simulator import Simulator
from envs.state import CustomerState
from envs.world import World
from evaluation.day_ledger import Ledger
from evaluation.market import TOLD, Clearing, Market, Seen
from evaluation.shadow import Shadow

PART = 2048  # customers who are decided and stepped together: what they need stands in the processor's cache
MADE = 8 * PART  # customers who are drawn from the population at once
BLOCKS = 20  # of customers, for intervals
ORDER = 8800  # draw: the place of a part in the day's queue

Progress = Callable[[int], None]  # told the customer-days that are done


class Heard(NamedTuple):
    """A part's decisions of a day, before they are carried out."""

    simulator: Simulator
    turns: Turns


class Part(NamedTuple):
    """Customers who stand side by side and are decided on the same days."""

    number: int
    phase: int  # days after the first day on which they are decided first
    state: CustomerState
    threads: np.ndarray  # (customers, products) THREAD, their leads


@dataclass(frozen=True)
class PooledSetting:
    """A population, who decides for it, and what it shares."""

    world: World
    policy: Policy
    customers: np.ndarray  # (n,) int64, their numbers in the population
    days: int
    seed: int = 0
    by: str | None = None  # the column of categories that divides the bank into regions, None: all share
    cadence_days: int = 1
    share: float = 1.0  # of the catalogue's capacity
    told: bool = True  # whether the policy sees which pools are exhausted
    prices: Prices | None = None  # None: the schema's; where prices are cleared, those that the first day starts from
    assets: str | None = None  # the column with assets under management at the start, None: not known
    clearing: Clearing | None = None  # find the pools' prices anew every morning; None: they stay as they are
    more: tuple[float, ...] | None = None  # units of each pool beyond the catalogue's, of all customers together


class Region:
    """The simulation of a region."""

    def __init__(
        self,
        setting: PooledSetting,
        name: str,
        customers: np.ndarray,
        decided: Callable[[Heard], np.ndarray] | None = None,
        happened: Callable[[np.ndarray, np.ndarray], None] | None = None,
    ) -> None:
        """decided: told every part's decisions, says their numbers in a log; happened: told every part's events."""
        self.setting, self.name, self.customers = setting, name, customers
        world = every(setting.world, setting.cadence_days)
        self._decided, self._happened = decided, happened
        self.simulator = Simulator(world, setting.seed, record=True)
        self.counts = RunningCounts(world, BLOCKS)
        self.pools = pools_of(setting, len(customers))
        self._shadow = Shadow(world)
        clearing = setting.clearing
        self._cleared: Cleared | None = None
        self._market = None if clearing is None else Market(world, setting.policy, setting.prices, clearing)
        self._written: list[pl.DataFrame] = []
        self._parts = list(self._begin())

    @property
    def days(self) -> pl.DataFrame:
        """One row per day and pool: what there was (`offered`: what came in), what was granted and refused, units; what
        a sample of the refused was worth, currency, and its units; the price that was told, and where prices are
        cleared what was expected to be asked for at it, and whether that was too much at the highest price there is."""
        return pl.concat(self._written)

    def run(self, progress: Progress | None = None) -> None:
        """All days."""
        cadence, first = self.setting.cadence_days, self.simulator.first_day
        for day in range(self.setting.days - cadence + 1):
            self.pools.morning()
            due = [part for part in self._parts if day >= part.phase and (day - part.phase) % cadence == 0]
            self._open(due, day)
            ledger = Ledger(self.setting.world, self.pools, self.setting.prices, self._cleared)
            for place in self._order(due, first + day):
                self._step(due[place], ledger)
                if progress is not None:
                    progress(due[place].state.batch * cadence)
            self._written.append(ledger.frame(self.name, day, self._shadow))
        for part in self._parts:
            end, assets = first + self.setting.days, self._assets(part)
            self.counts.ended(part.number % BLOCKS, part.state, part.threads, end, assets)

    def _begin(self) -> Iterator[Part]:
        """All customers, by the day on which they are decided first; their first mornings come."""
        setting, simulator = self.setting, self.simulator
        order = np.argsort(self.customers % setting.cadence_days, kind="stable")
        phase = self.customers[order] % setting.cadence_days
        number, size = 0, min(PART, -(-len(self.customers) // BLOCKS))  # a block has a part at least
        for first, last in _pieces(phase, MADE // size * size):
            some = self.customers[order[first:last]]
            made = simulator.fresh(some, simulator.first_day + phase[first:last], setting.prices)
            for start, stop in _pieces(phase[first:last], size):
                part = Part(number, int(phase[first]), made.part(start, stop), self.counts.threads(stop - start))
                simulator.begin(part.state)
                self._tell(part, simulator.morning)
                yield part
                number += 1

    def _open(self, due: list[Part], day: int) -> None:
        """Find the day's prices."""
        if self._market is not None:
            customers, left = sum(part.state.batch for part in due), self.setting.days - day
            self._cleared = self._market.open(lambda: self._seen(due), customers, self.pools, left)

    def _seen(self, due: list[Part]) -> Iterator[Seen]:
        """What the day's decisions see, of those who have not left."""
        for part in due:
            self.simulator.state = part.state
            view, alive = self.simulator.view(), part.state.alive
            yield view.observation[alive], view.mask[alive]

    def _order(self, due: list[Part], day: int) -> np.ndarray:
        """The queue of the parts, anew every day."""
        numbers = np.array([part.number for part in due], np.int64)
        luck = Luck(self.setting.seed, numbers, np.full(len(due), day))
        return np.argsort(luck.uniform(ORDER), kind="stable")

    def _step(self, part: Part, ledger: Ledger) -> None:
        """Decide and step the customers of a part."""
        simulator, setting = self.simulator, self.setting
        simulator.state, state = part.state, part.state
        luck = Luck(setting.seed, state.customer, state.history.day)
        if self._market is not None and self._cleared is not None:
            simulator.set_prices(self._market.told(self._cleared, luck.uniform(TOLD)))
        view = simulator.view()
        turns = take_turns(
            setting.policy,
            view.observation,
            view.mask,
            state.alive,
            self.pools,
            luck,
            told=setting.told,
            hidden=known_to(setting.policy, simulator),
        )
        ledger.note(turns, state.alive)
        self._shadow.note(simulator, turns)
        numbers = None if self._decided is None else self._decided(Heard(simulator, turns))
        block, day, before = part.number % BLOCKS, state.history.day.copy(), float(simulator.out.sums["days"][0])
        outcome = simulator.step(turns.treatment, numbers)
        self.counts.contacted(block, outcome.executed, day, part.threads)
        self.counts.stepped(block, outcome, float(simulator.out.sums["days"][0]) - before)
        if outcome.events is not None:
            self._tell(part, outcome.events)

    def _tell(self, part: Part, events: np.ndarray) -> None:
        self.counts.happened(part.number % BLOCKS, events, part.threads)
        if self._happened is not None:
            self._happened(events, part.state.customer)

    def _assets(self, part: Part) -> float:
        """Assets under management of a part at the start, currency; NaN if it is not known."""
        if self.setting.assets is None:
            return float("nan")
        column = next(c for c in self.setting.world.schema.columns if c.name == self.setting.assets)
        values = self.setting.world.population.sample(part.state.customer, self.setting.seed)[column.name].to_numpy()
        return float((10.0**values if column.unit.startswith("log10") else values).sum())


def pools_of(setting: PooledSetting, customers: int) -> Pools:
    """The pools of a region with so many of the customers."""
    pools = Pools(setting.world.catalogue, customers, setting.share)
    if setting.more is not None:
        pools.capacity = pools.capacity + np.array(setting.more) * (customers / len(setting.customers))
        pools.left = pools.capacity.copy()
    return pools


def every(world: World, days: int) -> World:
    """The world of a continuing task with a decision every so many days."""
    task = world.schema.task.model_copy(update={"cadence_days": days})
    return replace(world, schema=world.schema.model_copy(update={"task": task}))


def _pieces(phase: np.ndarray, size: int) -> Iterator[tuple[int, int]]:
    """Places from start to stop of customers of one phase, at most `size`. phase: (n,), rising."""
    edges = [0, *(np.flatnonzero(np.diff(phase)) + 1).tolist(), len(phase)]
    for first, last in pairwise(edges):
        for start in range(first, last, size):
            yield start, min(start + size, last)
