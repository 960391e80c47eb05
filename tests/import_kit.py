"""A small bank's exports, all good, and every way in which a row of them can be wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from serving_kit import CATALOGUE, SCHEMA

from training.configs import ImportConfig
from training.import_log import ImportedLog, import_log

Cells = dict[str, str]
Export = dict[str, list[Cells]]  # file -> rows
START = datetime(2026, 3, 2, 9)
CUSTOMERS, DECISIONS, EVENTS = "customers.csv", "contacts.csv", "responses.csv"
MAPPING: dict[str, Any] = {
    "timezone": "Asia/Shanghai",
    "customers": {
        "file": CUSTOMERS,
        "columns": {"customer_id": "NO", "income": "INCOME", "segment": "SEG", "risk_rating": "RISK"},
    },
    "decisions": {
        "file": DECISIONS,
        "columns": {"decision_id": "ID", "customer_id": "NO", "at": "WHEN", "treatment": "CODE", "propensity": "P"}
        | {"assignment": "GROUP", "trigger": "MOMENT"},
    },
    "events": {
        "file": EVENTS,
        "columns": {"customer_id": "NO", "at": "WHEN", "event": "WHAT", "channel": "CH", "product": "PROD"}
        | {"value": "AMOUNT", "decision_id": "ID"},
    },
    "treatments": {"M1": "sms-deposit", "0000": "silence"},
    "event_names": {"BOUGHT": "converted"},
}


def good_export(customers: int = 5, decisions: int = 4) -> Export:
    """Each customer is decided about every second day; one in three is texted and buys; every day after has a visit."""
    out: Export = {CUSTOMERS: [], DECISIONS: [], EVENTS: []}
    for c in range(customers):
        out[CUSTOMERS].append({"NO": f"c{c}", "INCOME": str(9000 + c), "SEG": "mass", "RISK": "3", "BRANCH": "b1"})
        for d in range(decisions):
            at, code = START + timedelta(days=2 * d, minutes=c), ("M1", "0000", "call-fund")[(c + d) % 3]
            key = {"NO": f"c{c}", "WHEN": str(at)}
            out[DECISIONS].append(
                {"ID": f"d{c}{d}", **key, "CODE": code, "P": "0.25", "GROUP": "randomised", "MOMENT": ""}
            )
            answer = {"CH": "sms", "PROD": "deposit", "AMOUNT": "12.5", "ID": f"d{c}{d}"}
            if code == "M1":
                out[EVENTS].append({"NO": f"c{c}", "WHEN": str(at + timedelta(hours=1)), "WHAT": "BOUGHT", **answer})
            visit = {"CH": "", "PROD": "", "AMOUNT": "", "ID": ""}
            out[EVENTS].append(
                {"NO": f"c{c}", "WHEN": str(at.date() + timedelta(days=1)), "WHAT": "app_session", **visit}
            )
    return out


def copied(export: Export) -> Export:
    return {file: [dict(row) for row in rows] for file, rows in export.items()}


class Corruption(NamedTuple):
    """A way in which a row can be wrong."""

    name: str
    file: str
    reason: str  # how the reason begins
    spoil: Callable[[list[Cells], int], Cells]  # all rows of the file, which one -> what becomes of it
    answers: bool | None = None  # events only: whether the row answers to a decision


def _cell(column: str, value: str) -> Callable[[list[Cells], int], Cells]:
    return lambda rows, i: rows[i] | {column: value}


def _earlier(rows: list[Cells], i: int) -> Cells:
    """Long before everything else, each row before the last one so spoilt."""
    return rows[i] | {"WHEN": str(datetime(2020, 6, 1) - timedelta(days=i))}


CORRUPTIONS = (
    Corruption("income", CUSTOMERS, "income must be a number", _cell("INCOME", "lots")),
    Corruption("infinite", CUSTOMERS, "income must be a finite number", _cell("INCOME", "inf")),
    Corruption("segment", CUSTOMERS, "segment must be one of", _cell("SEG", "royal")),
    Corruption("empty", CUSTOMERS, "risk_rating must not be empty", _cell("RISK", "")),
    Corruption("nobody", CUSTOMERS, "customer_id must not be empty", _cell("NO", " ")),
    Corruption("same", CUSTOMERS, "customer_id and valid_from must be unique", _cell("NO", "c0")),
    Corruption("cells", CUSTOMERS, "must have 5 cells", _cell("more", "x")),
    Corruption("treatment", DECISIONS, "treatment must be one of", _cell("CODE", "fax")),
    Corruption("p0", DECISIONS, "propensity must be in (0, 1]", _cell("P", "0")),
    Corruption("p2", DECISIONS, "propensity must be in (0, 1]", _cell("P", "1.5")),
    Corruption("pnan", DECISIONS, "propensity must be in (0, 1]", _cell("P", "nan")),
    Corruption("pword", DECISIONS, "propensity must be in (0, 1]", _cell("P", "often")),
    Corruption("time", DECISIONS, "at must be a time", _cell("WHEN", "yesterday")),
    Corruption("year 1", DECISIONS, "at must be a time", _cell("WHEN", "0001-01-01")),
    Corruption("long ago", DECISIONS, "at must lie between 2000 and 2045", _cell("WHEN", "1970-01-01")),
    Corruption("stranger", DECISIONS, "customer_id must be among the customers", _cell("NO", "x9")),
    Corruption("group", DECISIONS, "assignment must be one of", _cell("GROUP", "best")),
    Corruption("moment", DECISIONS, "trigger must be one of", _cell("MOMENT", "birthday")),
    Corruption("id", DECISIONS, "decision_id must not be empty", _cell("ID", "")),
    Corruption("same id", DECISIONS, "decision_id must be unique", _cell("ID", "d00")),
    Corruption("twice", DECISIONS, "customer_id, at and treatment must be unique", lambda r, i: r[0] | {"ID": f"x{i}"}),
    Corruption("backwards", DECISIONS, "at must not run backwards", _earlier),
    Corruption("event", EVENTS, "event must be one of", _cell("WHAT", "dreamt")),
    Corruption("channel", EVENTS, "channel must be one of", _cell("CH", "fax")),
    Corruption("product", EVENTS, "product must be one of", _cell("PROD", "yacht")),
    Corruption("amount", EVENTS, "value must be a number", _cell("AMOUNT", "1_000")),
    Corruption("orphan", EVENTS, "decision_id must be a decision of the same customer", _cell("ID", "d99")),
    Corruption("other", EVENTS, "decision_id must be a decision of the same customer", _cell("ID", "d00")),
    Corruption("early", EVENTS, "at must not be before its decision's", _earlier, answers=True),
    Corruption("back", EVENTS, "at must not run backwards", _earlier, answers=False),
    Corruption("again", EVENTS, "must differ from every row before it", lambda rows, i: dict(rows[0])),
    Corruption("bytes", EVENTS, "must be text in utf-8", _cell("CH", "\udce9")),
)
CASCADES = (  # of rows that are right themselves: what they name was put aside, or has lost its id
    "its customer was put aside",
    "its decision was put aside",
    "customer_id must be among the customers",
    "decision_id must be a decision of the same customer",
)


def write_export(folder: Path, export: Export) -> None:
    """The CSV files; a cell under `more` has no column, lone surrogates become bytes that are not UTF-8."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in export.items():
        with (folder / name).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow([column for column in rows[0] if column != "more"])
            writer.writerows(row.values() for row in rows)


def write_books(folder: Path, mapping: dict[str, Any] = MAPPING, **schema: Any) -> Path:
    """mapping.yaml with catalogue.yaml and schema.yaml beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    books = {
        "mapping": mapping,
        "catalogue": CATALOGUE.model_dump(mode="json"),
        "schema": SCHEMA.model_dump(mode="json") | schema,
    }
    for name, book in books.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(book), encoding="utf-8")
    return folder / "mapping.yaml"


def run_import(folder: Path, export: Export, mapping: dict[str, Any] = MAPPING, **schema: Any) -> ImportedLog:
    """Write the exports and books under a folder and import them into its `tables`."""
    write_export(folder, export)
    file = write_books(folder / "books", mapping, **schema)
    return import_log(ImportConfig(kind="mapped", source=folder, mapping=file, out=folder / "tables"))
