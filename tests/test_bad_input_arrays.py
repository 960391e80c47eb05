"""Bad arrays to an evaluation: refused by the row of the caller."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bad_input_kit import (
    EVEN,
    QUICK,
    ROW,
    arrays,
    even,
)

import evaluation
from envs.errors import InputError
from evaluation.estimators import Inputs
from evaluation.log import log_from_arrays


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
