"""The bank calls importer: years out of the order of rows, nothing known only after the call, gaps said aloud."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from envs.errors import InputError
from evaluation.reading import read_log
from training.configs import ImportConfig
from training.import_log import ImportedLog, import_log

DATA = Path(os.environ.get("NEXTBEST_DATA", Path(__file__).parent.parent / ".." / "shared" / "data")) / "bank_marketing"
FIELDS: dict[str, Any] = {
    "age": 40, "job": "admin.", "marital": "single", "education": "primary", "default": "no", "balance": -20,
    "housing": "yes", "loan": "no", "contact": "cellular", "day": 5, "month": "may", "duration": 261, "campaign": 1,
    "pdays": -1, "previous": 0, "poutcome": "unknown", "y": "no",
}  # fmt: skip


def source(tmp_path: Path, rows: list[dict[str, Any]], drop: str = "") -> Path:
    """A file like the real one: semicolons, quoted words."""
    names = [name for name in FIELDS if name != drop]
    lines = [";".join(f'"{name}"' for name in names)]
    for changed in rows:
        cells = FIELDS | changed
        lines.append(";".join(f'"{cells[n]}"' if isinstance(cells[n], str) else str(cells[n]) for n in names))
    path = tmp_path / "bank-full.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(path: Path, out: Path) -> ImportedLog:
    return import_log(ImportConfig(kind="bank_calls", source=path, out=out))


def on(month: str, day: int, **more: Any) -> dict[str, Any]:
    return {"month": month, "day": day, **more}


def test_years_follow_from_the_order_of_rows(tmp_path: Path) -> None:
    rows = [on("may", 5), on("dec", 31), on("jan", 1), on("feb", 27), on("jan", 6), on("nov", 17)]
    tables = run(source(tmp_path, rows), tmp_path / "out").tables
    days = tables.decisions.sort("customer_id")["at"].dt.date().to_list()
    assert days == [*(date(2008, 5, 5), date(2008, 12, 31), date(2009, 1, 1), date(2009, 2, 27))] + [
        *(date(2010, 1, 6), date(2010, 11, 17))
    ]


def test_a_row_out_of_place_is_put_aside_and_shifts_no_year(tmp_path: Path) -> None:
    days = (("may", 6), ("jun", 2), ("jan", 28), ("oct", 1), ("jan", 6), ("nov", 17))
    rows = [on("may", 5), on("jan", 7), *(on(month, day) for month, day in days for _ in range(2))]
    log = run(source(tmp_path, rows), tmp_path / "out")
    assert log.quarantine.select("row", "reason").rows() == [
        (1, "month and day must not be before those of the rows before it")
    ]
    assert log.tables.decisions["at"].dt.year().to_list() == [2008] * 5 + [2009] * 4 + [2010] * 4
    assert "row-000001" not in log.tables.customers["customer_id"]


def test_a_file_in_another_order_is_refused(tmp_path: Path) -> None:
    rows = [on(month, 1) for month in ("nov", "aug", "may", "feb", "oct", "jul", "apr", "jan")] * 3
    with pytest.raises(InputError, match=r"must be in the order of time from May 2008 to November 2010"):
        run(source(tmp_path, rows), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_that_only_the_call_shows_is_read(tmp_path: Path) -> None:
    rows = [on("may", 5, y="yes"), on("may", 6)]
    log = run(source(tmp_path, rows), tmp_path / "out")
    assert log.unread == {"bank-full.csv": ("duration",)}
    assert "duration" not in log.tables.customers.columns
    without = run(source(tmp_path, rows, drop="duration"), tmp_path / "without")
    assert without.tables_digest == log.tables_digest
    answered = run(source(tmp_path, [on("may", 5, y="no", duration=9), on("may", 6)]), tmp_path / "no")
    assert answered.tables.decisions["observation"].to_list() == log.tables.decisions["observation"].to_list()


def test_calls_become_treatments_and_subscriptions_conversions(tmp_path: Path) -> None:
    rows = [on("may", 5, contact="unknown", y="yes"), on("may", 5, contact="telephone"), on("may", 6)]
    log = run(source(tmp_path, rows), tmp_path / "out")
    decisions = log.tables.decisions
    assert decisions["treatment"].to_list() == ["call-unknown", "call-telephone", "call-cellular"]
    assert decisions["propensity"].null_count() == decisions["mask"].null_count() == 3
    events = log.tables.events
    assert events.select("customer_id", "event", "channel", "decision_id").rows() == [
        ("row-000000", "converted", "unknown", "row-000000-call")
    ]
    assert read_log(log.tables, "all").margin.tolist() == [1, 0, 0]


def test_what_was_known_before_the_call_is_profile(tmp_path: Path) -> None:
    known = on("may", 12, job="unknown", pdays=0, previous=3, poutcome="success", campaign=4)
    customers = run(source(tmp_path, [known, on("may", 30)]), tmp_path / "out").tables.customers
    first, second = customers.rows(named=True)
    assert (first["job"], first["poutcome"], first["log_pdays"], first["balance"]) == (None, "success", 0.0, -20.0)
    assert first["log_attempt"] == pytest.approx(1.3863, rel=1e-4)
    assert first["log_balance"] == pytest.approx(-3.0445, rel=1e-4)
    assert (second["log_pdays"], second["log_previous"], second["poutcome"]) == (None, 0.0, None)
    assert (first["period"], second["period"]) == ("may-2", "may-3")


def test_the_import_says_what_cannot_be_identified(tmp_path: Path) -> None:
    log = run(source(tmp_path, [on("may", 5)]), tmp_path / "out")
    for word in ("log_attempt", "silence was never logged", "propensity is missing in 1 of 1", "the phone was not"):
        assert any(word in sentence for sentence in log.unidentified), word
        assert word in str(log)


BAD = [
    (on("may", 5, age=-1), "age must be a finite number in [0, 120]"),
    (on("may", 5, job="astronaut"), "job must be one of"),
    (on("may", 5, marital="unknown"), "marital must be one of"),
    (on("may", 5, default="maybe"), "default must be one of: no, yes"),
    (on("may", 5, balance="rich"), "balance must be a number"),
    (on("may", 5, contact="fax"), "contact must be one of"),
    (on("may", 5, campaign=0), "campaign must be a whole number >= 1"),
    (on("may", 5, pdays=3), "pdays must be -1 without previous calls, and only then"),
    (on("may", 5, y=""), "y must be one of: no, yes"),
    (on("mai", 5), "month must be one of"),
    (on("jun", 31), "month and day must be a day between May 2008 and November 2010"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_row_is_quarantined_and_shifts_no_other_clients_id(
    tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    log = run(source(tmp_path, [on("may", 5), bad, on("may", 6)]), tmp_path / "out")
    assert (log.rows_in, log.accepted, log.quarantined) == tuple({"bank-full.csv": n} for n in (3, 2, 1))
    aside = log.quarantine.row(0, named=True)
    assert aside["row"] == 1
    assert aside["reason"].startswith(reason)
    assert log.tables.customers["customer_id"].to_list() == ["row-000000", "row-000002"]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the bank marketing data are not there: {DATA}")
def test_the_real_file_reconciles_and_its_years_make_banking_days(tmp_path: Path) -> None:
    log = run(DATA, tmp_path / "out")
    at = log.tables.decisions["at"]
    assert (log.rows_in["bank-full.csv"], sum(log.quarantined.values())) == (45_211, 0)
    assert (at.min().date(), at.max().date()) == (date(2008, 5, 5), date(2010, 11, 17))
    assert (at.dt.weekday() > 5).mean() < 0.002  # a bank calls on working days: in a wrong year 2 in 7 would not be
    assert at.is_sorted()
    assert log.reward_per_customer == pytest.approx(0.117, abs=5e-4)
    said_yes = log.tables.decisions["customer_id"].is_in(log.tables.events["customer_id"].implode())
    by_half_year = said_yes.to_frame("yes").with_columns(at=at).sort("at").group_by_dynamic("at", every="6mo")
    rates = by_half_year.agg(pl.col("yes").mean())["yes"].to_list()  # the drift that a split by time will meet
    assert rates[1] < 0.08
    assert min(rates[-2:]) > 0.3
