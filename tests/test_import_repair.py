"""Whatever is wrong with a bank's rows: counts reconcile, reasons name the row, mended files give the good tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_kit import (
    CASCADES,
    CORRUPTIONS,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    Corruption,
    Export,
    copied,
    good_export,
    run_import,
)

from training.import_log import ImportedLog

GOOD = good_export()
SAFE = "c0"  # the customer whose rows others may be copied from; they are never spoilt


def candidates(how: Corruption) -> list[int]:
    """Rows that a corruption can hit: not a customer's first, which has nothing to run backwards from."""
    rows = GOOD[how.file]
    mine = [i for i, row in enumerate(rows) if row["NO"] != SAFE]
    if how.file == CUSTOMERS:
        return mine
    mine = [i for i in mine if rows[i - 1]["NO"] == rows[i]["NO"]]
    return [i for i in mine if how.answers in (None, bool(rows[i].get("ID")))]


HITS = [(how, i) for how in CORRUPTIONS for i in candidates(how)]


def spoilt(hits: list[tuple[Corruption, int]]) -> Export:
    export = copied(GOOD)
    for how, i in hits:
        export[how.file][i] = how.spoil(GOOD[how.file], i)
    return export


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> ImportedLog:
    log = run_import(tmp_path_factory.mktemp("good"), GOOD)
    assert log.quarantine.is_empty()
    return log


def reconciles(log: ImportedLog, export: Export) -> None:
    """Rows in = rows out + rows put aside, per table and per reason, in what is returned, printed and written."""
    account, aside = json.loads((log.path / "import.json").read_text(encoding="utf-8")), log.quarantine
    heights = zip((CUSTOMERS, DECISIONS, EVENTS), ("customers", "decisions", "events"), strict=True)
    for file, table in heights:
        out, put = pl.read_parquet(log.path / f"{table}.parquet").height, aside.filter(file=file)
        assert log.rows_in[file] == len(export[file]) == out + put.height
        assert (account["rows_in"][file], account["accepted"][file]) == (len(export[file]), out)
        assert account["quarantined"][file] == put.height
        assert f"{file}: {len(export[file])} rows = {out} accepted + {put.height} quarantined" in str(log)
        by_reason = {reason: n for reason, n in account["reasons"].items() if reason.startswith(f"{file}: ")}
        assert by_reason == {f"{file}: {r}": n for r, n in put.group_by("reason").len().iter_rows()}
        assert put["row"].is_unique().all()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(HITS), min_size=1, max_size=8, unique_by=lambda hit: (hit[0].file, hit[1])))
def test_spoilt_rows_are_named_and_mended_ones_are_as_if_nothing_had_happened(
    tmp_path: Path, good: ImportedLog, hits: list[tuple[Corruption, int]]
) -> None:
    export = spoilt(hits)
    log = run_import(tmp_path, export)
    reconciles(log, export)
    aside = {(file, row): reason for file, row, reason, _ in log.quarantine.iter_rows()}
    for how, i in hits:
        assert aside[how.file, i].startswith((how.reason, *CASCADES)), how.name
    for place in aside.keys() - {(how.file, i) for how, i in hits}:
        assert aside[place].startswith(CASCADES)
    for table, key in (("decisions", "decision_id"), ("events", "event_id")):
        rows, expected = (
            pl.read_parquet(x.path / f"{table}.parquet").drop("observation", strict=False) for x in (log, good)
        )
        assert rows.equals(expected.filter(pl.col(key).is_in(rows[key].implode())))
    again = run_import(tmp_path, GOOD)
    assert again.quarantine.is_empty()
    assert (again.tables_digest, again.catalogue_digest) == (good.tables_digest, good.catalogue_digest)
    for table in ("customers", "decisions", "events"):
        assert (again.path / f"{table}.parquet").read_bytes() == (good.path / f"{table}.parquet").read_bytes()


@pytest.mark.parametrize("how", CORRUPTIONS, ids=[how.name for how in CORRUPTIONS])
def test_each_corruption_alone_has_its_reason(tmp_path: Path, how: Corruption) -> None:
    i = candidates(how)[-1]
    log = run_import(tmp_path, spoilt([(how, i)]))
    own = log.quarantine.filter(file=how.file, row=i)
    assert own["reason"][0].startswith(how.reason)
    said: dict[str, Any] = dict(log.first_rows)
    assert said[f"{how.file}: {own['reason'][0]}"] == (i,)
    assert f"1 x {how.file}: {own['reason'][0]} (row {i})" in str(log)
