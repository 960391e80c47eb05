"""Tables that are read in parts: the same log, the same report, the same errors as when they are read whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_evaluation_shards import close

from envs.errors import InputError
from envs.table_parts import lay_down
from envs.tables import read_tables, write_tables
from evaluation.log import Log
from evaluation.protected import protected_of
from evaluation.reading import customer_labels, read_log
from evaluation.settings import EvaluationSettings
from evaluation.streaming import stream_log
from training.configs import EvaluateConfig, SimulateConfig
from training.evaluate import evaluate
from training.simulate import simulate


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bank's tables, rows in another order than that of customers."""
    folder = tmp_path_factory.mktemp("streamed") / "tables"
    simulate(SimulateConfig(customers=260, days=28, randomised_share=0.7, out=folder))
    for name in ("decisions", "events"):
        frame = pl.read_parquet(folder / f"{name}.parquet").sort("at", maintain_order=True)
        frame.write_parquet(folder / f"{name}.parquet", row_group_size=300)
    return folder


def seen(log: Log) -> Log:
    """A part may know that it sees all of its windows, where the whole does not."""
    return log if log.seen_days is not None else replace(log, seen_days=log.gap_days)


def same_log(one: Log, other: Log) -> None:
    one, other = seen(one), seen(other)
    for column in fields(Log):
        a, b = getattr(one, column.name), getattr(other, column.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=column.name)
        elif column.name not in ("steps", "propensity_note"):
            assert a == b, column.name


def joined(logs: list[Log]) -> dict[str, np.ndarray]:
    """Columns of several logs, but for positions of customers."""
    logs = [seen(log) for log in logs]
    names = [f.name for f in fields(Log) if isinstance(getattr(logs[0], f.name), np.ndarray) and f.name != "customer"]
    return {name: np.concatenate([getattr(log, name) for log in logs]) for name in names}


@pytest.mark.parametrize("decisions", [40, 150, 10**6])
def test_the_shards_are_the_log(place: Path, tmp_path: Path, decisions: int) -> None:
    tables = read_tables(place)
    whole, training = (read_log(tables, part, "randomised") for part in ("test", "train"))
    parts = lay_down(place, tmp_path, decisions)
    assert (len(parts) > 3) == (decisions < 1000)
    found = stream_log(parts, "randomised", 10**6)
    assert found.log.training == ""
    same_log(found.training_log, training)
    streamed = replace(found.log, protected=("age",))
    shards = [streamed[k] for k in range(len(streamed))]
    assert found.log.customers == whole.customers
    assert {shard.log.horizon for shard in shards} == {whole.horizon}
    for name, column in joined([shard.log for shard in shards]).items():
        np.testing.assert_array_equal(column, getattr(seen(whole), name), err_msg=name)
    labels = customer_labels(tables, whole)
    assert all(shard.labels.keys() == labels.keys() for shard in shards)
    assert len(set(labels["channel"])) > 1
    for name, of in labels.items():
        np.testing.assert_array_equal(np.concatenate([shard.labels[name] for shard in shards]), of)
    guarded = protected_of(tables, whole, ["age"])
    assert list(guarded) == ["age", "credit_grade", "special_care"]
    for name, column in guarded.items():
        values = np.concatenate([shard.protected[name].values for shard in shards])
        np.testing.assert_array_equal(values, column.values, err_msg=name)


def test_the_verb_says_the_same_in_parts(place: Path, tmp_path: Path) -> None:
    def found(out: str, **more: Any) -> dict[str, Any]:
        asked = EvaluationSettings(resamples=100, min_ess=10, min_positives=0, model="ridge", full_horizon=False,
                                   protected=("region", "age"))  # fmt: skip
        config = EvaluateConfig(tables=place, settings=asked, track=False, out=tmp_path / out, **more)
        evaluate(config)
        content: dict[str, Any] = json.loads((tmp_path / out / "report.json").read_text())
        return content

    whole, parts = found("whole"), found("parts", whole_decisions=0, part_decisions=200)
    assert whole["parts"] == 1
    assert parts["parts"] > 1
    page = (tmp_path / "parts" / "report.html").read_text()
    assert f"read in {parts['parts']} parts" in page
    assert "read in" not in (tmp_path / "whole" / "report.html").read_text()
    assert "There are no examples" in page
    for one in (whole, parts):
        del one["origin"]  # the command
        for changed in one["changes"]:
            del changed["examples"]
    close(parts | {"parts": 1}, whole)
    with pytest.raises(InputError, match=r"--live"):
        found("live", whole_decisions=0, live=tmp_path / "whole")


def test_models_learn_from_whole_customers_drawn_by_lot(place: Path, tmp_path: Path) -> None:
    whole = read_log(place, "train", "randomised")
    found = stream_log(lay_down(place, tmp_path, 100), "randomised", 60)
    drawn = found.training_log
    assert 50 < len(drawn) <= 60
    same_log(drawn, whole.select(np.isin(whole.customer_id[whole.step == 0], np.unique(drawn.customer_id))))
    assert f"{len(drawn)} of the {len(whole)} decisions" in found.log.training


def test_missing_propensities_are_estimated_for_all_parts_alike(place: Path, tmp_path: Path) -> None:
    blind = tmp_path / "blind"
    tables = read_tables(place)
    nothing = pl.lit(None, pl.Float64).alias("propensity")
    lists = pl.lit(None, pl.List(pl.Float64)).alias("probabilities")
    write_tables(
        type(tables)(tables.catalogue, tables.schema, tables.customers,
                     tables.decisions.with_columns(nothing, lists), tables.events), blind,
    )  # fmt: skip
    whole = read_log(blind, "test", "randomised")
    found = stream_log(lay_down(blind, tmp_path / "parts", 150), "randomised", 10**6).log
    shards = [found[k].log for k in range(len(found))]
    np.testing.assert_allclose(np.concatenate([log.propensity for log in shards]), whole.propensity)
    assert {log.propensity_note for log in shards} == {whole.propensity_note}
    assert all(log.behaviour is None and log.propensity_source == "estimated" for log in shards)


def far(frame: pl.DataFrame) -> tuple[int, int]:
    """Two rows of customers who stand far from each other."""
    order = frame.with_row_index("row").sort("customer_id")["row"]
    return int(order[3]), int(order[-3])


def twice(column: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """An id of one customer given to another, too."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        one, other = far(frame)
        values = frame[column].to_list()
        values[other] = values[one]
        return frame.with_columns(pl.Series(column, values))

    return change


def stranger(frame: pl.DataFrame) -> pl.DataFrame:
    """An event that names another customer's decision."""
    named = frame.filter(pl.col("decision_id").is_not_null()).sort("customer_id")
    first, last = named["event_id"][0], named["decision_id"][-1]
    return frame.with_columns(
        decision_id=pl.when(pl.col("event_id") == first).then(pl.lit(last)).otherwise("decision_id")
    )


def at_row(column: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        values = frame[column].to_list()
        values[len(values) // 2] = value
        return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column]))

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("decisions", twice("decision_id")),
        ("events", twice("event_id")),
        ("events", stranger),
        ("decisions", at_row("customer_id", "nobody")),
        ("events", at_row("event", "vanished")),
        ("decisions", lambda frame: frame.drop("mask")),
        ("customers", lambda frame: frame.with_columns(shoe_size=pl.lit(43))),
    ],
    ids=["decision twice", "event twice", "stranger", "customer", "event", "gone", "more"],
)  # fmt: skip
def test_bad_tables_get_the_same_errors_in_parts(
    place: Path, tmp_path: Path, name: str, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    for file in place.iterdir():
        (bad / file.name).write_bytes(file.read_bytes())
    change(pl.read_parquet(bad / f"{name}.parquet")).write_parquet(bad / f"{name}.parquet")
    with pytest.raises(InputError) as whole:
        read_tables(bad)
    with pytest.raises(InputError) as parts:
        lay_down(bad, tmp_path / "parts", 40).check()
    assert str(parts.value) == str(whole.value)
