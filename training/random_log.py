"""A log of a world under uniformly random treatments: every propensity known, every treatment with support."""

from __future__ import annotations

import numpy as np

from envs.recorder import Decided, Recorder
from envs.simulator import Simulator
from envs.tables import Tables
from envs.world import World

BATCH = 8192  # customers simulated at once


def random_log(world: World, customers: int, decisions: int, seed: int = 0) -> Tables:
    """The canonical tables of some customers with so many decisions each, one per cadence of the task.

    A customer who churned is not decided about any more.
    """
    recorder, rng = Recorder(world), np.random.default_rng(seed)
    everyone = np.arange(customers)
    for start in range(0, customers, BATCH):
        numbers = everyone[start : start + BATCH]
        simulator = Simulator(world, seed, note=recorder.note)
        simulator.reset(numbers)
        for _ in range(decisions):
            _decide(simulator, recorder, rng)
    return recorder.tables(world.population, seed, everyone, Simulator(world).first_day)


def _decide(simulator: Simulator, recorder: Recorder, rng: np.random.Generator) -> None:
    """One decision of everybody who is there: the allowed treatments are equally likely."""
    view, state = simulator.view(), simulator.state
    even = view.mask / view.mask.sum(axis=1, keepdims=True)
    treatment = (even.cumsum(axis=1) > rng.random(len(even))[:, None]).argmax(axis=1)
    rows = np.flatnonzero(state.alive)
    if len(rows):
        made = Decided(
            state.customer[rows],
            state.history.day[rows],
            state.trigger[rows],
            view.observation[rows],
            view.mask[rows],
            treatment[rows],
            even[rows],
            state.prices[rows],
            "randomised",
            "uniform",
        )
        recorder.decide(made, rows, 0, len(state))
    simulator.step(treatment)
