"""Bad input to an evaluation, line by line: refused with row and reason, or evaluated with the consequence up front.

At every door: arrays, canonical tables read whole, the same read in parts, and the command.
"""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import evaluation_kit as kit
import numpy as np
import polars as pl
import pytest
from serving_kit import write_kit

import evaluation
from agents.artifact import write_artifact
from envs.books import read_books
from envs.errors import InputError
from envs.rules import Rules
from envs.split import is_test
from envs.tables import read_tables, write_tables
from evaluation.data_words import data_sentences
from evaluation.digits import number
from evaluation.estimators import Inputs
from evaluation.lead_words import support_sentences
from evaluation.log import Log, log_from_arrays
from evaluation.reading import read_log
from evaluation.report import Report
from evaluation.settings import EvaluationSettings
from training.compared import compared
from training.configs import EvaluateConfig, ValidateConfig
from training.evaluate import evaluate
from training.validate import validate

QUICK = EvaluationSettings(resamples=100, model="ridge", full_horizon=False)
ROW = 3  # that is spoilt: of the arrays, and of the file
CUSTOMERS = 300
EVEN = [1 / 3] * 3
Change = Callable[[pl.DataFrame], pl.DataFrame]


def even(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.asarray(mask / mask.sum(axis=1, keepdims=True))


def always(treatment: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda observation, mask: np.eye(mask.shape[1])[np.full(len(mask), treatment)]


def first_page(page: str) -> str:
    """What a reader sees before any value."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.split("<h1>")[1].split("The lead estimate:")[0]))
    return " ".join(text.split())


# Arrays


def arrays(customers: int = 300, steps: int = 1, **changed: Any) -> dict[str, Any]:
    """A uniformly randomised log. Its rows stand by falling label: the first are those of the last customer."""
    rng, n = np.random.default_rng(1), customers * steps
    good = {
        "observation": rng.normal(size=(n, 2)), "treatment": rng.integers(0, 3, n), "propensity": np.full(n, 1 / 3),
        "margin": rng.normal(size=n) + 1, "customer": np.repeat(np.arange(customers)[::-1], steps),
        "behaviour": np.full((n, 3), 1 / 3), "mask": np.ones((n, 3), bool), "treatments": ("silence", "a", "b"),
        "decision_id": np.arange(n), "gap_days": np.full(n, 7.0),
        "at": np.datetime64("2026-01-01", "us") + np.tile(np.arange(steps) * 7, customers).astype("timedelta64[D]"),
    }  # fmt: skip
    return good | changed


def spoilt(name: str, value: object) -> dict[str, Any]:
    """Three decisions of each customer, one cell or row of one column replaced."""
    given = arrays(steps=3)
    column = given[name].astype(object) if isinstance(value, str) else np.array(given[name])
    if isinstance(value, float) and column.dtype.kind in "ib":
        column = column.astype(np.float64)
    column[ROW] = value
    return given | {name: column}


def unlike(position: int) -> list[float]:
    """A distribution of which the logged treatment of the spoilt row has another share than its propensity."""
    taken = arrays(steps=3)["treatment"][ROW]
    return np.where(np.arange(3) == (taken + position) % 3, 0.5, 0.25).tolist()


TAKEN = int(arrays(steps=3)["treatment"][ROW])
SHUT = np.arange(3) != (TAKEN + 1) % 3  # a mask that closes what was not taken
BAD_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "propensity 0": (spoilt("propensity", 0.0), "propensity == 0.0 (row 3), must be in (0, 1]"),
    "propensity above 1": (spoilt("propensity", 1.5), "propensity == 1.5 (row 3), must be in (0, 1]"),
    "propensity NaN": (spoilt("propensity", np.nan), "propensity == nan (row 3), must be finite"),
    "propensity of nothing": (spoilt("propensity", 1e-300), "propensity == 1e-300 (row 3), must be at least 1e-16"),
    "propensity of another": (
        spoilt("behaviour", unlike(0)), "propensity == 0.3333333333333333 (row 3), must be the probability of the log"),
    "NaN reward": (spoilt("margin", np.nan), "margin == nan (row 3), must be finite"),
    "infinite reward": (spoilt("margin", -np.inf), "margin == -inf (row 3), must be finite"),
    "enormous reward": (spoilt("margin", 1e300), "margin == 1e+300 (row 3), must lie between -1e+30 and 1e+30"),
    "reward in words": (arrays(margin=["much"] * 300), "margin, must hold numbers"),
    "decision twice": (spoilt("decision_id", 2), "decision_id == '2' (row 3), must be unique"),
    "contact twice": (
        spoilt("at", np.datetime64("2026-01-08", "us")) | {"treatment": np.ones(900, int), "propensity": np.ones(900),
                                                          "behaviour": np.eye(3)[np.ones(900, int)],
                                                          "customer": np.repeat(np.arange(225), 4)},
        "customer == 0 (row 3), must not get one treatment twice at one instant"),
    "time runs back": (
        spoilt("at", np.datetime64("2026-02-01", "us")), "at == '2026-01-08T00:00:00.000000' (row 4), must not be be"),
    "sum is not 1": (spoilt("behaviour", [0.3, 0.3, 0.3]), "probabilities == 0.8999999999999999 (row 3), must sum to"),
    "negative probability": (spoilt("behaviour", [-0.2, 0.6, 0.6]), "probabilities == -0.2 (row 3), must not be negat"),
    "infinite probability": (spoilt("behaviour", [np.inf, 0.6, 0.6]), "behaviour == inf (row 3), must be finite"),
    "masked probability": (spoilt("mask", SHUT), "probabilities == 0.6666666666666666 (row 3), must be 0 where the ma"),
    "masked treatment": (
        spoilt("mask", np.arange(3) != TAKEN), f"treatment == {TAKEN} (row 3), must be one that the mask allows"),
    "half a treatment": (spoilt("treatment", 0.5), "treatment == 0.5 (row 3), must be a position, a whole number"),
    "no such treatment": (spoilt("treatment", 7), "treatment == 7 (row 3), must be in 0..2"),
    "mask of NaN": (spoilt("mask", np.nan), "mask == nan (row 3), must be True or False"),
    "nobody": (spoilt("customer", "") | {"customer": [None, *range(1, 900)]}, "customer (row 0), must not be missing"),
    "NaN observation": (spoilt("observation", np.nan), "observation == nan (row 3), must be finite"),
    "flat observation": (arrays(observation=np.zeros(300)), "observation == (300,), must be of shape (rows, columns)"),
    "one row less": (arrays(margin=np.zeros(299)), "margin == 299, must have 300 rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_are_refused_by_the_row_of_the_caller(name: str) -> None:
    given, line = BAD_ARRAYS[name]
    with pytest.raises(InputError) as fault:
        log_from_arrays(**given)
    assert str(fault.value).startswith(line)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (EVEN, "== 0.3333333333333333 (row 3), must be 0 where the mask forbids"),
        ([0.3, 0.3, 0.3], "== 0.8999999999999999 (row 3), must sum to 1"),
        ([np.nan, 0.5, 0.5], "== nan (row 3), must be finite and >= 0"),
        ([np.inf, 0.5, 0.5], "== 0.5 (row 3), must be finite and >= 0"),
        ([-0.5, 0.5, 1.0], "== -0.5 (row 3), must be finite and >= 0"),
    ],
    ids=["masked", "sum", "NaN", "infinite", "negative"],
)
def test_a_policy_that_is_none_is_refused_by_the_decision(row: list[float], line: str) -> None:
    given = arrays(customer=None) | {"behaviour": None}
    given["mask"][ROW] = SHUT if row == EVEN else True
    given["treatment"][ROW] = TAKEN

    def wrong(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        p = even(observation, mask)
        p[ROW] = row
        return p

    with pytest.raises(InputError) as fault:
        evaluation.evaluate(log_from_arrays(**given), {"wrong": wrong}, settings=QUICK)
    assert str(fault.value) == f"probabilities of policy wrong at decision 3 {line}"


def test_what_does_not_belong_to_the_log_is_refused() -> None:
    log = log_from_arrays(**arrays(20))
    other = SimpleNamespace(
        name="ppo", probabilities=even, manifest=SimpleNamespace(treatments=["silence", "a", "c"], price_range={},
                                                                policy_digest="d")
    )  # fmt: skip

    def refused(policies: object, **more: Any) -> str:
        with pytest.raises(InputError) as fault:
            evaluation.evaluate(log, policies, settings=QUICK, **more)
        return str(fault.value)

    need = "treatments of policy ppo == 'c', must be the log's, which are of another catalogue: silence, a, b"
    assert refused([other]) == need
    assert refused([even], training_log=log) == "training_log == '0', must not be a customer of the evaluated log"
    renamed = replace(log, treatments=("silence", "a", "c"), customer_id=np.array([f"t{i}" for i in range(20)]))
    assert refused([even], training_log=renamed) == "training_log, must list the same treatments as the log"
    assert refused([even], reference="champion") == "reference == 'champion', must be one of: logged, even"
    assert refused([]) == "policies, must name at least one policy"
    one = log_from_arrays(**arrays(1, 4))
    with pytest.raises(InputError, match="log == 1, must hold two customers or more to fit a model"):
        evaluation.evaluate(one, [even], settings=QUICK)


GOOD = {"weight": np.ones(5), "reward": np.arange(5.0), "q": np.zeros(5), "v": np.zeros(5)}


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("reward", np.nan, "reward == nan (row 3), must be a number between -1e+30 and 1e+30"),
        ("weight", np.inf, "weight == inf (row 3), must be a number between 0 and 1e+16"),
        ("weight", -1.0, "weight == -1.0 (row 3), must be a number between 0 and 1e+16"),
        ("q", 1e200, "q == 1e+200 (row 3), must be a number between -1e+30 and 1e+30"),
    ],
)
def test_estimates_refuse_what_is_no_number(name: str, value: float, line: str) -> None:
    bad = GOOD[name].copy()
    bad[ROW] = value
    with pytest.raises(InputError) as fault:
        evaluation.one_step(**(GOOD | {name: bad}))
    assert str(fault.value) == line
    column = {"weight": "ratio"}.get(name, name)
    inputs: Inputs = replace(evaluation.one_step(**GOOD), **{column: bad[:, None]})
    with pytest.raises(InputError) as fault:
        evaluation.estimates(inputs, resamples=100)
    assert str(fault.value) == line.replace(name, column, 1)


def test_estimates_refuse_other_shapes_and_one_customer() -> None:
    with pytest.raises(InputError, match=r"v == \(4,\), must be of shape \(5,\)"):
        evaluation.one_step(**(GOOD | {"v": np.zeros(4)}))
    alone = {name: column[:1] for name, column in GOOD.items()}
    with pytest.raises(InputError, match="ratio == 1, must hold two customers or more"):
        evaluation.estimates(evaluation.one_step(**alone), resamples=100)


# Logs that are evaluated, and what the page says of them


def about(log: Log, policies: dict[str, object], **more: Any) -> tuple[str, Report]:
    """What the page says before any value, without its pictures, which take the time."""
    report: Report = evaluation.evaluate(log, policies, settings=QUICK, **more)
    report.to_json()
    verdicts = [verdict.text for verdict in report.verdicts]
    return " ".join([*verdicts, *support_sentences(report), *data_sentences(report)]), report


def test_one_treatment_for_all_speaks_of_no_other() -> None:
    """However its propensities are; and what would do the same is told apart by nothing, not even by rounding."""
    n = 300
    same = {"treatment": np.ones(n, int), "propensity": np.ones(n), "behaviour": np.eye(3)[np.ones(n, int)]}
    page, report = about(log_from_arrays(**arrays(**same)), {"other": always(2), "same": always(1)})
    assert "Every decision of the log took the same treatment, a: of any other it can tell nothing" in page
    assert "other: nobody can say; 100% of what it would do the log never tried there" in page
    assert report.lead.model_based
    page, report = about(log_from_arrays(**arrays(3 * n, **{k: np.concatenate([v] * 3) for k, v in same.items()})),
                         {"same": always(1), "again": always(1)})  # fmt: skip
    assert not report.lead.model_based
    assert [v.text for v in report.verdicts] == [
        f"{name} is not told apart: +0 per customer against the logging policy "
        "(95% interval for 2 policies together +0 to +0)." for name in ("same", "again")
    ]  # fmt: skip


@pytest.mark.parametrize("whole", [True, False])
def test_certain_choices_are_what_the_log_cannot_speak_beyond(whole: bool) -> None:
    """Every treatment was tried, each where it was certain: weights look well, and say nothing of the other half."""
    treatment = np.arange(300) % 2
    given = arrays(treatment=treatment, propensity=np.ones(300), behaviour=np.eye(3)[treatment] if whole else None)
    given["mask"][:, 2] = False
    page, report = about(log_from_arrays(**given), {"even": even})
    assert "At 100.0% of the decisions the logged treatment was certain, though others were allowed" in page
    assert report.supports[1].ess[0] == 300
    assert report.supports[1].untried == pytest.approx(0.5)
    assert report.lead.model_based


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("amount", [0.0, 5.0])
def test_equal_rewards_tell_nothing_apart(steps: int, amount: float) -> None:
    given = arrays(600, steps, margin=np.full(600 * steps, amount))
    page, report = about(log_from_arrays(**given), {"a": always(1), "even": even})
    assert f"Every customer of the log brought the same, {number(amount * steps)}: no policy can be told" in page
    assert {v.outcome for v in report.verdicts} <= {"undecided", "model only"}
    assert [(report.bounds(name), p.needed) for name, p in zip(("a", "even"), report.powers, strict=True)] == [
        ((0.0, 0.0), np.inf)
    ] * 2


def test_one_customer_has_no_interval_and_few_make_no_claim() -> None:
    for customers, steps in ((1, 1), (1, 4), (40, 2)):
        log = log_from_arrays(**arrays(customers, steps))
        given = arrays(200, steps, customer=np.repeat([f"t{i}" for i in range(200)], steps))
        page, report = about(log, {"a": always(1), "even": even}, training_log=log_from_arrays(**given))
        assert f"even: the log cannot say; customers evaluated: {customers}, fewer than 100." in page
        assert ("One customer is evaluated: nothing tells luck from a difference" in page) == (customers == 1)
        assert np.isnan(report.estimate("even").interval.lo) == (customers == 1)


def test_weights_beyond_any_number_are_no_support() -> None:
    """Twelve decisions in a row that nobody would ever see: their product has no square."""
    given = arrays(300, 12) | {"behaviour": None}
    given["propensity"][:12], given["treatment"][:12] = 1e-16, 1
    page, report = about(log_from_arrays(**given), {"a": always(1)})
    assert report.lead.model_based
    assert report.supports[1].ess_cumulative[-1] == 1
    assert "It is model-based" in page


def test_decisions_at_one_instant_and_models_of_few_are_told() -> None:
    crowded = arrays(300, 3, gap_days=np.tile([0.0, 7.0, 7.0], 300))
    few = arrays(5, 3, customer=np.repeat(["t1", "t2", "t3", "t4", "t5"], 3))
    page, _ = about(log_from_arrays(**crowded), {"even": even}, training_log=log_from_arrays(**few))
    assert "At 33.3% of the decisions the customer was decided again at the same instant" in page
    assert "Models were fitted on 5 customers, fewer than 100" in page


# Canonical tables


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two decisions of each customer, drawn evenly; half of the silent convert. Rows stand by customer, then time."""
    rng, rows, events = np.random.default_rng(1), [], []
    for customer in range(CUSTOMERS):
        for day in (0, 7):
            name, treatment = f"c{customer:03d}", str(rng.choice(["silence", "letter", "call"]))
            more = {"propensity": 1 / 3, "probabilities": EVEN, "mask": [True] * 3}
            rows.append(kit.decision(name, day, treatment, **more))
            if treatment == "silence" and rng.random() < 0.5:
                events.append(kit.event(name, day + 1, "converted", 3.0 + rng.random()))
    folder = tmp_path_factory.mktemp("good")
    write_tables(kit.tables(rows, events), folder)
    return folder


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


def asked(tables: Path, **more: Any) -> EvaluateConfig:
    more = {"settings": QUICK, "track": False, "out": tables.parent / "out"} | more
    return EvaluateConfig(tables=tables, **more)


PARTS = {"whole_decisions": 0, "part_decisions": 250}


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


# What was asked for


ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "a world for a baseline": ({"baselines": ["myopic"]}, "baselines == 'myopic', needs a world: give --world"),
    "a world to compare": ({"compare": ["coordinated_rules"]}, "baselines == 'coordinated_rules', needs a world: give"),
    "no such baseline": ({"baselines": ["best"]}, "baselines == 'best', must be one of: silence, random, coordinated"),
    "no such policy": ({"policy": ["nowhere"]}, "nowhere: must be an artifact: a directory with manifest.json"),
    "nothing to compare": ({"compare": ["nowhere"]}, "compare == 'nowhere', must be the directory of an artifact, or"),
    "no such reference": ({"reference": "ppo"}, "reference == 'ppo', must be one of: auto, logged, silence, best_fix"),
    "no such world": ({"world": "nowhere"}, "nowhere"),
    "a world of others": ({"world": "exact"}, "world == 'exact', must have the catalogue and the observation of the t"),
    "no such report": ({"live": "nowhere"}, "nowhere: does not exist; make one with `nextbest evaluate`"),
    "no such assignment": ({"assignment": "lucky"}, "assignment == 'lucky', must be one of: champion, challenger, sh"),
    "no such price": ({"pool_prices": {"seats": 1.0}}, "prices == 'seats', must be one of: annoyance, calls"),
    "negative price": ({"pool_prices": {"calls": -1.0}}, "prices.calls == -1.0, must be a number >= 0"),
}  # fmt: skip


@pytest.fixture
def unread(good: Path, tmp_path: Path) -> Path:
    """Tables whose rows nobody can read: who complains of anything else has not tried."""
    folder = tmp_path / "unread"
    shutil.copytree(good, folder)
    for name in ("customers", "decisions", "events"):
        (folder / f"{name}.parquet").write_text("no rows")
    return folder


@pytest.mark.parametrize("name", ASKED)
def test_what_was_asked_for_is_refused_before_the_log_is_read(unread: Path, name: str) -> None:
    more, line = ASKED[name]
    with pytest.raises(InputError) as fault:
        evaluate(asked(unread, **more))
    assert line in str(fault.value)
    with pytest.raises(InputError, match=r"decisions\.parquet: must be a Parquet file"):
        evaluate(asked(unread))


def test_an_artifact_of_another_catalogue_and_a_place_that_is_a_file_are_refused_before_too(
    unread: Path, tmp_path: Path
) -> None:
    write_kit(tmp_path / "policy")
    with pytest.raises(InputError, match=r"manifest\.json: treatments, must list the treatments of the catalogue"):
        evaluate(asked(unread, policy=[tmp_path / "policy"]))
    with pytest.raises(InputError, match=r"out, must be a directory that can be written \(.*decisions\.parquet is a f"):
        evaluate(asked(unread, out=unread / "decisions.parquet" / "report"))
    with pytest.raises(ValueError, match=r"reward_range == \(5.0, 1.0\), must be least and most"):
        EvaluationSettings(reward_range=(5, 1))


def test_a_policy_may_bear_the_name_of_a_baseline(good: Path, tmp_path: Path) -> None:
    """It is compared under a name of its own, and takes nobody's place."""
    books = read_books(good)
    said = {"catalogue": books.catalogue, "schema": books.schema, "rules": Rules()}
    write_artifact(tmp_path / "rules", name="coordinated_rules", **said)
    found = compared(asked(good, policy=[tmp_path / "rules"], reference="coordinated_rules-1"), books)
    assert (list(found.artifacts), found.reference) == (["coordinated_rules-1"], "coordinated_rules-1")
