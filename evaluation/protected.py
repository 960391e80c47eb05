"""Protected columns: by what customers must not be treated unlike, as known at the first decision of the log.

Fairness reads them. No policy and no model is shown them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.schema import Column, Schema
from envs.tables import Tables
from evaluation.log import Log
from evaluation.reading import known_at_first

UNKNOWN = "unknown"
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Protected:
    """A protected column of some customers."""

    values: np.ndarray = field(repr=False)  # (customers,) str; of a number float64, NaN: unknown
    unit: str = ""  # of a number
    only: str | None = None  # the one group that is protected, of a flag; None: every group is

    @property
    def empty(self) -> Protected:
        """The same of no customers."""
        return replace(self, values=self.values[:0])


@dataclass(frozen=True)
class Groups:
    """How a protected column divides customers."""

    names: tuple[str, ...]
    edges: np.ndarray | None  # upper ends of all groups of a number but the highest; None: names are the values
    only: str | None = None

    @classmethod
    def dividing(cls, column: Protected) -> Groups:
        """By every value; numbers at the quartiles of these customers. column: of all customers of a log"""
        values = column.values
        if values.dtype.kind != "f":
            return cls(tuple(map(str, np.unique(values))), None, column.only)
        known = values[np.isfinite(values)]
        edges = np.unique(np.quantile(known, QUARTILES, method="inverted_cdf")) if len(known) else known
        edges = edges[edges < known.max(initial=-np.inf)]
        ranges = _ranges(edges, column.unit) if len(known) else ()
        return cls((*ranges, *([UNKNOWN] if len(known) < len(values) else [])), edges)

    def of(self, values: np.ndarray) -> np.ndarray:  # (customers,) int, position in names
        """The group of each of some customers."""
        if self.edges is None:
            return np.searchsorted(np.array(self.names), values)
        return np.where(np.isfinite(values), np.searchsorted(self.edges, values), len(self.names) - 1)


def _ranges(edges: np.ndarray, unit: str) -> tuple[str, ...]:
    """Of all groups of a number, as people read them: `> 35, ≤ 50 [years]`."""
    ends = [np.format_float_positional(edge, precision=4, fractional=False, trim="-") for edge in edges]
    above, below = ["", *(f"> {end}" for end in ends)], [*(f"≤ {end}" for end in ends), ""]
    said = (", ".join(filter(None, both)) or "–" for both in zip(above, below, strict=True))
    return tuple(f"{one} [{unit}]" if unit else one for one in said)


def protected_columns(schema: Schema, named: Sequence[str]) -> tuple[Column, ...]:
    """Those that the schema guards as `special`, and those that are named; InputError where there is no such column."""
    columns = {column.name: column for column in schema.columns}
    for name in named:
        if name not in columns:
            need = f"must be a column of the schema: {', '.join(columns) or 'it has none'}"
            raise InputError(need, field="settings.protected", value=name)
    return tuple(c for c in schema.columns if c.sensitivity == "special" or c.name in named)


def protected_of(tables: Tables, log: Log, named: Sequence[str]) -> dict[str, Protected]:
    """The protected columns of the customers of a log that was read from these tables, by name."""
    columns = protected_columns(tables.schema, named)
    known = known_at_first(tables, log, columns)
    return {column.name: _protected(known[column.name], column) for column in columns}


def _protected(values: pl.Series, column: Column) -> Protected:
    if column.type == "number":
        return Protected(values.fill_null(np.nan).to_numpy(), column.unit)
    only = "yes" if column.type == "flag" else None
    return Protected(values.fill_null(UNKNOWN).to_numpy().astype(str), only=only)


def all_of(parts: Sequence[np.ndarray], like: Protected) -> Protected:
    """A column of all customers. parts: its values in every part; like: any of it"""
    return replace(like, values=np.concatenate(parts))


def check_protected(named: Sequence[str], known: Mapping[str, Protected], customers: int) -> None:
    """InputError for a column that is named but not at hand, or that is not of these customers."""
    for name in named:
        if name not in known:
            need = f"must be handed in as `protected`, there is: {', '.join(known) or 'none'}"
            raise InputError(need, field="settings.protected", value=name)
    for name, column in known.items():
        if np.shape(column.values) != (customers,):
            need = f"must have a value for each of {customers} customers"
            raise InputError(need, field=f"protected[{name}]", value=np.shape(column.values))
