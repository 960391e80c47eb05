"""What policies ask of pools at the log's states stands beside what there is; above it only a simulation can tell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_evaluation_report import QUICK, always, campaign

import evaluation
from evaluation.demand import Resources, demands
from evaluation.log import Log
from training.evidence import evidence_of, read_report

MINUTES = 5.0


def dated(customers: int) -> Log:
    """One decision a customer, ten a day."""
    log = campaign(customers, 1, 1)
    day = np.datetime64("2026-01-05") + (np.arange(customers) // 10).astype("timedelta64[D]")
    return replace(log, at=day.astype("datetime64[us]"))


def resources(capacity: float, *, stock: bool = False) -> Resources:
    """Treatment 1 takes five minutes of somebody."""
    effort = np.array([[0.0], [MINUTES], [0.0]])
    return Resources(("agents",), ("minutes",), np.array([capacity]), np.array([stock]), effort)


@given(share=st.floats(0.01, 1.0), customers=st.integers(1, 20).map(lambda k: 10 * k))
def test_everyone_contacted_asks_for_effort_times_decisions(share: float, customers: int) -> None:
    """Every customer is decided once in `customers / 10` days."""
    chosen = np.tile([1 - share, share, 0.0], (customers, 1))
    found = next(demands("p", dated(customers), chosen, resources(1.0)))
    assert found.asked == pytest.approx(share * MINUTES * 10_000 / (customers / 10))
    whole = next(demands("p", dated(customers), chosen, resources(1.0, stock=True)))
    assert whole.asked == whole.busiest == pytest.approx(share * MINUTES * 10_000)


def test_days_without_decisions_ask_for_nothing_and_busy_ones_are_counted() -> None:
    log = replace(dated(100), at=np.where(np.arange(100) < 90, "2026-01-05", "2026-01-14").astype("datetime64[us]"))
    found = next(demands("p", log, np.tile([0.0, 1.0, 0.0], (100, 1)), resources(10_000.0)))
    assert (found.asked, found.busiest, found.days_above) == pytest.approx((5000.0, 45_000.0, 0.1))
    assert not found.above


def test_above_capacity_only_a_simulation_can_tell(tmp_path: Path) -> None:
    log = dated(900)
    asked = MINUTES * 10_000 / 90  # a day, of `offer`
    policies = {"offer": always(1), "annoy": always(2)}
    ample, scarce = (
        evaluation.evaluate(log, policies, resources=resources(asked * k), candidates=["offer"], settings=QUICK)
        for k in (1.01, 0.99)
    )
    assert next(v.outcome for v in ample.verdicts if v.policy == "offer") == "better"
    said = next(v for v in scarce.verdicts if v.policy == "offer")
    assert said.outcome == "simulation only"
    assert "only a simulation can tell" in said.text
    assert next(v.outcome for v in scarce.verdicts if v.policy == "annoy") != "simulation only"
    assert 'data-above="yes"' in scarce.to_html()
    assert 'data-above="yes"' not in ample.to_html()
    for report, above in ((ample, ()), (scarce, (f"agents {asked:,.0f} of {asked * 0.99:,.0f}",))):
        file, written = read_report(report.write(tmp_path))
        written["policies"][1]["digest"] = "d" * 64  # as if it had been an artifact
        assert evidence_of(file, written, "d" * 64).above == above


def test_who_asks_for_no_more_than_the_log_did_meets_the_same_congestion() -> None:
    log = dated(900)
    done = np.eye(3)[log.treatment]
    found = next(demands("p", log, done, resources(1.0)))
    assert found.asked == found.logged > found.capacity
    assert not found.above


def test_without_pools_nothing_is_said() -> None:
    report = evaluation.evaluate(dated(300), {"offer": always(1)}, settings=QUICK)
    assert report.demands == ()
    assert "Is there enough" not in report.to_html()
    assert json.loads(report.to_json())["demand"] == []
