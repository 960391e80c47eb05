"""Windows: which of a customer's events follow which decision, summed and counted."""

from __future__ import annotations

import numpy as np
import polars as pl

from envs.reward import event_amounts
from envs.tables import Tables

AMOUNTS = ("margin", "cost", "annoyance")
RESPONSES = {"complained": "complaints", "opted_out": "opt_outs"}  # events, and what their numbers are called


def in_windows(events: pl.DataFrame, decisions: pl.DataFrame, ends: np.ndarray) -> pl.DataFrame:
    """The events that fall into a decision's window (at, end], with the `row` of the decision.

    ends: (rows,) int64, microseconds since 1970-01-01
    """
    windows = decisions.select("customer_id", "at").with_columns(
        row=pl.int_range(pl.len()), opens="at", end=pl.Series(ends).cast(pl.Datetime("us", "UTC"))
    )
    # The last decision before an event, strictly: an event at a decision's own instant belongs to the one before.
    found = events.sort("customer_id", "at").join_asof(
        windows.sort("customer_id", "at"),
        on="at",
        by="customer_id",
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    return found.filter(pl.col("row").is_not_null() & (pl.col("at") <= pl.col("end")))


def window_amounts(
    decisions: pl.DataFrame, ends: np.ndarray, tables: Tables
) -> dict[str, np.ndarray]:  # each (rows,) float64
    """Margin, cost and annoyance of the events of each decision's window, currency and opt-outs."""
    events = event_amounts(tables.events, tables.schema).filter(pl.any_horizontal(pl.col(AMOUNTS) != 0))
    sums = in_windows(events, decisions, ends).group_by("row").agg(pl.col(AMOUNTS).sum())
    rows = sums["row"].to_numpy()
    out = {name: np.zeros(len(ends)) for name in AMOUNTS}
    for name in AMOUNTS:
        out[name][rows] = sums[name].to_numpy()
    return out


def window_responses(
    decisions: pl.DataFrame, ends: np.ndarray, tables: Tables
) -> dict[str, np.ndarray | None]:  # each (rows,) float64
    """How often customers complained and opted out in each decision's window; None: the log does not record it."""
    missing = tables.schema.task.annoyance_missing
    events = tables.events.filter(pl.col("event").is_in(list(RESPONSES)))
    found = in_windows(events.select("customer_id", "at", "event"), decisions, ends)

    def counted(event: str) -> np.ndarray:
        rows = found.filter(pl.col("event") == event)["row"].to_numpy()
        return np.bincount(rows, minlength=len(ends)).astype(np.float64)

    return {name: None if event in missing else counted(event) for event, name in RESPONSES.items()}
