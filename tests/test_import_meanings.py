"""What times, ids, orders and files of a bank's exports mean once they are canonical tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from import_kit import (
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    MAPPING,
    Export,
    copied,
    good_export,
    run_import,
    write_books,
    write_export,
)

from envs.errors import InputError
from training.configs import ImportConfig, ValidateConfig
from training.import_log import import_log
from training.importers.mapped import BACKWARDS
from training.validate import validate

GOOD = good_export(customers=2, decisions=3)


def changed(**parts: Any) -> dict[str, Any]:
    return {**MAPPING, **parts}


def events_of(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path / "events.parquet")


def test_a_date_is_the_first_instant_of_a_decisions_day_and_the_last_of_an_events(tmp_path: Path) -> None:
    export = copied(GOOD)
    export[DECISIONS][0]["WHEN"] = export[EVENTS][0]["WHEN"] = "2026-03-02"
    assert export[EVENTS][0]["ID"] == "d00"
    tables = run_import(tmp_path, export).tables
    assert tables.decisions["at"][0] == datetime(2026, 3, 1, 16, tzinfo=UTC)  # midnight in Shanghai
    assert tables.events["at"][0] == datetime(2026, 3, 2, 16, tzinfo=UTC) - timedelta(microseconds=1)


def test_an_answer_at_its_decisions_own_instant_comes_after_it(tmp_path: Path) -> None:
    export = copied(GOOD)
    export[EVENTS][0]["WHEN"] = export[DECISIONS][0]["WHEN"]
    tables = run_import(tmp_path, export).tables
    assert tables.events["at"][0] - tables.decisions["at"][0] == timedelta(microseconds=1)


def test_the_fewest_rows_that_run_backwards_are_put_aside_or_all_are_sorted(tmp_path: Path) -> None:
    export = copied(GOOD)
    export[DECISIONS][1]["WHEN"] = "2026-04-30 09:00:00"  # far ahead of the third: it is the one that is out of order
    export[EVENTS] = [row for row in export[EVENTS] if not row["ID"]]
    log = run_import(tmp_path, export)
    assert log.quarantine.select("file", "row", "reason").rows() == [(DECISIONS, 2, BACKWARDS)]
    export[DECISIONS] = [*export[DECISIONS][2:], *export[DECISIONS][:2]]
    first = run_import(tmp_path / "sorted", export, changed(in_time_order=False))
    assert first.quarantine.is_empty()
    export[DECISIONS].reverse()
    again = run_import(tmp_path / "reversed", export, changed(in_time_order=False))
    assert again.tables.decisions.equals(first.tables.decisions)


def test_event_ids_come_from_the_content_and_not_from_the_place(tmp_path: Path) -> None:
    before = events_of(run_import(tmp_path, GOOD).path)
    export = copied(GOOD)
    export[EVENTS].insert(0, export[EVENTS][1] | {"WHEN": "2026-03-01 09:00:00"})
    after = events_of(run_import(tmp_path / "more", export).path)
    assert after.height == before.height + 1
    assert set(before["event_id"]) < set(after["event_id"])


def test_ids_of_the_bank_are_kept_and_tell_apart_what_looks_alike(tmp_path: Path) -> None:
    export = copied(GOOD)
    export[EVENTS] = [row | {"NUMBER": f"e{i}"} for i, row in enumerate([*export[EVENTS], export[EVENTS][-1]])]
    columns = {**MAPPING["events"]["columns"], "event_id": "NUMBER"}
    log = run_import(tmp_path, export, changed(events={"file": EVENTS, "columns": columns}))
    assert log.quarantine.is_empty()
    assert set(events_of(log.path)["event_id"]) == {f"e{i}" for i in range(len(export[EVENTS]))}


def test_one_file_may_serve_two_tables_and_each_is_counted(tmp_path: Path) -> None:
    export = copied(GOOD)
    seen: set[str] = set()
    for row in export[DECISIONS]:
        row.update(INCOME="" if row["NO"] in seen else "9000", RISK="3", SEG="mass")
        seen.add(row["NO"])
    source = {"file": DECISIONS, "columns": MAPPING["customers"]["columns"]}
    log = run_import(tmp_path, export, changed(customers=source))
    both = f"{DECISIONS} as customers", f"{DECISIONS} as decisions"
    assert [(log.rows_in[name], log.accepted[name], log.quarantined[name]) for name in both] == [(6, 2, 4), (6, 6, 0)]
    assert log.unread[both[0]] == ("ID", "WHEN", "CODE", "P", "GROUP", "MOMENT")


def test_files_in_the_banks_own_encoding_and_with_its_own_delimiter(tmp_path: Path) -> None:
    schema_columns = [
        {"name": "income", "type": "number"},
        {"name": "segment", "type": "category", "categories": ["大众", "私行"]},
        {"name": "risk_rating", "type": "number"},
    ]
    export = copied(GOOD)
    for row in export[CUSTOMERS]:
        row["SEG"] = "私行"
    write_export(tmp_path, export)
    for name in export:
        text = (tmp_path / name).read_text(encoding="utf-8").replace(",", ";")
        (tmp_path / name).write_text(text, encoding="gb18030")
    book = write_books(tmp_path / "books", changed(delimiter=";", encoding="GB18030"), columns=schema_columns)
    config = ImportConfig(kind="mapped", source=tmp_path, mapping=book, out=tmp_path / "out")
    assert import_log(config).tables.customers["segment"].to_list() == ["私行", "私行"]
    write_books(tmp_path / "books", changed(delimiter=";"), columns=schema_columns)
    with pytest.raises(InputError, match="of 2 the first fails: must be text in utf-8"):
        import_log(config)


def test_nobody_is_decided_about_before_anything_is_known_of_them(tmp_path: Path) -> None:
    export = copied(GOOD)
    for row in export[CUSTOMERS]:
        row["SINCE"] = "2026-03-04"
    columns = {**MAPPING["customers"]["columns"], "valid_from": "SINCE"}
    log = run_import(tmp_path, export, changed(customers={"file": CUSTOMERS, "columns": columns}))
    reasons = log.quarantine.group_by("file", "reason").len().sort("file").rows()
    assert reasons == [
        (DECISIONS, "at must not be before the customer's first valid_from", 2),
        (EVENTS, "its decision was put aside", 1),
    ]


def test_decisions_after_the_end_of_a_finite_task_are_put_aside(tmp_path: Path) -> None:
    task = {"kind": "finite", "days": [0, 2], "end_day": 4, "gamma": 1.0}
    log = run_import(tmp_path, GOOD, task=task)
    assert log.quarantine.filter(file=DECISIONS)["row"].to_list() == [2, 5]
    reason = "at must be before the task's end, 4 days after the customer's first decision"
    assert set(log.quarantine.filter(file=DECISIONS)["reason"]) == {reason}
    assert log.decisions == 4


@pytest.mark.parametrize(
    ("part", "value", "line"),
    [
        ("treatments", {"M1": "sms-depositt"}, "treatments.M1 == 'sms-depositt', must be one of: silence, sms-deposit"),
        ("event_names", {"BOUGHT": "buys"}, "event_names.BOUGHT == 'buys', must be one of: abandoned"),
        ("encoding", "gbk-18", "'gbk-18' must be an encoding such as"),
        ("delimiter", "::", "delimiter == '::'"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_by_both_doors(
    tmp_path: Path, part: str, value: Any, line: str
) -> None:
    with pytest.raises(InputError) as fault:
        run_import(tmp_path, GOOD, changed(**{part: value}))
    assert line in str(fault.value)
    with pytest.raises(InputError) as fault:
        validate(ValidateConfig(path=tmp_path / "books" / "mapping.yaml"))
    assert line in str(fault.value)
    assert not (tmp_path / "tables").exists()


def test_a_column_that_stands_in_the_header_twice_is_refused(tmp_path: Path) -> None:
    write_export(tmp_path, GOOD)
    file = tmp_path / DECISIONS
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([f"{lines[0]},WHEN", *(f"{line},2026-01-01" for line in lines[1:])]), encoding="utf-8")
    book = write_books(tmp_path / "books")
    with pytest.raises(InputError, match=r"contacts.csv: WHEN == 2, must stand in the header once"):
        import_log(ImportConfig(kind="mapped", source=tmp_path, mapping=book, out=tmp_path / "out"))


def test_the_import_says_what_it_did_not_read_and_what_the_log_cannot_tell(tmp_path: Path) -> None:
    log = run_import(tmp_path, without_propensity(GOOD))
    assert log.unread == {CUSTOMERS: ("BRANCH",), DECISIONS: (), EVENTS: ()}
    said = str(log)
    assert "customers.csv: not read: BRANCH" in said
    assert "not identified: propensity is missing in 6 of 6 decisions" in said
    assert "2 of 4 treatments were never logged (call-deposit, app-care): not their effects" in said


def without_propensity(export: Export) -> Export:
    return {file: [row | {"P": ""} if "P" in row else row for row in rows] for file, rows in export.items()}


def test_changed_tables_are_not_those_of_the_import(tmp_path: Path) -> None:
    log = run_import(tmp_path, GOOD)
    assert "6 decisions" in (said := str(validate(ValidateConfig(path=log.path))))
    assert "as imported, 0 rows quarantined" in said
    events_of(log.path).head(1).write_parquet(log.path / "events.parquet")
    with pytest.raises(InputError, match=r"import.json: tables_digest == .* were changed since; import again"):
        validate(ValidateConfig(path=log.path))
    (log.path / "import.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="must be the account that an import writes"):
        validate(ValidateConfig(path=log.path))
