"""The profile: columns of `customers.parquet` as fields of the observation, by fixed transformations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.schema import Column, Schema

T = TypeVar("T")
FLAG = "0 or 1"  # the unit of what holds or does not


def profile_fields(schema: Schema, field: Callable[[str, str, float, float, str], T]) -> Iterator[T]:
    """One `field(name, meaning, low, high, unit)` for each number and flag, each category, and each `missing`."""
    for column in features(schema):
        meaning = column.meaning or column.name
        if column.type == "category":
            for value in column.categories:
                yield field(f"{column.name}={value}", f"1 if {meaning} is {value}", 0.0, 1.0, FLAG)
        else:
            low, high = (0.0, 1.0) if column.type == "flag" else (-5.0, 5.0)
            yield field(column.name, meaning, low, high, _unit(column))
        if column.nullable:
            yield field(f"{column.name}:missing", f"1 if {meaning} is unknown", 0.0, 1.0, FLAG)


def _unit(column: Column) -> str:
    """How the field of a number or flag reads: its own unit, centred and scaled."""
    if column.type == "flag":
        return FLAG
    less = f", less {column.center:g}" if column.center else ""
    over = f", over {column.scale:g}" if column.scale != 1 else ""
    return f"{column.unit or 'as given'}{less}{over}"


def features(schema: Schema) -> list[Column]:
    """The columns that policies observe."""
    return [column for column in schema.columns if column.role == "feature"]


def encode_profile(customers: pl.DataFrame, schema: Schema) -> np.ndarray:
    """Columns of customers -> (customers, profile fields) float32; missing numbers and categories become zeros."""
    rows: list[np.ndarray] = []
    for column in features(schema):
        if column.name not in customers.columns:
            raise InputError(
                "is a column of the schema and must be there",
                file="customers",
                field=column.name,
                value="(missing)",
            )
        values = customers[column.name]
        missing = values.is_null().to_numpy()
        if missing.any() and not column.nullable:
            row = int(np.flatnonzero(missing)[0])
            raise InputError("must not be missing", file="customers", field=column.name, value="null", row=row)
        rows += _encode(column, values)
        if column.nullable:
            rows.append(missing)
    if not rows:
        return np.zeros((customers.height, 0), np.float32)
    return np.ascontiguousarray(np.stack(rows, axis=1).astype(np.float32))


def _encode(column: Column, values: pl.Series) -> list[np.ndarray]:
    if column.type == "category":
        strange = values.drop_nulls().filter(~values.drop_nulls().is_in(list(column.categories)))
        if len(strange):
            need = f"must be one of: {', '.join(column.categories)}"
            raise InputError(need, file="customers", field=column.name, value=strange[0])
        return [values.eq_missing(value).to_numpy() for value in column.categories]
    numbers = values.cast(pl.Float64).fill_null(column.center).to_numpy()
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise InputError("must be finite", file="customers", field=column.name, value=numbers[row], row=row)
    if column.type == "flag":
        return [numbers != 0]
    return [np.clip((numbers - column.center) / column.scale, -5, 5)]
