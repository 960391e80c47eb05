"""A bank's own CSV files -> canonical tables, by `mapping.yaml` with catalogue.yaml and schema.yaml beside it.

A row that does not fit is quarantined with the reason; nothing is guessed. Propensities that are not mapped stay
empty: they are then estimated, and every report says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Named
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from envs.catalogue import Catalogue, load_catalogue
from envs.config import load_config
from envs.errors import InputError
from envs.history import EVENTS
from envs.prices import prices_from
from envs.rules import RuleBook, Rules, load_rules
from envs.schema import Column, Schema, load_schema
from envs.tables import ASSIGNMENTS, INSTANT
from training.importers.rows import BadRowError, Imported, Intake, Row, choice, csv_rows, number
from training.mapping import Mapping, Source

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)  # valid_from of a customer row that names none
TYPES: dict[str, pl.DataType] = {"number": pl.Float64(), "flag": pl.Float64(), "category": pl.String()}
TEXT = pl.String()


def import_mapped(source: Path, mapping_file: Path) -> Imported:
    """Read the files that the mapping names; the split is the one that schema.yaml records."""
    mapping = load_config(Mapping, mapping_file)
    catalogue = load_catalogue(mapping_file.with_name("catalogue.yaml"))
    schema = load_schema(mapping_file.with_name("schema.yaml"))
    rules = _rules(mapping_file.with_name("rules.yaml"), catalogue, schema)
    _check_columns(mapping_file, mapping, schema)
    reader = Reader(source, mapping, schema, Intake())
    customers = reader.read(mapping.customers, reader.customer, _customer_types(schema))
    known = frozenset(customers["customer_id"])
    decisions = reader.read(
        mapping.decisions, lambda row: reader.decision(row, known, catalogue.treatment_ids), DECISION_TYPES
    )
    owners = dict(decisions.select("decision_id", "customer_id").iter_rows())
    events = reader.read(
        mapping.events,
        lambda row: reader.event(row, known, owners, catalogue.channel_ids, catalogue.product_ids),
        EVENT_TYPES,
    )
    prices = prices_from(None, catalogue, schema).named(catalogue)
    decisions = decisions.with_columns(
        mask=pl.lit(None, pl.List(pl.Boolean)),
        probabilities=pl.lit(None, pl.List(pl.Float64)),
        policy_digest=pl.lit(None, pl.String),
        rules_digest=pl.lit(None, pl.String),
        prices=pl.struct([pl.lit(price).alias(name) for name, price in prices.items()]),
    )
    files = [source / part.file for part in (mapping.customers, mapping.decisions, mapping.events)]
    aside = reader.intake.frame()
    return Imported(
        catalogue, schema, customers, decisions, events, reader.intake.rows_in, aside, (*files, mapping_file), rules
    )


def _rules(file: Path, catalogue: Catalogue, schema: Schema) -> Rules | None:
    """The rules that stand beside the mapping, checked against catalogue and schema."""
    return RuleBook(load_rules(file), catalogue, schema).rules if file.is_file() else None


DECISION_TYPES: dict[str, pl.DataType] = {
    "decision_id": TEXT,
    "customer_id": TEXT,
    "at": INSTANT,
    "trigger": TEXT,
    "treatment": TEXT,
    "propensity": pl.Float64(),
    "assignment": TEXT,
}
EVENT_TYPES: dict[str, pl.DataType] = {
    "event_id": TEXT,
    "customer_id": TEXT,
    "at": INSTANT,
    "event": TEXT,
    "channel": TEXT,
    "product": TEXT,
    "value": pl.Float64(),
    "decision_id": TEXT,
}


class Reader:
    """Parses one row of each table; what is wrong with it raises BadRowError."""

    def __init__(self, source: Path, mapping: Mapping, schema: Schema, intake: Intake) -> None:
        self.source, self.mapping, self.schema, self.intake = source, mapping, schema, intake
        self._seen: set[tuple[str, ...]] = set()

    def read(self, part: Source, parse: Any, types: Named[str, pl.DataType]) -> pl.DataFrame:
        """One file as a frame of canonical columns."""
        path = self.source / part.file
        rows = csv_rows(path, tuple(part.columns.values()))
        names = part.columns.items()

        def canonical(row: Row) -> tuple[Any, ...]:
            fields = {name: row.fields[own].strip() for name, own in names}
            return tuple(parse(Row(row.number, row.raw, fields)))

        return pl.DataFrame(self.intake.accept(path, rows, canonical), schema=dict(types), orient="row")

    def customer(self, row: Row) -> tuple[Any, ...]:
        """customer_id, valid_from, profile columns."""
        start = self._instant(row.fields, "valid_from", ALWAYS)
        customer = self._word(row.fields, "customer_id")
        self._once("customer_id and valid_from", customer, start.isoformat())
        return (customer, start, *(_profile(row.fields, column) for column in self.schema.columns))

    def decision(self, row: Row, known: frozenset[str], treatments: tuple[str, ...]) -> tuple[Any, ...]:
        """In the order of DECISION_TYPES."""
        cells = dict(row.fields)
        cells["treatment"] = self.mapping.treatments.get(cells["treatment"], cells["treatment"])
        decision = self._word(cells, "decision_id")
        values = (
            decision,
            self._customer(cells, known),
            self._instant(cells, "at"),
            choice(cells, "trigger", self.schema.triggers) if cells.get("trigger") else None,
            choice(cells, "treatment", treatments),
            self._propensity(cells),
            choice(cells, "assignment", ASSIGNMENTS) if cells.get("assignment") else "champion",
        )
        self._once("decision_id", decision)
        return values

    def event(
        self,
        row: Row,
        known: frozenset[str],
        owners: Named[str, str],
        channels: tuple[str, ...],
        products: tuple[str, ...],
    ) -> tuple[Any, ...]:
        """In the order of EVENT_TYPES; owners: decision -> its customer."""
        cells = dict(row.fields)
        cells["event"] = self.mapping.event_names.get(cells["event"], cells["event"])
        event = cells.get("event_id") or f"{self.mapping.events.file}-{row.number}"
        customer, decision = self._customer(cells, known), cells.get("decision_id") or None
        if decision is not None and owners.get(decision) != customer:
            raise BadRowError("decision_id must be a decision of the same customer, or empty")
        values = (
            event,
            customer,
            self._instant(cells, "at"),
            choice(cells, "event", tuple(sorted(EVENTS))),
            choice(cells, "channel", channels) if cells.get("channel") else None,
            choice(cells, "product", products) if cells.get("product") else None,
            number({"value": _float(cells["value"])}, "value", -math.inf) if cells.get("value") else None,
            decision,
        )
        self._once("event_id", event)
        return values

    def _once(self, name: str, *key: str) -> None:
        if (name, *key) in self._seen:
            raise BadRowError(f"{name} must be unique")
        self._seen.add((name, *key))

    def _word(self, cells: Named[str, str], name: str) -> str:
        if not cells[name]:
            raise BadRowError(f"{name} must not be empty")
        return cells[name]

    def _customer(self, cells: Named[str, str], known: frozenset[str]) -> str:
        if cells["customer_id"] not in known:
            raise BadRowError("customer_id must be among the customers")
        return cells["customer_id"]

    def _propensity(self, cells: Named[str, str]) -> float | None:
        if not cells.get("propensity"):
            return None
        value = _float(cells["propensity"])
        if value is None or not 0 < value <= 1:
            raise BadRowError("propensity must be in (0, 1]")
        return value

    def _instant(self, cells: Named[str, str], name: str, default: datetime | None = None) -> datetime:
        if default is not None and not cells.get(name):
            return default
        try:
            at = datetime.fromisoformat(cells[name])
        except ValueError:
            raise BadRowError(f"{name} must be a time such as 2026-03-02 12:00:00") from None
        return (at if at.tzinfo else at.replace(tzinfo=self.mapping.zone)).astimezone(UTC)


def _profile(cells: Named[str, str], column: Column) -> float | str | None:
    """A cell of a profile column, as the schema declares it."""
    cell = cells[column.name]
    if not cell:
        if column.nullable:
            return None
        raise BadRowError(f"{column.name} must not be empty")
    if column.type == "category":
        return choice(cells, column.name, column.categories)
    high = 1.0 if column.type == "flag" else math.inf
    low = 0.0 if column.type == "flag" else -math.inf
    return number({column.name: _float(cell)}, column.name, low, high, whole=column.type == "flag")


def _float(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _customer_types(schema: Schema) -> dict[str, pl.DataType]:
    return {"customer_id": TEXT, "valid_from": INSTANT} | {c.name: TYPES[c.type] for c in schema.columns}


def _check_columns(file: Path, mapping: Mapping, schema: Schema) -> None:
    """The mapping names every profile column of the schema and no other."""
    named = set(mapping.customers.columns) - {"customer_id", "valid_from"}
    declared = {column.name for column in schema.columns}
    for name in sorted(declared - named):
        raise InputError("must be mapped: schema.yaml declares it", file=file, field=f"customers.columns.{name}")
    for name in sorted(named - declared):
        need = f"is not a column of schema.yaml, must be one of: {', '.join(sorted(declared))}"
        raise InputError(need, file=file, field=f"customers.columns.{name}")
