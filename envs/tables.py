"""The canonical tables: catalogue, schema, customers, decisions, events in one directory, checked at the door."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import yaml

from envs.catalogue import Catalogue, load_catalogue
from envs.config import Config
from envs.digest import digest_of, file_digest
from envs.errors import InputError
from envs.history import EVENTS
from envs.observation import Encoder
from envs.rules import Rules
from envs.schema import Schema, load_schema
from envs.table_checks import (
    LEAST_PROPENSITY,
    check_castable,
    check_columns,
    check_customers,
    check_decisions,
    check_events,
    check_filled,
    check_time_order,
    refuse,
)

INSTANT = pl.Datetime("us", "UTC")
DECISIONS: dict[str, pl.DataType] = {
    "decision_id": pl.String(),
    "customer_id": pl.String(),
    "at": INSTANT,
    "trigger": pl.String(),
    "observation": pl.List(pl.Float32()),
    "mask": pl.List(pl.Boolean()),
    "treatment": pl.String(),
    "propensity": pl.Float64(),
    "probabilities": pl.List(pl.Float64()),
    "policy_digest": pl.String(),
    "rules_digest": pl.String(),
    "assignment": pl.String(),
}  # and `prices`, a struct of float64: annoyance and one field per pool
EVENT_COLUMNS: dict[str, pl.DataType] = {
    "event_id": pl.String(),
    "customer_id": pl.String(),
    "at": INSTANT,
    "event": pl.String(),
    "channel": pl.String(),
    "product": pl.String(),
    "value": pl.Float64(),
    "decision_id": pl.String(),
}
CUSTOMER_COLUMNS: dict[str, pl.DataType] = {"customer_id": pl.String(), "valid_from": INSTANT}
TYPES = {"customers": CUSTOMER_COLUMNS, "decisions": DECISIONS, "events": EVENT_COLUMNS}
NULLABLE = {"trigger", "mask", "propensity", "probabilities", "policy_digest", "rules_digest"}
ASSIGNMENTS = ("champion", "challenger", "shadow", "holdout", "randomised")


@dataclass(frozen=True)
class Tables:
    """The five canonical tables, validated."""

    catalogue: Catalogue
    schema: Schema
    customers: pl.DataFrame  # customer_id, valid_from, profile columns
    decisions: pl.DataFrame  # sorted by customer_id, at
    events: pl.DataFrame  # sorted by customer_id, at
    path: Path | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder whose observations the decisions hold."""
        return Encoder(self.catalogue, self.schema)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the content of the files; of the ids and times where there are none."""
        if self.path is not None:
            names = ("customers.parquet", "decisions.parquet", "events.parquet")
            return digest_of([self.catalogue.digest, *(file_digest(self.path / name) for name in names)])
        ids = self.decisions.select("decision_id", pl.col("at").cast(pl.String)).rows()
        return digest_of([self.catalogue.digest, ids])

    def of_customers(self, customer_ids: pl.Series) -> Tables:
        """The same tables for some customers only."""
        chosen = pl.col("customer_id").is_in(customer_ids.implode())
        customers, decisions, events = (f.filter(chosen) for f in (self.customers, self.decisions, self.events))
        return Tables(self.catalogue, self.schema, customers, decisions, events)


def read_tables(path: Path) -> Tables:
    """Read and check a directory of canonical tables; raise InputError for what is wrong."""
    if not path.is_dir():
        raise InputError("must be a directory of canonical tables", file=str(path))
    catalogue = load_catalogue(path / "catalogue.yaml")
    schema = load_schema(path / "schema.yaml")
    customers, decisions, events = (_read(path / f"{name}.parquet") for name in ("customers", "decisions", "events"))
    try:
        return checked(Tables(catalogue, schema, customers, decisions, events, path))
    except InputError as fault:  # the checks know the table, not the directory
        file = path / str(fault.file)
        raise InputError(fault.need, file=file, field=fault.field, value=fault.value, row=fault.row) from None


def checked(tables: Tables) -> Tables:
    """The tables in canonical order and types, or an InputError for the first thing that is wrong.

    Rows are named as they stand in the frames at hand, before sorting. Frames read from files must be in order of time.
    """
    expected = {c.name: None for c in tables.schema.columns}
    customers = _typed(
        "customers.parquet",
        tables.customers,
        CUSTOMER_COLUMNS,
        set(expected),
    )
    decisions = _typed("decisions.parquet", tables.decisions, DECISIONS, {"prices"})
    events = _typed("events.parquet", tables.events, EVENT_COLUMNS, set())
    check_customers(customers, tables.schema)
    _check_decisions(decisions, tables.catalogue, Encoder(tables.catalogue, tables.schema))
    _one_of("events.parquet", events, "event", sorted(EVENTS))
    _one_of("events.parquet", events, "channel", list(tables.catalogue.channel_ids))
    _one_of("events.parquet", events, "product", list(tables.catalogue.product_ids))
    _unique("events.parquet", events, "event_id")
    known = customers["customer_id"]
    for name, frame in (("decisions.parquet", decisions), ("events.parquet", events)):
        _one_of(name, frame, "customer_id", known, "must be a customer of customers.parquet")
        if tables.path is not None:
            check_time_order(name, frame)
    check_decisions(decisions, customers, tables.schema.task, tables.catalogue.treatment_ids)
    check_events(events, decisions)
    decisions, events = (f.sort("customer_id", "at", maintain_order=True) for f in (decisions, events))
    return Tables(tables.catalogue, tables.schema, customers, decisions, events, tables.path)


def write_tables(tables: Tables, path: Path, rules: Rules | None = None) -> None:
    """Write the tables, and the rules they were made under where these are known: each file whole or not at all."""
    path.mkdir(parents=True, exist_ok=True)
    books: list[tuple[str, Config]] = [("catalogue", tables.catalogue), ("schema", tables.schema)]
    for name, model in books if rules is None else [*books, ("rules", rules)]:
        text = yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        _replace(path / f"{name}.yaml", text)
    for name, frame in (
        ("customers", tables.customers),
        ("decisions", tables.decisions),
        ("events", tables.events),
    ):
        temporary = path / f".{name}.parquet"
        frame.write_parquet(temporary)
        os.replace(temporary, path / f"{name}.parquet")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _read(path: Path) -> pl.DataFrame:
    return scanned(path).collect()


def scanned(path: Path) -> pl.LazyFrame:
    """A Parquet file of which not a row has been read."""
    if not path.is_file():
        raise InputError("must be there: one of the canonical tables", file=str(path))
    try:
        pl.read_parquet_schema(path)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"must be a Parquet file ({error})", file=str(path)) from error
    return pl.scan_parquet(path)


def check_header(path: Path, frame: pl.DataFrame, schema: Schema) -> None:
    """The columns of a file, by its name, and their types; frame: none of its rows."""
    others = {"customers": {c.name for c in schema.columns}, "decisions": {"prices"}, "events": set[str]()}
    try:
        _typed(path.name, frame, TYPES[path.stem], others[path.stem])
    except InputError as fault:
        raise InputError(fault.need, file=path, field=fault.field, value=fault.value, row=fault.row) from None


def as_declared(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """A table, by its name, with the types of its columns; it must have been checked."""
    return frame.with_columns(pl.col(column).cast(kind) for column, kind in TYPES[name].items())


def _typed(file: str, frame: pl.DataFrame, types: dict[str, pl.DataType], others: set[str]) -> pl.DataFrame:
    for name in [*types, *sorted(others)]:
        if name not in frame.columns:
            raise InputError("is a column of this table and must be there", file=file, field=name, value="(missing)")
    check_columns(file, frame, [*types, *sorted(others)])
    for name, kind in types.items():
        if frame.schema[name] != kind:
            check_castable(file, frame, name, kind)
            frame = frame.with_columns(pl.col(name).cast(kind))
        if name not in NULLABLE and name not in ("channel", "product", "value") and name != "decision_id":
            _none_missing(file, frame, name)
    return frame


def _none_missing(file: str, frame: pl.DataFrame, name: str) -> None:
    rows = frame[name].is_null().arg_true()
    if len(rows):
        raise InputError("must not be missing", file=file, field=name, value="null", row=int(rows[0]))


def _one_of(file: str, frame: pl.DataFrame, name: str, allowed: list[str] | pl.Series, need: str | None = None) -> None:
    choice = allowed if isinstance(allowed, pl.Series) else pl.Series(allowed, dtype=pl.String)
    rows = (frame[name].is_not_null() & ~frame[name].is_in(choice.implode())).arg_true()
    if len(rows):
        shown = need or f"must be one of: {', '.join(choice)}"
        raise InputError(shown, file=file, field=name, value=frame[name][int(rows[0])], row=int(rows[0]))


def _unique(file: str, frame: pl.DataFrame, name: str) -> None:
    rows = frame[name].is_duplicated().arg_true()
    if len(rows):
        raise InputError("must be unique", file=file, field=name, value=frame[name][int(rows[0])], row=int(rows[0]))


def _check_decisions(frame: pl.DataFrame, catalogue: Catalogue, encoder: Encoder) -> None:
    file, treatments, width = "decisions.parquet", len(catalogue.treatment_ids), len(encoder.fields)
    _none_missing(file, frame, "decision_id")
    _unique(file, frame, "decision_id")
    _one_of(file, frame, "treatment", list(catalogue.treatment_ids))
    _one_of(file, frame, "assignment", list(ASSIGNMENTS))
    propensity = pl.col("propensity")
    refuse(file, frame, "propensity", ~(propensity > 0) | (propensity > 1) | propensity.is_nan(), "must be in (0, 1]")
    need = f"must be at least {LEAST_PROPENSITY:g}: no draw chooses what is less likely"
    refuse(file, frame, "propensity", propensity < LEAST_PROPENSITY, need)
    length = pl.col("observation").list.len()
    refuse(file, frame, "observation", length != width, f"must hold {width} fields, as the schema says", length)
    for name in ("mask", "probabilities"):
        length = pl.col(name).list.len()
        refuse(file, frame, name, length != treatments, f"must hold {treatments} values, one per treatment", length)
        check_filled(file, frame, name)
    total = pl.col("probabilities").list.sum()
    refuse(file, frame, "probabilities", (total - 1).abs() > 1e-6, "must sum to 1", total)
    struct = frame.schema["prices"]
    names = [f.name for f in struct.fields] if isinstance(struct, pl.Struct) else []
    if sorted(names) != sorted(encoder.price_names):
        need = f"must be a struct with the fields: {', '.join(encoder.price_names)}"
        raise InputError(need, file=file, field="prices", value=", ".join(names) or str(struct))
