"""One policy, its price of annoyance dialled: what is drawn is what simulation does, and reports go with trainings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from world_kit import small_world

from agents.artifact import write_artifact
from agents.myopic import Myopic
from envs.errors import InputError
from envs.prices import prices_from
from envs.world import load_world, save_world
from evaluation.price_frontier import POSITIONS, SPAN, positions, price_frontier
from evaluation.simulation import simulate
from evaluation.trial import SILENT, Trial
from training.capacity_configs import FrontierConfig
from training.configs import EvaluateConfig, SimulateConfig, TrainConfig
from training.evaluate import evaluate
from training.price_frontier import SHOWN, DrawnFrontier, frontier
from training.simulate import simulate as simulate_log
from training.stores import tracking_uri
from training.tracking import runs_of
from training.train import TrainingRun, train

WORLD = small_world()
SMALL = {"steps": 600, "envs": 16, "rollout": 8, "batch": 64, "epochs": 1, "width": 16, "embedding": 4,
         "imitation_steps": 300, "imitation_epochs": 1, "tuning_customers": 20, "foresight_customers": 40,
         "validations": 1, "validation_customers": 20}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnFrontier:
    folder = tmp_path_factory.mktemp("frontier")
    save_world(WORLD, folder / "world")
    return frontier(FrontierConfig(world=str(folder / "world"), customers=300, days=21, out=folder / "out"))


@given(st.floats(1e-3, 1e6))
def test_positions_span_the_range(high: float) -> None:
    found = positions(high)
    assert list(found) == sorted(set(found))
    assert len(found) == POSITIONS
    assert (found[0], found[-1]) == (pytest.approx(high / SPAN), pytest.approx(high))


def test_what_is_drawn_is_what_simulation_does(drawn: DrawnFrontier) -> None:
    customers = SHOWN + np.arange(300)
    silence = simulate(WORLD, SILENT.policy, customers, 21, seed=0)
    for row in drawn.frame.iter_rows(named=True):
        prices = prices_from({"annoyance": row["price"]}, WORLD.catalogue, WORLD.schema)
        totals = simulate(WORLD, Myopic(WORLD), customers, 21, seed=0, prices=prices)
        for part in ("margin", "cost", "annoyance"):
            more = getattr(totals, part) - getattr(silence, part)
            half = 1.96 * more.std(ddof=1) / 300**0.5
            assert row[part] == pytest.approx(more.mean())
            assert row[f"{part}_hi"] - row[part] == pytest.approx(half, rel=0.02)
        assert row["gain"] == pytest.approx(row["margin"] - row["cost"])


def test_it_is_written_as_numbers_and_as_a_picture(drawn: DrawnFrontier) -> None:
    assert json.loads((drawn.directory / "frontier.json").read_text(encoding="utf-8")) == drawn.frame.to_dicts()
    assert (drawn.directory / "frontier.png").read_bytes().startswith(b"\x89PNG")
    above, below = drawn.figure().axes
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["margin", "gain"]
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["cost"]
    assert "picture:" in str(drawn)


def test_silence_has_no_frontier() -> None:
    trial = Trial(WORLD, np.arange(50), 7)
    found = price_frontier(SILENT.policy, trial, (1.0, 10.0), (0.0,) * len(WORLD.catalogue.pools)).frame
    assert found.select("gain", "margin", "cost", "annoyance", "contacts").to_numpy().any() == 0


def test_a_training_keeps_its_frontier_and_the_reports_that_are_written_of_it(store: Path, tmp_path: Path) -> None:
    run = train(TrainConfig(world="exact", out=tmp_path / "run", register_policy=False, **SMALL))
    (kept,) = runs_of(run.manifest.policy_digest)
    client = MlflowClient(tracking_uri())
    assert "figures/frontier.png" in {item.path for item in client.list_artifacts(kept, "figures")}
    simulate_log(SimulateConfig(world="exact", customers=400, out=tmp_path / "tables"))
    done = evaluate(EvaluateConfig(tables=tmp_path / "tables", policy=[run.artifact], out=tmp_path / "report",
                                   settings={"resamples": 100}))  # fmt: skip
    place = f"evaluation/{done.directory.name}"
    assert {item.path for item in client.list_artifacts(kept, place)} == {
        f"{place}/report.html", f"{place}/report.json"
    }  # fmt: skip
    assert runs_of("of nobody") == []
    _prices_that_it_never_saw_are_refused(run, tmp_path)


def _prices_that_it_never_saw_are_refused(run: TrainingRun, tmp_path: Path) -> None:
    config = FrontierConfig(world="exact", policy=str(run.artifact), customers=10, prices=[1e9])
    with pytest.raises(InputError, match=r"prices.annoyance == 1000000000.0, must be in \[0, "):
        frontier(config)
    world = load_world("exact")
    one_price = dict.fromkeys(run.manifest.price_range, (5.0, 5.0))
    write_artifact(
        tmp_path / "fixed", name="ppo", catalogue=world.catalogue, schema=world.schema, rules=world.rules,
        onnx=(run.artifact / "policy.onnx").read_bytes(), price_range=one_price,
    )  # fmt: skip
    with pytest.raises(InputError, match="must be a policy that was trained over a range of prices"):
        frontier(config.model_copy(update={"policy": str(tmp_path / "fixed"), "prices": []}))
