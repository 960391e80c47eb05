"""Bounds of several policies' differences hold for all of them at once, and the verdicts and the gate take them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_evaluation_report import QUICK, WIDTH, always, campaign

import evaluation
from evaluation.intervals import Interval, interval
from evaluation.together import together
from training.evidence import evidence_of, read_report

NOTHING = Interval(np.nan, np.nan, np.nan, np.nan, np.nan)


def draws_of(
    values: np.ndarray, rng: np.random.Generator, resamples: int
) -> tuple[dict[str, Interval], dict[str, np.ndarray]]:
    """Means of columns (customers, policies) with bootstrap draws that share their customers."""
    count = len(values)
    drawn = rng.multinomial(count, np.full(count, 1 / count), resamples) @ values / count
    names = [f"p{k}" for k in range(values.shape[1])]
    draws = dict(zip(names, drawn.T, strict=True))
    return {n: interval(float(m), draws[n], 0.95) for n, m in zip(names, values.mean(axis=0), strict=True)}, draws


@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_all_bounds_hold_together_as_often_as_they_say(alike: float) -> None:
    """Eight policies that are no better: each alone would claim too much in a third of the logs."""
    rng, claimed, alone, runs = np.random.default_rng(0), 0, 0, 300
    for _ in range(runs):
        shared = rng.normal(size=(200, 1))
        values, draws = draws_of(alike * shared + (1 - alike**2) ** 0.5 * rng.normal(size=(200, 8)), rng, 400)
        found = together(values, draws, 0.95)
        claimed += any(one.lower > 0 for one in found)
        alone += any(np.quantile(draws[name], 0.05) > 0 for name in values)
    assert claimed / runs < 0.05 + 2.6 * (0.05 * 0.95 / runs) ** 0.5
    assert alone / runs > 2 * claimed / runs


def test_policies_that_move_together_cost_less() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(500, 1))
    same, other = shared + 0.01 * rng.normal(size=(500, 6)), rng.normal(size=(500, 6))
    widths = [one[0].hi - one[0].lo for one in (together(*draws_of(v, rng, 2000), 0.95) for v in (same, other))]
    single = together(*draws_of(shared, rng, 2000), 0.95)[0]
    assert widths[0] == pytest.approx(single.hi - single.lo, rel=0.1)
    assert widths[1] > 1.2 * widths[0]


def test_a_policy_without_spread_or_value_changes_no_others() -> None:
    values, draws = draws_of(np.random.default_rng(2).normal(size=(100, 2)), np.random.default_rng(3), 500)
    plain = together(values, draws, 0.95)
    odd = together(
        {**values, "flat": Interval(0.0, 0.0, 0.0, 0.0, 0.0), "never": NOTHING},
        {**draws, "flat": np.zeros(500), "never": np.full(500, np.nan)},
        0.95,
    )
    assert [(one.lo, one.hi, one.lower) for one in odd[:2]] == [(one.lo, one.hi, one.lower) for one in plain]
    assert (odd[2].lo, odd[2].hi, odd[2].lower) == (0, 0, 0)
    assert np.isnan([odd[3].lo, odd[3].hi, odd[3].lower]).all()


def test_verdicts_and_gate_take_the_bounds_that_hold_together(tmp_path: Path) -> None:
    policies = {"offer": always(1), "annoy": always(2), "uniform": lambda o, m: np.full(m.shape, 1 / WIDTH)}
    report = evaluation.evaluate(campaign(600, 1, 1), policies, settings=QUICK)
    assert [one.policy for one in report.together] == list(policies)
    joint, single = report.bounds("offer"), report.estimate("offer").difference
    assert single is not None
    assert joint[0] < single.lo
    assert "3 policies together" in next(v.text for v in report.verdicts if v.policy == "offer")
    assert "all policies together" in report.to_html()
    file, said = read_report(report.write(tmp_path))
    said["policies"][1]["digest"] = "d" * 64  # as if it had been an artifact
    assert evidence_of(file, said, "d" * 64).lower == pytest.approx(report.together[0].lower)
    assert json.loads(report.to_json())["together"][0]["policies"] == 3


def test_one_policy_alone_is_not_corrected() -> None:
    report = evaluation.evaluate(campaign(600, 1, 1), {"offer": always(1)}, settings=QUICK)
    difference = report.estimate("offer").difference
    assert report.together == ()
    assert difference is not None
    assert report.bounds("offer") == (difference.lo, difference.hi)
    assert "together" not in report.verdicts[0].text
