"""The guide to one's own log: its bank is imported as it stands there, and its reasons are the code's reasons."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from import_kit import CORRUPTIONS, CUSTOMERS, MAPPING, copied, good_export, run_import
from test_docs_commands import GUIDES, blocks, commands, export

import nextbest
from training.importers.mapped import BACKWARDS

GUIDE = "bring-your-own-log.md"
ROWS = re.findall(r"^\| (`.*?`) \| [^|]+ \|$", GUIDES[GUIDE].partition("| reason |")[2], re.MULTILINE)
PATTERNS = [pattern for row in ROWS for pattern in re.findall(r"`([^`]+)`", row)]


def said(reason: str) -> list[str]:
    """The guide's patterns that a reason fits: X, N and ENCODING stand for one word, … for anything."""
    words = {"X": r"\w+", "N": r"\d+", "ENCODING": r"\S+", "…": ".*"}
    found = []
    for pattern in PATTERNS:
        parts = re.split(r"(\bX\b|\bN\b|\bENCODING\b|…)", pattern)
        if re.fullmatch("".join(words.get(part, re.escape(part)) for part in parts), reason):
            found.append(pattern)
    return found


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The guide's bank: its YAML files as printed, and a small export."""
    for block in blocks(GUIDE, "yaml"):
        file = tmp_path / block.splitlines()[0].removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        file.write_text(block, encoding="utf-8")
    export(tmp_path / "exports", customers=30)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_guides_bank_is_imported_by_the_guides_commands(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = commands(GUIDE)
    assert [line.split()[1] for line in lines[:3]] == ["validate", "import", "validate"]
    for line in lines[:3]:
        assert nextbest.run(shlex.split(line)[1:]) == 0
    out = capsys.readouterr().out
    assert "checked against the catalogue and schema beside it" in out
    assert "contacts.csv: 180 rows = 180 accepted + 0 quarantined" in out
    assert "1 x responses.csv: customer_id must be among the customers (row 0)" in out
    assert "as imported, 1 rows quarantined" in out


def other_reasons(tmp_path: Path) -> set[str]:
    """Reasons that take another mapping, schema or row than the kit's corruptions."""
    late = copied(good_export(2, 2))
    for row in late[CUSTOMERS]:
        row["SINCE"] = "2026-03-04"
    columns = {**MAPPING["customers"]["columns"], "valid_from": "SINCE"}
    known = run_import(tmp_path / "late", late, {**MAPPING, "customers": {"file": CUSTOMERS, "columns": columns}})
    finite = run_import(tmp_path / "end", good_export(2, 2), task={"kind": "finite", "days": [0], "end_day": 2})
    twice = copied(good_export(2, 2))
    for row in twice["responses.csv"]:
        row["NUMBER"] = "e1"
    columns = {**MAPPING["events"]["columns"], "event_id": "NUMBER"}
    ids = run_import(tmp_path / "ids", twice, {**MAPPING, "events": {"file": "responses.csv", "columns": columns}})
    return {reason for log in (known, finite, ids) for reason in log.quarantine["reason"]}


def test_every_reason_is_in_the_guide_and_the_guide_invents_none(tmp_path: Path) -> None:
    reasons = other_reasons(tmp_path) | {BACKWARDS}
    good = good_export(3, 3)
    for how in CORRUPTIONS:
        spoilt = copied(good)
        hit = next(
            i for i, row in enumerate(good[how.file])
            if (row["NO"] != "c0" and how.answers in (None, bool(row.get("ID"))))
            and (how.file == CUSTOMERS or good[how.file][i - 1]["NO"] == row["NO"])
        )  # fmt: skip
        spoilt[how.file][hit] = how.spoil(good[how.file], hit)
        reasons |= set(run_import(tmp_path / how.name, spoilt).quarantine["reason"])
    assert {reason for reason in reasons if not said(reason)} == set()
    unused = set(PATTERNS) - {pattern for reason in reasons for pattern in said(reason)}
    assert unused <= {"X must be a whole number …"}  # of flags, which the kit's bank does not have
    assert len(PATTERNS) > 20
