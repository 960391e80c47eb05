"""How a teacher is made: it learns what histories say, then settings of its levers are tried on other customers."""

from __future__ import annotations

import itertools

import numpy as np

from agents.fitting import Passes
from agents.foresight import Foresight
from agents.levers import observed_prices
from agents.network import TreatmentScorer
from agents.policy import greedy
from agents.sb3_env import SimulatorVecEnv
from agents.teacher import Setting, Teacher, Tried, scores_of, shown
from agents.watching import fit, watch
from envs.expectation import Expected
from envs.prices import prices_from
from envs.simulator import Simulator
from envs.world import World
from training.configs import TrainConfig
from training.foreseen import foresee, silent
from training.progress import Advance, progress

FIRST_TAUGHT = 5_000_000  # number of the first customer that settings are tried on, apart from all others
NOTED = 0.2  # share of the decisions of watched customers that are learned from
ANNOYANCE = (1.0, 3.0, 10.0, 30.0, 100.0)  # times the usual price
LEVERS = ((1.0, 0.0), (1.5, 0.6), (1.5, 2.0))  # cost lever; contact lever, times the mean cost of a contact


def settings(world: World) -> list[Setting]:
    """What is tried; a lever that cannot change anything in this world is left alone."""
    usual, typical = world.schema.prices["annoyance"].default, float(world.catalogue.cost[1:].mean())
    annoyance = [times * usual for times in ANNOYANCE] if usual > 0 else [0.0]
    levers = LEVERS if typical > 0 else LEVERS[:1]
    return [Setting(a, cost, contact * typical) for a, (cost, contact) in itertools.product(annoyance, levers)]


def learn_foresight(environment: SimulatorVecEnv, network: TreatmentScorer, config: TrainConfig) -> Foresight:
    """What observations say of hidden states, learned from customers whom every setting of the levers contacts.

    network: a new one, that is fitted
    """
    world, random, tried = environment.world, np.random.default_rng(config.seed), settings(environment.world)
    of_row = [tried[row % len(tried)] for row in range(environment.num_envs)]
    levers = [np.array([getattr(s, name) for s in of_row])[:, None] for name in ("annoyance", "cost", "contact")]

    def decide(expected: Expected, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        pools = observed_prices(world.encoder, observation)[:, 1:]
        scores = scores_of(world, expected, levers[0], levers[1], levers[2], pools)
        return shown(scores, mask, config.teacher_temperature, config.teacher_floor)

    steps = len(world.schema.task.days) or -(-config.horizon // environment.batches[0].cadence_days)
    with progress("watching customers (decisions)", total=steps * environment.num_envs) as advance:
        watched = watch(environment, decide, steps, NOTED, random, advance)
    work = config.imitation_epochs * len(watched.observation)
    with progress("learning what histories say (decisions)", total=work) as advance:
        fit(network, watched, Passes(config.imitation_epochs, 1024, 2e-3, config.seed), advance)
    return Foresight(world, network)


def teach(
    world: World, foresight: Foresight, customers: int, days: int, seed: int, advance: Advance | None = None
) -> Teacher:
    """The teacher of a world. customers: on whom each setting is tried; 0 takes the first setting untried."""
    if not customers:
        untried = Tried(settings(world)[0], 0.0, 0.0, (0.0,) * len(world.catalogue.pools))
        return Teacher(world, (untried,), foresight)
    tried = []
    numbers = FIRST_TAUGHT + np.arange(customers)
    prices = np.tile(prices_from(None, world.catalogue, world.schema).vector(), (customers, 1))
    base = foresee(world, silent, numbers, prices, days, seed)
    for setting in settings(world):

        def choose(simulator: Simulator, setting: Setting = setting) -> np.ndarray:
            view = simulator.view()
            levers = (setting.annoyance, setting.cost, setting.contact)
            free = simulator.state.prices[:, 1:]
            scores = scores_of(world, foresight(view.observation), *levers, free)
            return np.asarray(greedy(scores, view.mask).argmax(axis=1))

        found = foresee(world, choose, numbers, prices, days, seed)
        gain = float((found.margin - found.cost - base.margin + base.cost).mean())
        effort = tuple(float(units) for units in found.effort.mean(axis=0))
        tried.append(Tried(setting, gain, float(found.annoyance.mean()), effort))
        if advance is not None:
            advance(1)
    return Teacher(world, tuple(tried), foresight)
