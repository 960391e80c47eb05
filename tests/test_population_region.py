"""A population of regions: pools hold per region and day, and nothing depends on where or with whom it is simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agents.baselines import CoordinatedRules, SiloedCampaigns, Softened
from agents.turns import Turns
from envs.counts import Counts, total
from envs.errors import InputError
from envs.expectation import Expectation
from envs.hidden_states import hidden_states
from envs.simulator import Simulator
from envs.world import load_world
from evaluation.pooled import regions_of, run_pooled
from evaluation.population_report import PopulationReport
from evaluation.region import BLOCKS, Heard, PooledSetting, Region
from evaluation.shadow import Shadow
from training.simulate import under_silos

BANK = load_world("bank")
RULES = CoordinatedRules(BANK.catalogue, BANK.encoder)
SCARCE = PooledSetting(BANK, RULES, np.arange(600), 14, by="region", share=0.2)


def same(one: Counts, other: Counts) -> None:
    for name, value in vars(one).items():
        np.testing.assert_array_equal(vars(other)[name], value, err_msg=name)


def test_pools_hold_per_region_and_day() -> None:
    run = run_pooled(SCARCE)
    assert set(run.days["region"]) == set(regions_of(SCARCE))
    assert run.days.height == 4 * 3 * 14
    assert (run.days["granted"] <= run.days["capacity"] + 1e-6).all()
    assert (run.days["requests_refused"] > 0).any()
    sizes = {name: len(some) for name, some in regions_of(SCARCE).items()}
    for row in run.days.iter_rows(named=True):
        pool = next(p for p in BANK.catalogue.pools if p.id == row["pool"])
        assert row["capacity"] == pytest.approx(pool.capacity * 0.2 * sizes[row["region"]] / 10_000)
    granted = run.days.group_by("pool", maintain_order=True).agg(pl.col("granted").sum())["granted"].to_numpy()
    made = total(run.counts).effort
    assert (made <= granted + 1e-6).all()  # a manager's contact of the last days is decided but not made yet
    assert made.sum() > 0.9 * granted.sum()


def test_the_report_sums_days_up() -> None:
    run = run_pooled(SCARCE)
    for row in PopulationReport(run, "bank").frame.iter_rows(named=True):
        days = run.days.filter(pl.col("region") == row["region"], pl.col("pool") == row["pool"])
        assert row["utilisation"] == pytest.approx(days["granted"].sum() / days["capacity"].sum())
        assert row["days_exhausted"] == (days["requests_refused"] > 0).sum()
        wanted = days["granted"].sum() + days["refused"].sum()
        assert row["refused_share"] == (pytest.approx(days["refused"].sum() / wanted) if wanted else None)


def test_a_region_is_the_same_alone() -> None:
    together = run_pooled(SCARCE)
    for name, customers in regions_of(SCARCE).items():
        region = Region(SCARCE, name, customers)
        region.run()
        assert_frame_equal(region.days, together.days.filter(pl.col("region") == name))


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    one, two = run_pooled(SCARCE), run_pooled(SCARCE, processes=2)
    assert_frame_equal(one.days, two.days)
    for mine, theirs in zip(one.counts, two.counts, strict=True):
        same(mine, theirs)


def test_customers_who_are_granted_what_they_ask_are_those_of_the_simulator() -> None:
    """Where no pool runs out, customers of a population are the same to the last bit as without one."""
    setting = replace(SCARCE, share=1e6, by=None, customers=np.arange(200))
    asked: list[np.ndarray] = []

    def decided(heard: Heard) -> np.ndarray:
        asked.append(heard.turns.treatment.copy())
        return np.full(heard.turns.treatment.shape, -1)

    region = Region(setting, "all", setting.customers, decided)
    region.run()
    parts = len(asked) // setting.days
    alone, done = Simulator(BANK, 0, cadence_days=1), {}
    alone.reset(np.arange(200))
    for number, part in enumerate(region._parts):
        done[number] = part.state.customer
    for day in range(setting.days):
        treatment = np.zeros(200, np.int64)
        for treated in asked[day * parts : (day + 1) * parts]:
            assert treated.shape[1] == 1
        order = region._order(region._parts, region.simulator.first_day + day)
        for place, treated in zip(order, asked[day * parts : (day + 1) * parts], strict=True):
            treatment[done[place]] = treated[:, 0]
        alone.step(treatment)
    for part in region._parts:
        rows = part.state.customer
        for name in ("person", "pending", "latent"):
            np.testing.assert_array_equal(getattr(part.state, name), getattr(alone.state, name)[rows], err_msg=name)
        np.testing.assert_array_equal(part.state.history.product, alone.state.history.product[rows])


def test_more_capacity_refuses_less() -> None:
    refused = [
        run_pooled(replace(SCARCE, share=share, days=5, by=None)).days["refused"].sum()
        for share in (0.05, 0.2, 1.0, 1e6)
    ]
    assert refused[0] > refused[1] > refused[3] == 0
    assert refused[1] >= refused[2]


def test_silos_are_refused_without_being_told() -> None:
    world = under_silos(BANK)
    setting = replace(
        SCARCE, world=world, policy=SiloedCampaigns(world.catalogue, world.encoder), told=False, share=0.002
    )
    heard: list[Turns] = []

    def decided(one: Heard) -> np.ndarray:
        heard.append(one.turns)
        return np.full(one.turns.treatment.shape, -1)

    region = Region(setting, "all", setting.customers, decided)
    region.run()
    refused = [turns.refused & (turns.wanted > 0) for turns in heard]
    assert sum(one.sum() for one in refused) > 0
    for turns, rows in zip(heard, refused, strict=True):
        assert not turns.treatment[rows].any()
        np.testing.assert_allclose(turns.probabilities.sum(axis=2), 1)


def test_the_shadow_value_is_what_the_refused_would_have_brought() -> None:
    setting = replace(SCARCE, policy=Softened(RULES, 1.0, 0.3), share=0.05, customers=np.arange(400), days=1)
    found: dict[str, float] = {}

    def decided(heard: Heard) -> np.ndarray:
        view, turns, state = heard.simulator.view(), heard.turns, heard.simulator.state
        expected = Expectation(BANK).knowing(view.observation, hidden_states(BANK, state))
        worth = expected.margin - expected.cost - state.prices[:, :1] * expected.annoyance
        effort = BANK.catalogue.effort
        for pool in range(3):
            short = turns.lacking[turns.phase[:, 0], pool, turns.wanted[:, 0]]
            rows = np.flatnonzero(short)
            gain = worth[rows, turns.wanted[rows, 0]] - worth[rows, turns.treatment[rows, 0]]
            found[f"gain {pool}"] = found.get(f"gain {pool}", 0.0) + gain.sum()
            found[f"units {pool}"] = found.get(f"units {pool}", 0.0) + effort[turns.wanted[rows, 0], pool].sum()
        return np.full(turns.treatment.shape, -1)

    region = Region(setting, "all", setting.customers, decided)
    region._shadow = Shadow(BANK, most=10_000)  # all of them, not a sample
    region.run()
    for pool, row in enumerate(region.days.iter_rows(named=True)):
        assert row["worth"] == pytest.approx(found[f"gain {pool}"], abs=1e-9)
        assert row["sampled"] == pytest.approx(found[f"units {pool}"])
    assert max(found.values()) > 0


def test_every_block_has_customers() -> None:
    run = run_pooled(SCARCE)
    assert len(run.counts) == BLOCKS
    assert all(block.customers > 0 for block in run.counts)
    assert total(run.counts).customers == 600


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: replace(s, by="age"), "by == 'age', must be a column of categories"),
        (lambda s: replace(s, assets="region"), "assets == 'region', must be a column of numbers"),
        (lambda s: replace(s, customers=np.arange(0)), "customers == '\\[\\]', must name at least one"),
        (lambda s: replace(s, days=3, cadence_days=7), "days == 3, must be at least 7"),
        (lambda s: replace(s, world=load_world("exact")), "must be continuing"),
    ],
)
def test_what_cannot_be_simulated_is_refused(change: Callable[[PooledSetting], PooledSetting], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_pooled(change(SCARCE))


def test_a_weekly_cadence_decides_every_customer_once_a_week() -> None:
    days: dict[int, list[int]] = {}

    def decided(heard: Heard) -> np.ndarray:
        for customer, day in zip(heard.simulator.state.customer, heard.simulator.state.history.day, strict=True):
            days.setdefault(int(customer), []).append(int(day))
        return np.full(heard.turns.treatment.shape, -1)

    setting = replace(SCARCE, cadence_days=7, days=28, by=None)
    region = Region(setting, "all", setting.customers, decided)
    region.run()
    for customer, seen in days.items():
        assert seen[0] == region.simulator.first_day + customer % 7
        assert set(np.diff(seen)) <= {7}
