"""A bank's own CSV files -> canonical tables, by `mapping.yaml` with catalogue.yaml and schema.yaml beside it.

A row that does not fit is quarantined with the reason; nothing is guessed. Propensities that are not mapped stay
empty: they are then estimated, and every report says so. Which rows are read does not depend on anything but the
files, and no id on the place of a row, so that a corrected export gives the tables that it would have given at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import polars as pl

from envs.catalogue import Catalogue, load_catalogue
from envs.config import load_config
from envs.prices import prices_from
from envs.rules import RuleBook, Rules, load_rules
from envs.schema import Schema, load_schema
from envs.tables import INSTANT
from training.importers.mapped_rows import ALWAYS, Decided, Happened, RowReader
from training.importers.order import in_order
from training.importers.rows import BadRowError, Imported, Intake, Row, csv_rows, unknown
from training.mapping import Mapping, check_mapping

T = TypeVar("T")
Timed = TypeVar("Timed", Decided, Happened)

TEXT, NUMBER = pl.String(), pl.Float64()
COLUMN_TYPES: dict[str, pl.DataType] = {"number": NUMBER, "flag": NUMBER, "category": TEXT}
TYPES: dict[str, pl.DataType] = {"at": INSTANT, "propensity": NUMBER, "value": NUMBER}  # the others are text
IDS = {"customers": "customer_id", "decisions": "decision_id", "events": "event_id"}
TICK = timedelta(microseconds=1)
BACKWARDS = "at must not run backwards within a customer (in_time_order: false in the mapping sorts the rows)"


def import_mapped(source: Path, mapping_file: Path) -> Imported:
    """Read the files that the mapping names; the split is the one that schema.yaml records."""
    mapping = load_config(Mapping, mapping_file)
    books = {name: mapping_file.with_name(name) for name in ("catalogue.yaml", "schema.yaml")}
    catalogue, schema = load_catalogue(books["catalogue.yaml"]), load_schema(books["schema.yaml"])
    rules = _rules(mapping_file.with_name("rules.yaml"), catalogue, schema)
    check_mapping(mapping_file, mapping, catalogue, schema)
    files = MappedFiles(source, mapping, RowReader(mapping, catalogue, schema))
    customers, decisions, events = files.customers(), files.decisions(), files.events()
    prices = prices_from(None, catalogue, schema).named(catalogue)
    return Imported(
        catalogue=catalogue,
        schema=schema,
        customers=customers,
        decisions=decisions.with_columns(
            **unknown("mask", "probabilities", "policy_digest", "rules_digest"),
            prices=pl.struct([pl.lit(price).alias(name) for name, price in prices.items()]),
        ),
        events=events,
        intake=files.intake,
        sources={part.file: source / part.file for part in mapping.sources.values()}
        | {mapping_file.name: mapping_file}
        | books,
        rules=rules,
        unread=files.unread,
    )


def _rules(file: Path, catalogue: Catalogue, schema: Schema) -> Rules | None:
    """The rules that stand beside the mapping, checked against catalogue and schema."""
    return RuleBook(load_rules(file), catalogue, schema).rules if file.is_file() else None


class MappedFiles:
    """Reads customers, decisions and events, in this order: each is checked against those before it."""

    def __init__(self, source: Path, mapping: Mapping, reader: RowReader) -> None:
        self.source, self.mapping, self.reader = source, mapping, reader
        self.intake = Intake()
        self.unread: dict[str, tuple[str, ...]] = {}

    def customers(self) -> pl.DataFrame:
        """customer_id, valid_from and the profile columns."""
        rows = [known for known, _ in self._read("customers", self.reader.customer)]
        for known in rows:
            self.reader.remember_customer(known)
        names = {c.name: COLUMN_TYPES[c.type] for c in self.reader.schema.columns}
        return pl.DataFrame(
            [(r.customer_id, r.valid_from, *r.profile) for r in rows],
            schema={"customer_id": TEXT, "valid_from": INSTANT} | names,
            orient="row",
        )

    def decisions(self) -> pl.DataFrame:
        """The columns of `Decided`; an observation is added by the replay."""
        pairs = self._in_order("decisions", self._read("decisions", self.reader.decision))
        task = self.reader.schema.task
        if task.kind == "finite":
            first: dict[str, int] = {}
            for record, _ in pairs:
                day = record.at.toordinal()
                first[record.customer_id] = min(day, first.get(record.customer_id, day))
            late = [r.at.toordinal() - first[r.customer_id] >= task.end_day for r, _ in pairs]
            need = f"at must be before the task's end, {task.end_day} days after the customer's first decision"
            pairs = self._without("decisions", pairs, late, need)
        for record, _ in pairs:
            self.reader.remember_decision(record)
        return _frame([record for record, _ in pairs], Decided._fields)

    def events(self) -> pl.DataFrame:
        """The columns of `Happened`."""
        pairs = self._in_order("events", self._read("events", self.reader.event))
        return _frame([record for record, _ in pairs], Happened._fields)

    def _read(self, table: str, parse: Callable[[Row], T]) -> list[tuple[T, Row]]:
        """The rows of one file that parse, with canonical names."""
        part, label = self.mapping.sources[table], self.mapping.label(table)
        rows = csv_rows(
            self.source / part.file, tuple(part.columns.values()), self.mapping.delimiter, self.mapping.encoding
        )
        used = set(part.columns.values())

        def canonical(row: Row) -> tuple[T, Row]:
            if label not in self.unread:
                self.unread[label] = tuple(name for name in row.fields if name not in used)
            named = Row(row.number, row.raw, {name: row.fields[own].strip() for name, own in part.columns.items()})
            try:
                return parse(named), named
            except BadRowError:
                self.reader.lost[table].add(named.fields.get(IDS[table], ""))
                raise

        return self.intake.accept(self.source / part.file, rows, canonical, label)

    def _in_order(self, table: str, pairs: list[tuple[Timed, Row]]) -> list[tuple[Timed, Row]]:
        """Without the rows that run backwards in a customer's time, as few as possible."""
        if not self.mapping.in_time_order:
            return pairs
        places: dict[str, list[int]] = {}
        for place, (record, _) in enumerate(pairs):
            places.setdefault(record.customer_id, []).append(place)
        wrong = [False] * len(pairs)
        for own in places.values():
            times = [((pairs[place][0].at - ALWAYS) // TICK,) for place in own]
            for place, kept in zip(own, in_order(times), strict=True):
                wrong[place] = kept is None
        return self._without(table, pairs, wrong, BACKWARDS)

    def _without(
        self, table: str, pairs: list[tuple[Timed, Row]], wrong: Sequence[bool], reason: str
    ) -> list[tuple[Timed, Row]]:
        """The pairs that are not wrong; the others are put aside."""
        for (_, row), bad in zip(pairs, wrong, strict=True):
            if bad:
                self.intake.put_aside(self.mapping.label(table), row, reason)
                self.reader.lost[table].add(row.fields.get(IDS[table], ""))
        return [pair for pair, bad in zip(pairs, wrong, strict=True) if not bad]


def _frame(records: Sequence[Decided] | Sequence[Happened], names: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(records, schema={name: TYPES.get(name, TEXT) for name in names}, orient="row")
