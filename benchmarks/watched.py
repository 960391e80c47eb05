"""Counts of a simulated policy: its customers' log is recorded, counted by blocks of customers, and thrown away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from agents.knowing import informed
from agents.policy import Policy
from envs.counting import blocks_of
from envs.counts import Counts
from envs.observed import Period
from envs.randomness import Luck
from envs.recorder import Decided, Recorder
from envs.simulator import Simulator
from envs.tables import Tables
from envs.world import World
from evaluation.simulation import choose

BLOCKS = 40  # of customers, for the jackknife
CHUNK = 2000  # customers recorded at once


def watched(world: World, policy: Policy, customers: np.ndarray, days: int, seed: int) -> list[Counts]:
    """Counts of each block of the customers, one decision a day. The same customers stand in the same blocks."""
    parts = []
    for start in range(0, len(customers), CHUNK):
        some = customers[start : start + CHUNK]
        tables = record(world, policy, some, days, seed)
        first = datetime.fromtimestamp(Simulator(world, seed).first_day * 86400, UTC)
        parts.append(blocks_of(tables, BLOCKS, period=Period(first, first + timedelta(days=days)), assets="assets"))
    return [sum(blocks[1:], blocks[0]) for blocks in zip(*parts, strict=True)]


def record(world: World, policy: Policy, customers: np.ndarray, days: int, seed: int) -> Tables:
    """The log of a policy: every contact, every event, and the decisions of the first day, silence among them."""
    simulator, recorder = Simulator(world, seed, cadence_days=1, record=True), Recorder(world)
    simulator.reset(customers)
    recorder.happened(simulator.morning, customers)
    for day in range(days):
        view, state = simulator.view(), simulator.state
        luck = Luck(seed, state.customer, state.history.day)
        probabilities, treatment = choose(informed(policy, simulator), view.observation, view.mask, luck)
        numbers = np.full(treatment.shape, -1)
        for desk in range(treatment.shape[1]):
            rows = np.flatnonzero(state.alive & ((treatment[:, desk] != 0) | ((day == 0) & (desk == 0))))
            made = Decided(
                state.customer[rows], state.history.day[rows], state.trigger[rows], view.observation[rows],
                view.mask[rows], treatment[rows, desk], probabilities[rows, desk], state.prices[rows], "champion", "",
            )  # fmt: skip
            numbers[rows, desk] = recorder.decide(made)
        outcome = simulator.step(treatment, numbers)
        if outcome.events is not None:
            recorder.happened(outcome.events, state.customer)
    return recorder.tables(world.population, seed, customers, simulator.first_day)
