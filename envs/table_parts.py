"""Canonical tables too large to be held: laid down in parts by customer, each checked like the whole and read alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from envs.catalogue import Catalogue, load_catalogue
from envs.errors import InputError
from envs.observation import Encoder
from envs.schema import Schema, load_schema
from envs.tables import INSTANT, Tables, as_declared, check_header, checked, scanned

NAMES = ("customers", "decisions", "events")
BATCH = 65_536  # rows that are laid down at a time: bounds memory
ROW = "row in the file"  # a column of the parts: where each row stood

Visit = Callable[[int, Tables], None]  # told the number of a part, and what it holds


@dataclass(frozen=True)
class TableParts:
    """Where the parts lie; customers are in the order of their ids, each with everything of theirs in one part."""

    path: Path  # of the tables themselves
    folder: Path  # of the parts
    catalogue: Catalogue
    schema: Schema
    starts: tuple[str, ...]  # the first customer of every part but the first
    last: int  # moment that the tables hold, microseconds since 1970-01-01

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder whose observations the decisions hold."""
        return Encoder(self.catalogue, self.schema)

    def __len__(self) -> int:
        return len(self.starts) + 1

    def read(self, part: int, customer_ids: pl.Series | None = None) -> Tables:
        """A part in canonical order. customer_ids: only these of its customers"""
        frames = []
        for name in NAMES:
            some = self._scan(name, part)
            if customer_ids is not None:
                some = some.filter(pl.col("customer_id").is_in(customer_ids.implode()))
            frames.append(as_declared(name, some.drop(ROW).collect()))
        customers, *others = frames
        decisions, events = (f.sort("customer_id", "at", maintain_order=True) for f in others)
        return Tables(self.catalogue, self.schema, customers, decisions, events)

    def check(self, visit: Visit | None = None) -> None:
        """Everything that is checked of tables that are read whole, with the same errors. visit: told each part"""
        ids = {"decisions": _Ids("decision_id"), "events": _Ids("event_id")}
        strangers: list[pl.DataFrame] = []  # events that name a decision which their part does not hold
        for part in range(len(self)):
            frames = {name: self._scan(name, part).collect() for name in NAMES}
            tables = self._checked(frames)
            for name, found in ids.items():
                found.add(frames[name])
            told = frames["events"].select("decision_id", ROW).filter(pl.col("decision_id").is_not_null())
            strangers.append(told.join(frames["decisions"].select("decision_id"), "decision_id", "anti"))
            if visit is not None:
                visit(part, tables)
        for name, found in ids.items():
            self._refuse_twice(name, found)
        self._refuse_strangers(pl.concat(strangers), ids["decisions"])

    def _scan(self, name: str, part: int) -> pl.LazyFrame:
        files = sorted((self.folder / name).glob(f"{part:06d}-*.parquet"))
        if files:
            return pl.scan_parquet(files)
        return scanned(self.path / f"{name}.parquet").head(0).with_columns(pl.lit(0, pl.UInt32).alias(ROW))

    def _checked(self, frames: dict[str, pl.DataFrame]) -> Tables:
        """An error's row is that of the file."""
        try:
            customers, decisions, events = (frames[name].drop(ROW) for name in NAMES)
            return checked(Tables(self.catalogue, self.schema, customers, decisions, events, self.path))
        except InputError as fault:
            name, row = Path(str(fault.file)).stem, fault.row
            if row is not None and name in frames:
                row = int(frames[name][ROW][row])
            file = self.path / f"{name}.parquet"
            raise InputError(fault.need, file=file, field=fault.field, value=fault.value, row=row) from None

    def _refuse_twice(self, name: str, ids: _Ids) -> None:
        """An id that stands in two parts."""
        twice = ids.twice
        if not len(twice):
            return
        file, column = self.path / f"{name}.parquet", ids.column
        some = scanned(file).select(pl.col(column).cast(pl.String)).with_row_index(ROW)
        found = some.filter(pl.col(column).hash().is_in(pl.Series(twice).implode())).collect()
        found = found.filter(pl.col(column).is_duplicated())  # equal hashes are not yet equal ids
        if found.height:
            raise InputError("must be unique", file=file, field=column, value=found[column][0], row=int(found[ROW][0]))

    def _refuse_strangers(self, events: pl.DataFrame, decisions: _Ids) -> None:
        """An event that names another customer's decision, who is in another part."""
        events = events.filter(pl.col("decision_id").hash().is_in(pl.Series(decisions.all).implode()))
        if not events.height:
            return
        named = events["decision_id"].implode()
        known = scanned(self.path / "decisions.parquet").select(pl.col("decision_id").cast(pl.String))
        known_ids = known.filter(pl.col("decision_id").is_in(named)).collect()
        wrong = events.join(known_ids, "decision_id", "semi").sort(ROW)
        if wrong.height:
            need, file = "must be a decision of the same customer", self.path / "events.parquet"
            value, row = wrong["decision_id"][0], int(wrong[ROW][0])
            raise InputError(need, file=file, field="decision_id", value=value, row=row)


@dataclass
class _Ids:
    """Hashes of an id, 8 bytes each."""

    column: str
    parts: list[np.ndarray] = field(default_factory=list)

    def add(self, frame: pl.DataFrame) -> None:
        self.parts.append(frame[self.column].cast(pl.String).hash().to_numpy())

    @cached_property
    def all(self) -> np.ndarray:  # uint64, sorted
        found = np.concatenate(self.parts)
        found.sort()
        return found

    @property
    def twice(self) -> np.ndarray:
        return np.unique(self.all[1:][self.all[1:] == self.all[:-1]])


def decisions_in(path: Path) -> int:
    """How many decisions a directory of tables holds, by what its file says of itself."""
    if not path.is_dir():
        raise InputError("must be a directory of canonical tables", file=str(path))
    return int(scanned(path / "decisions.parquet").select(pl.len()).collect().item())


def assignments_in(path: Path) -> pl.Series:
    """The assignments that decisions of a directory of tables have."""
    found = scanned(path / "decisions.parquet").select(pl.col("assignment").unique()).collect(engine="streaming")
    return found["assignment"]


def lay_down(path: Path, folder: Path, decisions: int) -> TableParts:
    """Tables in parts of about so many decisions, whole customers each, as files in a folder; not checked yet.

    Needs as much room as the tables themselves, and reads them once.
    """
    if not path.is_dir():
        raise InputError("must be a directory of canonical tables", file=str(path))
    catalogue, schema = load_catalogue(path / "catalogue.yaml"), load_schema(path / "schema.yaml")
    files = {name: scanned(path / f"{name}.parquet") for name in NAMES}
    for name, file in files.items():
        check_header(path / f"{name}.parquet", file.head(0).collect(), schema)
    starts = _starts(files["decisions"], decisions)
    for name, file in files.items():
        _spread(file, starts, folder / name)
    moment = pl.col("at").cast(INSTANT).dt.timestamp("us").max().fill_null(0)
    last = max(int(files[name].select(moment).collect().item()) for name in ("decisions", "events"))
    return TableParts(path, folder, catalogue, schema, starts, last)


def _starts(decisions: pl.LazyFrame, most: int) -> tuple[str, ...]:
    """The customers at which a new part begins."""
    counts = decisions.group_by(pl.col("customer_id").cast(pl.String)).len().collect(engine="streaming")
    counts = counts.sort("customer_id")
    part = (counts["len"].cum_sum() - counts["len"]) // most
    return tuple(counts.filter(part != part.shift(1, fill_value=0))["customer_id"].to_list())


def _spread(file: pl.LazyFrame, starts: tuple[str, ...], folder: Path) -> None:
    """Rows to the parts of their customers, in the order of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, batch in enumerate(_batches(file)):
        names = batch["customer_id"].cast(pl.String).fill_null("")
        parts = {name: bisect_right(starts, name) for name in names.unique().to_list()}
        part = names.replace_strict(list(parts), list(parts.values()), return_dtype=pl.Int64).alias("part")
        for some in batch.with_columns(part).partition_by("part", maintain_order=True):
            place = folder / f"{some['part'][0]:06d}-{number:06d}.parquet"
            some.drop("part").write_parquet(place, compression="lz4")


def _batches(file: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """A file's rows, some at a time, each with where it stands."""
    rows = int(file.select(pl.len()).collect().item())
    for start in range(0, rows, BATCH):
        batch = file.slice(start, BATCH).collect()
        yield batch.with_columns(pl.int_range(start, start + batch.height, dtype=pl.UInt32, eager=True).alias(ROW))
