"""Prices of an exact world by dual ascent over a population: one for every decision, for all decisions at once.

The demand of a decision depends on the prices of all of them, since the optimal policy looks ahead: who is called late
is not called early. Every step of the ascent is one dynamic programme and one pass of the population through the world
(`agents.exact.demand`). `agents.exact_bound` finds the same prices by cutting planes, to the last digit; this is the
rule that also serves where no model can be written down (`agents.clearing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from agents.clearing import AscentRule, Cleared, ascend
from agents.exact import Schedule, Solution, demand, solve
from agents.policy import greedy
from envs.exact import ExactModel
from envs.prices import price_of

PLAN = AscentRule(iterations=100)


@dataclass(frozen=True)
class Plan:
    """Prices of all decisions, and what the optimal policies at them ask for."""

    cleared: Cleared  # of (decisions, pools)
    annoyance: float  # currency per opt-out's worth
    bound: float  # the Lagrangian bound at the mean prices, currency, of the whole population

    @property
    def schedule(self) -> Schedule:
        """The mean prices."""
        return Schedule(self.annoyance, self.cleared.prices)

    @cached_property
    def schedules(self) -> tuple[Schedule, ...]:
        """The prices that customers are told, each to the same share of them."""
        return tuple(Schedule(self.annoyance, pools) for pools in self.cleared.path)


def planned(
    model: ExactModel, customers: np.ndarray, capacity: np.ndarray, annoyance_price: float, rule: AscentRule = PLAN
) -> Plan:
    """The prices that clear, by dual ascent. customers: (states,) numbers in each first state; capacity: (decisions,
    pools) units."""

    def asked(prices: np.ndarray) -> np.ndarray:
        return demand(model, solve(model, Schedule(annoyance_price, prices)).choice, customers)

    high = np.broadcast_to(model.world.encoder.price_highs[1:], capacity.shape)
    cleared = ascend(asked, capacity, np.zeros(capacity.shape), high, rule=rule)
    discount = model.world.schema.task.gamma ** np.array(model.world.schema.task.days)[:, None]
    values = solve(model, Schedule(annoyance_price, cleared.prices)).values[0]
    return Plan(cleared, annoyance_price, float(customers @ values + (discount * cleared.prices * capacity).sum()))


@dataclass(frozen=True)
class Scheduled:
    """The optimal policy for several schedules of prices; which of them holds is read off the prices it is shown."""

    model: ExactModel
    schedules: Sequence[Schedule]
    name: str = "optimum, told the schedule"
    _solved: dict[int, Solution] = field(default_factory=dict, compare=False, repr=False)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        step, state = self.model.locate(observation)
        encoder = self.model.world.encoder
        shown = price_of(observation[:, list(encoder.price_columns.values())].astype(np.float64), encoder.price_highs)
        scores = np.zeros(mask.shape)  # whoever has churned is left alone: silence comes first
        for at in np.unique(step[state >= 0]):
            rows = np.flatnonzero((step == at) & (state >= 0))
            meant = np.stack([schedule.pools[at] for schedule in self.schedules])  # (schedules, pools)
            nearest = np.abs(shown[rows, None, 1:] - meant).sum(axis=2).argmin(axis=1)
            for number in np.unique(nearest):
                some = rows[nearest == number]
                scores[some] = self._at(int(number)).scores[at][state[some]]
        return greedy(scores, mask)

    def _at(self, number: int) -> Solution:
        if number not in self._solved:
            self._solved[number] = solve(self.model, self.schedules[number])
        return self._solved[number]
