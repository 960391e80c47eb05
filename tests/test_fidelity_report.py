"""The report: whole, self-contained, the same numbers in every form; able to say yes, no, and cannot tell."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fidelity_kit import one_head, small_world

import nextbest
import training
from agents.baselines import Random
from benchmarks.fidelity_truths import OWN, log_of, world_of
from envs.errors import InputError
from envs.response import Coefficients, Head
from envs.tables import Tables, read_tables, write_tables
from envs.world import World, save_world
from training.configs import FidelityConfig
from training.fidelity_checks import Check
from training.fidelity_report import FidelityReport
from training.fidelity_rows import Unjudged, log_rows, thinned, whole_customers
from training.fidelity_verdict import certainty, head_verdict, world_verdict
from training.fidelity_yardstick import inputs

CUSTOMERS = 600


def lopsided(world: World, **changed: float) -> World:
    """The world with terms of `engaged` replaced."""
    engaged = world.coefficients.heads["engaged"]
    terms = tuple(t.model_copy(update={"value": changed.get(t.feature, t.value)}) for t in engaged.terms)
    heads = {**world.coefficients.heads, "engaged": engaged.model_copy(update={"terms": terms})}
    return replace(world, coefficients=Coefficients(name="lopsided", heads=heads))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("fidelity")
    write_tables(log_of(small_world(OWN), np.arange(CUSTOMERS), 1), path / "tables")
    save_world(small_world(OWN), path / "own")
    save_world(lopsided(small_world(OWN), **{"1": 0.0, "age": -0.5}), path / "other")
    return path


def config(place: Path, world: str, **more: object) -> FidelityConfig:
    said = {"tables": place / "tables", "world": str(place / world), "out": place / f"{world}-report", "resamples": 100}
    return FidelityConfig.model_validate({**said, "replay_customers": 100, **more})


@pytest.fixture(scope="module")
def report(place: Path) -> FidelityReport:
    found: FidelityReport = training.fidelity(config(place, "own"), policy=Random())
    return found


@pytest.fixture(scope="module")
def refusal(place: Path) -> FidelityReport:
    found: FidelityReport = training.fidelity(config(place, "other", strict=True, replay_logs=0), policy=Random())
    return found


def test_a_world_is_adequate_on_its_own_log(report: FidelityReport) -> None:
    assert report.verdict.adequate is True
    assert [verdict.outcome for verdict in report.verdicts] == ["adequate", "adequate"]
    assert report.exit_code == 0


def test_another_world_is_not_and_the_sentence_names_what_is_wrong(refusal: FidelityReport) -> None:
    assert refusal.verdict.adequate is False
    verdict = next(v for v in refusal.verdicts if v.head == "engaged")
    assert {"too stiff", "miscalibrated"} <= set(verdict.faults)
    assert "above LightGBM's" in verdict.text
    assert "expects" in verdict.text
    assert refusal.exit_code == 1
    assert next(v for v in refusal.verdicts if v.head == "delivered").outcome == "adequate"
    assert "age" in {lack.name for head in refusal.heads if head.why is not None for lack in head.why.fields}


def test_json_and_page_stand_in_the_directory_and_say_the_same(report: FidelityReport, place: Path) -> None:
    data = json.loads((place / "own-report" / "fidelity.json").read_text(encoding="utf-8"))
    page = (place / "own-report" / "fidelity.html").read_text(encoding="utf-8")
    assert data["adequate"] is True
    assert data["verdict"] in page
    assert {head["head"] for head in data["heads"]} == {"delivered", "engaged"}
    for head, row in zip(data["heads"], report.frame.iter_rows(named=True), strict=True):
        assert head["ratio"] == pytest.approx(row["ratio"])
        assert f"{row['ratio']:.3f}" in page
    assert len(data["checks"]) == report.check_frame.height
    assert {n["name"] for n in data["replay"]["numbers"] if n["kind"] == "indicator"} >= {"contacts_mean", "cost"}


def test_the_page_says_the_verdict_first_then_faults_then_the_rest(refusal: FidelityReport) -> None:
    page = refusal.to_html()
    body = page[page.index("<body>") :]
    order = [
        body.index(words) for words in ("<h1>", refusal.verdict.text, 'data-head="engaged"', 'data-head="delivered"')
    ]
    assert order == sorted(order)
    assert body.index("<h2>") > order[-1]
    few = replace(refusal, heads=(replace(refusal.heads[0], enough=False, events=7), *refusal.heads[1:]))
    assert f"{refusal.heads[0].name} (7 events)" in few.to_html()


def test_the_page_needs_nothing_from_elsewhere(report: FidelityReport) -> None:
    page = report.to_html()
    assert not re.findall(r"<(?:script|link|img|iframe)\b", page)
    assert not re.findall(r"(?:src|href)=\"(?!#)", page)
    assert page.count("<svg") == 4
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).lower().split()


def test_frames_and_figures_are_there_for_a_notebook(report: FidelityReport) -> None:
    assert report.frame.height == 2
    assert report.groups.filter(pl.col("by") == "weekday").height >= 7
    assert report.time.height == 2
    assert report.numbers.filter(pl.col("judged"))["p"].is_between(0, 1).all()
    assert report.verdict.text in report._repr_html_()
    for kind in ("ratios", "calibration", "curves", "indicators"):
        assert report.figure(kind).axes


def test_the_verb_is_the_call(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fidelity", str(place / "tables"), "--world", str(place / "own"), "--out", str(place / "verb")]
    assert nextbest.run([*words, "--replay-logs", "0", "--resamples", "100", "--rows", "1000"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "engaged: adequate" in out
    assert "Nothing was replayed" in out
    assert (place / "verb" / "fidelity.html").is_file()


def test_without_lightgbm_the_error_says_how_to_get_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(InputError, match=r"nextbest\[fidelity\]"):
        training.fidelity(config(place, "own"))


def test_the_built_in_bank_has_hidden_states_and_cannot_be_judged_on_a_log(place: Path) -> None:
    with pytest.raises(InputError, match="hidden state"):
        training.fidelity(FidelityConfig(tables=place / "tables", world="bank"))


def test_the_yardstick_sees_everything_but_prices(place: Path) -> None:
    log = log_rows(small_world(OWN), read_tables(place / "tables"), 5000, 0)
    sample = next(s for s in log.heads() if not isinstance(s, Unjudged) and s.name == "engaged")
    seen = inputs(log.world.encoder, sample.train.data, log.source.observation)
    assert not [name for name in seen.names if name.startswith("price:")]
    expected = {name for name in log.world.encoder.names if not name.startswith("price:")}
    assert expected | {"own_channel.pressure", "own_product.intent", "conflict", "channel=call"} <= set(seen.names)
    assert seen.values.shape == (len(sample.train.eta), len(seen.names))


def test_judged_customers_are_those_that_calibration_never_reads(place: Path) -> None:
    log = log_rows(small_world(OWN), read_tables(place / "tables"), 5000, 0)
    for sample in log.heads():
        assert not isinstance(sample, Unjudged)
        assert log.test[sample.test.rows.customer].all()
        assert not log.test[sample.train.rows.customer].any()


def test_thinned_rows_stand_for_all_of_them(place: Path) -> None:
    log = log_rows(small_world(OWN), read_tables(place / "tables"), 100_000, 0)
    data = next(s for s in log.heads() if not isinstance(s, Unjudged) and s.name == "engaged").train.data
    rng = np.random.default_rng(0)
    for some, factor in (thinned(data, 1000, rng), whole_customers(data, 1000, rng)):
        assert len(some.look) <= 1000
        assert some.rows.weight.sum() == pytest.approx(data.rows.weight.sum(), rel=1e-9)
        assert (factor >= 1).all()
    kept = whole_customers(data, 1000, rng)[0].rows.customer
    assert all((data.rows.customer == one).sum() == (kept == one).sum() for one in np.unique(kept)[:20])


def test_a_head_in_another_form_than_the_log_is_not_judged(place: Path) -> None:
    world = small_world(OWN)
    heads = dict(world.coefficients.heads)
    heads["engaged"] = Head.model_validate({**heads["engaged"].model_dump(), "given": "delivered"})
    heads["churned"] = Head.model_validate({"link": "rate", "terms": [{"feature": "1", "value": -5.0}]})
    other = replace(world, coefficients=Coefficients(name="other", heads=heads))
    found = {s.name: s for s in log_rows(other, read_tables(place / "tables"), 5000, 0).heads()}
    engaged, churned = found["engaged"], found["churned"]
    assert isinstance(engaged, Unjudged)
    assert "given delivered" in engaged.why
    assert isinstance(churned, Unjudged)
    assert "no such event" in churned.why


def test_other_half_lives_are_seen_as_the_world_sees_them(place: Path) -> None:
    tables = read_tables(place / "tables")
    fading = tables.schema.fading.model_copy(update={"pressure": 1.0})
    world = small_world(OWN)
    slower = replace(world, schema=world.schema.model_copy(update={"fading": fading}))
    own, other = (log_rows(w, tables, 5000, 0).source.observation for w in (world, slower))
    column = world.encoder.names.index("contact:pressure")
    assert own.shape == other.shape
    assert other[:, column].mean() < 0.8 * own[:, column].mean()
    profile = world.encoder.names.index("age")
    assert own[:, profile] == pytest.approx(other[:, profile])


def test_few_events_are_not_judged_and_a_silent_log_cannot_tell(report: FidelityReport) -> None:
    few = replace(report.heads[0], enough=False, events=7)
    verdict = head_verdict(few, report.config.thresholds, 4.0)
    assert (verdict.outcome, verdict.faults) == ("not enough events", ())
    assert world_verdict([verdict], (), "it was not asked for", 4.0).adequate is None
    assert world_verdict([verdict], report.replayed.numbers, "", 99.0).adequate is True


def test_a_fault_must_be_large_and_certain() -> None:
    large, certain = {"value": 2.0, "off": True}, {"value": 1.1, "off": False}
    make = {"kind": "level", "fault": "miscalibrated", "what": "", "lo": 0.0, "hi": 9.0}
    assert Check(**make, **large, z=9.0).failed(4.0)  # type: ignore[arg-type]
    assert not Check(**make, **large, z=3.0).failed(4.0)  # type: ignore[arg-type]
    assert not Check(**make, **certain, z=9.0).failed(4.0)  # type: ignore[arg-type]


def test_more_checks_ask_for_more_certainty() -> None:
    bounds = [certainty(count, 0.05) for count in (1, 10, 100, 1000)]
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(1.96, abs=0.01)


def test_worlds_of_other_catalogues_are_refused(place: Path, tmp_path: Path) -> None:
    tables: Tables = read_tables(place / "tables")
    catalogue = tables.catalogue.model_copy(update={"name": "another"})
    with pytest.raises(InputError, match="catalogue"):
        log_rows(replace(one_head(world_of(OWN), "engaged"), catalogue=catalogue), tables, 5000, 0)
