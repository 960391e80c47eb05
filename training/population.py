"""Population: simulate customers who share pools, and say what they are worth together and what they lacked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from agents.artifact import check_compatible, load_policy
from agents.baselines import CoordinatedRules, Random, Silence, SiloedCampaigns
from agents.myopic import Myopic
from agents.policy import Policy
from agents.price_range import told_prices
from envs.errors import InputError
from envs.prices import prices_from
from envs.tables import write_tables
from envs.world import World, load_world
from evaluation.market import Clearing
from evaluation.pooled import check, run_pooled
from evaluation.population_report import PopulationReport
from evaluation.region import PooledSetting, every
from training.capacity_configs import SharedPopulation
from training.configs import PopulationConfig
from training.population_log import PooledLog, check_size
from training.progress import progress
from training.runs import atomic_write, run_directory
from training.simulate import under_silos

SILOS = "siloed_campaigns"
BASELINES: dict[str, Callable[[World], Policy]] = {
    "coordinated_rules": lambda world: CoordinatedRules(world.catalogue, world.encoder),
    SILOS: lambda world: SiloedCampaigns(world.catalogue, world.encoder),
    "silence": lambda world: Silence(),
    "random": lambda world: Random(),
    "myopic": lambda world: Myopic(world),
}


@dataclass(frozen=True)
class SimulatedPopulation:
    """What came of a population, and where it stands."""

    directory: Path
    report: PopulationReport

    @property
    def frame(self) -> pl.DataFrame:
        """One row per region and pool."""
        return self.report.frame

    def __str__(self) -> str:
        return f"{self.report}\nreport: {self.directory / 'population.html'}"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def population(config: PopulationConfig) -> SimulatedPopulation:
    """Simulate a population; write population.html, population.json and, if asked for, its log."""
    setting = setting_of(config)
    check(setting)
    log = None
    if config.log:
        if config.processes != 1:
            raise InputError("must be 1 with log: one process writes it", field="processes", value=config.processes)
        check_size(setting)
        log = PooledLog(setting)
    with progress("simulating the population", total=config.customers * config.days) as advance:
        run = run_pooled(setting, processes=config.processes, progress=advance, listener=log)
    report = PopulationReport(run, config.world)
    directory = run_directory("population", config.out)
    if log is not None:
        write_tables(log.tables(), directory / "tables", setting.world.rules)
    for name, text in report.texts().items():
        atomic_write(directory / name, text)
    return SimulatedPopulation(directory, report)


def setting_of(config: PopulationConfig) -> PooledSetting:
    """The population that a configuration describes."""
    return replace(shared_setting(config, clear=config.clear), assets=config.assets)


def shared_setting(config: SharedPopulation, *, clear: bool) -> PooledSetting:
    """Customers who share pools, and who decides for them. clear: whether pools are cleared by prices every morning."""
    world = load_world(config.world)
    world = every(world, config.cadence_days) if world.schema.task.kind == "continuing" else world
    siloed = config.policy == SILOS
    world = under_silos(world) if siloed else world
    annoyance = {} if config.annoyance_price is None else {"annoyance": config.annoyance_price}
    asked = prices_from({**config.pool_prices, **annoyance}, world.catalogue, world.schema)
    policy, pools = policy_of(config.policy, world), world.catalogue.pool_ids
    return PooledSetting(
        world,
        policy,
        np.arange(config.customers),
        config.days,
        config.seed,
        config.by,
        config.cadence_days,
        config.share,
        told=not siloed,
        prices=told_prices([policy], asked, pools, config.prices_outside, free=pools if clear else ()),
        clearing=Clearing() if clear else None,
    )


def policy_of(name: str, world: World) -> Policy:
    """A baseline by its name, or the policy of an artifact."""
    if name in BASELINES:
        return BASELINES[name](world)
    if not Path(name).is_dir():
        known = ", ".join(BASELINES)
        raise InputError(f"must be one of: {known}, or the directory of an artifact", field="policy", value=name)
    policy = load_policy(name)
    check_compatible(policy.manifest, world.catalogue, world.encoder.digest)
    return policy
