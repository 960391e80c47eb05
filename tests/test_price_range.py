"""A policy is told of no price at which it was not trained: whoever shows it others is refused, or clamps by choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world_kit import small_world

import evaluation
from agents.artifact import load_policy, write_artifact
from agents.baselines import Silence
from agents.manifest import Manifest
from agents.price_range import clamped, told_prices, warn_of_logged
from envs.books import read_books
from envs.errors import InputError
from envs.prices import Prices
from envs.tables import read_tables
from envs.world import World, load_world, save_world
from evaluation.pooled import check
from evaluation.reading import read_log
from evaluation.simulation import simulate
from training.capacity_configs import FrontierConfig, LimitConfig
from training.compared import compared
from training.configs import EvaluateConfig, FidelityConfig, PopulationConfig, SimulateConfig, TrainConfig
from training.evaluate import evaluate
from training.fidelity import _decider
from training.limit import limit
from training.population import setting_of
from training.price_frontier import frontier
from training.simulate import simulate as simulate_log
from training.train import train
from training.tune import tune
from training.tune_configs import TuneConfig


def trained(name: str = "trained", **ranges: tuple[float, float]) -> Silence:
    """A policy that says at which prices it was trained."""
    kind: type[Silence] = type("Trained", (Silence,), {"manifest": Manifest.model_construct(price_range=ranges)})
    return kind(name)


ENDS = st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda two: (min(two), max(two)))
PRICE = st.floats(0, 200)


@given(ENDS, ENDS, PRICE, PRICE)
def test_what_is_clamped_lies_inside_and_what_lies_inside_stays(
    annoyance: tuple[float, float], agents: tuple[float, float], first: float, second: float
) -> None:
    policy, asked = trained(annoyance=annoyance, agents=agents), Prices(first, (second,))
    told = told_prices([Silence(), policy], asked, ["agents"], "clamp")
    for value, (low, high), wanted in zip(told.vector(), (annoyance, agents), asked.vector(), strict=True):
        assert low <= value <= high
        assert value == wanted or not low <= wanted <= high
    if told == asked:
        assert told_prices([policy], asked, ["agents"]) == asked
    else:
        with pytest.raises(InputError, match=r"prices\.\w+ == .*, must be in \[.*\], the range on which trained was"):
            told_prices([policy], asked, ["agents"])
    assert told_prices([Silence()], asked, ["agents"]) == asked
    assert told_prices([policy], Prices(told.annoyance, (second,)), ["agents"], free=["agents"]).pools == (second,)


def test_two_policies_need_a_price_in_common(caplog: pytest.LogCaptureFixture) -> None:
    wide, narrow, other = (
        trained("wide", annoyance=(0, 50)),
        trained("narrow", annoyance=(20, 20)),
        trained("other", annoyance=(60, 60)),
    )
    assert told_prices([wide, narrow], Prices(70), [], "clamp") == Prices(20)
    assert "prices.annoyance: 20 in the place of 70, at which the policy was not trained" in caplog.text
    with pytest.raises(InputError, match=r"prices.annoyance == 60.* \[20, 20\], the range on which narrow was trained"):
        told_prices([narrow, other], Prices(70), [], "clamp")
    assert clamped({"annoyance": 70.0, "agents": 1.0}, {"annoyance": 20.0, "agents": 1.0}) == {"annoyance": 70.0}


def test_of_logged_prices_the_share_outside_is_said(caplog: pytest.LogCaptureFixture) -> None:
    logged = np.array([[10.0, 1.0], [30.0, 1.0], [10.0, 9.0], [30.0, 9.0]])
    warn_of_logged([Silence(), trained(annoyance=(0, 20), agents=(0, 9))], logged, ["annoyance", "agents"])
    assert "50.0 % of the log's decisions were taken at prices that trained was not trained at" in caplog.text
    caplog.clear()
    warn_of_logged([trained(annoyance=(0, 30))], logged, ["annoyance", "agents"])
    assert not caplog.records


@pytest.fixture(scope="module")
def bank() -> World:
    return load_world("bank")


def artifact(world: World, folder: Path, **ranges: tuple[float, float]) -> Path:
    """A policy of rules that tells of these ranges, and of the schema's for other prices."""
    highs = zip(world.encoder.price_names, world.encoder.price_highs.tolist(), strict=True)
    books = {"catalogue": world.catalogue, "schema": world.schema, "rules": world.rules}
    whole = {name: (0.0, high) for name, high in highs}
    write_artifact(folder, name="coordinated_rules", price_range=whole | ranges, **books)
    return folder


def test_a_simulation_refuses_at_its_door(bank: World) -> None:
    policy = trained(annoyance=(5.0, 10.0))
    with pytest.raises(InputError, match=r"prices.annoyance == 30.0, must be in \[5, 10\]"):
        simulate(bank, policy, np.arange(3), 2, seed=0, prices=Prices(30.0, (0.0,) * len(bank.catalogue.pools)))
    usual = bank.schema.prices["annoyance"].default
    with pytest.raises(InputError, match=f"prices.annoyance == {usual}"):  # the schema's, where none are named
        simulate(bank, policy, np.arange(3), 2, seed=0)


def test_populations_refuse_or_clamp(bank: World, tmp_path: Path) -> None:
    path, pool = artifact(bank, tmp_path / "policy", annoyance=(5.0, 10.0)), bank.catalogue.pool_ids[0]
    said: dict[str, Any] = {"policy": str(path), "customers": 10, "days": 2}
    with pytest.raises(InputError, match=r"prices.annoyance == 30.0, must be in \[5, 10\]"):
        setting_of(PopulationConfig(**said, annoyance_price=30.0))
    with pytest.raises(InputError, match=f"prices.{pool} == 1000000.0, must be in"):
        setting_of(PopulationConfig(**said, annoyance_price=6.0, pool_prices={pool: 1e6}))
    both = PopulationConfig(**said, annoyance_price=30.0, pool_prices={pool: 1e6}, prices_outside="clamp")
    setting = setting_of(both)
    check(setting)
    high = float(bank.encoder.price_highs[1])
    assert setting.prices is not None
    assert (setting.prices.annoyance, setting.prices.pools[0]) == (10.0, high)
    baseline = setting_of(PopulationConfig(customers=10, days=2, annoyance_price=1e6))
    assert baseline.prices is not None
    assert baseline.prices.annoyance == 1e6  # no artifact: nothing was trained


def test_limits_and_frontiers_refuse(bank: World, tmp_path: Path) -> None:
    path, pool = artifact(bank, tmp_path / "policy", annoyance=(0.0, 100.0)), bank.catalogue.pool_ids[0]
    for config, verb in (
        (LimitConfig(policy=str(path), limit="complaints=2/10k", pool_prices={pool: 1e6}, out=tmp_path / "out"), limit),
        (FrontierConfig(policy=str(path), prices=[5.0], pool_prices={pool: 1e6}, out=tmp_path / "out"), frontier),
    ):
        with pytest.raises(InputError, match=f"prices.{pool} == 1000000.0, must be in"):
            verb(config)  # type: ignore[operator]
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "tables"
    simulate_log(SimulateConfig(world="exact", customers=60, out=folder))
    return folder


def test_evaluations_refuse_or_clamp(log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world, tables = load_world("exact"), read_tables(log)
    path = artifact(world, tmp_path / "policy", annoyance=(0.0, 1.0))
    said: dict[str, Any] = {"tables": log, "policy": [path], "annoyance_price": 30.0, "reference": "logged"}
    with pytest.raises(InputError, match=r"prices.annoyance == 30.0, must be in \[0, 1\]"):
        evaluate(EvaluateConfig(**said, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    config = EvaluateConfig(**said, prices_outside="clamp")
    assert compared(config, read_books(log)).prices.annoyance == 1.0
    policy, rows = load_policy(path), read_log(tables, "all")
    with pytest.raises(InputError, match=r"must be in \[0, 1\], the range on which coordinated_rules was trained"):
        evaluation.evaluate(rows, [policy], prices=Prices(30.0, (0.0,) * len(rows.pools)))
    caplog.clear()
    evaluation.apply(tables, policy)
    usual = world.schema.prices["annoyance"].default
    assert ("100.0 % of the log's decisions" in caplog.text) == (usual > 1.0)
    with pytest.raises(InputError, match=r"prices.annoyance == 30.0, must be in \[0, 1\]"):
        evaluation.apply(tables, policy, {"annoyance": 30.0})
    shown = evaluation.apply(tables, policy, {"annoyance": 30.0}, "clamp")["prices"].struct.field("annoyance")
    assert set(shown) == {1.0}
    with pytest.raises(InputError, match=f"prices.annoyance == {usual}, must be in"):
        _decider(FidelityConfig(tables=log, world="exact", policy=path), tables, None)


@pytest.mark.parametrize("drawn", [False, True])
def test_a_training_takes_no_price_beyond_the_schemas_range(tmp_path: Path, drawn: bool) -> None:
    high = float(small_world().encoder.price_highs[0])
    (tmp_path / "world").mkdir()
    save_world(small_world(), tmp_path / "world")
    said: dict[str, Any] = {"world": str(tmp_path / "world"), "track": False, "register_policy": False}
    config = TrainConfig(**said, out=tmp_path / "out", random_prices=drawn, prices={"annoyance": high * 1.01})
    with pytest.raises(
        InputError, match=rf"prices.annoyance == .*, must be in \[0, {high:g}\], the range that the schema"
    ):
        train(config)
    assert not (tmp_path / "out").exists()


def test_a_search_is_judged_where_it_trains(tmp_path: Path) -> None:
    fixed: dict[str, Any] = {"world": "exact", "random_prices": False, "prices": {"annoyance": 20.0}}
    config = TuneConfig(train=fixed, annoyance_prices=[60.0], track=False, out=tmp_path / "out")
    with pytest.raises(InputError, match=r"prices.annoyance == 60.0, must be in \[20, 20\]"):
        tune(config)
    assert not (tmp_path / "out").exists()
