"""What every benchmark shares: flags, a table for people, one JSON object as the last line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from rich.console import Console
from rich.table import Table

from envs.errors import InputError

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Options:
    """What a benchmark is told."""

    quick: bool
    seed: int
    work: Path  # a folder for what it makes
    policies: tuple[Path, ...] = ()  # artifacts to look at, of a benchmark that does
    write: bool = False  # whether to replace the table of its guide, of a benchmark that has one


@dataclass
class Result:
    """What a benchmark found."""

    name: str
    figures: dict[str, object] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)  # in words
    holds: dict[str, bool] = field(default_factory=dict)  # the same keys
    conditions: dict[str, object] = field(default_factory=dict)

    def target(self, key: str, words: str, holds: bool) -> None:
        """Note a target and whether it is met."""
        self.targets[key], self.holds[key] = words, bool(holds)


def data(folder: str) -> Path:
    """A folder of the public data sets: $NEXTBEST_DATA, else ../shared/data."""
    path = Path(os.environ.get("NEXTBEST_DATA", ROOT.parent / "shared" / "data")) / folder
    if not path.is_dir():
        raise InputError("must hold the data set; name its parent in NEXTBEST_DATA", file=path)
    return path


def show(title: str, frame: pl.DataFrame, digits: int = 3) -> None:
    """Print a frame as a table."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(frame.columns):
        table.add_column(name, justify="left" if number == 0 else "right")
    for row in frame.iter_rows():
        table.add_row(*[f"{value:.{digits}f}" if isinstance(value, float) else str(value) for value in row])
    Console(width=160).print(table)


def within(row: Mapping[str, object], name: str, digits: int) -> str:
    """A figure with its interval, for people; nothing where there is none."""
    if name not in row:
        return ""
    value, lo, hi = (f"{float(str(row[key])):.{digits}f}" for key in (name, f"{name}_lo", f"{name}_hi"))
    return f"{value} [{lo}, {hi}]"


def main(
    name: str, benchmark: Callable[[Options, Result], None], *, policies: bool = False, guide: str | None = None
) -> None:
    """Run a benchmark in a folder of its own and print its result.

    policies: it looks at artifacts, too; guide: the file whose table it may replace
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=benchmark.__doc__)
    parser.add_argument("--quick", action="store_true", help="an answer in under a minute; the figures mean little")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything")
    parser.add_argument("--keep", type=Path, help="folder to keep what the benchmark makes")
    if policies:
        parser.add_argument("--policy", type=Path, action="append", help="an artifact to look at; may be repeated")
    if guide:
        parser.add_argument("--write", action="store_true", help=f"replace the table in {guide}")
    told = parser.parse_args()
    write = getattr(told, "write", False)
    if write and told.quick:
        parser.error("--write is for a whole run, without --quick")
    result, started = Result(name), time.monotonic()
    with TemporaryDirectory() as folder:
        work = told.keep.absolute() if told.keep else Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        os.environ["NEXTBEST_RUNS"] = str(work / "runs")
        some = tuple(path.absolute() for path in getattr(told, "policy", None) or ())
        benchmark(Options(told.quick, told.seed, work, some, write), result)
    result.conditions |= {
        "quick": told.quick,
        "seed": told.seed,
        "seconds": round(time.monotonic() - started, 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "commit": _commit(),
    }
    for key, words in result.targets.items():
        print(f"{'holds ' if result.holds[key] else 'MISSED'}  {key}: {words}")
    print(json.dumps(plain(vars(result))))


def plain(value: object) -> object:
    """Plain JSON values; numbers rounded to six digits."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if value == value else None
    return value


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
