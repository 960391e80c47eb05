"""Apply: one row per logged decision, so that anyone can check an evaluation with their own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from evaluation_kit import CATALOGUE, decision, schema, tables
from serving_kit import network_bytes

import evaluation
from agents.artifact import load_policy, write_artifact
from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.observation import Encoder
from envs.prices import Prices, price_field
from envs.rules import Rules
from envs.tables import Tables, write_tables
from evaluation.configs import ApplyConfig


def sample() -> Tables:
    rows: list[dict[str, Any]] = [decision(f"c{i:02d}", day, "letter") for i in range(12) for day in (0.0, 7.0)]
    rows[0]["mask"] = [True, True, False]
    return tables(rows, [])


def by_price(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Silence where annoyance has a price of 5 or more; otherwise even over what is allowed."""
    column = Encoder(CATALOGUE, schema()).price_columns["annoyance"]
    even = mask / mask.sum(axis=1, keepdims=True)
    return np.where(observation[:, [column]] >= price_field(5.0, 10.0), np.eye(3)[[0]], even)


def test_every_logged_decision_gets_its_row() -> None:
    source = sample()
    frame = evaluation.apply(source, by_price)
    own = "decision_id customer_id at treatment treatments probabilities mask prices policy_digest"
    assert frame.columns == own.split()
    assert frame["decision_id"].to_list() == source.decisions["decision_id"].to_list()
    assert frame["treatments"][0].to_list() == ["silence", "letter", "call"]
    assert frame["probabilities"][0].to_list() == [0.5, 0.5, 0.0]
    assert frame["mask"][0].to_list() == [True, True, False]
    assert frame["prices"][0] == {"annoyance": 1.0, "calls": 0.5}
    assert frame["policy_digest"].null_count() == frame.height
    assert frame.schema["probabilities"] == pl.List(pl.Float64)
    assert (frame["probabilities"].list.sum() - 1).abs().max() < 1e-12


def test_prices_reach_the_policy_and_the_rows() -> None:
    dear = evaluation.apply(sample(), by_price, {"annoyance": 5.0})
    assert dear["probabilities"][0].to_list() == [1.0, 0.0, 0.0]
    assert dear["prices"][0] == {"annoyance": 5.0, "calls": 0.5}
    assert evaluation.apply(sample(), by_price, Prices(5.0, (0.0,)))["prices"][0] == {"annoyance": 5.0, "calls": 0.0}
    with pytest.raises(InputError, match="prices == 'seats', must be one of: annoyance, calls"):
        evaluation.apply(sample(), by_price, {"seats": 1.0})


@pytest.mark.parametrize("price", [0.0, 3.0, 10.0, 1e7])
def test_a_policy_is_shown_prices_as_the_encoder_writes_them(price: float) -> None:
    source, seen = sample(), []

    def spy(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        seen.append(observation)
        return mask / mask.sum(axis=1, keepdims=True)

    log = evaluation.read_log(source, "all")
    evaluation.apply(source, spy, Prices(price, (price,)))
    logged = np.array(source.decisions["observation"].to_list(), np.float32)
    shown = source.encoder.with_prices(logged, np.array([price, price]))
    assert (seen[0] == shown).all()
    assert (log.observation_at(Prices(price, (price,))) == shown).all()


def test_it_agrees_with_the_evaluation() -> None:
    source = sample()
    log = evaluation.read_log(source, "all")
    frame = evaluation.apply(source, by_price).filter(pl.col("decision_id").is_in(log.decision_id.tolist()))
    own = np.array(frame["probabilities"].to_list())[np.arange(len(log)), log.treatment] / log.propensity
    report = evaluation.evaluate(log, [by_price], settings=evaluation.EvaluationSettings(resamples=100))
    by_hand = np.cumprod(log.padded(own), axis=1)[:, -1]
    assert report.supports[1].ess_cumulative[-1] == pytest.approx(by_hand.sum() ** 2 / (by_hand**2).sum())


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """Tables and the artifact of a small network beside them."""
    write_tables(sample(), tmp_path / "tables")
    width = len(Encoder(CATALOGUE, schema()).fields)
    write_artifact(
        tmp_path / "policy", name="even", catalogue=CATALOGUE, schema=schema(), rules=Rules(),
        onnx=network_bytes(width, 3),
    )  # fmt: skip
    return tmp_path


def test_the_verb_writes_the_artifact_s_probabilities(artifact: Path) -> None:
    out = artifact / "deep" / "decisions.parquet"
    applied = evaluation.apply_policy(
        ApplyConfig(tables=artifact / "tables", policy=artifact / "policy", pool_prices={"calls": 2.0}, out=out)
    )
    frame, policy = pl.read_parquet(out), load_policy(artifact / "policy")
    assert (applied.decisions, applied.out, applied.policy) == (24, out, "even")
    assert sorted(p.name for p in out.parent.iterdir()) == ["decisions.parquet"]
    assert set(frame["policy_digest"]) == {policy.digest}
    p, mask = np.array(frame["probabilities"].to_list()), np.array(frame["mask"].to_list())
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12
    assert (p[~mask] == 0).all()
    assert frame["prices"][0] == {"annoyance": 1.0, "calls": 2.0}


def test_an_artifact_for_another_catalogue_is_refused_before_anything_is_written(artifact: Path) -> None:
    other = Catalogue.model_validate(CATALOGUE.model_dump() | {"name": "other"})
    width = len(Encoder(CATALOGUE, schema()).fields)
    write_artifact(
        artifact / "policy", name="even", catalogue=other, schema=schema(), rules=Rules(),
        onnx=network_bytes(width, 3),
    )  # fmt: skip
    out = artifact / "out.parquet"
    with pytest.raises(InputError, match=r"manifest.json: catalogue_digest == "):
        evaluation.apply_policy(ApplyConfig(tables=artifact / "tables", policy=artifact / "policy", out=out))
    assert not out.exists()


def test_a_policy_for_fewer_fields_is_refused() -> None:
    def narrow(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.ones((len(mask), 2)) / 2

    with pytest.raises(InputError, match=r"policy narrow == \(24, 2\), must have shape \(24, 3\)"):
        evaluation.apply(sample(), narrow)
