"""Fidelity: how far may a calibrated world be trusted? Its heads, and its replay of the log, on held-out customers.

Coefficients are judged as they are. Base rates and LightGBM are fitted on training customers; everything is measured
on the test customers of the log's split, which calibration never reads.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from agents.artifact import load_policy
from agents.policy import Policy
from agents.price_range import told_prices
from envs.errors import InputError
from envs.prices import prices_from
from envs.tables import Tables, read_tables
from envs.world import World, load_world
from training.calibration_ensemble import ensemble
from training.calibration_rows import Source
from training.configs import FidelityConfig
from training.fidelity_judge import HeadFidelity, Judge
from training.fidelity_policy import StandIn, itself, stand_in
from training.fidelity_posterior import compare
from training.fidelity_replay import at_decisions, decided_alone, replays, rhythm_of, within_horizon
from training.fidelity_report import FidelityReport, Replayed
from training.fidelity_rows import LogRows, Unjudged, log_rows
from training.fidelity_time import cut_of
from training.fidelity_yardstick import lightgbm
from training.progress import progress
from training.runs import run_directory

MOMENTS = (
    "Moments at which customers come in are compared on the days of decisions only: "
    "this world draws none between, where the log may have some."
)
ALONE = 20  # replays of a world without an ensemble


def fidelity(config: FidelityConfig, policy: Policy | None = None) -> FidelityReport:
    """Judge a world on a log, and write the report.

    policy: who decided in the log, where it is at hand; by default `config.policy`, else one that is fitted to the log
    """
    started = time.monotonic()
    lightgbm()  # say now if it is missing
    tables, world = read_tables(config.tables), load_world(config.world)
    log = log_rows(world, tables, config.rows, config.seed)
    if not log.test.any() or log.test.all():
        raise InputError("must leave customers on both sides", file=config.tables, field="split")
    cut = cut_of(log, config.late_share)
    judge = Judge(log, config.thresholds, cut, config.resamples, config.seed)
    heads: list[HeadFidelity] = []
    unjudged: list[Unjudged] = []
    with progress("judging (heads)", total=len(world.coefficients.heads)) as advance:
        for sample in log.heads():
            if isinstance(sample, Unjudged):
                unjudged.append(sample)
            else:
                heads.append(judge(sample))
            advance(1)
    report = FidelityReport(
        config=config,
        world_digest=world.digest,
        tables_digest=tables.digest,
        training_customers=int((~log.test).sum()),
        customers=int(log.test.sum()),
        first=_day(log.source.decisions["at"].min()),
        last=_day(log.source.decisions["at"].max()),
        cut=None if cut is None else _day(np.datetime64(cut, "us")),
        heads=tuple(heads),
        unjudged=tuple(unjudged),
        replayed=_replayed(config, log, world, policy),
        seconds=0.0,
    )
    directory = run_directory("fidelity", config.out)
    report = replace(report, directory=directory, seconds=round(time.monotonic() - started, 1))
    report.write(directory)
    return report


def _replayed(config: FidelityConfig, log: LogRows, world: World, policy: Policy | None) -> Replayed:
    """The replay, or why there is none."""
    if config.replay_logs == 0 or config.replay_customers == 0:
        return Replayed("it was not asked for", "", None, 0, 0, 0, ())
    ids = log.source.decisions["customer_id"].unique().sort()
    tables = log.source.tables
    assignment = config.assignment or _randomised(tables)
    held, note = decided_alone(tables.of_customers(ids.filter(pl.Series(log.test))), assignment)
    training, _ = decided_alone(tables.of_customers(ids.filter(pl.Series(~log.test))), assignment)
    if not held.decisions.height or not training.decisions.height:
        return Replayed(f"there is nobody to replay: {note}", "", None, 0, 0, 0, ())
    rng = np.random.default_rng(config.seed)
    chosen = np.array(held.decisions["customer_id"].unique().sort())
    drawn = len(chosen) > config.replay_customers
    chosen = np.sort(rng.choice(chosen, min(len(chosen), config.replay_customers), replace=False))
    held = held.of_customers(pl.Series(chosen.tolist()))
    with progress("reading who decided"):
        decider = _decider(config, training, policy)
    rhythm = rhythm_of(held)
    members = ensemble(world, Path(config.world))[: config.members]
    worlds, logs = (members, config.replay_logs) if len(members) > 1 else ((world,), ALONE)
    with progress("replaying (logs)", total=len(worlds) * logs) as advance:
        simulated = []
        for one in replays(worlds, held, rhythm, decider, logs, config.seed):
            simulated.append(one)
            advance(1)
    bounds = {"indicator": config.thresholds.replayed, "process": config.thresholds.group}
    bounds["curve"] = config.thresholds.group
    log_part, moments = within_horizon(held, rhythm), ""
    if world.coefficients.resolution == "window" and tables.schema.triggers:
        log_part, moments = at_decisions(log_part), MOMENTS
    found = compare(log_part, simulated, bounds, config.thresholds.group_events)
    sizes = (len(chosen), len(worlds), len(simulated))
    return Replayed("", note, decider, *sizes, tuple(found), drawn=drawn, moments=moments)


def _decider(config: FidelityConfig, training: Tables, policy: Policy | None) -> StandIn:
    if policy is not None:
        return itself(policy)
    if config.policy is None:
        return stand_in(Source(training), config.seed)
    found = load_policy(config.policy)
    told_prices([found], prices_from(None, training.catalogue, training.schema), training.catalogue.pool_ids)
    return itself(found)


def _randomised(tables: Tables) -> str | None:
    """The randomised customers, where the log tells them apart: their propensities are the surest."""
    found = tables.decisions["assignment"].unique()
    return "randomised" if "randomised" in found and len(found) > 1 else None


def _day(instant: object) -> str:
    return str(instant)[:10]
