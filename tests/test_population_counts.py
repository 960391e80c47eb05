"""Counts of a running simulation are those of its log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from agents.baselines import CoordinatedRules, SiloedCampaigns
from agents.policy import Policy
from envs.counting import counts_of
from envs.counts import Counts, total
from envs.happening import DECIDED
from envs.observed import Period
from envs.process import process_figures
from envs.recorder import Decided, Recorder
from envs.world import World, load_world
from evaluation.region import Heard, PooledSetting, Region
from training.simulate import under_silos

CUSTOMERS, DAYS = 300, 35


def both(world: World, policy: Policy) -> tuple[Counts, Counts]:
    """Counts of a run, and of the log that it wrote."""
    recorder = Recorder(world)

    def decided(heard: Heard) -> np.ndarray:
        state, view, turns = heard.simulator.state, heard.simulator.view(), heard.turns
        numbers = np.full(turns.treatment.shape, -1)
        for desk in range(turns.treatment.shape[1]):
            rows = np.flatnonzero(state.alive)
            numbers[rows, desk] = recorder.decide(
                Decided(
                    *(state.customer[rows], state.history.day[rows], state.trigger[rows], view.observation[rows]),
                    view.mask[rows] & ~turns.closed[rows, desk],
                    *(turns.treatment[rows, desk], turns.probabilities[rows, desk], state.prices[rows]),
                    *("champion", ""),
                )
            )
        return numbers

    customers = np.arange(CUSTOMERS)
    setting = PooledSetting(world, policy, customers, DAYS, assets="assets")
    region = Region(setting, "all", customers, decided, recorder.happened)
    region.run()
    first = region.simulator.first_day
    tables = recorder.tables(world.population, 0, customers, first)
    start = datetime.fromtimestamp(first * 86400, UTC)
    period = Period(start, start + timedelta(days=DAYS, minutes=DECIDED))  # with the morning after the last step
    return total(region.counts.counts()), counts_of(tables, period=period, assets="assets")


@pytest.mark.parametrize("siloed", [False, True])
def test_a_running_simulation_counts_what_its_log_holds(siloed: bool) -> None:
    world = load_world("bank")
    if siloed:
        world = under_silos(world)
        running, logged = both(world, SiloedCampaigns(world.catalogue, world.encoder))
    else:
        running, logged = both(world, CoordinatedRules(world.catalogue, world.encoder))
    assert running.number("contacted") > 0
    for name, told in vars(logged).items():
        if name == "days":
            extra = DECIDED / (24 * 60) * logged.customers
            assert running.days == pytest.approx(logged.days - extra, abs=logged.churned)
        elif name != "recorded":
            np.testing.assert_allclose(vars(running)[name], told, rtol=1e-6, err_msg=name)
    assert (process_figures(running, world.catalogue)["value"].is_not_null()).any()
