"""Expected totals of a policy in simulation: the luck of conversions taken out, so that few customers tell much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from envs.expected_reward import ExpectedReward
from envs.prices import Prices
from envs.simulator import Simulator
from envs.world import World

Choose = Callable[[Simulator], np.ndarray]  # who decides: a simulator -> (batch,) int, a treatment for each customer


@dataclass(frozen=True)
class Foreseen:
    """Expected totals per customer, see `envs.expected_reward`. Each (customers,) float64 but the effort."""

    margin: np.ndarray  # currency
    cost: np.ndarray  # currency
    annoyance: np.ndarray  # opt-outs
    effort: np.ndarray  # (customers, pools) units
    value: np.ndarray  # discounted, at each customer's prices, currency
    discounted: np.ndarray  # (customers, 3 + pools) margin, cost, annoyance and effort, each discounted

    def value_at(self, prices: Prices) -> np.ndarray:
        """The discounted value at prices that may not be those that were told. -> (customers,) float64, currency."""
        return np.asarray(self.discounted @ np.array([1.0, -1.0, -prices.annoyance, *(-p for p in prices.pools)]))


def foresee(world: World, choose: Choose, customers: np.ndarray, prices: np.ndarray, days: int, seed: int) -> Foreseen:
    """Let somebody decide. customers: (n,) int, their numbers; prices: (n, 1 + pools); days: of a continuing task."""
    simulator, expected, task = Simulator(world, seed), ExpectedReward(world), world.schema.task
    simulator.reset(customers, prices=prices)
    parts, value = np.zeros((len(customers), 3)), np.zeros(len(customers))
    effort, passed = np.zeros((len(customers), prices.shape[1] - 1)), 0
    discounted = np.zeros((len(customers), 3 + effort.shape[1]))
    while simulator.state.alive.any() and (task.kind == "finite" or passed < days):
        treatment = np.where(simulator.state.alive, choose(simulator), 0)
        found = expected.parts(simulator, treatment)
        now = np.stack([found.margin, found.cost, found.annoyance], axis=1) * simulator.state.alive[:, None]
        used = world.catalogue.effort[treatment]
        parts, effort = parts + now, effort + used
        reward = now[:, 0] - now[:, 1] - prices[:, 0] * now[:, 2] - (used * prices[:, 1:]).sum(axis=1)
        value += task.gamma**passed * reward
        discounted += task.gamma**passed * np.hstack([now, used])
        passed += simulator.step(treatment).days
    return Foreseen(parts[:, 0], parts[:, 1], parts[:, 2], effort, value, discounted)


def silent(simulator: Simulator) -> np.ndarray:
    """Nobody is contacted."""
    return np.zeros(simulator.state.batch, np.int64)
