"""How a teacher is made: a few settings of its levers are tried on customers of their own."""

from __future__ import annotations

import itertools

import numpy as np

from agents.policy import greedy
from agents.teacher import Setting, Teacher, Tried, scores_of
from envs.prices import prices_from
from envs.simulator import Simulator
from envs.world import World
from training.foreseen import foresee, silent
from training.progress import Advance

FIRST_TAUGHT = 5_000_000  # number of the first customer that settings are tried on, apart from all others
ANNOYANCE = (1.0, 3.0, 10.0, 30.0)  # times the usual price
LEVERS = ((1.0, 0.0), (1.5, 0.2), (1.5, 0.6))  # cost lever; contact lever, times the mean cost of a contact


def settings(world: World) -> list[Setting]:
    """What is tried; a lever that cannot change anything in this world is left alone."""
    usual, typical = world.schema.prices["annoyance"].default, float(world.catalogue.cost[1:].mean())
    annoyance = [times * usual for times in ANNOYANCE] if usual > 0 else [0.0]
    levers = LEVERS if typical > 0 else LEVERS[:1]
    return [Setting(a, cost, contact * typical) for a, (cost, contact) in itertools.product(annoyance, levers)]


def teach(world: World, customers: int, days: int, seed: int, advance: Advance | None = None) -> Teacher:
    """The teacher of a world. customers: on whom each setting is tried; 0 takes the first setting untried."""
    if not customers:
        return Teacher(world, (Tried(settings(world)[0], 0.0, 0.0, (0.0,) * len(world.catalogue.pools)),))
    tried, blind = [], Teacher(world, ())
    numbers = FIRST_TAUGHT + np.arange(customers)
    prices = np.tile(prices_from(None, world.catalogue, world.schema).vector(), (customers, 1))
    base = foresee(world, silent, numbers, prices, days, seed)
    for setting in settings(world):

        def choose(simulator: Simulator, setting: Setting = setting) -> np.ndarray:
            view = simulator.view()
            levers = (setting.annoyance, setting.cost, setting.contact)
            free = simulator.state.prices[:, 1:]
            scores = scores_of(world, blind.expected(view.observation), *levers, free)
            return np.asarray(greedy(scores, view.mask).argmax(axis=1))

        found = foresee(world, choose, numbers, prices, days, seed)
        gain = float((found.margin - found.cost - base.margin + base.cost).mean())
        effort = tuple(float(units) for units in found.effort.mean(axis=0))
        tried.append(Tried(setting, gain, float(found.annoyance.mean()), effort))
        if advance is not None:
            advance(1)
    return Teacher(world, tuple(tried))
