"""Import: a foreign contact log becomes a directory of canonical tables, and every row is accounted for."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from envs.digest import file_digest
from envs.replay import replay
from envs.reward import event_amounts
from envs.schema import Split
from envs.split import is_test
from envs.tables import Tables, checked, read_tables, write_tables
from training.configs import ImportConfig
from training.importers.bank_calls import import_bank_calls
from training.importers.hillstrom import import_hillstrom
from training.importers.mapped import import_mapped
from training.importers.open_bandit import import_open_bandit
from training.importers.rows import Imported
from training.importers.starbucks import import_starbucks
from training.importers.unidentified import unidentified
from training.progress import progress
from training.runs import atomic_write, run_directory

FIRST_ROWS = 5  # rows named for each reason in print; quarantine.parquet holds them all


@dataclass(frozen=True)
class ImportedLog:
    """What an import read, wrote and put aside."""

    kind: str
    path: Path  # directory of the canonical tables, with quarantine.parquet and import.json
    rows_in: Mapping[str, int]  # file -> rows read
    accepted: Mapping[str, int]  # file -> rows that made it into the tables, counted one by one
    quarantined: Mapping[str, int]  # file -> rows put aside; rows_in = accepted + quarantined
    reasons: Mapping[str, int]  # "file: reason" -> rows put aside
    first_rows: Mapping[str, tuple[int, ...]]  # "file: reason" -> the first of these rows, counted from 0
    unread: Mapping[str, tuple[str, ...]]  # file -> columns that were not asked for
    customers: int
    train_customers: int
    test_customers: int
    decisions: int
    events: int
    reward_per_customer: float  # margin - cost, undiscounted, in currency
    currency: str
    catalogue_digest: str
    observation_digest: str
    tables_digest: str
    split: Mapping[str, str | float]  # name, salt, test_share
    sources: Mapping[str, str]  # file -> SHA-256
    unidentified: tuple[str, ...]  # what this log cannot tell, a sentence each

    @property
    def frame(self) -> pl.DataFrame:
        """The account of rows: file, rows, accepted, quarantined."""
        files = list(self.rows_in)
        return pl.DataFrame(
            {
                "file": files,
                "rows": [self.rows_in[file] for file in files],
                "accepted": [self.accepted[file] for file in files],
                "quarantined": [self.quarantined[file] for file in files],
            }
        )

    @cached_property
    def tables(self) -> Tables:
        """The canonical tables, read back."""
        return read_tables(self.path)

    @property
    def quarantine(self) -> pl.DataFrame:
        """The rows put aside: file, row (counted from 0), reason, raw."""
        return pl.read_parquet(self.path / "quarantine.parquet")

    def __str__(self) -> str:
        lines = [
            f"{self.kind}: {self.customers:,} customers ({self.train_customers:,} train, "
            f"{self.test_customers:,} test), {self.decisions:,} decisions, {self.events:,} events",
            f"margin - cost per customer: {self.reward_per_customer:.4f} {self.currency}",
            *(f"{f}: {n:,} rows = {a:,} accepted + {q:,} quarantined" for f, n, a, q in self.frame.iter_rows()),
            *(f"  {count:,} x {reason} ({self._where(reason)})" for reason, count in self.reasons.items()),
            *(f"{file}: not read: {', '.join(names)}" for file, names in self.unread.items() if names),
            *(f"not identified: {sentence}" for sentence in self.unidentified),
            f"tables: {self.path}",
        ]
        return "\n".join(lines)

    def _where(self, reason: str) -> str:
        rows = self.first_rows[reason]
        more = ", …" if self.reasons[reason] > len(rows) else ""
        return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))}{more}"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def import_log(config: ImportConfig) -> ImportedLog:
    """Read, replay, check, then write; a fault found before writing changes nothing on disk."""
    with progress(f"importing {config.kind}", total=3) as advance:
        imported = _read(config)
        advance(1)
        tables = _with_observations(imported)
        advance(1)
        log = _write(config, imported, tables)
        advance(1)
    return log


def _read(config: ImportConfig) -> Imported:
    if config.kind == "mapped":
        return import_mapped(config.source, config.mapping)
    split = Split(salt=config.salt, test_share=config.test_share)
    if config.kind == "starbucks":
        return import_starbucks(config.source, split)
    if config.kind == "open_bandit":
        return import_open_bandit(config.source, split, config.policy)
    if config.kind == "bank_calls":
        return import_bank_calls(config.source, split)
    return import_hillstrom(config.source, split, config.outcome)


def _with_observations(imported: Imported) -> Tables:
    catalogue, schema = imported.catalogue, imported.schema
    seen = replay(catalogue, schema, imported.customers, imported.decisions, imported.events)
    observation = pl.Series("observation", seen.observation).arr.to_list()
    decisions = imported.decisions.with_columns(observation)
    return checked(Tables(catalogue, schema, imported.customers, decisions, imported.events))


def _write(config: ImportConfig, imported: Imported, tables: Tables) -> ImportedLog:
    imported.intake.reconcile()
    directory = run_directory("import", config.out)
    write_tables(tables, directory, imported.rules)
    temporary = directory / ".quarantine.parquet"
    imported.intake.frame().write_parquet(temporary)
    temporary.replace(directory / "quarantine.parquet")
    log = _account(config, imported, tables, directory)
    atomic_write(directory / "import.json", json.dumps(_plain(log), indent=2) + "\n")
    return log


def _account(config: ImportConfig, imported: Imported, tables: Tables, directory: Path) -> ImportedLog:
    intake = imported.intake
    aside = intake.frame()
    reasons = aside.group_by("file", "reason").agg(pl.len(), pl.col("row").head(FIRST_ROWS)).sort("file", "reason")
    test = int(is_test(tables.customers["customer_id"].unique(), tables.schema.split).sum())
    customers = tables.customers["customer_id"].n_unique()
    amounts = event_amounts(tables.events, tables.schema)
    return ImportedLog(
        kind=config.kind,
        path=directory,
        rows_in=intake.rows_in,
        accepted=intake.accepted,
        quarantined={file: aside.filter(pl.col("file") == file).height for file in intake.rows_in},
        reasons={f"{file}: {reason}": count for file, reason, count, _ in reasons.iter_rows()},
        first_rows={f"{file}: {reason}": tuple(rows) for file, reason, _, rows in reasons.iter_rows()},
        unread=imported.unread,
        customers=customers,
        train_customers=customers - test,
        test_customers=test,
        decisions=tables.decisions.height,
        events=tables.events.height,
        reward_per_customer=float((amounts["margin"] - amounts["cost"]).sum()) / customers,
        currency=tables.catalogue.currency,
        catalogue_digest=tables.catalogue.digest,
        observation_digest=tables.encoder.digest,
        tables_digest=replace(tables, path=directory).digest,
        split=tables.schema.split.model_dump(),
        sources={name: file_digest(path) for name, path in imported.sources.items()},
        unidentified=(*imported.unidentified, *unidentified(tables)),
    )


def _plain(log: ImportedLog) -> dict[str, Any]:
    return {**asdict(log), "path": str(log.path)}
