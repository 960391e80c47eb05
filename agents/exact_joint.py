"""Brute force for two customers who share pools: dynamic programming over the states of both at once.

What the Lagrangian bound is checked against. Work grows with the square of the number of pairs of a state and a
treatment, so the world has to be tiny.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.exact import Schedule
from envs.errors import InputError
from envs.exact import ExactModel
from envs.prices import Prices
from envs.rules import Cap
from envs.schema import Task
from envs.world import World

MOST_PAIRS = 6000  # 36 million combinations: 300 MB


def shortened(world: World, decisions: int, closed: tuple[str, ...] = ()) -> World:
    """An exact world with its first decisions only and some channels closed: small enough for brute force."""
    whole = world.schema.task
    end = (*whole.days, whole.end_day)[decisions]
    task = Task.model_validate({**whole.model_dump(), "days": whole.days[:decisions], "end_day": end})
    cap = (Cap(name="closed", channels=closed, most=0, days=31),) if closed else ()
    rules = world.rules.model_copy(update={"caps": (*world.rules.caps, *cap)})
    return replace(world, schema=world.schema.model_copy(update={"task": task}), rules=rules)


def joint_optimum(model: ExactModel, capacity: np.ndarray, annoyance_price: float) -> np.ndarray:
    """The most that two customers can bring together, from every two states of the first decision.

    Both are decided at once, knowing both states; together they never draw more from a pool than a decision's capacity.
    capacity: (decisions, pools) units -> (states, states) float64, currency.
    """
    largest = max(len(layer.treatment) for layer in model.layers)
    if largest > MOST_PAIRS:
        raise InputError(f"must be at most {MOST_PAIRS} for brute force", field="pairs of a decision", value=largest)
    free = Schedule.constant(Prices(annoyance_price, (0.0,) * capacity.shape[1]), len(model.layers))
    gamma = model.world.schema.task.gamma
    after = np.zeros((1, 1))  # the last row and column: that customer has ended, the other may go on
    for step in reversed(range(len(model.layers))):
        layer = model.layers[step]
        reward = free.reward(layer, step)
        ahead = layer.chances @ (layer.chances @ after).T  # (pairs, pairs)
        both = reward[:, None] + reward + gamma**layer.days * ahead
        asked = layer.effort[:, None] + layer.effort  # (pairs, pairs, pools)
        both[(asked > capacity[step] + 1e-9).any(axis=2)] = -np.inf
        alone = _alone(model, step, after, capacity[step], annoyance_price)
        worth = np.maximum.reduceat(np.maximum.reduceat(both, layer.first, axis=0), layer.first, axis=1)
        after = np.block([[worth, alone[:, None]], [alone, np.zeros((1, 1))]])
    return after[:-1, :-1]


def _alone(model: ExactModel, step: int, after: np.ndarray, capacity: np.ndarray, annoyance_price: float) -> np.ndarray:
    """Value of a customer whose companion has ended. after: of the next decision -> (states,) float64."""
    layer, gamma = model.layers[step], model.world.schema.task.gamma
    free = Schedule.constant(Prices(annoyance_price, (0.0,) * len(capacity)), len(model.layers))
    one = free.reward(layer, step) + gamma**layer.days * (layer.chances @ after[:, -1])
    one[(layer.effort > capacity + 1e-9).any(axis=1)] = -np.inf
    return np.asarray(np.maximum.reduceat(one, layer.first))
