"""Logs whose truth is known: a form that is right is found adequate, one that lacks something is not; and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fidelity_kit import ENCODER, one_head, sample_of, small_world

from benchmarks.fidelity_logs import earlier
from benchmarks.fidelity_truths import CATALOGUE, FRAILTY, OWN, THREE, log_of
from envs.features import treatment_options
from envs.response import Head, Term, compile_head
from envs.tables import write_tables
from envs.world import save_world
from training.calibrate import calibrate
from training.configs import CalibrateConfig, FidelityConfig
from training.fidelity import fidelity
from training.fidelity_report import FidelityReport
from training.fidelity_why import Lack, Why, known_words

CUSTOMERS = 800


def judged(process: str, place: Path) -> FidelityReport:
    """A log of this process; the form, calibrated on it; the report on customers that calibration never read."""
    write_tables(log_of(small_world(process), np.arange(CUSTOMERS), 5), place / "tables")
    save_world(one_head(small_world(OWN), "engaged"), place / "form")
    where = {"tables": place / "tables", "out": place / "world"}
    calibrate(CalibrateConfig.model_validate({**where, "form": str(place / "form"), "replicates": 0}))
    where = {"tables": place / "tables", "world": str(place / "world"), "out": place / "report"}
    return fidelity(FidelityConfig.model_validate({**where, "replay_logs": 0, "resamples": 100}))


def test_a_log_from_the_form_itself_is_found_adequate(tmp_path: Path) -> None:
    report = judged(OWN, tmp_path)
    assert report.verdict.adequate is True
    assert all(verdict.faults == () for verdict in report.verdicts)


def test_an_omitted_product_of_fields_is_found_and_named(tmp_path: Path) -> None:
    report = judged("a product of three", tmp_path)
    assert report.verdict.adequate is False
    verdict = next(v for v in report.verdicts if v.head == "engaged")
    assert "too stiff" in verdict.faults
    head = next(h for h in report.heads if h.name == "engaged")
    assert head.ratio is not None
    assert head.ratio.lo > 1
    assert head.why is not None
    parts = {part.strip() for term in THREE for part in term.split("*")}
    assert {"vip"} <= {name for lack in head.why.together for name in lack.name.split(" × ")} & parts
    assert next(v for v in report.verdicts if v.head == "delivered").outcome == "adequate"


@pytest.mark.slow
def test_frailty_that_the_form_does_not_have_is_found_between_customers(tmp_path: Path) -> None:
    report = judged(FRAILTY, tmp_path)
    failed = {check.kind for name, check in report.checks if name == "engaged" and check.failed(report.certain)}
    assert "customers" in failed


def test_the_earlier_part_of_a_finite_task_ends_where_its_decisions_do() -> None:
    tables = log_of(small_world(OWN), np.arange(60), 2)
    days = tuple(7 * k for k in range(8))
    task = tables.schema.task.model_copy(update={"kind": "finite", "days": days, "end_day": 56})
    found = earlier(replace(tables, schema=tables.schema.model_copy(update={"task": task})), 0.3)
    assert found is not None
    early, cut = found
    assert (early.decisions["at"].dt.epoch("us") <= cut).all()
    assert early.decisions.height == pytest.approx(0.7 * tables.decisions.height, rel=0.1)
    kept = len(early.schema.task.days)
    assert kept < 8
    assert early.schema.task.end_day == days[kept]


def why(**scores: float) -> Why:
    usual = {"head": 1.10, "level": 1.10, "bends": 1.10, "pairs": 1.10, "lightgbm": 1.0, "lightgbm_level": 1.0}
    lack = (Lack("age", 0.9, "not at all"),)
    return Why(**{**usual, **scores}, fields=lack, together=())


def test_why_a_form_is_too_stiff_says_what_closes_the_gap() -> None:
    curved = why(bends=1.02, pairs=1.01).sentence
    assert "curves of single fields 80% (age: the form has it not at all)" in curved
    assert "pairs of fields 10%" in curved
    assert "level" not in curved
    assert "What is left" in curved
    whole = why(level=1.004).sentence
    assert "its level 96% (with both set to what came true it scores 1.004 of LightGBM's)" in whole
    assert "age" not in whole
    assert "What is left" not in whole
    assert "no better" in why(head=0.9).sentence


def test_what_a_form_knows_of_a_field_is_read_off_its_terms() -> None:
    features = ("1", "age", "age * age", "product=fund * income", "vip * vip", "contact:pressure")
    head = Head(link="logit", given="contacted", terms=tuple(Term(feature=f, value=1.0) for f in features))
    sample = sample_of(np.array([1.0, 0.0]), np.zeros(2), np.arange(2))
    assert known_words(replace(sample, head=compile_head(head, treatment_options(CATALOGUE), ENCODER))) == {
        "1": "as a straight line",
        "age": "as a parabola",
        "income": "only in products",
        "product=fund": "only in products",
        "income × product=fund": "as a product",
        "vip": "as its square alone",
        "contact:pressure": "as a straight line",
    }
