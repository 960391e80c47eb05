"""Bad tables to an evaluation, read whole and in parts: refused by the row of the file, or told on the first page."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import evaluation_kit as kit
import numpy as np
import polars as pl
import pytest
from bad_input_kit import (
    EVEN,
    PARTS,
    ROW,
    Change,
    asked,
    first_page,
    write_good,
)

from envs.errors import InputError
from envs.split import is_test
from envs.tables import read_tables
from evaluation.reading import read_log
from training.configs import ValidateConfig
from training.evaluate import evaluate
from training.validate import validate


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good(tmp_path_factory.mktemp("good"))


def put(name: str, value: object, row: int = ROW) -> Change:
    """One cell replaced; what stood there is handed to a value that is a function."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        cells = frame[name].to_list()
        cells[row] = value(cells[row]) if callable(value) else value
        return frame.with_columns(pl.Series(name, cells, frame.schema[name]))

    return change


def again(**other: str) -> Change:
    """A row that stands twice, the second time with another value somewhere."""
    twice = [pl.lit(value).alias(name) for name, value in other.items()]
    return lambda frame: pl.concat([frame[: ROW + 1], frame[ROW : ROW + 1].with_columns(twice), frame[ROW + 1 :]])


def chosen(*probabilities: float) -> Change:
    """The row's distribution; its treatment is silence."""
    return lambda frame: put("probabilities", list(probabilities))(put("treatment", "silence")(frame))


def contact(frame: pl.DataFrame) -> pl.DataFrame:
    return again(decision_id="again")(put("treatment", "letter")(frame))


def prices(value: object) -> Change:
    return lambda frame: frame.with_columns(
        prices=pl.struct(annoyance=pl.Series([1.0] * ROW + [value] + [1.0] * (frame.height - ROW - 1)), calls=0.5)
    )


BAD_TABLES: dict[str, tuple[str, Change, str]] = {
    "propensity 0": ("decisions", put("propensity", 0.0), "propensity == 0.0 (row 3), must be in (0, 1]"),
    "propensity NaN": ("decisions", put("propensity", np.nan), "propensity == nan (row 3), must be in (0, 1]"),
    "propensity infinite": ("decisions", put("propensity", np.inf), "propensity == inf (row 3), must be in (0, 1]"),
    "propensity of nothing": ("decisions", put("propensity", 1e-300), "propensity == 1e-300 (row 3), must be at least"),
    "propensity of another": (
        "decisions", put("propensity", 0.5), "propensity == 0.5 (row 3), must be the probability of the logged tr"),
    "NaN reward": ("events", put("value", np.nan), "value == nan (row 3), must be finite"),
    "infinite reward": ("events", put("value", np.inf), "value == inf (row 3), must be finite"),
    "enormous reward": ("events", put("value", -1e300), "value == -1e+300 (row 3), must be an amount, between -1e+30"),
    "decision twice": ("decisions", again(), "decision_id == 'c001-7' (row 3), must be unique"),
    "contact twice": (
        "decisions", contact, "customer_id == 'c001' (row 3), must not get one treatment twice at one instant"),
    "event twice": ("events", again(), "event_id == '3' (row 3), must be unique"),
    "time runs back": (
        "decisions", put("at", kit.START - timedelta(days=1), row=1), "(row 1), must not be before the r"),
    "sum is not 1": ("decisions", chosen(0.3, 0.3, 0.3), "probabilities == 0.8999999999999999 (row 3), must sum to 1"),
    "negative probability": ("decisions", chosen(0.6, -0.2, 0.6), "probabilities == -0.2 (row 3), must not be neg"),
    "no probability": ("decisions", chosen(0.0, 0.5, 0.5), "probabilities == 0.0 (row 3), must not be 0 for t"),
    "NaN probability": ("decisions", chosen(1 / 3, np.nan, 1 / 3), "probabilities == nan (row 3), must sum to 1"),
    "half a distribution": (
        "decisions", put("probabilities", [1 / 3, None, 1 / 3]), "(row 3), must not hold nulls: each value is the"),
    "half a mask": ("decisions", put("mask", [True, None, True]), "(row 3), must not hold nulls: each value is there"),
    "masked probability": (
        "decisions", lambda f: put("mask", [True, True, False])(chosen(*EVEN)(f)), "(row 3), must be 0 where the mas"),
    "masked treatment": ("decisions", put("mask", [False] * 3), "(row 3), must be one that the mask allows"),
    "NaN observation": (
        "decisions", put("observation", lambda seen: [np.nan, *seen[1:]]), "observation == nan (row 3), must hold fi"),
    "NaN price": ("decisions", prices(np.nan), "prices.annoyance == nan (row 3), must be a number >= 0"),
    "negative price": ("decisions", prices(-1.0), "prices.annoyance == -1.0 (row 3), must be a number >= 0"),
    "price in words": ("decisions", lambda f: prices(1.0)(f).with_columns(
        pl.col("prices").struct.with_fields(pl.field("annoyance").cast(pl.String))), "prices.annoyance == 'String', "),
    "another catalogue": ("decisions", put("treatment", "fax"), "treatment == 'fax' (row 3), must be one of: sil"),
    "another's channel": ("events", put("channel", "fax"), "channel == 'fax' (row 3), must be one of: post"),
    "another's width": ("decisions", put("mask", [True] * 4), "mask == 4 (row 3), must hold 3 values, one per tr"),
}  # fmt: skip


def spoil(good: Path, folder: Path, table: str, change: Change) -> Path:
    shutil.copytree(good, folder)
    change(pl.read_parquet(folder / f"{table}.parquet")).write_parquet(folder / f"{table}.parquet")
    return folder


@pytest.mark.parametrize("name", BAD_TABLES)
def test_tables_are_refused_by_the_row_of_the_file_at_every_door(good: Path, tmp_path: Path, name: str) -> None:
    table, change, line = BAD_TABLES[name]
    bad = spoil(good, tmp_path / "bad", table, change)
    said = []
    for door in (
        lambda: validate(ValidateConfig(path=bad)),
        lambda: evaluate(asked(bad)),
        lambda: evaluate(asked(bad, **PARTS)),
    ):
        with pytest.raises(InputError) as fault:
            door()
        said.append(str(fault.value))
    assert said[0].startswith(f"{bad / table}.parquet: ")
    assert line in said[0]
    assert said == [said[0]] * 3
    assert not (tmp_path / "out").exists()


def split(good: Path) -> tuple[list[str], list[str]]:
    """Test and training customers."""
    tables = read_tables(good)
    ids = tables.customers["customer_id"]
    test = is_test(ids, tables.schema.split)
    return ids.filter(test).to_list(), ids.filter(~test).to_list()


def only(good: Path, folder: Path, customers: list[str]) -> Path:
    shutil.copytree(good, folder)
    for name in ("customers", "decisions", "events"):
        frame = pl.read_parquet(folder / f"{name}.parquet").filter(pl.col("customer_id").is_in(customers))
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def refused(tables: Path, **more: Any) -> str:
    """The same whole and in parts."""
    said = []
    for door in ({}, PARTS):
        with pytest.raises(InputError) as fault:
            evaluate(asked(tables, **door, **more))
        said.append(str(fault.value))
    assert said[0] == said[1]
    return said[0]


def test_nobody_to_evaluate_is_refused_with_the_reason(good: Path, tmp_path: Path) -> None:
    test, train = split(good)
    need = "split.test_share == 0.5, must leave a customer in the {} part: of the {} with decisions it leaves none"
    alone = only(good, tmp_path / "alone", test[:1])
    assert refused(alone) == f"{alone / 'schema.yaml'}: {need.format('train', 1)}"
    assert refused(only(good, tmp_path / "learners", train)).endswith(need.format("test", len(train)))
    nothing = spoil(good, tmp_path / "nothing", "decisions", lambda frame: frame.clear())
    assert refused(nothing) == f"{nothing / 'decisions.parquet'}: must hold a decision that was carried out"
    need = "assignment == '{}', must be that of every decision of some customer"
    assert refused(good, assignment="holdout") == need.format("holdout")
    once = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("champion")).otherwise("assignment")
    mixed = spoil(good, tmp_path / "mixed", "decisions", lambda frame: frame.with_columns(assignment=once))
    assert refused(mixed) == need.format("randomised")
    assert "nothing followed those of a shadow" in refused(good, assignment="shadow")


def test_what_a_shadow_decided_is_not_evaluated(good: Path, tmp_path: Path) -> None:
    """It was not carried out: with or without it, the log is the same."""

    def shadowed(frame: pl.DataFrame) -> pl.DataFrame:
        later = pl.col("at") + timedelta(hours=1)
        other = frame.with_columns(
            at=later, decision_id=pl.format("{}-shadow", "decision_id"), assignment=pl.lit("shadow")
        )
        return pl.concat([frame, other]).sort("customer_id", "at")

    beside = spoil(good, tmp_path / "beside", "decisions", shadowed)
    for assignment in (None, "randomised"):
        assert read_log(beside, "test", assignment).digest == read_log(good, "test", assignment).digest


def test_a_propensity_that_is_missing_is_taken_from_its_distribution(good: Path, tmp_path: Path) -> None:
    holes = spoil(good, tmp_path / "holes", "decisions", put("propensity", None))
    log = read_log(holes, "all")
    assert (log.propensity_source, log.propensity[ROW]) == ("logged", 1 / 3)


@pytest.mark.parametrize("door", [{}, PARTS], ids=["whole", "in parts"])
def test_one_customer_and_one_assignment_are_told_on_the_first_page(
    good: Path, tmp_path: Path, door: dict[str, Any]
) -> None:
    test, train = split(good)
    few = only(good, tmp_path / "few", [test[0], *train])
    champion = pl.read_parquet(few / "decisions.parquet").with_columns(assignment=pl.lit("champion"))
    champion.write_parquet(few / "decisions.parquet")
    found = evaluate(asked(few, **door))
    page = first_page((found.directory / "report.html").read_text(encoding="utf-8"))
    assert "silence: the log cannot say; customers evaluated: 1, fewer than 100." in page
    assert "One customer is evaluated: nothing tells luck from a difference, and no figure has an interval." in page
    assert "Nobody who is evaluated was decided at random (assignments: champion)" in page


def test_no_variation_is_told_on_the_first_page(good: Path, tmp_path: Path) -> None:
    def silent(frame: pl.DataFrame) -> pl.DataFrame:
        certain = pl.lit([1.0, 0.0, 0.0], frame.schema["probabilities"])
        return frame.with_columns(treatment=pl.lit("silence"), propensity=1.0, probabilities=certain)

    found = evaluate(asked(spoil(good, tmp_path / "silent", "decisions", silent), baselines=["random"], **PARTS))
    page = first_page((found.directory / "report.html").read_text(encoding="utf-8"))
    assert "Every decision of the log took the same treatment, silence: of any other it can tell nothing" in page
    assert "random: nobody can say; 67% of what it would do the log never tried there" in page
