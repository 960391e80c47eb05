"""A trial: customers of a world on whom policies are run at positions of their dials, all with the same luck."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from agents.baselines import Silence
from agents.policy import Policy
from envs.catalogue import SILENCE
from envs.prices import Prices
from envs.rules import Rules
from envs.world import World
from evaluation.simulation import Progress, Totals, simulate


@dataclass(frozen=True)
class Dialled:
    """A policy at one position of its dials: its levers stand in the policy, prices are what it is told."""

    name: str
    policy: Policy = field(repr=False)
    prices: Prices | None = None  # None: the schema's
    rules: Rules | None = field(default=None, repr=False)  # a rule book of its own (silos)
    cadence_days: int | None = None  # days between its decisions, None: the world's


SILENT = Dialled(SILENCE, Silence())


@dataclass(frozen=True)
class Trial:
    """Who is tried on: the same customers and luck for every policy."""

    world: World = field(repr=False)
    customers: np.ndarray = field(repr=False)  # (n,) int64, their numbers in the population
    days: int = 91  # of a continuing task
    seed: int = 0

    def run(self, dialled: Dialled, progress: Progress | None = None) -> Totals:
        """What a policy does to the customers. progress: told the customers that are done."""
        if dialled.name == SILENCE:
            return self.silence
        return self._run(dialled, progress)

    @cached_property
    def silence(self) -> Totals:
        """What happens by itself."""
        return self._run(SILENT, None)

    @property
    def customer_days(self) -> int:
        """What one run simulates."""
        task = self.world.schema.task
        return len(self.customers) * (task.end_day if task.kind == "finite" else self.days)

    def _run(self, dialled: Dialled, progress: Progress | None) -> Totals:
        world = self.world if dialled.rules is None else replace(self.world, rules=dialled.rules)
        return simulate(
            world,
            dialled.policy,
            self.customers,
            self.days,
            seed=self.seed,
            prices=dialled.prices,
            cadence_days=dialled.cadence_days,
            progress=progress,
        )
