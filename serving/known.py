"""What the service knows from the start: canonical tables, put into the ledger once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.tables import Tables, read_tables
from serving import pages
from serving.ledger import Ledger

CHUNK = 10_000  # rows per statement; bounds memory


def known_tables(path: Path, catalogue: Catalogue, observation_digest: str) -> Tables:
    """Tables that fit the policy; InputError for others."""
    tables = read_tables(path)
    needs = {
        "catalogue.yaml": (tables.catalogue.digest, catalogue.digest),
        "schema.yaml": (tables.encoder.digest, observation_digest),
    }
    for file, (found, need) in needs.items():
        if found != need:
            raise InputError(f"must be {need}, as the policy has it", file=path / file, field="digest", value=found)
    return tables


def load_tables(ledger: Ledger, tables: Tables) -> bool:
    """Put the tables into the ledger in one transaction. False if they are already there."""
    name = f"tables {tables.digest}"
    with ledger.turn() as turn:
        if turn.note(name) is not None:
            return False
        columns = [column.name for column in tables.schema.columns]
        for frame in tables.customers.iter_slices(CHUNK):
            turn.add_rows(pages.customers, list(_customers(frame, columns)))
        for frame in tables.decisions.iter_slices(CHUNK):
            turn.add_rows(pages.decisions, list(_decisions(frame)))
        for frame in tables.events.iter_slices(CHUNK):
            at = _micros(frame)
            rows = frame.drop("at").iter_rows(named=True)
            turn.add_rows(pages.events, [{**row, "at": us} for row, us in zip(rows, at, strict=True)])
        turn.put_note(name, str(tables.path))
    return True


def _customers(frame: pl.DataFrame, columns: list[str]) -> Iterator[dict[str, Any]]:
    since = frame["valid_from"].dt.epoch("us").to_list()
    for customer_id, us, profile in zip(
        frame["customer_id"], since, frame.select(columns).iter_rows(named=True), strict=True
    ):
        yield {"customer_id": customer_id, "valid_from": us, "profile": json.dumps(profile, ensure_ascii=False)}


def _decisions(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    arrays = ("observation", "mask", "probabilities")
    kinds = {"observation": "<f4", "mask": "?", "probabilities": "<f8"}
    packed = {name: _packed(frame[name], kinds[name]) for name in arrays}
    at, prices = _micros(frame), frame["prices"].to_list()
    rest = frame.drop("at", "prices", *arrays).iter_rows(named=True)
    kept = [column.name for column in pages.decisions.columns]
    for i, row in enumerate(rest):
        known = {name: value for name, value in row.items() if name in kept}
        blobs = {name: packed[name][i] for name in arrays}
        yield {**known, **blobs, "at": at[i], "prices": json.dumps(prices[i])}


def _micros(frame: pl.DataFrame) -> list[int]:
    return frame["at"].dt.epoch("us").to_list()


def _packed(lists: pl.Series, kind: str) -> list[bytes | None]:
    """Each list as the bytes of its array; null stays null."""
    if lists.null_count() == len(lists):
        return [None] * len(lists)
    flat = lists.drop_nulls().explode().to_numpy().astype(kind)
    rows = iter(flat.reshape(len(lists) - lists.null_count(), -1))
    return [None if missing else next(rows).tobytes() for missing in lists.is_null()]
