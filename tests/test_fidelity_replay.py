"""Replay: who decided is found out, decisions fall as in the log, and the log is among the replays of its own world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from fidelity_kit import small_world

from agents.baselines import Fixed, Random
from agents.policy import softened
from benchmarks.fidelity_truths import DECISIONS, OWN, WEEK, log_of
from envs.tables import Tables
from evaluation.reading import masks
from training.calibration_rows import Source
from training.fidelity_policy import divergence, imitation, itself, stand_in
from training.fidelity_posterior import compare
from training.fidelity_replay import at_decisions, decided_alone, replays, rhythm_of, within_horizon

BOUNDS = {"indicator": 0.15, "process": 0.25, "curve": 0.25}
CUSTOMERS = 300


@pytest.fixture(scope="module")
def log() -> Tables:
    return log_of(small_world(OWN), np.arange(CUSTOMERS), 3)


@pytest.fixture(scope="module")
def simulated(log: Tables) -> list[Tables]:
    world, rhythm = small_world(OWN), rhythm_of(log)
    return list(replays([world], log, rhythm, itself(Random()), 12, 0))


def test_the_rhythm_of_a_weekly_log_is_a_week(log: Tables) -> None:
    rhythm = rhythm_of(log)
    assert rhythm.cadence == WEEK
    assert (rhythm.count == DECISIONS).all()
    assert set(np.diff(np.unique(rhythm.first)).tolist()) == {1}


def test_a_log_without_rhythm_is_replayed_on_its_own_days(log: Tables) -> None:
    moved = pl.col("at") + pl.duration(days=pl.int_range(pl.len()).over("customer_id") ** 2 % 5)
    uneven = replace(log, decisions=log.decisions.with_columns(at=moved).sort("customer_id", "at"))
    rhythm = rhythm_of(uneven)
    assert rhythm.cadence is None
    again = next(iter(replays([small_world(OWN)], uneven, rhythm, itself(Random()), 1, 0)))
    assert again.decisions.height == uneven.decisions.height

    def days(tables: Tables) -> list[list[int]]:
        day = tables.decisions.select("customer_id", day=pl.col("at").dt.epoch("d"))
        return [sorted(part["day"].to_list()) for part in day.partition_by("customer_id", maintain_order=True)]

    assert days(again) == days(uneven)


def test_a_replay_has_the_decisions_of_the_log_and_only_what_the_log_could_have_seen(
    log: Tables, simulated: list[Tables]
) -> None:
    for tables in simulated[:2]:
        assert tables.decisions.height == log.decisions.height
        assert tables.decisions["at"].min() == log.decisions["at"].min()
        assert within_horizon(tables, rhythm_of(tables)).events.height == tables.events.height
    first, second = simulated[:2]
    assert first.decisions["treatment"].to_list() != second.decisions["treatment"].to_list()


def test_events_beyond_the_last_window_are_left_out(log: Tables) -> None:
    late = log.events.with_columns(at=pl.col("at") + timedelta(days=1000), event_id="late-" + pl.col("event_id"))
    longer = replace(log, events=pl.concat([log.events, late]))
    assert within_horizon(longer, rhythm_of(log)).events.height == log.events.height


def test_the_log_is_among_the_replays_of_its_own_world_and_not_of_another(log: Tables, simulated: list[Tables]) -> None:
    own = compare(within_horizon(log, rhythm_of(log)), simulated, BOUNDS, 20)
    assert own
    assert not any(number.failed(4.0) for number in own)
    p = np.array([number.p for number in own if number.judged])
    assert 0.3 < p.mean() < 0.9
    other = list(replays([small_world("drift")], log, rhythm_of(log), itself(Fixed(1)), 12, 0))
    assert any(number.failed(4.0) for number in compare(log, other, BOUNDS, 20))


def test_moments_between_decisions_are_left_out_of_the_log(log: Tables) -> None:
    schema = log.schema.model_copy(update={"triggers": ("call_in",)})
    base = log.events.head(3).with_columns(event=pl.lit("call_in"), channel=None, product=None, value=None)
    own = log.decisions.head(1)
    came = [
        base.head(1).with_columns(
            event_id=pl.lit(f"came-{days}"),
            customer_id=own["customer_id"],
            at=own["at"] + timedelta(days=days, hours=3),
        )
        for days in (0, 1)
    ]
    events = pl.concat([log.events, *(part.cast(dict(log.events.schema)) for part in came)])
    kept = at_decisions(replace(log, schema=schema, events=events)).events
    assert kept.filter(pl.col("event") == "call_in")["event_id"].to_list() == ["came-0"]
    assert kept.height == log.events.height + 1
    assert kept.columns == log.events.columns


def test_customers_with_two_decisions_at_once_are_not_replayed(log: Tables) -> None:
    twice = log.decisions.head(1).with_columns(decision_id=pl.lit("again"))
    both = replace(log, decisions=pl.concat([log.decisions, twice]).sort("customer_id", "at"))
    alone, note = decided_alone(both, None)
    assert alone.decisions["customer_id"].n_unique() == CUSTOMERS - 1
    assert f"{CUSTOMERS - 1:,} (of {CUSTOMERS:,}" in note
    assert decided_alone(log, "champion")[0].decisions.height == 0


def test_a_uniform_policy_is_recognised_by_its_frequencies(log: Tables) -> None:
    found = stand_in(Source(log), 0)
    assert found.name == "frequencies per step"
    assert found.distance is not None
    assert found.distance < 0.002


def test_without_probabilities_the_propensity_is_estimated(log: Tables) -> None:
    silent = log.decisions.with_columns(probabilities=pl.lit(None, pl.List(pl.Float64)))
    found = stand_in(Source(replace(log, decisions=silent)), 0)
    assert found.distance is None
    assert "estimated" in found.note


@pytest.mark.slow
def test_a_network_imitates_a_policy_that_looks_at_the_customer(log: Tables) -> None:
    source = Source(log)
    mask = masks(source.decisions, log).copy()
    mask[::3, 2] = False
    scores = np.stack([np.zeros(len(mask)), *(3 * source.observation[:, [k % 3]].T[0] for k in range(1, 5))], axis=1)
    behaviour = softened(scores, mask, 1.0, 0.05)
    fitted = imitation(source.observation[::2], mask[::2], behaviour[::2], 0)
    p = fitted(source.observation[1::2], mask[1::2], np.zeros(len(mask) // 2, np.int64))
    assert divergence(behaviour[1::2], p) < 0.02
    assert divergence(behaviour[1::2], mask[1::2] / mask[1::2].sum(axis=1, keepdims=True)) > 0.1
    assert p.sum(axis=1) == pytest.approx(np.ones(len(p)))
    assert (p[~mask[1::2]] == 0).all()
