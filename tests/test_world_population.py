"""Populations look as described, and a customer is the same alone or in company."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from world_kit import POPULATION, small_schema

from envs.population import DescribedPopulation, Marginal, PopulationSpec, TablePopulation
from envs.profile import encode_profile
from envs.start import start_of
from envs.world import load_world

MANY = np.arange(100_000)
SCHEMA = small_schema()
SMALL = DescribedPopulation(POPULATION, SCHEMA)
TABLE = pl.DataFrame(
    {
        "customer_id": ["a", "b", "c"],
        "age": [20.0, 40.0, 60.0],
        "rating": [1.0, None, 5.0],
        "vip": [False, False, True],
        "segment": ["mass", "rich", "mass"],
        "holds_fund": [True, None, False],
    }
)


def spec(*columns: dict[str, Any], **more: Any) -> PopulationSpec:
    return PopulationSpec.model_validate({"columns": columns, **more})


def drawn(described: PopulationSpec) -> pl.DataFrame:
    return DescribedPopulation(described, SCHEMA).sample(MANY, seed=3)


def test_numbers_flags_and_categories_have_the_shares_of_the_description() -> None:
    frame = SMALL.sample(MANY, seed=1)
    assert frame["age"].mean() == pytest.approx(40.15, abs=0.2)  # a little above 40: the lower end is cut at 18
    assert frame["age"].std() == pytest.approx(9.8, abs=0.2)
    assert frame["age"].min() == 18
    assert (frame["age"] == frame["age"].round()).all()
    assert frame["vip"].mean() == pytest.approx(0.2, abs=0.005)
    shares = frame["segment"].value_counts(normalize=True)
    assert dict(shares.iter_rows())["rich"] == pytest.approx(0.3, abs=0.005)


def test_holdings_have_their_share_and_unknown_products_nobody() -> None:
    holds = SMALL.start(MANY, 1, ("loan", "fund")).holds
    assert holds.shape == (len(MANY), 2)
    assert holds[:, 0].mean() == pytest.approx(0.3, abs=0.006)
    assert not holds[:, 1].any()


def test_a_lognormal_number_has_the_moments_of_its_logarithm() -> None:
    frame = drawn(spec({"column": "wealth", "mean": 2.0, "sd": 0.5, "log": True}))
    logs = np.log(frame["wealth"].to_numpy())
    assert logs.mean() == pytest.approx(2.0, abs=0.01)
    assert logs.std() == pytest.approx(0.5, abs=0.01)


def test_columns_keep_their_spread_whatever_they_depend_on() -> None:
    frame = drawn(
        spec(
            {"column": "a", "mean": 0, "sd": 1},
            {"column": "b", "mean": 0, "sd": 1, "depends": {"a": 0.5}},
            {"column": "c", "mean": 0, "sd": 1, "depends": {"a": 0.5, "b": 0.5}},
            {"column": "d", "share": 0.1, "depends": {"a": 0.4, "b": -0.4, "c": 0.2}},
        )
    )
    a, b, c, d = (frame[name].to_numpy() for name in "abcd")
    assert [x.std() for x in (a, b, c)] == pytest.approx([1, 1, 1], abs=0.01)
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(0.5, abs=0.01)
    assert np.corrcoef(a, c)[0, 1] == pytest.approx(0.5 + 0.5 * 0.5, abs=0.01)
    assert d.mean() == pytest.approx(0.1, abs=0.005)


def test_a_flag_and_a_late_category_go_to_the_highest_values() -> None:
    frame = drawn(
        spec(
            {"column": "age", "mean": 40, "sd": 10},
            {"column": "frail", "share": 0.1, "depends": {"age": 0.9}},
            {"column": "stage", "shares": {"young": 0.5, "old": 0.5}, "depends": {"age": 0.9}},
        )
    )
    frail = frame["frail"].to_numpy() > 0
    age, old = frame["age"].to_numpy(), (frame["stage"] == "old").to_numpy()
    assert age[frail].mean() > 50
    assert age[old].mean() > 45 > 35 > age[~old].mean()


def test_special_care_in_the_built_in_bank_is_for_the_old() -> None:
    frame = load_world("bank").population.sample(np.arange(20_000), 0)
    cared = frame["special_care"].to_numpy() > 0
    age = frame["age"].to_numpy()
    assert age[cared].mean() > 60
    assert age[~cared].mean() < 50


@pytest.mark.parametrize("population", [SMALL, TablePopulation(TABLE, SCHEMA), load_world("bank").population])
def test_a_customer_is_the_same_alone_and_in_a_batch(population: Any) -> None:
    batch = np.array([5, 0, 999_999, 17, 5])
    products = ("loan", "fund", "deposit")
    together, frame = population.start(batch, 7, products), population.sample(batch, 7)
    for row, number in enumerate(batch):
        alone = population.start(np.array([number]), 7, products)
        for mine, theirs in zip(alone, together, strict=True):
            np.testing.assert_array_equal(mine[0], theirs[row])
        assert population.sample(np.array([number]), 7).rows()[0] == frame.rows()[row]
    np.testing.assert_array_equal(together.profile, encode_profile(frame, population.schema))
    some = np.arange(50)
    others = population.start(some, 7, products).profile != population.start(some, 8, products).profile
    assert others.any()  # another seed, other people


def test_customers_of_a_table_are_drawn_evenly_with_what_they_hold() -> None:
    population = TablePopulation(TABLE, SCHEMA)
    frame = population.sample(MANY, 0)
    shares = frame["age"].value_counts(normalize=True)["proportion"]
    assert shares.to_list() == pytest.approx([1 / 3] * 3, abs=0.01)
    holds = population.start(MANY, 0, ("loan", "fund")).holds
    assert not holds[:, 0].any()
    assert (holds[:, 1] == (frame["age"] == 20).to_numpy()).all()


def test_stage_and_grade_are_those_of_the_named_columns_and_unknown_without() -> None:
    columns = [
        {"name": "grade", "type": "number", "center": 3, "scale": 2},
        {"name": "life", "type": "category", "categories": ["new", "gone"], "nullable": True},
    ]
    people = {"grade": [1.0, 2.4, 7.0, 40.0, -2.0], "life": ["new", None, "gone", "new", "new"]}
    named = small_schema(columns=columns, stages=["new", "active", "gone"], stage_column="life", credit_column="grade")
    start = start_of(pl.DataFrame(people), np.zeros((5, 1), bool), named)
    assert start.stage.tolist() == [0, -1, 2, 0, 0]
    assert start.grade.tolist() == [1, 2, 7, 40, -2]  # the simulator takes the last grade that it knows
    plain = start_of(pl.DataFrame(people), np.zeros((5, 1), bool), small_schema(columns=columns))
    assert (plain.stage.tolist(), plain.grade.tolist()) == ([-1] * 5, [0] * 5)
    assert [part.tolist() for part in start.take(np.array([2, 0]))[2:]] == [[2, 0], [7, 1]]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([{"column": "a"}], "must give mean and sd, or shares, or share"),
        ([{"column": "a", "mean": 0, "sd": 1, "share": 0.5}], "must give mean and sd, or shares, or share"),
        (
            [{"column": "a", "mean": 0, "sd": 1, "depends": {"b": 0.5}}],
            "depends on 'b', must be a column listed before",
        ),
        ([{"column": "a", "share": 0.5}, {"column": "a", "share": 0.5}], "'a': must be listed once"),
        (
            [{"column": "a", "share": 0.5}, {"column": "b", "share": 0.5, "depends": {"a": 1.0}}],
            "explain a variance of 1.00, must be below 1",
        ),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(columns: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec(*columns)


def test_the_weight_of_the_own_part_is_what_is_left_of_the_variance() -> None:
    described = spec({"column": "a", "share": 0.5}, {"column": "b", "share": 0.5, "depends": {"a": 0.6}})
    assert described.own == pytest.approx({"a": 1.0, "b": 0.8})
    assert Marginal(column="x", mean=0, sd=1).depends == {}
