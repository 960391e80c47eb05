"""Canonical tables that are wrong are refused at the door: file, field, value, row as it stands in the file.

What an evaluation would make of them, decisions and their propensities above all: tests/test_bad_input_*.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_kit import good_export, run_import

import nextbest
from envs.errors import InputError
from envs.tables import read_tables, write_tables

Change = Callable[[pl.DataFrame], pl.DataFrame]
EVEN = [0.25, 0.25, 0.25, 0.25, 0.0]
ROW = 2  # the row that is spoilt: of the first customer's third decision


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables with masks and probabilities, which a bank's own files cannot hold."""
    log = run_import(tmp_path_factory.mktemp("bank"), good_export())
    mask = pl.lit([True] * 4 + [False], pl.List(pl.Boolean))
    whole = log.tables.decisions.with_columns(mask=mask, probabilities=pl.lit(EVEN, pl.List(pl.Float64)))
    path = tmp_path_factory.mktemp("good")
    write_tables(
        type(log.tables)(log.tables.catalogue, log.tables.schema, log.tables.customers, whole, log.tables.events), path
    )
    return path


def put(name: str, value: object, row: int = ROW) -> Change:
    """One cell replaced."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        new = pl.lit(value, frame.schema[name])
        return frame.with_columns(pl.when(pl.int_range(pl.len()) == row).then(new).otherwise(name).alias(name))

    return change


def cast(name: str, kind: pl.DataType) -> Change:
    return lambda frame: frame.with_columns(pl.col(name).cast(kind))


def texts(name: str, bad: str) -> Change:
    """A column of numbers as text, one of which is none."""
    return lambda frame: put(name, bad)(frame.with_columns(pl.col(name).cast(pl.String)))


def doubled(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame[: ROW + 1], frame[ROW:]])


def copied_contact(frame: pl.DataFrame) -> pl.DataFrame:
    again = frame[ROW : ROW + 1].with_columns(decision_id=pl.lit("again"))
    return pl.concat([frame[: ROW + 1], again, frame[ROW + 1 :]])


EARLY, LATE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
FAULTS: list[tuple[str, Change, str]] = [
    ("customers", lambda f: f.with_columns(shoe_size=pl.lit(42)), r"shoe_size == '\(a column\)', is not a column"),
    ("customers", lambda f: f.drop("income"), "income == '(missing)', is a column of this table"),
    ("customers", doubled, "customer_id == 'c2' (row 2), must be unique together with valid_from"),
    ("customers", put("segment", "royal"), "segment == 'royal' (row 2), must be one of: mass, private"),
    ("customers", put("income", None), "income == 'null' (row 2), must not be missing"),
    ("customers", put("income", float("inf")), "income == inf (row 2), must be finite"),
    ("customers", texts("income", "lots"), "income == 'String', must be a number"),
    ("customers", put("customer_id", None), "customer_id == 'null' (row 2), must not be missing"),
    ("decisions", lambda f: f.with_columns(mood=pl.lit("good")), "mood == '(a column)', is not a column"),
    ("decisions", put("customer_id", "x9"), "customer_id == 'x9' (row 2), must be a customer"),
    ("decisions", texts("propensity", "often"), "propensity == 'often' (row 2), must be of type Float64"),
    (
        "decisions",
        put("at", EARLY),
        "at == '2020-01-01 00:00:00+00:00' (row 2), must not be before the row of this customer above it",
    ),
    ("decisions", cast("at", pl.Int64()), "at == 'Int64', must be of type Datetime"),
    ("decisions", cast("at", pl.String()), "at == 'String', must be of type Datetime"),
    ("decisions", doubled, "decision_id == 'd02' (row 2), must be unique"),
    ("decisions", copied_contact, "customer_id == 'c0' (row 2), must not get one treatment twice at one instant"),
    ("decisions", put("observation", [0.0]), "observation == 1 (row 2), must hold"),
    ("decisions", put("assignment", "best"), "assignment == 'best' (row 2), must be one of"),
    ("events", lambda f: f.with_columns(note=pl.lit("")), "note == '(a column)', is not a column"),
    ("events", put("event", "dreamt"), "event == 'dreamt' (row 2), must be one of"),
    ("events", put("decision_id", "d10"), "decision_id == 'd10' (row 2), must be a decision of the same customer"),
    ("events", put("at", EARLY), "(row 2), must not be before the row of this customer above it"),
    ("events", put("decision_id", "d03", row=0), "(row 0), must not be before its decision"),
    ("events", doubled, "event_id == 'event-"),
]


def spoilt(good: Path, folder: Path, table: str, change: Change) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    change(pl.read_parquet(folder / f"{table}.parquet")).write_parquet(folder / f"{table}.parquet")
    return folder


def test_good_tables_are_read_and_stay_as_they_are(good: Path) -> None:
    tables = read_tables(good)
    assert tables.decisions.equals(pl.read_parquet(good / "decisions.parquet"))
    assert tables.events.equals(pl.read_parquet(good / "events.parquet"))


@pytest.mark.parametrize(("table", "change", "line"), FAULTS, ids=[f"{t}: {line[:40]}" for t, _, line in FAULTS])
def test_a_fault_is_one_line_and_exit_code_2(
    good: Path, tmp_path: Path, table: str, change: Change, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = spoilt(good, tmp_path / "tables", table, change)
    assert nextbest.run(["validate", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"nextbest: {folder / table}.parquet: ")
    assert line.replace("\\", "") in said
    assert said.count("\n") == 1


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 19), st.sampled_from([0.0, -0.5, 1.5, float("nan")]))
def test_the_row_that_is_named_is_the_row_of_the_file(good: Path, tmp_path: Path, row: int, value: float) -> None:
    """Customers of a file need not be sorted; their rows are named as they stand there, not as they are sorted."""

    def turned(frame: pl.DataFrame) -> pl.DataFrame:
        groups = frame.partition_by("customer_id", maintain_order=True)
        return put("propensity", value, row)(pl.concat(reversed(groups)))

    with pytest.raises(InputError) as fault:
        read_tables(spoilt(good, tmp_path / "tables", "decisions", turned))
    assert (fault.value.row, fault.value.field) == (row, "propensity")


def test_two_desks_may_decide_at_one_instant_and_a_shadow_may_agree(good: Path, tmp_path: Path) -> None:
    def crowded(frame: pl.DataFrame) -> pl.DataFrame:
        row = frame[:1]
        other = "silence" if row["treatment"][0] != "silence" else "sms-deposit"
        desk = row.with_columns(decision_id=pl.lit("desk"), treatment=pl.lit(other))
        shadow = row.with_columns(decision_id=pl.lit("shadow"), assignment=pl.lit("shadow"))
        return pl.concat([row, desk, shadow, frame[1:]])

    assert read_tables(spoilt(good, tmp_path / "tables", "decisions", crowded)).decisions.height == 22


def test_events_may_answer_to_decisions_before_the_log_begins(good: Path, tmp_path: Path) -> None:
    folder = spoilt(good, tmp_path / "tables", "events", put("decision_id", "long-ago"))
    assert "long-ago" in read_tables(folder).events["decision_id"]


def test_decisions_fall_within_what_is_known_and_within_the_task(good: Path, tmp_path: Path) -> None:
    folder = spoilt(good, tmp_path / "tables", "customers", put("valid_from", LATE))
    with pytest.raises(InputError, match=r"at == .* \(row 8\), must not be before the customer's first valid_from"):
        read_tables(folder)
    finite = run_import(tmp_path / "finite", good_export(), task={"kind": "finite", "days": [0, 2, 4, 6], "end_day": 8})
    assert finite.quarantine.is_empty()
    folder = spoilt(finite.path, tmp_path / "tables", "decisions", put("at", LATE, row=7))
    with pytest.raises(InputError, match=r"at == '2030-.* \(row 7\), must be before the task's end, 8 days after"):
        read_tables(folder)
