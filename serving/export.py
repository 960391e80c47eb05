"""The ledger as canonical tables: what the service decided becomes the log that evaluation and training read."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.observation import Encoder
from envs.schema import Schema
from envs.tables import DECISIONS, EVENT_COLUMNS, INSTANT, Tables, checked, write_tables
from serving import pages
from serving.ledger import Ledger
from serving.state import TYPES


def export_tables(ledger: Path, out: Path) -> Tables:
    """Write a ledger as a directory of canonical tables, checked like any other log.

    Events of customers whose profile never arrived, and events said to be before their decision, go to
    quarantine.parquet with the reason; no row is lost.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("must be a new or empty directory", file=out, field="out")
    book = Ledger.existing(ledger)
    try:
        with book.turn() as turn:
            customers = turn.columns(pages.customers, "customer_id", "valid_from")
            decisions = turn.columns(pages.decisions, "seq")
            events = turn.columns(pages.events, "seq")
    finally:
        book.close()
    encoder = Encoder(book.catalogue, book.schema)
    decided = decision_frame(decisions, encoder)
    happened = faults(event_frame(events), set(customers["customer_id"]), decided)
    good = pl.col("reason").is_null()
    tables = checked(
        Tables(
            book.catalogue,
            book.schema,
            customer_frame(customers, book.schema),
            decided,
            happened.filter(good).drop("seq", "reason"),
        )
    )
    write_tables(tables, out)
    quarantined(happened.filter(~good)).write_parquet(out / "quarantine.parquet")
    return tables


def customer_frame(columns: dict[str, list[Any]], schema: Schema) -> pl.DataFrame:
    """`customers` from the ledger's columns."""
    profiles = [json.loads(text) for text in columns["profile"]]
    ids = pl.Series("customer_id", columns["customer_id"], pl.String)
    since = _instants(columns["valid_from"]).rename("valid_from")
    known = [pl.Series(c.name, [p.get(c.name) for p in profiles], TYPES[c.type], strict=False) for c in schema.columns]
    return pl.DataFrame([ids, since, *known])


def decision_frame(columns: dict[str, list[Any]], encoder: Encoder) -> pl.DataFrame:
    """`decisions` from the ledger's columns."""
    arrays: dict[str, Any] = {
        "observation": _unpacked(columns["observation"], "<f4"),
        "mask": _unpacked(columns["mask"], "?"),
        "probabilities": _unpacked(columns["probabilities"], "<f8"),
    }
    kinds = {name: kind for name, kind in DECISIONS.items() if name != "at"}
    series = [pl.Series(name, arrays.get(name, columns[name]), kind) for name, kind in kinds.items()]
    struct = pl.Struct({name: pl.Float64() for name in encoder.price_names})
    prices = pl.Series("prices", [json.loads(text) for text in columns["prices"]], struct)
    return pl.DataFrame([*series, _instants(columns["at"]), prices])


def event_frame(columns: dict[str, list[Any]]) -> pl.DataFrame:
    """`events` from the ledger's columns, in the order of arrival, with that order as `seq`."""
    kinds = {name: kind for name, kind in EVENT_COLUMNS.items() if name != "at"}
    series = [pl.Series(name, columns[name], kind) for name, kind in kinds.items()]
    return pl.DataFrame([pl.Series("seq", columns["seq"], pl.Int64), *series, _instants(columns["at"])])


def faults(events: pl.DataFrame, customers: Set[str], decisions: pl.DataFrame) -> pl.DataFrame:
    """The events with a column `reason`: why one cannot stand in the tables, null where it can."""
    asked = decisions.select("decision_id", decided="at")
    timed = events.join(asked, "decision_id", "left", maintain_order="left")
    reason = (
        pl.when(~pl.col("customer_id").is_in(list(customers)))
        .then(pl.lit("customer_id must have a profile"))
        .when(pl.col("at") < pl.col("decided"))
        .then(pl.lit("at must not be before its decision's"))
    )
    return timed.with_columns(reason.alias("reason")).drop("decided")


def quarantined(events: pl.DataFrame) -> pl.DataFrame:
    """Events with a reason: file, row, reason, raw."""
    rows = events.drop("seq", "reason").iter_rows(named=True)
    raw = [json.dumps(row, default=str, ensure_ascii=False) for row in rows]
    return pl.DataFrame(
        {
            "file": pl.Series(["events"] * events.height, dtype=pl.String),
            "row": events["seq"],
            "reason": events["reason"],
            "raw": pl.Series(raw, dtype=pl.String),
        }
    )


def _instants(micros: Sequence[int]) -> pl.Series:
    return pl.Series("at", micros, pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(INSTANT)


def _unpacked(blobs: Sequence[bytes | None], kind: str) -> list[np.ndarray | None]:
    return [None if blob is None else np.frombuffer(blob, kind) for blob in blobs]
