"""A bank's own files come in by a mapping: every row is accepted or quarantined, and what was logged is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import yaml
from serving_kit import CATALOGUE, SCHEMA

import nextbest
from envs.errors import InputError
from envs.rules import Rules, load_rules
from training.configs import ImportConfig
from training.import_log import import_log

CUSTOMERS = """NO,INCOME,SEG,RISK
a,12000,mass,3
b,9000,,2
c,lots,mass,3
a,12000,mass,3
"""
DECISIONS = """ID,NO,WHEN,CODE,P
d1,a,2026-03-02 09:00:00,M1,0.5
d2,a,2026-03-04T09:00:00+00:00,0000,
d3,b,2026-03-03,call-fund,1
d4,z,2026-03-03,M1,0.5
d5,b,2026-03-05,M1,1.5
d6,b,yesterday,M1,0.5
d7,b,2026-03-06,fax,0.5
d1,b,2026-03-07,M1,0.5
"""
EVENTS = """NO,WHEN,WHAT,CH,AMOUNT,ID
a,2026-03-02 10:00:00,BOUGHT,sms,120.5,d1
b,2026-03-02,app_session,,,
b,2026-03-02,dreamt,,,
b,2026-03-02 10:00:00,engaged,sms,,d1
b,2026-03-02,converted,sms,much,
"""
MAPPING = {
    "timezone": "Asia/Shanghai",
    "customers": {
        "file": "customers.csv",
        "columns": {"customer_id": "NO", "income": "INCOME", "segment": "SEG", "risk_rating": "RISK"},
    },
    "decisions": {
        "file": "decisions.csv",
        "columns": {"decision_id": "ID", "customer_id": "NO", "at": "WHEN", "treatment": "CODE", "propensity": "P"},
    },
    "events": {
        "file": "events.csv",
        "columns": {
            "customer_id": "NO",
            "at": "WHEN",
            "event": "WHAT",
            "channel": "CH",
            "value": "AMOUNT",
            "decision_id": "ID",
        },
    },
    "treatments": {"M1": "sms-deposit", "0000": "silence"},
    "event_names": {"BOUGHT": "converted"},
}


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """The bank's exports and its books in one directory."""
    for name, text in (("customers", CUSTOMERS), ("decisions", DECISIONS), ("events", EVENTS)):
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    books = {
        "mapping": MAPPING,
        "catalogue": CATALOGUE.model_dump(mode="json"),
        "schema": SCHEMA.model_dump(mode="json"),
    }
    for name, book in books.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(book), encoding="utf-8")
    return tmp_path


def _config(bank: Path) -> ImportConfig:
    return ImportConfig(kind="mapped", source=bank, mapping=bank / "mapping.yaml", out=bank / "tables")


def test_rows_in_are_rows_accepted_and_quarantined_with_their_reasons(bank: Path) -> None:
    log = import_log(_config(bank))
    assert dict(log.rows_in) == {"customers.csv": 4, "decisions.csv": 8, "events.csv": 5}
    assert log.accepted == {"customers.csv": 2, "decisions.csv": 3, "events.csv": 2}
    assert log.quarantine.select("file", "row", "reason").rows() == [
        ("customers.csv", 2, "income must be a number"),
        ("customers.csv", 3, "customer_id and valid_from must be unique"),
        ("decisions.csv", 3, "customer_id must be among the customers"),
        ("decisions.csv", 4, "propensity must be in (0, 1]"),
        ("decisions.csv", 5, "at must be a time such as 2026-03-02 12:00:00"),
        ("decisions.csv", 6, "treatment must be one of: " + ", ".join(CATALOGUE.treatment_ids)),
        ("decisions.csv", 7, "decision_id must be unique"),
        ("events.csv", 2, log.quarantine["reason"][7]),
        ("events.csv", 3, "decision_id must be a decision of the same customer, or empty"),
        ("events.csv", 4, "value must be a number"),
    ]
    assert log.quarantine["reason"][7].startswith("event must be one of: ")


def test_what_was_logged_is_kept_in_utc_with_canonical_names(bank: Path) -> None:
    tables = import_log(_config(bank)).tables
    rows = tables.decisions.select("decision_id", "at", "treatment", "propensity").rows()
    assert rows == [
        ("d1", datetime(2026, 3, 2, 1, tzinfo=UTC), "sms-deposit", 0.5),
        ("d2", datetime(2026, 3, 4, 9, tzinfo=UTC), "silence", None),
        ("d3", datetime(2026, 3, 2, 16, tzinfo=UTC), "call-fund", 1.0),
    ]
    assert tables.events.select("event", "value", "decision_id").rows() == [
        ("converted", 120.5, "d1"),
        ("app_session", None, None),
    ]
    assert tables.customers.filter(pl.col("customer_id") == "b")["segment"].to_list() == [None]
    assert tables.schema.split == SCHEMA.split


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [
        ("customers", {"income": None}, "customers.columns.income, must be mapped: schema.yaml declares it"),
        ("customers", {"shoe_size": "X"}, "customers.columns.shoe_size, is not a column of schema.yaml"),
        ("decisions", {"at": "MOMENT"}, "MOMENT, is a column of this file and must be there"),
    ],
)
def test_a_mapping_that_does_not_fit_changes_nothing(
    bank: Path, name: str, change: dict[str, str | None], line: str
) -> None:
    mapping = yaml.safe_load((bank / "mapping.yaml").read_text(encoding="utf-8"))
    columns = mapping[name]["columns"] | change
    mapping[name]["columns"] = {key: own for key, own in columns.items() if own}
    (bank / "mapping.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    with pytest.raises(InputError) as fault:
        import_log(_config(bank))
    assert line in str(fault.value)
    assert not (bank / "tables").exists()


def test_from_the_command_line(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["import", "mapped", str(bank), "--mapping", str(bank / "mapping.yaml"), "--out", str(bank / "tables")]
    assert nextbest.run(words) == 0
    assert "decisions.csv: 8 rows = 3 accepted + 5 quarantined" in capsys.readouterr().out


def test_rules_beside_the_mapping_go_with_the_tables_and_wrong_ones_stop_the_import(bank: Path) -> None:
    rules = {"name": "own", "consent": True, "caps": [{"name": "weekly", "channels": ["sms"], "most": 1, "days": 7}]}
    (bank / "rules.yaml").write_text(yaml.safe_dump(rules))
    config = _config(bank)
    import_log(config)
    assert load_rules(bank / "tables" / "rules.yaml") == Rules.model_validate(rules)
    (bank / "rules.yaml").write_text(yaml.safe_dump({**rules, "suitability": "height"}))
    with pytest.raises(InputError, match="suitability == 'height'"):
        import_log(config.model_copy(update={"out": bank / "again"}))
    assert not (bank / "again").exists()
