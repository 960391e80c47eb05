"""The true value of what an evaluation estimates, in a world whose truth is known: by simulation of the same quantity.

full horizon   the policy decides throughout
k-step         the policy for k decisions, then the logging policy
deviation      at each decision of a history made by the logging policy, the reward of one decision of the policy
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.knowing import informed
from agents.policy import Policy
from envs.prices import Prices
from envs.randomness import Luck
from envs.simulator import Simulator
from envs.world import World
from evaluation.intervals import Interval, mean_interval
from evaluation.simulation import BATCH, Progress, choose


@dataclass(frozen=True)
class Study:
    """A log's process: whose customers, decided by which policy, for how long."""

    world: World
    logging: Policy
    decisions: int  # per customer
    seed: int
    prices: Prices
    customers: np.ndarray  # (n,) int, numbers in the population


def true_value(study: Study, policy: Policy, kind: str, decisions: int, progress: Progress | None = None) -> Interval:
    """The mean over simulated customers with its 95 % interval. kind: deviation, or k-step with k = `decisions`.

    The full horizon is k-step with k at least the number of decisions of the log.
    """
    parts = []
    for start in range(0, len(study.customers), BATCH):
        some = study.customers[start : start + BATCH]
        parts.append(
            _deviations(study, policy, some) if kind == "deviation" else _k_step(study, policy, decisions, some)
        )
        if progress is not None:
            progress(len(some))
    return mean_interval(np.concatenate(parts))


def _started(study: Study, customers: np.ndarray) -> Simulator:
    simulator = Simulator(study.world, study.seed)
    cadence = study.world.schema.task.cadence_days
    simulator.reset(customers, day=simulator.first_day + customers % cadence, prices=study.prices)
    return simulator


def _drawn(simulator: Simulator, policy: Policy) -> np.ndarray:  # (batch, desks) int
    view, state = simulator.view(), simulator.state
    luck = Luck(simulator.seed, state.customer, state.history.day)
    return choose(informed(policy, simulator), view.observation, view.mask, luck)[1]


def _k_step(study: Study, policy: Policy, k: int, customers: np.ndarray) -> np.ndarray:  # (customers,) float64
    simulator, gamma = _started(study, customers), study.world.schema.task.gamma
    value, passed = np.zeros(len(customers)), 0
    for step in range(study.decisions):
        outcome = simulator.step(_drawn(simulator, policy if step < k else study.logging))
        value += gamma**passed * outcome.reward(simulator.state.prices)
        passed += outcome.days
    return value


def _deviations(study: Study, policy: Policy, customers: np.ndarray) -> np.ndarray:  # (customers,) float64
    simulator, gamma = _started(study, customers), study.world.schema.task.gamma
    value, passed, everyone = np.zeros(len(customers)), 0, np.arange(len(customers))
    for _ in range(study.decisions):
        branch = Simulator(study.world, study.seed)
        branch.state = simulator.state.take(everyone)
        outcome = branch.step(_drawn(branch, policy))
        value += gamma**passed * outcome.reward(branch.state.prices)
        passed += simulator.step(_drawn(simulator, study.logging)).days
    return value
