"""Replay: the policy that decided in the log decides again, in the calibrated world, for the same kind of customers.

Customers that calibration never read are replayed: as many as the log part has, their profiles drawn from theirs, each
from the day on which one of theirs was first decided, for as many decisions. Decisions fall as in the log: at the
task's days, every so many days where the log has a rhythm, else on the days of one of its customers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from agents.policy import draw
from envs.population import TablePopulation
from envs.randomness import Luck
from envs.recorder import Decided, Recorder
from envs.records import days_of
from envs.simulator import Simulator
from envs.tables import Tables
from envs.world import World
from evaluation.simulation import CHOICE
from training.fidelity_policy import StandIn

FIRST = 30_000_000  # number of the first replayed customer, apart from those of training and comparison
RHYTHM = 0.95  # share of gaps that must be alike for the log to have a rhythm; assumed
BATCH = 4096  # customers simulated at once


@dataclass(frozen=True)
class Rhythm:
    """When the customers of a log were decided. Arrays of shape (customers,)."""

    first: np.ndarray  # int64, day of the first decision
    count: np.ndarray  # int64, decisions
    cadence: int | None  # days between two decisions of everybody; None: as `days` says
    days: tuple[frozenset[int], ...]  # days after the first on which each customer was decided; empty with a cadence


def decided_alone(tables: Tables, assignment: str | None) -> tuple[Tables, str]:
    """The customers who were decided once at a time, and what to say of the others.

    assignment: customers of this assignment throughout; None: all
    """
    decisions = tables.decisions.filter(pl.col("assignment") != "shadow")
    alone = ~pl.struct("customer_id", "at").is_duplicated().any().over("customer_id")
    wanted = alone if assignment is None else alone & (pl.col("assignment") == assignment).all().over("customer_id")
    chosen = decisions.filter(wanted)["customer_id"].unique()
    total = decisions["customer_id"].n_unique()
    whom = "customers" if assignment is None else f"customers of assignment {assignment}"
    note = f"the {len(chosen):,} (of {total:,} held out) {whom} who were decided once at a time"
    return tables.of_customers(chosen), note


def rhythm_of(tables: Tables) -> Rhythm:
    """When the customers were decided, in the order of their ids."""
    task = tables.schema.task
    frame = tables.decisions.sort("customer_id", "at").select("customer_id", "at")
    day, customer = days_of(frame["at"]), frame["customer_id"].rle_id().to_numpy()
    starts = np.r_[True, np.diff(customer) != 0]
    first, count = day[starts], np.bincount(customer)
    if task.kind == "finite":
        return Rhythm(first, np.full(len(first), len(task.days)), None, ())
    gaps = np.diff(day)[~starts[1:]]
    if not len(gaps):  # one decision each: what follows counts for the window
        return Rhythm(first, count, task.window_days, ())
    usual = int(np.bincount(gaps).argmax())
    if usual >= 1 and (gaps == usual).mean() >= RHYTHM:
        return Rhythm(first, _whole(tables, first, count), usual, ())
    after = np.split(day - first[customer], np.flatnonzero(starts)[1:])
    return Rhythm(first, count, None, tuple(frozenset(days.tolist()) for days in after))


def _whole(tables: Tables, first: np.ndarray, count: np.ndarray) -> np.ndarray:  # (customers,) int64
    """How often each customer would have been decided: of who churned, as often as others who began on that day."""
    ids = tables.decisions["customer_id"].unique().sort()
    gone = tables.events.filter(pl.col("event") == "churned")["customer_id"].unique()
    left = ids.is_in(gone.implode()).to_numpy()
    stayed = dict(zip(first[~left].tolist(), count[~left].tolist(), strict=True))
    others = np.array([stayed.get(day, 0) for day in first.tolist()])
    return np.where(left, np.maximum(count, others), count)


def within_horizon(tables: Tables, rhythm: Rhythm) -> Tables:
    """The tables without events that a replay does not reach, before the first day or after the last window."""
    ids = tables.decisions["customer_id"].unique().sort()
    task = tables.schema.task
    if task.kind == "finite":
        length = np.full(len(ids), task.end_day)
    elif rhythm.cadence is not None:
        length = rhythm.count * rhythm.cadence
    else:
        length = np.array([max(days) + 1 for days in rhythm.days])
    ends = pl.DataFrame({"customer_id": ids, "from": rhythm.first, "to": rhythm.first + length})
    day = pl.col("at").dt.epoch("d")
    events = tables.events.join(ends, "customer_id").filter((day >= pl.col("from")) & (day < pl.col("to")))
    return replace(tables, events=events.drop("from", "to"), path=None)


def at_decisions(tables: Tables) -> Tables:
    """The tables without the moments between decisions, at which customers came in.

    A world that passes whole windows at a time draws a moment on the day of each decision, and none between.
    """
    day = pl.col("at").dt.epoch("d").alias("day")
    decided = tables.decisions.select("customer_id", day).unique().with_columns(decided=True)
    events = tables.events.with_columns(day).join(decided, ["customer_id", "day"], "left", maintain_order="left")
    between = pl.col("event").is_in(tables.schema.triggers) & pl.col("decided").is_null()
    return replace(tables, events=events.filter(~between).drop("day", "decided"), path=None)


def replays(
    worlds: Sequence[World], tables: Tables, rhythm: Rhythm, policy: StandIn, logs: int, seed: int
) -> Iterator[Tables]:
    """Simulated logs: `logs` in each world. tables: of the customers to be replayed, for their profiles."""
    names = [column.name for column in tables.schema.columns]
    holds = [name for name in tables.customers.columns if name.startswith("holds_")]
    people = tables.customers.sort("customer_id", "valid_from").unique("customer_id", keep="first", maintain_order=True)
    population = TablePopulation(people.select("valid_from", *names, *holds), tables.schema)
    for number, world in enumerate(worlds):
        schema = tables.schema.model_copy(update={"fading": world.schema.fading})
        here = replace(world, population=population, schema=schema)
        for log in range(logs):
            yield _replayed(here, rhythm, policy, seed * 1_000_003 + number * logs + log)


def _replayed(world: World, rhythm: Rhythm, policy: StandIn, seed: int) -> Tables:
    """One simulated log."""
    recorder, total = Recorder(world), len(rhythm.first)
    customers = FIRST + np.arange(total)
    for start in range(0, total, BATCH):
        rows = np.arange(start, min(start + BATCH, total))
        _decide(recorder, customers[rows], rows, rhythm, policy, seed)
    return recorder.tables(world.population, seed, customers, int(rhythm.first.min()))


def _decide(
    recorder: Recorder, customers: np.ndarray, rows: np.ndarray, rhythm: Rhythm, policy: StandIn, seed: int
) -> None:
    """Let a batch of customers live through their decisions."""
    simulator = Simulator(recorder.world, seed, cadence_days=rhythm.cadence or 1, record=True)
    simulator.reset(customers, day=rhythm.first[rows])
    recorder.happened(simulator.morning, customers)
    finite = recorder.world.schema.task.kind == "finite"
    steps = int(rhythm.count[rows].max()) if not rhythm.days else 1 + max(max(rhythm.days[row]) for row in rows)
    for step in range(steps):
        view, state = simulator.view(), simulator.state
        due = np.array([step in rhythm.days[row] for row in rows]) if rhythm.days else step < rhythm.count[rows]
        if not rhythm.days and not (due & state.alive).any():
            break
        p = policy.distribution(view.observation, view.mask, np.full(len(rows), step if finite else 0))
        p[~due] = 0.0
        p[~due, 0] = 1.0
        treatment = draw(p, Luck(seed, state.customer, state.history.day).uniform(CHOICE))
        kept, numbers = np.flatnonzero(due & state.alive), np.full(len(rows), -1)
        if len(kept):
            made = Decided(
                state.customer[kept],
                state.history.day[kept],
                state.trigger[kept],
                view.observation[kept],
                view.mask[kept],
                treatment[kept],
                p[kept],
                state.prices[kept],
                "randomised",
                "replay",
            )
            numbers[kept] = recorder.decide(made)
        events = simulator.step(treatment, numbers).events
        if events is not None:
            recorder.happened(events, state.customer)
