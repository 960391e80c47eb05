"""The verb `indicators`: what it prints, writes and shows is what the formulas say."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from indicators_kit import CATALOGUE, log

import evaluation
import nextbest
from envs.counting import counts_of
from envs.counts import TAKEN
from envs.indicators import indicators
from envs.process import process_figures
from envs.tables import Tables, read_tables, write_tables
from evaluation.configs import WatchConfig
from evaluation.watch_page import contacts, flow


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    customers = [(f"c{i}", i % 2 == 0) for i in range(60)]
    decisions = [(f"c{i}", i % 7, ("sms-fund", "call-fund", "silence")[i % 3]) for i in range(60)]
    decisions += [(f"c{i}", 8, "call-loan") for i in range(30)]
    events = [(f"c{i}", 7, "engaged", "sms", "loan") for i in range(20)]
    events += [(f"c{i}", 8.2, "converted", "call", "loan", 10.0 + i) for i in range(15)]
    folder = tmp_path_factory.mktemp("tables")
    write_tables(log(customers, decisions, events), folder)
    return read_tables(folder)


def test_the_verb_prints_and_writes_what_the_formulas_say(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    out, before = tmp_path / "out", sorted(p.name for p in (tables.path or tmp_path).iterdir())
    assert nextbest.run(["indicators", str(tables.path), "--assets", "euros", "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "indicators.csv", "indicators.html", "indicators.json", "process.csv",
    ]  # fmt: skip
    assert sorted(p.name for p in (tables.path or tmp_path).iterdir()) == before
    expected = indicators(counts_of(tables, assets="euros"), CATALOGUE)
    stored = json.loads((out / "indicators.json").read_text(encoding="utf-8"))
    assert [row["value"] for row in stored["indicators"]] == pytest.approx(expected["value"].to_list())
    assert pl.read_csv(out / "process.csv").height == len(stored["process"]) > 50
    said = capsys.readouterr().out
    assert "60 customers" in said
    for row in expected.iter_rows(named=True):
        assert row["indicator"] in said
    assert "the log does not record balance_changed" in said


def test_the_page_holds_every_figure_and_loads_nothing(tables: Tables) -> None:
    watched = evaluation.watch(WatchConfig(tables=tables.path, patience=2))
    page = watched.to_html()
    for words in ("What the bank watches", "first_order_conversion", "acceptance", "unasked", "Flow of leads"):
        assert words in page
    assert page.count("<svg") == 2
    assert "src=" not in page
    assert 'href="http' not in page
    assert page == evaluation.watch(WatchConfig(tables=tables.path, patience=2)).to_html()
    assert "first_order_conversion" in watched._repr_html_()


def test_the_pictures_show_the_counts(tables: Tables) -> None:
    watched = evaluation.watch(WatchConfig(tables=tables.path))
    taken = watched.counts.hand_overs[..., TAKEN]
    texts = [text.get_text() for text in flow(watched).axes[0].texts]
    assert texts == [f"{n:,.0f}" for n in taken[taken > 0]] == ["20"]
    bars = contacts(watched).axes[0].patches
    assert sum(bar.get_height() for bar in bars) == watched.counts.customers


def test_patience_decides_what_is_dropped(tables: Tables) -> None:
    for patience, dropped in ((0.5, 20), (7.0, 0)):
        frame = evaluation.watch(WatchConfig(tables=tables.path, patience=patience)).process
        found = frame.filter((pl.col("figure") == "drop_outs") & (pl.col("from") == "sms"))["value"][0]
        assert found == dropped / 20


def test_a_log_without_contacts_or_leads_can_be_watched(tmp_path: Path) -> None:
    write_tables(log([("a",), ("b",)], [("a", 0, "silence")]), tmp_path / "t")
    watched = evaluation.watch(WatchConfig(tables=tmp_path / "t", out=tmp_path / "out"))
    assert "undefined" in (tmp_path / "out" / "indicators.html").read_text(encoding="utf-8")
    assert watched.process.filter(pl.col("to").is_not_null()).is_empty()
    assert process_figures(watched.counts, CATALOGUE).equals(watched.process)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--assets", "gold"], "assets == 'gold', must be a column of numbers"),
        (["--patience", "0"], "patience == '0', must be greater than 0"),
        (["--blocks", "1"], "blocks == '1', must be greater than or equal to 2"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    words: list[str], line: str, tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert nextbest.run(["indicators", str(tables.path), "--out", str(out), *words]) == 2
    assert line in capsys.readouterr().err
    assert not out.exists()
