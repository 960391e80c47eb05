"""What a log cannot tell is said, by rules that read the data; rows without a record are put aside, not read as no."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from envs.errors import InputError
from envs.schema import Column
from envs.tables import Tables, write_tables
from envs.world import load_world
from training.calibrate import Calibration, calibrate
from training.calibration_findings import Finding
from training.calibration_recorded import outside_span
from training.calibration_rows import HeadRows, head_rows
from training.calibration_source import Source
from training.configs import CalibrateConfig
from training.glm import Rows
from training.half_life_profile import reencoded
from training.half_lives import HalfLife
from training.identification import identification
from training.random_log import random_log

WORLD = Path(__file__).parent.parent / "benchmarks" / "worlds" / "recovery"


@pytest.fixture(scope="module")
def log() -> Tables:
    return random_log(load_world(WORLD), 2000, 8)


def said(findings: Iterable[Finding], subject: str) -> str:
    """What is said of a subject, in one line."""
    return " | ".join(str(finding) for finding in findings if finding.subject == subject)


def rows_of(tables: Tables, *recorded: tuple[str, str]) -> dict[str, HeadRows]:
    return {head.name: head for head in head_rows(Source(tables, frozenset(recorded)))}


def without(tables: Tables, wrong: pl.Expr) -> Tables:
    return replace(tables, events=tables.events.filter(~wrong.fill_null(False)))


def test_a_clean_log_is_told_what_no_log_can_tell(log: Tables) -> None:
    found = identification(Source(log), (), False)
    assert {f.subject for f in found} == {"attempts", "events", "outcomes", "calendar", "half-lives", "hidden states"}
    assert "no blocked, no complained: not recorded, or too rare" in said(found, "events")
    assert "nothing else is hidden" in said(found, "hidden states")
    assert "one normal effect per customer" in said(identification(Source(log), (), True), "hidden states")


def test_missing_propensities_are_said_with_their_number(log: Tables) -> None:
    blind = log.decisions.with_columns(
        propensity=pl.when(pl.int_range(pl.len()) < 500).then(None).otherwise(pl.col("propensity"))
    )
    text = said(identification(Source(replace(log, decisions=blind)), (), False), "selection")
    assert f"no propensity in 500 of {log.decisions.height:,} decisions" in text
    assert "as good as random" in text
    fixed = log.decisions.with_columns(propensity=pl.lit(1.0))
    assert "propensity 1 in" in said(identification(Source(replace(log, decisions=fixed)), (), False), "selection")


def test_treatments_never_chosen_and_products_with_one_channel_are_named(log: Tables) -> None:
    odd = pl.col("treatment").is_in(["push_fund", "sms_fund_bonus"])
    found = identification(Source(replace(log, decisions=log.decisions.filter(~odd))), (), False)
    assert "2 of 11 treatments never chosen: sms_fund_bonus, push_fund" in said(found, "treatments")
    assert "offered over one alone: fund over call" in said(found, "products")
    deposit = pl.col("treatment").is_in(["sms_deposit_bonus", "push_deposit", "call_deposit", "sms_loan"])
    found = identification(Source(replace(log, decisions=log.decisions.filter(~odd & ~deposit))), (), False)
    assert "which of product=deposit, channel=sms does it" in said(found, "attributes")


def test_a_log_of_one_contact_each_cannot_tell_attempts_and_one_without_silence_not_what_silence_brings(
    log: Tables,
) -> None:
    first = log.decisions.unique("customer_id", keep="first", maintain_order=True)
    once = replace(log, decisions=first.filter(pl.col("treatment") != "silence"))
    found = identification(Source(once), (), False)
    assert "no customer has two contacts" in said(found, "attempts")
    assert "a contact in each of" in said(found, "silence")


def test_conversions_that_all_name_a_decision_leave_organic_ones_unknown(log: Tables) -> None:
    owned = without(log, (pl.col("event") == "converted") & pl.col("decision_id").is_null())
    assert "nobody" in said(identification(Source(owned), (), False), "organic conversions")


def test_columns_that_are_missing_or_all_alike_are_named() -> None:
    world = load_world(WORLD)
    columns = (*world.schema.columns, Column(name="grade", type="number", nullable=True))
    schema = world.schema.model_copy(update={"columns": columns})
    log = random_log(world, 60, 2)
    grade = pl.Series("grade", [None if k % 3 else 1.0 for k in range(log.customers.height)])
    customers = log.customers.with_columns(grade, age=pl.lit(45.0))
    wider = reencoded(replace(log, schema=schema, customers=customers), schema.fading)
    found = identification(Source(wider), (), False)
    assert "grade in 66.7%" in said(found, "columns")
    assert "the same in every decision: age" in said(found, "columns")


def test_half_lives_that_were_estimated_and_not_found_are_named(log: Tables) -> None:
    kept = HalfLife("intent", 10.0, 10.0, None, None, False, "since nothing depends on it")
    chosen = HalfLife("pressure", 14.0, 9.0, 7.0, 12.0, True, "")
    found = identification(Source(log), (kept, chosen), False)
    assert "10 days" in said(found, "half-life intent")
    assert not said(found, "half-life pressure")
    assert not said(found, "half-lives")


def test_deliveries_that_a_channel_does_not_record_are_put_aside_and_its_answers_kept(log: Tables) -> None:
    unrecorded = without(log, (pl.col("event") == "delivered") & (pl.col("channel") == "call"))
    before, after = rows_of(log), rows_of(unrecorded)
    s = Source(unrecorded)
    call = s.channel == log.catalogue.channel_ids.index("call")
    assert not call[after["delivered"].look].any()
    assert call[after["engaged"].look].sum() == call.sum()
    assert after["engaged"].events == before["engaged"].events
    assert after["delivered"].certain == (log.catalogue.channel_ids.index("call"),)
    assert f"0 delivered in {call.sum():,} contacts" in said(after["delivered"].findings, "head delivered")


def test_answers_that_a_channel_never_shows_are_put_aside_unless_they_are_declared(log: Tables) -> None:
    answer = pl.col("event").is_in(["engaged", "converted", "declined"]) & (pl.col("channel") == "call")
    silent = without(log, answer)
    call = Source(silent).channel == log.catalogue.channel_ids.index("call")
    assert not call[rows_of(silent)["engaged"].look].any()
    assert "say --recorded engaged@call" in said(rows_of(silent)["engaged"].findings, "head engaged")
    declared = rows_of(silent, ("engaged", "call"))["engaged"]
    assert call[declared.look].any()
    assert not said(declared.findings, "head engaged")


def test_rows_before_anything_was_recorded_are_put_aside_by_their_number() -> None:
    rng = np.random.default_rng(0)
    day, n = np.repeat(np.arange(20), 100), 2000
    y = ((rng.random(n) < 0.1) & (day >= 8)).astype(float)
    rows = Rows(y, np.ones(n), np.ones(n), np.arange(n))
    aside, findings = outside_span("purchased", rows, day)
    assert aside.sum() == 800
    assert set(day[aside]) == set(range(8))
    assert "800 rows put aside" in str(findings[0])
    assert "not recorded before 1970-01-09" in str(findings[0])
    aside, findings = outside_span("purchased", rows, np.where(day < 8, 8, day))
    assert not aside.any()
    assert findings == ()


def test_purchases_recorded_from_some_day_on_are_fitted_from_there(log: Tables) -> None:
    start = log.decisions["at"].min() + timedelta(days=21)  # type: ignore[operator]
    late = without(log, (pl.col("event") == "purchased") & (pl.col("at") < start))
    whole, part = rows_of(log)["purchased"], rows_of(late)["purchased"]
    assert len(part.look) < len(whole.look)
    assert part.rows.y.mean() == pytest.approx(whole.rows.y.mean(), rel=0.06)
    assert "put aside" in said(part.findings, "head purchased")


def test_unknown_margins_are_counted_and_left_out(log: Tables) -> None:
    conversions = log.events.filter(pl.col("event") == "converted")["event_id"]
    hidden = conversions[:25].implode()
    value = pl.when(pl.col("event_id").is_in(hidden)).then(None).otherwise(pl.col("value"))
    head = rows_of(replace(log, events=log.events.with_columns(value=value)))["converted_value"]
    assert len(head.look) == rows_of(log)["converted_value"].events - 25
    assert "25 without value" in said(head.findings, "head converted_value")


@pytest.fixture(scope="module")
def found(log: Tables, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    folder = tmp_path_factory.mktemp("identification")
    fund = pl.col("decision_id").is_in(
        log.decisions.filter(pl.col("treatment").str.contains("fund"))["decision_id"].implode()
    )
    odd = (pl.col("event") == "delivered") & (pl.col("channel") == "call") | (pl.col("event") == "declined") & fund
    write_tables(without(log, odd), folder / "tables")
    config = CalibrateConfig(tables=folder / "tables", form=str(WORLD), ridge=0, replicates=2, out=folder / "world")
    return calibrate(config)


def test_separated_levels_are_named_with_their_counts_and_stay_finite(found: Calibration) -> None:
    lines = [str(f) for f in found.identification if f.subject == "head declined"]
    assert any("feature product=fund = 1 separates: there it never happens (0 events in" in line for line in lines)
    row = found.coefficients.filter(head="declined", feature="product=fund").row(0, named=True)
    assert row["held"]
    assert row["lower"] is None
    assert -30 < row["value"] < -1
    others = found.coefficients.filter(pl.col("head") == "declined", pl.col("feature") != "product=fund")
    assert not others["held"].any()


def test_the_calibrated_world_delivers_always_where_deliveries_are_not_recorded(found: Calibration) -> None:
    world = load_world(found.path)
    observation = np.zeros((1, len(world.encoder.names)), np.float32)
    delivered = world.heads["delivered"]
    chance = delivered.mean(delivered.linear_all(observation))[0]
    calls = world.catalogue.channel_of == world.catalogue.channel_ids.index("call")
    assert chance[calls].min() > 1 - 1e-9
    assert chance[~calls].max() < 0.95


def test_the_list_stands_in_the_account_and_on_the_screen(found: Calibration) -> None:
    account = json.loads((found.path / "calibration.json").read_text())
    assert [f["subject"] for f in account["identification"]] == [f.subject for f in found.identification]
    assert all(f["assumption"] for f in account["identification"])
    text = str(found)
    assert f"what this log cannot tell ({len(found.identification)})" in text
    assert str(found.identification[0]) in text
    kept = account["heads"]["declined"]["coefficients"]
    assert {c["feature"]: c["interval"] is None for c in kept}["product=fund"]


def test_a_form_that_the_log_contradicts_and_strange_pairs_are_refused(log: Tables, tmp_path: Path) -> None:
    write_tables(without(log, pl.col("event") == "delivered"), tmp_path / "tables")
    with pytest.raises(InputError, match=r"form.heads.engaged == .*given delivered.* given contacted"):
        calibrate(CalibrateConfig(tables=tmp_path / "tables", form=str(WORLD), out=tmp_path / "world"))
    with pytest.raises(InputError, match="recorded == 'opted_out@fax', must be ANSWER@CHANNEL"):
        calibrate(CalibrateConfig(tables=tmp_path / "tables", recorded=["opted_out@fax"], out=tmp_path / "world"))
    assert not (tmp_path / "world").exists()
