"""Dynamic programming on an exact world: the best policy there is, and the exact value of any other.

    r_t(s, a) = margin - cost - pool prices x effort - annoyance price x annoyance, expected until the next decision
    Q_t(s, a) = r_t(s, a) + gamma^days sum_s' P_t(s' | s, a) V_{t+1}(s')
    V_t(s)    = max over allowed a of Q_t(s, a); the end is worth 0

Backward induction over the decisions of a finite task (Puterman 1994, "Markov Decision Processes", section 4.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agents.policy import Policy, greedy
from envs.exact import ExactModel, Layer
from envs.prices import Prices, price_of

MOST_SOLVED = 32  # prices whose solutions an optimal policy keeps
Choice = Sequence[np.ndarray]  # per decision the probability of each pair of a state and a treatment; (pairs,) float64


@dataclass(frozen=True)
class Schedule:
    """Prices that may differ from decision to decision."""

    annoyance: float  # currency per opt-out's worth
    pools: np.ndarray  # (decisions, pools) float64, currency per unit

    @classmethod
    def constant(cls, prices: Prices, decisions: int) -> Schedule:
        """The same prices at every decision."""
        return cls(prices.annoyance, np.tile(np.array(prices.pools, np.float64), (decisions, 1)))

    def at(self, step: int) -> Prices:
        """The prices of one decision, as a policy is told them."""
        return Prices(self.annoyance, tuple(float(price) for price in self.pools[step]))

    def reward(self, layer: Layer, step: int) -> np.ndarray:
        """(pairs,) float64: expected reward until the next decision."""
        return np.asarray(
            layer.margin - layer.cost - layer.effort @ self.pools[step] - self.annoyance * layer.annoyance
        )


@dataclass(frozen=True)
class Solution:
    """The optimum at given prices."""

    schedule: Schedule
    values: tuple[np.ndarray, ...]  # per decision (states,) float64, currency
    scores: tuple[np.ndarray, ...]  # per decision (states, treatments) float64: Q, -inf where not allowed
    choice: tuple[np.ndarray, ...]  # per decision (pairs,) float64, 1 for the best pair of each state


@dataclass(frozen=True)
class Worth:
    """What a policy brings from each state of the first decision, expected and discounted. Each (states,) float64."""

    margin: np.ndarray  # currency
    cost: np.ndarray  # currency
    annoyance: np.ndarray  # opt-outs
    effort: np.ndarray  # (states, pools), units
    value: np.ndarray  # the reward at the prices it was evaluated at


def _schedule(model: ExactModel, prices: Prices | Schedule) -> Schedule:
    return prices if isinstance(prices, Schedule) else Schedule.constant(prices, len(model.layers))


def solve(model: ExactModel, prices: Prices | Schedule) -> Solution:
    """The optimal policy and its value in every state."""
    schedule, gamma = _schedule(model, prices), model.world.schema.task.gamma
    after = np.zeros(1)  # the end is worth nothing, and stands last
    values, scores, choice = [], [], []
    for step in reversed(range(len(model.layers))):
        layer = model.layers[step]
        q = schedule.reward(layer, step) + gamma**layer.days * (layer.chances @ after)
        best = np.maximum.reduceat(q, layer.first)
        after = np.append(best, 0.0)
        table = np.full(layer.allowed.shape, -np.inf)
        table[layer.state, layer.treatment] = q
        values.append(best)
        scores.append(table)
        choice.append(greedy(table, layer.allowed)[layer.state, layer.treatment])
    return Solution(schedule, tuple(values[::-1]), tuple(scores[::-1]), tuple(choice[::-1]))


def choices(model: ExactModel, policy: Policy, prices: Prices | Schedule) -> Choice:
    """What a policy does in every state, told these prices."""
    schedule, found = _schedule(model, prices), []
    for step, layer in enumerate(model.layers):
        probabilities = policy.probabilities(model.observation(step, schedule.at(step)), layer.allowed)
        found.append(probabilities[layer.state, layer.treatment])
    return found


def evaluate(model: ExactModel, choice: Choice, prices: Prices | Schedule, gamma: float | None = None) -> Worth:
    """The exact worth of a policy at these prices. gamma: per day, default the task's; 1 gives plain totals."""
    schedule = _schedule(model, prices)
    gamma = model.world.schema.task.gamma if gamma is None else gamma
    pools = schedule.pools.shape[1]
    ended = np.zeros((1, 4 + pools))
    after = ended
    for step in reversed(range(len(model.layers))):
        layer = model.layers[step]
        now = np.column_stack(
            [schedule.reward(layer, step), layer.margin, layer.cost, layer.annoyance, layer.effort]
        )  # (pairs, parts)
        parts = now + gamma**layer.days * (layer.chances @ after)
        worth = np.add.reduceat(choice[step][:, None] * parts, layer.first)
        after = np.concatenate([worth, ended])
    value, margin, cost, annoyance = worth[:, :4].T
    return Worth(margin, cost, annoyance, worth[:, 4:], value)


def demand(model: ExactModel, choice: Choice, customers: np.ndarray) -> np.ndarray:
    """Expected effort that a policy asks for. customers: (states,) in each first state -> (decisions, pools) units."""
    present, asked = customers, []
    for layer, chosen in zip(model.layers, choice, strict=True):
        flow = present[layer.state] * chosen
        asked.append(flow @ layer.effort)
        present = np.asarray(flow @ layer.chances)[:-1]
    return np.stack(asked)


@dataclass(frozen=True)
class Optimum:
    """The optimal policy; where the mask closes its choice (an exhausted pool, say), the best of what is left.

    Without a solution it solves for the prices that each observation shows: a pass over the model for every new price.
    """

    model: ExactModel
    solution: Solution | None = None
    name: str = "optimum"
    _solved: dict[Prices, Solution] = field(default_factory=dict, compare=False, repr=False)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        step, state = self.model.locate(observation)
        shown = observation[:, list(self.model.world.encoder.price_columns.values())]
        told, group = np.unique(shown, axis=0, return_inverse=True)
        scores = np.zeros(mask.shape)  # whoever has churned is left alone: silence comes first
        for number, fields in enumerate(told):
            solution = self.solution or self._at(fields)
            known = (group.ravel() == number) & (state >= 0)
            for at in np.unique(step[known]):
                rows = np.flatnonzero(known & (step == at))
                scores[rows] = solution.scores[at][state[rows]]
        return greedy(scores, mask)

    def _at(self, fields: np.ndarray) -> Solution:
        """The solution at prices as they are observed, to five digits: what float32 keeps of them."""
        found = price_of(fields.astype(np.float64), self.model.world.encoder.price_highs)
        annoyance, *pools = (float(f"{price:.5g}") for price in found)
        prices = Prices(annoyance, tuple(pools))
        return self._solution(prices)

    def _solution(self, prices: Prices) -> Solution:
        """Solved once, and kept while few others are asked for: one of the preset takes 15 MB."""
        if prices not in self._solved:
            if len(self._solved) >= MOST_SOLVED:
                del self._solved[next(iter(self._solved))]
            self._solved[prices] = solve(self.model, prices)
        return self._solved[prices]
