"""Rows of a foreign file: each one is accepted or quarantined with a reason, and the two numbers add up."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import polars as pl

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.rules import Rules
from envs.schema import Schema
from envs.table_checks import LARGEST_AMOUNT
from envs.tables import DECISIONS

T = TypeVar("T")


class BadRowError(ValueError):
    """A row that cannot be accepted; its text is the reason, without the row's own values."""


class Row(NamedTuple):
    """One row as it was read."""

    number: int  # counted from 0: lines of JSON lines, data rows of CSV (the header does not count)
    raw: str  # the text, for the quarantine
    fields: Mapping[str, Any]


class Quarantined(NamedTuple):
    """A row that was put aside."""

    file: str
    row: int
    reason: str
    raw: str


UNREADABLE = "\ufffd"  # what a byte becomes that does not belong to the encoding
QUARANTINE = {"file": pl.String, "row": pl.Int64, "reason": pl.String, "raw": pl.String}


def unknown(*columns: str) -> dict[str, pl.Expr]:
    """Columns of the table of decisions of which a source says nothing."""
    return {column: pl.lit(None, DECISIONS[column]) for column in columns}


@dataclass
class Intake:
    """The door: counts the rows of each file and keeps those that were put aside.

    Accepted rows are counted one by one, not by subtraction, so that `reconcile` can find a row that got lost.
    """

    rows_in: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)

    def put_aside(self, file: str, row: Row, reason: str) -> None:
        """Quarantine a row that had been accepted: one that does not fit with other rows."""
        self.quarantined.append(Quarantined(file, row.number, reason, row.raw))
        self.accepted[file] -= 1

    def accept(
        self, path: Path, rows: Iterator[Row | Quarantined], parse: Callable[[Row], T], name: str | None = None
    ) -> list[T]:
        """Parse every row of a file; what raises BadRowError is quarantined. At least one row must pass.

        name: what the file is called in the account, where its own name is not enough
        """
        name = name or path.name
        good: list[T] = []
        count, put_aside = 0, len(self.quarantined)
        for row in rows:
            count += 1
            if isinstance(row, Quarantined):
                self.quarantined.append(row._replace(file=name))
                continue
            try:
                good.append(parse(row))
            except BadRowError as bad:
                self.quarantined.append(Quarantined(name, row.number, str(bad), row.raw))
        self.rows_in[name], self.accepted[name] = count, len(good)
        if not count:
            raise InputError("must hold at least one row", file=path)
        if not good:
            first = self.quarantined[put_aside]
            raise InputError(f"must hold at least one good row; of {count} the first fails: {first.reason}", file=path)
        return good

    def reconcile(self) -> None:
        """Rows in are rows accepted plus rows put aside, no row twice; anything else is a fault of an importer."""
        aside = Counter(row.file for row in self.quarantined)
        wrong = [f for f, rows in self.rows_in.items() if rows != self.accepted[f] + aside[f]]
        if wrong or len({(row.file, row.row) for row in self.quarantined}) != len(self.quarantined):
            raise RuntimeError(f"rows do not reconcile: {self.rows_in}, accepted {self.accepted}, aside {dict(aside)}")

    def frame(self) -> pl.DataFrame:
        """The quarantine as a table, sorted by file and row."""
        return pl.DataFrame(self.quarantined, schema=QUARANTINE, orient="row").sort("file", "row")


@dataclass(frozen=True)
class Imported:
    """What an importer hands on: canonical tables (decisions without observation) and the account of rows."""

    catalogue: Catalogue
    schema: Schema
    customers: pl.DataFrame
    decisions: pl.DataFrame
    events: pl.DataFrame
    intake: Intake
    sources: Mapping[str, Path]  # name in the account -> file
    rules: Rules | None = None  # of the bank that the log comes from, where it states them
    unread: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # file -> columns that nobody asked for
    unidentified: tuple[str, ...] = ()  # what this log cannot tell, a sentence each


def read_bytes(path: Path) -> bytes:
    """A source file's content."""
    try:
        return path.read_bytes()
    except OSError as fault:
        raise InputError(f"must be a file that can be read ({fault.strerror})", file=path) from None


def json_lines(path: Path, columns: tuple[str, ...]) -> Iterator[Row | Quarantined]:
    """One JSON object per line; blank lines are no rows. A column that no object has is an InputError."""
    rows: list[Row | Quarantined] = []
    missing = set(columns)
    for number, line in enumerate(read_bytes(path).split(b"\n")):
        if not line.strip():
            continue
        raw = line.decode("utf-8", errors="replace").strip()
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if isinstance(fields, dict):
            missing -= fields.keys()
            rows.append(Row(number, raw, fields))
        else:
            rows.append(Quarantined(path.name, number, "must be a JSON object on one line", raw))
    _refuse_missing(path, missing, any(isinstance(row, Row) for row in rows))
    return iter(rows)


def csv_rows(
    path: Path, columns: tuple[str, ...], delimiter: str = ",", encoding: str = "utf-8"
) -> Iterator[Row | Quarantined]:
    """Rows of a CSV file with a header; a column that the header lacks, or has twice, is an InputError."""
    text = read_bytes(path).decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        table = [cells for cells in reader if cells]
    except csv.Error as fault:
        raise InputError(f"must be CSV ({fault})", file=path) from None
    header = table[0] if table else []
    _refuse_missing(path, set(columns) - set(header), bool(table))
    for name in columns:
        if header.count(name) > 1:
            raise InputError("must stand in the header once", file=path, field=name, value=header.count(name))
    asked = [header.index(name) for name in columns] if table else []
    rows: list[Row | Quarantined] = []
    for number, cells in enumerate(table[1:]):
        if len(cells) != len(header):
            whole = json.dumps(cells, ensure_ascii=False)
            rows.append(Quarantined(path.name, number, f"must have {len(header)} cells", whole))
            continue
        raw = json.dumps({header[i]: cells[i] for i in asked}, ensure_ascii=False)  # what was not asked for stays out
        if any(UNREADABLE in cells[i] for i in asked):
            rows.append(Quarantined(path.name, number, f"must be text in {encoding}", raw))
        else:
            rows.append(Row(number, raw, dict(zip(header, cells, strict=True))))
    return iter(rows)


def _refuse_missing(path: Path, missing: set[str], any_row: bool) -> None:
    if missing and any_row:
        raise InputError("is a column of this file and must be there", file=path, field=sorted(missing)[0])


def text(fields: Mapping[str, Any], name: str) -> str:
    """A field that must be a word."""
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRowError(f"{name} must be a text that is not empty")
    return value


def choice(fields: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    """A field that must be one of a few words."""
    value = fields.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise BadRowError(f"{name} must be one of: {', '.join(allowed)}")
    return value


def number(
    fields: Mapping[str, Any], name: str, low: float = 0.0, high: float = math.inf, *, whole: bool = False
) -> float:
    """A field that must be a finite number in [low, high]; beyond LARGEST_AMOUNT no estimate is finite."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRowError(f"{name} must be a number")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not (abs(value) <= LARGEST_AMOUNT and low <= value <= high) or (whole and not value.is_integer()):
        bound = f"in [{low:g}, {high:g}]" if math.isfinite(high) else f">= {low:g}"
        raise BadRowError(f"{name} must be a {'whole' if whole else 'finite'} number {bound}")
    return value


def floating(cell: str) -> float | None:
    """A cell of text as a number; None, which `number` refuses, where it is none."""
    try:
        return None if "_" in cell else float(cell)  # Python would read 1_000
    except ValueError:
        return None
