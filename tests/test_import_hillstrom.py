"""The Hillstrom importer: one step, three arms of a third each, the outcome an option."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from envs.errors import InputError
from evaluation.reading import read_log
from training.configs import ImportConfig
from training.import_log import ImportedLog, import_log
from training.importers.hillstrom import ORIGIN, Outcome

DATA = Path(os.environ.get("NEXTBEST_DATA", Path(__file__).parent.parent / ".." / "shared" / "data")) / "hillstrom"
HEADER = "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend"
ROWS = [
    "10,2) $100 - $200,142.44,1,0,Surburban,0,Phone,Womens E-Mail,0,0,0",
    "6,3) $200 - $350,329.08,1,1,Rural,1,Web,No E-Mail,1,0,0",
    "9,5) $500 - $750,675.83,1,0,Urban,1,Multichannel,Mens E-Mail,1,1,29.99",
]


def source(tmp_path: Path, rows: list[str] = ROWS, header: str = HEADER) -> Path:
    path = tmp_path / "test.csv"
    path.write_text("\r\n".join([header, *rows]) + "\r\n", encoding="utf-8")
    return path


def run(path: Path, out: Path, outcome: Outcome = "visit") -> ImportedLog:
    return import_log(ImportConfig(kind="hillstrom", source=path, out=out, outcome=outcome))


def test_three_arms_with_their_true_propensities(tmp_path: Path) -> None:
    decisions = run(source(tmp_path), tmp_path / "out").tables.decisions
    assert decisions["treatment"].to_list() == ["womens_email", "silence", "mens_email"]
    assert decisions["customer_id"].to_list() == ["row-000000", "row-000001", "row-000002"]
    assert decisions["propensity"].to_list() == [1 / 3] * 3
    assert decisions["mask"].to_list() == [[True] * 3] * 3


def test_external_ids_are_the_files_own_names(tmp_path: Path) -> None:
    treatments = run(source(tmp_path), tmp_path / "out").tables.catalogue.treatments
    assert {t.id: t.external_id for t in treatments} == {"mens_email": "Mens E-Mail", "womens_email": "Womens E-Mail"}


def test_what_followed_without_an_email_belongs_to_no_decision(tmp_path: Path) -> None:
    events = run(source(tmp_path), tmp_path / "out").tables.events
    assert events.select("customer_id", "event", "product", "decision_id").rows() == [
        ("row-000001", "engaged", None, None),
        ("row-000002", "engaged", "mens", "row-000002-email"),
        ("row-000002", "converted", "mens", "row-000002-email"),
        ("row-000002", "purchased", "mens", "row-000002-email"),
    ]
    assert events["value"].to_list() == [None, None, None, 29.99]
    assert ((events["at"] > ORIGIN) & (events["at"] <= ORIGIN + timedelta(days=14))).all()


@pytest.mark.parametrize(
    ("outcome", "margin"), [("visit", [0, 1, 1]), ("conversion", [0, 0, 1]), ("spend", [0, 0, 29.99])]
)
def test_the_outcome_decides_the_reward(tmp_path: Path, outcome: Outcome, margin: list[float]) -> None:
    log = run(source(tmp_path), tmp_path / "out", outcome)
    assert read_log(log.tables, "all").margin.tolist() == pytest.approx(margin)
    assert log.reward_per_customer == pytest.approx(sum(margin) / 3)


def test_the_profile_is_observed_by_fixed_scales(tmp_path: Path) -> None:
    tables = run(source(tmp_path), tmp_path / "out").tables
    seen = dict(zip(tables.encoder.names, np.array(tables.decisions["observation"].to_list())[2], strict=True))
    assert seen["recency"] == pytest.approx((9 - 6) / 3.5)
    assert seen["log_history"] == pytest.approx(np.log(676.83) - 5, rel=1e-5)
    assert [seen[f"zip_code={z}"] for z in ("Rural", "Surburban", "Urban")] == [0, 0, 1]
    assert seen["channel=Multichannel"] == seen["mens"] == seen["newbie"] == 1
    assert "history" not in seen


BAD = [
    ("10,x,142.44,1,0,Suburbia,0,Phone,Womens E-Mail,0,0,0", "zip_code must be one of"),
    ("10,x,142.44,1,0,Urban,0,Pigeon,Womens E-Mail,0,0,0", "channel must be one of"),
    ("10,x,142.44,1,0,Urban,0,Phone,Kids E-Mail,0,0,0", "segment must be one of"),
    ("10,x,nan,1,0,Urban,0,Phone,No E-Mail,0,0,0", "history must be a finite number"),
    ("ten,x,1,1,0,Urban,0,Phone,No E-Mail,0,0,0", "recency must be a number"),
    ("10,x,1,1,0,Urban,0,Phone,No E-Mail,2,0,0", "visit must be a whole number in"),
    ("10,x,1,1,0,Urban,0,Phone,No E-Mail,1,1,-5", "spend must be a finite number >= 0"),
    ("10,x,1,1,0,Urban,0,Phone,No E-Mail,0,1,5", "a conversion must come with a visit"),
    ("10,x,1,1,0,Urban,0,Phone,No E-Mail,1,0,5", "spend must be above 0 with a conversion"),
    ("10,x,1,1,0,Urban,0,Phone,No E-Mail", "must have 12 cells"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_row_is_quarantined_and_shifts_no_other_customers_id(tmp_path: Path, row: str, reason: str) -> None:
    log = run(source(tmp_path, [ROWS[0], row, ROWS[1]]), tmp_path / "out")
    assert log.rows_in == {"test.csv": 3}
    assert log.quarantined == {"test.csv": 1}
    assert log.tables.customers["customer_id"].to_list() == ["row-000000", "row-000002"]
    aside = log.quarantine.row(0, named=True)
    assert (aside["file"], aside["row"]) == ("test.csv", 1)
    assert aside["reason"].startswith(reason)
    assert row.split(",")[8] in aside["raw"]


def test_missing_files_and_columns_end_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="must be a file that can be read"):
        run(tmp_path / "nothing.csv", out)
    with pytest.raises(InputError, match=r"test.csv: visit, is a column of this file and must be there"):
        run(source(tmp_path, header=HEADER.replace("visit", "visits")), out)
    with pytest.raises(InputError, match="must hold at least one row"):
        run(source(tmp_path, []), out)
    (tmp_path / "other.csv").write_text(HEADER)
    with pytest.raises(InputError, match="or hold exactly one; it holds 2"):
        run(tmp_path, out)
    assert not out.exists()


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the Hillstrom data are not there: {DATA}")
@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
def test_the_real_test_gives_the_means_of_its_arms(tmp_path: Path, outcome: Outcome) -> None:
    log = run(DATA, tmp_path / "out", outcome)
    assert log.frame["quarantined"].sum() == 0
    raw = pl.read_csv(next(DATA.glob("*.csv")), schema_overrides={"spend": pl.Float64})
    record = read_log(log.tables, "all")
    for arm, name in enumerate(("No E-Mail", "Mens E-Mail", "Womens E-Mail")):
        expected = raw.filter(segment=name)[outcome].mean()
        assert record.margin[record.treatment == arm].mean() == pytest.approx(expected)
