"""Populations whose pools are cleared by prices, as the verbs `capacity` and `worth` run them."""

from __future__ import annotations

from envs.errors import InputError
from envs.prices import prices_from
from evaluation.pooled import PooledRun, check, run_pooled
from evaluation.region import PooledSetting
from training.capacity_configs import SharedPopulation
from training.population import SILOS, shared_setting
from training.progress import Advance


def cleared_setting(config: SharedPopulation) -> PooledSetting:
    """The population that a configuration describes, everything in it checked."""
    if config.policy == SILOS:
        raise InputError("must make one choice per customer", field="policy", value=config.policy)
    setting = shared_setting(config, clear=True)
    check(setting)
    return setting


def run(setting: PooledSetting, config: SharedPopulation, advance: Advance) -> PooledRun:
    """Simulate it."""
    return run_pooled(setting, processes=config.processes, progress=advance)


def annoyance_price(setting: PooledSetting) -> float:
    """What annoyance costs in this population, currency per opt-out."""
    default = prices_from(None, setting.world.catalogue, setting.world.schema)
    return (setting.prices or default).annoyance
