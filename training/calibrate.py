"""Calibrate: estimate a world from the training customers of a log, and say how far it can be trusted.

Customers of the test part are dropped before anything is read off. A share of the others is held out: heads are fitted
without them, measured on them, then fitted once more on all. The world that is written has the log's catalogue, schema
and rules, the fitted heads, and the training customers' profiles as its population. Half-lives, where they are
estimated, change what observations say: then the whole log is written once more beside the world, encoded with them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.population import TablePopulation
from envs.response import Coefficients, Head, load_coefficients
from envs.rules import Rules, load_rules
from envs.split import is_test
from envs.tables import Tables, read_tables, write_tables
from envs.world import World, load_world
from training.calibration_choice import Chooser
from training.calibration_effects import HIDDEN
from training.calibration_estimates import Estimator
from training.calibration_heads import FittedHead, HeadFitter, one_sign
from training.calibration_held import held_back, unfitted
from training.calibration_result import Calibration
from training.calibration_reward import reward_by_treatment
from training.calibration_rows import head_rows
from training.calibration_source import ANSWERS, Source
from training.calibration_terms import Words
from training.configs import CalibrateConfig
from training.half_life_profile import Profiler, reencoded, sampled
from training.half_lives import HalfLife, choose_half_lives, fading_of
from training.identification import identification
from training.progress import progress
from training.runs import run_directory

ENOUGH = 50  # training customers below which nothing is fitted; assumed: ten of them would be held out


def calibrate(config: CalibrateConfig) -> Calibration:
    """Fit every head that the log can tell something about, and write the world."""
    started = time.monotonic()
    form = _form(config.form)
    rng, dice, sample = np.random.default_rng(config.seed).spawn(3)
    log = _read(config, form, sample)
    heldout = rng.permutation(log.count) < round(config.heldout_share * log.count)
    luck = dice.exponential(size=(config.replicates, log.count))
    heads = _heads(config, log, form, heldout, luck, rng)
    if not heads:
        need = "must hold answers to contacts, purchases or other events to calibrate on"
        raise InputError(need, file=config.tables / "events.parquet")
    rules = _rules(config.tables)
    world = world_of(log.source.tables, rules, {h.name: h for h in heads})
    reward = reward_by_treatment(log.source, world, {h.name: h.inside for h in heads}, heldout)
    found = (
        *identification(log.source, log.half_lives, config.random_effects),
        *(finding for head in heads for finding in head.findings),
        *unfitted(form, {h.name for h in heads}),
        *held_back({h.name: (sum(e.held for e in h.estimates), len(h.estimates)) for h in heads}),
    )
    path = run_directory("calibrate", config.out)
    again = None
    if log.tables.path is None:  # encoded anew
        again = path / "tables"
        write_tables(log.tables, again, rules)
    result = Calibration(
        path, world, heads, log.count, int(heldout.sum()), reward, log.half_lives, found, again, log.digest,
        time.monotonic() - started,
    )  # fmt: skip
    result.write()
    return result


@dataclass(frozen=True)
class _Log:
    """A log to calibrate on."""

    tables: Tables  # all of it; without a path if it was encoded anew
    source: Source  # the training customers
    count: int  # training customers with decisions
    half_lives: tuple[HalfLife, ...]  # where they were estimated
    digest: str  # of the tables as they were read


def _read(config: CalibrateConfig, form: dict[str, Head], rng: np.random.Generator) -> _Log:
    """Check, and with estimated half-lives encode anew."""
    tables = read_tables(config.tables)
    recorded, mine, half_lives = _recorded(config.recorded, tables), _training(tables), tuple[HalfLife, ...]()
    source, digest = Source(mine, recorded), tables.digest
    count = int(source.customer.max(initial=-1)) + 1
    if count < ENOUGH:
        raise InputError(f"must have at least {ENOUGH} training customers with decisions", file=config.tables)
    if config.half_lives == "estimate":
        with progress("half-lives", total=1) as advance:
            half_lives = choose_half_lives(Profiler(sampled(mine, rng), rng, form), advance)
    if any(h.chosen != h.default for h in half_lives):
        tables = reencoded(tables, fading_of(half_lives))
        source = Source(_training(tables), recorded)
    return _Log(tables, source, count, half_lives, digest)


def _training(tables: Tables) -> Tables:
    ids = tables.customers["customer_id"].unique().sort()
    return tables.of_customers(ids.filter(pl.Series(~is_test(ids, tables.schema.split))))


def _heads(
    config: CalibrateConfig,
    log: _Log,
    form: dict[str, Head],
    heldout: np.ndarray,
    luck: np.ndarray,
    rng: np.random.Generator,
) -> tuple[FittedHead, ...]:
    """The fitted heads, the effects of customers with one sign."""
    tables = log.source.tables
    note = f"calibrated on {tables.catalogue.name}, tables {log.digest[:12]}"
    chooser = Chooser(Words(tables.encoder), log.source.observation, config.ridge, rng)
    estimator = Estimator(config.estimate, config.standard_errors, luck)
    fitter = HeadFitter(chooser, estimator, form, config.random_effects, config.rows, note)
    heads: list[FittedHead] = []
    with progress("calibrating (heads)") as advance:
        for rows in head_rows(log.source):
            heads.append(fitter(rows, heldout))
            advance(1)
    return one_sign(heads)


def _form(name: str | None) -> dict[str, Head]:
    """The heads whose features are given: a world's, or those of a coefficient file."""
    if name is None:
        return {}
    path = Path(name)
    coefficients = load_coefficients(path) if path.is_file() else load_world(name).coefficients
    return dict(coefficients.heads)


def _recorded(pairs: list[str], tables: Tables) -> frozenset[tuple[str, str]]:
    """ANSWER@CHANNEL, taken apart and checked."""
    known = tables.catalogue.channel_ids
    for pair in pairs:
        answer, _, channel = pair.partition("@")
        if answer not in ANSWERS or channel not in known:
            need = f"must be ANSWER@CHANNEL, of {', '.join(ANSWERS)} and {', '.join(known)}"
            raise InputError(need, field="recorded", value=pair)
    return frozenset((answer, channel) for answer, _, channel in (pair.partition("@") for pair in pairs))


def world_of(tables: Tables, rules: Rules, heads: Mapping[str, FittedHead]) -> World:
    """The world of fitted heads; its customers are drawn from the tables', without their ids."""
    hidden = HIDDEN if any(h.effect is not None for h in heads.values()) else None
    written = {name: head.head for name, head in heads.items()}
    coefficients = Coefficients(name=f"calibrated-{tables.catalogue.name}", heads=written, hidden=hidden)
    names = [column.name for column in tables.schema.columns]
    holds = [f"holds_{product}" for product in tables.catalogue.product_ids]
    first = tables.customers.sort("customer_id", "valid_from").unique("customer_id", keep="first", maintain_order=True)
    people = first.select("valid_from", *names, *(name for name in holds if name in first.columns))
    return World(tables.catalogue, tables.schema, rules, coefficients, TablePopulation(people, tables.schema))


def _rules(tables: Path) -> Rules:
    """The rules that stand beside the tables; consent alone where there are none."""
    file = tables / "rules.yaml"
    return load_rules(file) if file.is_file() else Rules()
