"""What canonical tables must hold beyond names and types: each check names file, field, value and row of the fault.

Rows are counted from 0 as they stand in the frame that is checked, which is the file's own order.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import numpy as np
import polars as pl

from envs.catalogue import SILENCE
from envs.errors import InputError
from envs.schema import Column, Schema, Task

CUSTOMERS, DECISIONS, EVENTS = "customers.parquet", "decisions.parquet", "events.parquet"
ROUNDING = 1e-6  # of logged probabilities
LEAST_PROPENSITY = 1e-16  # about 2^-53: what is less likely no draw of a double can choose
LARGEST_AMOUNT = 1e30  # assumed: beyond any currency; times any weight it still has a fourth power
HOLDS = "holds_"  # columns of customers that a schema need not declare: products held when the log begins
ORDER = "must not be before the row of this customer above it: rows of a customer stand in the order of time"


def refuse(file: str, frame: pl.DataFrame, field: str, wrong: pl.Expr, need: str, shown: pl.Expr | None = None) -> None:
    """Raise InputError for the first row of which `wrong` is true; `shown` is the value that it names."""
    rows = frame.select(wrong.fill_null(False)).to_series().arg_true()
    if len(rows):
        row = int(rows[0])
        value = frame.slice(row, 1).select(pl.col(field) if shown is None else shown).item()
        shown_value = str(value) if isinstance(value, datetime) else value
        if isinstance(value, pl.Series):
            shown_value = value.to_list()
        raise InputError(need, file=file, field=field, value=shown_value, row=row)


def check_columns(file: str, frame: pl.DataFrame, known: Collection[str]) -> None:
    """No column that nobody declared: what it means, and whether it may be used, would be unknown."""
    for name in frame.columns:
        if name not in known and not (file == CUSTOMERS and name.startswith(HOLDS)):
            need = f"is not a column of this table, must be one of: {', '.join(known)}"
            raise InputError(need, file=file, field=name, value="(a column)")


def check_castable(file: str, frame: pl.DataFrame, name: str, kind: pl.DataType) -> None:
    """Every value of a column can become its type; instants come from instants alone, not from numbers or texts."""
    found = frame.schema[name]
    if isinstance(kind, pl.Datetime) and not isinstance(found, pl.Datetime | pl.Null):
        raise InputError(f"must be of type {kind}", file=file, field=name, value=str(found))
    try:
        lost = frame[name].cast(kind, strict=False).is_null() & frame[name].is_not_null()
    except pl.exceptions.PolarsError:
        raise InputError(f"must be of type {kind}", file=file, field=name, value=str(found)) from None
    refuse(file, frame.with_columns(lost.alias("lost")), name, pl.col("lost"), f"must be of type {kind}")


def check_filled(file: str, frame: pl.DataFrame, name: str) -> None:
    """No list of a column holds a null: a list is there, or it is missing as a whole."""
    if frame[name].drop_nulls().explode(empty_as_null=False).null_count():
        holes = pl.col(name).list.eval(pl.element().is_null()).list.any()
        refuse(file, frame, name, holes, "must not hold nulls: each value is there, or the list is missing")


def check_customers(frame: pl.DataFrame, schema: Schema) -> None:
    """Profiles as the schema declares them, one row per customer and instant."""
    twice = pl.struct("customer_id", "valid_from").is_duplicated()
    refuse(CUSTOMERS, frame, "customer_id", twice, "must be unique together with valid_from")
    for column in schema.columns:
        _check_profile(frame, column)


def _check_profile(frame: pl.DataFrame, column: Column) -> None:
    value, kind = pl.col(column.name), frame.schema[column.name]
    if not column.nullable:
        refuse(CUSTOMERS, frame, column.name, value.is_null(), "must not be missing", pl.lit("null"))
    if column.type == "category":
        text = value.cast(pl.String)
        choice = ", ".join(column.categories)
        refuse(CUSTOMERS, frame, column.name, ~text.is_in(column.categories), f"must be one of: {choice}")
        return
    if not (kind.is_numeric() or kind in (pl.Boolean(), pl.Null())):
        raise InputError(f"must be a {column.type}", file=CUSTOMERS, field=column.name, value=str(kind))
    if kind.is_numeric():
        refuse(CUSTOMERS, frame, column.name, ~value.cast(pl.Float64).is_finite(), "must be finite")
    if column.type == "flag" and kind.is_numeric():
        refuse(CUSTOMERS, frame, column.name, (value != 0) & (value != 1), "must be 0 or 1")


def check_decisions(frame: pl.DataFrame, customers: pl.DataFrame, task: Task, treatments: tuple[str, ...]) -> None:
    """Each contact decided once, by what was known, within the task, with propensities that can be true."""
    key = [c for c in ("customer_id", "at", "treatment", "assignment") if c in frame.columns]
    twice = pl.struct(key).is_duplicated() & (pl.col("treatment") != SILENCE)
    refuse(DECISIONS, frame, "customer_id", twice, "must not get one treatment twice at one instant")
    since = customers.group_by("customer_id").agg(since=pl.col("valid_from").min())
    timed = frame.select("customer_id", "at").join(since, "customer_id", "left", maintain_order="left")
    early = pl.col("at") < pl.col("since")
    refuse(DECISIONS, timed, "at", early, "must not be before the customer's first valid_from")
    if task.kind == "finite":
        elapsed = pl.col("at").dt.date() - pl.col("at").min().over("customer_id").dt.date()
        need = f"must be before the task's end, {task.end_day} days after the customer's first decision"
        refuse(DECISIONS, timed, "at", elapsed.dt.total_days() >= task.end_day, need)
    _check_observed(frame)
    _check_prices(frame)
    _check_chosen(frame, treatments)


def _check_observed(frame: pl.DataFrame) -> None:
    """Observations, all of one length, hold finite numbers."""
    values = frame["observation"].explode(empty_as_null=False).to_numpy()
    strange = np.flatnonzero(~np.isfinite(values))
    if strange.size:
        row, value = int(strange[0]) // (len(values) // frame.height), float(values[strange[0]])
        raise InputError("must hold finite numbers", file=DECISIONS, field="observation", value=value, row=row)


def _check_prices(frame: pl.DataFrame) -> None:
    """Prices are numbers >= 0; one that is missing charged nothing."""
    for price in frame["prices"].struct.unnest():
        field, value = f"prices.{price.name}", pl.col(price.name)
        if not (price.dtype.is_numeric() or price.dtype == pl.Null()):
            raise InputError("must be of type Float64", file=DECISIONS, field=field, value=str(price.dtype))
        if price.dtype.is_numeric():
            wrong = ~value.is_finite() | (value < 0)
            refuse(DECISIONS, price.cast(pl.Float64).to_frame(), field, wrong, "must be a number >= 0", value)


def _check_chosen(frame: pl.DataFrame, treatments: tuple[str, ...]) -> None:
    """Mask, probabilities and propensity agree with each other and with the treatment."""
    place = pl.col("treatment").replace_strict(list(treatments), list(range(len(treatments))), return_dtype=pl.Int64)
    mask, probabilities = pl.col("mask"), pl.col("probabilities")
    need = "must be one that the mask allows"
    refuse(DECISIONS, frame, "treatment", ~mask.list.get(place, null_on_oob=True), need)
    lowest = probabilities.list.min()
    refuse(DECISIONS, frame, "probabilities", lowest < 0, "must not be negative", lowest)
    allowed = pl.when(mask.is_not_null()).then((probabilities * mask.cast(pl.List(pl.Float64))).list.sum())
    refuse(DECISIONS, frame, "probabilities", allowed < 1 - ROUNDING, "must be 0 where the mask forbids", allowed)
    chosen = probabilities.list.get(place, null_on_oob=True)
    refuse(DECISIONS, frame, "probabilities", chosen <= 0, "must not be 0 for the logged treatment", chosen)
    need = "must be the probability of the logged treatment"
    refuse(DECISIONS, frame, "propensity", (pl.col("propensity") - chosen).abs() > ROUNDING, need)


def check_events(frame: pl.DataFrame, decisions: pl.DataFrame) -> None:
    """Amounts are finite; what answers to a decision is of its customer, and not before it.

    An event may name a decision that the tables do not hold: one taken before the log begins.
    """
    value = pl.col("value")
    refuse(EVENTS, frame, "value", ~value.is_finite(), "must be finite")
    need = f"must be an amount, between -{LARGEST_AMOUNT:g} and {LARGEST_AMOUNT:g}"
    refuse(EVENTS, frame, "value", value.abs() > LARGEST_AMOUNT, need)
    asked = decisions.select("decision_id", owner="customer_id", decided="at")
    known = frame.select("customer_id", "at", "decision_id").join(asked, "decision_id", "left", maintain_order="left")
    other = pl.col("owner") != pl.col("customer_id")
    refuse(EVENTS, known, "decision_id", other, "must be a decision of the same customer")
    refuse(EVENTS, known, "at", pl.col("at") < pl.col("decided"), "must not be before its decision")


def check_time_order(file: str, frame: pl.DataFrame) -> None:
    """In a file, time does not run backwards within a customer."""
    refuse(file, frame, "at", pl.col("at") < pl.col("at").shift(1).over("customer_id"), ORDER)
