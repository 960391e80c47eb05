"""Populations whose pools are cleared by prices, as the verbs `capacity` and `worth` run them."""

from __future__ import annotations

import numpy as np

from envs.errors import InputError
from envs.prices import prices_from
from envs.world import load_world
from evaluation.market import Clearing
from evaluation.pooled import PooledRun, check, run_pooled
from evaluation.region import PooledSetting, every
from training.capacity_configs import SharedPopulation
from training.population import SILOS, policy_of
from training.runs import Advance


def cleared_setting(config: SharedPopulation) -> PooledSetting:
    """The population that a configuration describes, everything in it checked."""
    if config.policy == SILOS:
        raise InputError("must make one choice per customer", field="policy", value=config.policy)
    world = load_world(config.world)
    world = every(world, config.cadence_days) if world.schema.task.kind == "continuing" else world
    annoyance = {} if config.annoyance_price is None else {"annoyance": config.annoyance_price}
    setting = PooledSetting(
        world,
        policy_of(config.policy, world),
        np.arange(config.customers),
        config.days,
        config.seed,
        config.by,
        config.cadence_days,
        config.share,
        prices=prices_from({**config.pool_prices, **annoyance}, world.catalogue, world.schema),
        clearing=Clearing(),
    )
    check(setting)
    return setting


def run(setting: PooledSetting, config: SharedPopulation, advance: Advance) -> PooledRun:
    """Simulate it."""
    return run_pooled(setting, processes=config.processes, progress=advance)


def annoyance_price(setting: PooledSetting) -> float:
    """What annoyance costs in this population, currency per opt-out."""
    default = prices_from(None, setting.world.catalogue, setting.world.schema)
    return (setting.prices or default).annoyance
