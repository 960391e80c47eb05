"""A log of ten million decisions evaluated in parts, without loading it whole: memory, minutes, estimates.

The log: the exact preset's customers, each simulated for its eight decisions under uniformly random treatments, in
batches with luck and ids of their own; 98 % of them are test customers. `nextbest evaluate` reads it in a process of
its own, with linear models, whose peak of resident memory is measured; beside it stands what the log's own arrays would
take.
One batch is also evaluated whole and, with the same training customers, in parts: the same estimates.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.kit import ROOT, Options, Result, main, show
from envs.schema import Split
from envs.tables import Tables, write_tables
from envs.world import World, load_world
from evaluation.log import Log
from evaluation.reading import read_log
from training.random_log import random_log

CUSTOMERS, BATCH = 1_300_000, 50_000
TEST = 0.98  # share of the customers: what is evaluated are ten million decisions
COMPARED = 1  # batches that are also evaluated by themselves
GIB = 3.0
NAMES = ("customers", "decisions", "events")


def streaming(options: Options, result: Result) -> None:
    """Make the log, evaluate it in parts, then a part of it whole."""
    customers, batch = (1_500, 500) if options.quick else (CUSTOMERS, BATCH)
    world = load_world("exact")
    world = replace(world, schema=world.schema.model_copy(update={"split": Split(test_share=TEST)}))
    began = time.perf_counter()
    tables, some = _make(world, customers // batch, batch, options)
    result.figures["minutes to make the log"] = (time.perf_counter() - began) / 60
    parts = 2_000 if options.quick else 100_000
    found = _evaluated(tables, options, "all", whole=0, parts=parts)
    whole = _evaluated(some, options, "part-whole", whole=10**9, parts=parts)
    again = _evaluated(some, options, "part-parts", whole=0, parts=parts // 4)
    _compare(found, whole, again, result)
    _tell(found, _bytes(some), options.quick, result)


def _make(world: World, batches: int, batch: int, options: Options) -> tuple[Path, Path]:
    """The tables of all batches, and of the first ones."""
    made = [_batch(world, number, batch, options) for number in range(batches)]
    return _joined(world, made, options.work / "tables"), _joined(world, made[:COMPARED], options.work / "some")


def _batch(world: World, number: int, customers: int, options: Options) -> Path:
    """One batch of customers in files; numbers of customers, decisions and events begin anew in each."""
    made = random_log(world, customers, len(world.schema.task.days), seed=1000 * options.seed + number)
    place = options.work / f"batch-{number:03d}"
    ids = ("customer_id", "decision_id", "event_id")
    frames = [
        frame.with_columns(
            pl.format("{}-{}", pl.lit(f"{number:03d}"), pl.col(i)).alias(i) for i in ids if i in frame.columns
        )
        for frame in (made.customers, made.decisions, made.events)
    ]
    write_tables(Tables(made.catalogue, made.schema, *frames), place, world.rules)
    return place


def _joined(world: World, batches: list[Path], place: Path) -> Path:
    first = batches[0]
    place.mkdir()
    for name in ("catalogue", "schema", "rules"):
        (place / f"{name}.yaml").write_bytes((first / f"{name}.yaml").read_bytes())
    for name in NAMES:
        pl.scan_parquet([batch / f"{name}.parquet" for batch in batches]).sink_parquet(place / f"{name}.parquet")
    return place


def _evaluated(tables: Path, options: Options, name: str, *, whole: int, parts: int) -> dict[str, Any]:
    """`nextbest evaluate` in a process of its own: its report, minutes and peak of memory."""
    out, command = (
        options.work / name,
        [sys.executable, "-m", "benchmarks.streamed", str(tables), str(options.work / name)],
    )
    environment = os.environ | {"TMPDIR": str(options.work), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(whole), str(parts)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    used: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return used | {"report": json.loads((out / "report.json").read_text())}


def _bytes(tables: Path) -> float:
    """What a decision takes in a log that is held."""
    log = read_log(tables, "test")
    arrays = [getattr(log, column.name) for column in fields(Log)]
    return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray)) / len(log)


def _compare(found: dict[str, Any], whole: dict[str, Any], again: dict[str, Any], result: Result) -> None:
    """The lead estimate of all, of a part read whole, and of that part in parts."""
    rows = []
    for row, part in zip(found["report"]["table"], whole["report"]["table"], strict=True):
        rows.append({"policy": row["policy"]} | {
            f"{title} {key}": of[key] for title, of in (("all", row), ("part", part)) for key in ("value", "lo", "hi")
        })  # fmt: skip
    lead = found["report"]["lead"]
    show(f"Lead estimate: {lead['estimator']}, CNY per customer", pl.DataFrame(rows), 4)
    apart = max(_apart(a, b) for a, b in zip(whole["report"]["estimates"], again["report"]["estimates"], strict=True))
    result.figures |= {"estimates": rows, "lead": lead, "apart": apart}
    result.target("same", f"a part whole and in parts: estimates apart by at most 1e-9 ({apart:.1e})", apart <= 1e-9)
    meet = all(row["all lo"] <= row["part hi"] and row["part lo"] <= row["all hi"] for row in rows)
    result.target("meet", "intervals of all and of a part meet, for every policy", meet)


def _apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two estimates' numbers, as a share of their size."""
    numbers = [
        (one[kind][key], other[kind][key]) for kind in ("interval", "difference") if one[kind] for key in one[kind]
    ]
    return max(abs(a - b) / max(1.0, abs(a)) for a, b in numbers if a is not None and b is not None)


def _tell(found: dict[str, Any], each: float, quick: bool, result: Result) -> None:
    data = found["report"]["data"]
    held = each * data["decisions"] / 2**30
    figures = {
        "decisions": data["decisions"], "customers": data["customers"], "parts": found["report"]["parts"],
        "minutes": found["seconds"] / 60, "cpu minutes": found["cpu_seconds"] / 60, "peak GiB": found["gib"],
        "GiB of the log's arrays": held, "bytes a decision": each,
    }  # fmt: skip
    show("In parts", pl.DataFrame([figures]), 2)
    result.figures |= figures
    words = f"{data['decisions']:,} decisions, at most {GIB:g} GiB resident ({found['gib']:.2f}; its arrays {held:.1f})"
    result.target("memory", words, found["gib"] <= GIB and (quick or data["decisions"] >= 10_000_000))


if __name__ == "__main__":
    main("streaming", streaming)
