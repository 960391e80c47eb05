"""After launch: what a report forecast for a policy stands beside what came."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_evaluation_report import QUICK, always, campaign

import evaluation
from envs.errors import InputError
from envs.tables import read_tables
from evaluation.live import FEWEST, Live, live
from evaluation.log import Log
from evaluation.report import Report
from training.configs import EvaluateConfig, SimulateConfig
from training.evaluate import evaluate
from training.simulate import simulate

DIGEST = "d" * 64


@pytest.fixture(scope="module")
def forecast() -> Report:
    report = evaluation.evaluate(campaign(2000, 1), {"offer": always(1)}, settings=QUICK)
    return replace(report, digests=(None, DIGEST))


def launched(customers: int, margin: float, by: str = DIGEST) -> tuple[Log, list[str]]:
    """Everybody is offered treatment 1, which earns as much as is said beyond what customers bring by themselves."""
    log = campaign(customers, 7)
    rng = np.random.default_rng(3)
    earned = 5 + np.repeat(rng.normal(size=customers), 3) + margin + rng.normal(size=len(log))
    ones = np.ones(len(log))
    log = replace(log, treatment=ones.astype(int), margin=earned, cost=0.5 * ones, annoyance=0 * ones)
    return log, [by] * len(log)


def rewards(found: tuple[Live, ...]) -> Live:
    return next(one for one in found if one.amount == "reward")


def test_what_comes_as_forecast_is_called_so_and_what_does_not_is_not(forecast: Report) -> None:
    said = forecast.to_dict()
    same = rewards(live(*launched(2000, 2.0), said, None))
    assert same.apart == 0
    assert same.forecast.lo < 6.5 < same.forecast.hi  # 5 by themselves, 2 of the offer, less .5 that it costs
    assert same.came.lo < 6.5 < same.came.hi
    assert rewards(live(*launched(2000, 0.0), said, None)).apart == -1
    assert rewards(live(*launched(2000, 5.0), said, None)).apart == 1


def test_the_interval_of_what_came_holds_the_truth(forecast: Report) -> None:
    """Customers differ for good: their decisions are no independent draws."""
    said, inside = forecast.to_dict(), 0
    for seed in range(200):
        rng, (log, digests) = np.random.default_rng(seed), launched(150, 2.0)
        noise = np.repeat(rng.normal(size=150), 3) + rng.normal(size=450)
        found = rewards(live(replace(log, margin=7 + noise), digests, said, None))
        inside += found.came.lo <= 6.5 <= found.came.hi
    assert 0.91 <= inside / 200 <= 0.985


def test_only_whole_customers_of_the_policy_count(forecast: Report) -> None:
    log, digests = launched(100, 2.0)
    mixed = np.where((log.step == 0) & (log.customer < 60), "other", digests)
    found = rewards(live(log, mixed.tolist(), forecast.to_dict(), None))
    assert (found.customers, found.decisions) == (40, 120)
    assert live(*launched(FEWEST - 1, 2.0), forecast.to_dict(), None) == ()
    assert live(*launched(100, 2.0, by="nobody"), forecast.to_dict(), None) == ()


def test_a_launch_is_read_from_tables(tmp_path: Path) -> None:
    """The logging policy itself, as if a report had named it: what came is what was booked."""
    place = tmp_path / "tables"
    simulate(SimulateConfig(world="exact", customers=400, out=place))
    asked = EvaluateConfig(
        tables=place, baselines=["random"], simulate_customers=0, track=False, settings=QUICK, out=tmp_path / "before"
    )
    evaluate(asked)
    file = tmp_path / "before" / "report.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    with pytest.raises(InputError, match="must name a policy that alone decided"):
        evaluate(asked.model_copy(update={"live": file, "out": tmp_path / "none"}))
    said["policies"][1]["digest"] = read_tables(place).decisions["policy_digest"][0]
    file.write_text(json.dumps(said), encoding="utf-8")
    report = evaluate(asked.model_copy(update={"live": tmp_path / "before", "out": tmp_path / "after"})).report
    found = rewards(report.live)
    assert found.customers == 400
    assert found.apart == 0
    page = (tmp_path / "after" / "report.html").read_text(encoding="utf-8")
    assert "What was forecast, and what came" in page
    assert "random was launched with 400 customers" in page
