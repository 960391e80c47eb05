"""The simulator and the replay of what it wrote see the same: no skew between training and a log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from envs.replay import at_start, replay
from envs.tables import Tables
from training.configs import SimulateConfig
from training.simulate import simulate


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    out: Path = tmp_path_factory.mktemp("log")
    return simulate(SimulateConfig(customers=80, days=70, out=out)).tables


def test_replaying_a_simulated_log_gives_the_observations_that_its_policies_saw(log: Tables) -> None:
    done = replay(log.catalogue, log.schema, log.customers, log.decisions, log.events)
    logged = np.array(log.decisions["observation"].to_list(), np.float32)
    np.testing.assert_allclose(done.observation, logged, rtol=1e-4, atol=1e-5)
    assert done.history.channel.shape == (log.customers.height, len(log.catalogue.channels))


def test_what_customers_hold_at_the_start_is_part_of_their_history(log: Tables) -> None:
    begin = at_start(log.catalogue, log.schema, log.customers)
    held = begin.holds[:, log.catalogue.product_ids.index("deposit")]
    assert held.tolist() == log.customers["holds_deposit"].to_list()
    assert 0 < held.mean() < 1
    if log.schema.stage_column is not None:
        stages = log.customers[log.schema.stage_column].to_list()
        assert [log.schema.stages[stage] for stage in begin.stage] == stages
