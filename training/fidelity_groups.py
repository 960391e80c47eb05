"""Groups of rows in which a head is looked at: how often contacted before, how lately, when, with what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from envs.records import DAY
from training.calibration_rows import Source
from training.fidelity_checks import Group, grouped, tenths
from training.fidelity_rows import Sample

CONTACTS = (0, 1, 2, 3, 4, 6, 11, 21)  # where the classes of contact numbers begin
SINCE = (0, 2, 4, 8, 15, 31)  # where the classes of days since the last contact begin
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TENTH = "tenth of the prediction"
PERIOD, PERIODS = "period", 5
MOST = 12  # channels or products that are looked at, those with the most rows


@dataclass(frozen=True)
class Past:
    """What preceded each decision of a log. Arrays of shape (decisions,)."""

    source: Source

    @cached_property
    def number(self) -> np.ndarray:  # int64
        """How many contacts the customer has had, this decision's included."""
        contact = pl.Series("contact", self.source.treatment > 0)
        return (
            self.source.decisions.select("customer_id")
            .with_columns(contact)
            .select(pl.col("contact").cum_sum().over("customer_id"))
            .to_series()
            .to_numpy()
            .astype(np.int64)
        )

    @cached_property
    def since(self) -> np.ndarray:  # float64
        """Days since the customer's last contact before this moment; NaN where there was none."""
        looks = self.source.decisions.select("customer_id", "at").with_columns(contact=self.source.treatment > 0)
        contacts = looks.filter("contact").select("customer_id", "at", last="at").unique().sort("at")
        looks = looks.with_columns(row=pl.int_range(pl.len()))
        found = looks.sort("at").join_asof(
            contacts, on="at", by="customer_id", strategy="backward", allow_exact_matches=False, check_sortedness=False
        )
        days = (pl.col("at") - pl.col("last")).dt.total_microseconds() / DAY
        return found.sort("row").select(days.alias("days"))["days"].fill_null(np.nan).to_numpy()

    @cached_property
    def weekday(self) -> np.ndarray:  # int64, Monday is 0
        return self.source.decisions["at"].dt.weekday().to_numpy().astype(np.int64) - 1


def ranges(starts: tuple[int, ...], last: str = "or more") -> list[str]:
    """Names of classes of whole numbers.

    >>> ranges((0, 1, 3))
    ['0', '1 to 2', '3 or more']
    """
    ends = [*(s - 1 for s in starts[1:]), None]
    return [_range(start, end, last) for start, end in zip(starts, ends, strict=True)]


def _range(start: int, end: int | None, last: str) -> str:
    if end is None:
        return f"{start} {last}"
    return str(start) if start == end else f"{start} to {end}"


def classes(values: np.ndarray, starts: tuple[int, ...]) -> np.ndarray:  # (n,) int64, -1 for NaN
    """The class that each number lies in."""
    known = np.nan_to_num(values, nan=starts[0])
    found = np.searchsorted(np.array(starts), np.floor(known), side="right") - 1
    return np.where(np.isnan(values), -1, found).astype(np.int64)


def groups_of(sample: Sample, past: Past, least: float) -> Iterator[Group]:
    """A head in tenths of its prediction, and by contact number, recency, weekday, channel, product and period."""
    look, option, per = sample.data.look, sample.data.option, sample.data.per
    catalogue = past.source.tables.catalogue
    tenth = tenths(sample.mean, sample.rows.weight)
    number, since = classes(past.number[look].astype(np.float64), CONTACTS), classes(past.since[look], SINCE)
    yield from grouped(sample, TENTH, tenth, [str(k + 1) for k in range(int(tenth.max()) + 1)], least)
    yield from grouped(sample, "contact number", number, ranges(CONTACTS), least)
    yield from grouped(sample, "days since the last contact", since, ranges(SINCE), least)
    yield from grouped(sample, "weekday", past.weekday[look], WEEKDAYS, least)
    product = option if per == "product" else catalogue.product_of[option]
    yield from grouped(sample, "product", *_largest(product, catalogue.product_ids), least)
    if per == "decision":
        yield from grouped(sample, "channel", *_largest(catalogue.channel_of[option], catalogue.channel_ids), least)
    yield from grouped(sample, PERIOD, *_periods(sample.at), least)


def _largest(code: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    """The classes with the most rows; the others are in no group."""
    size = np.bincount(code[code >= 0], minlength=len(names))
    kept = np.sort(np.argsort(-size, kind="stable")[:MOST])
    place = np.full(len(names) + 1, -1)
    place[kept] = np.arange(len(kept))
    return place[code], [names[k] for k in kept]


def _periods(at: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Fifths of the rows by time, named by their first days."""
    edges = np.unique(np.quantile(at, np.arange(1, PERIODS) / PERIODS, method="lower"))
    code = np.searchsorted(edges, at, side="left")
    starts = [at[code == k].min() for k in range(len(edges) + 1) if (code == k).any()]
    code = np.unique(code, return_inverse=True)[1]
    return code, [f"from {np.datetime64(int(start), 'us').astype('datetime64[D]')}" for start in starts]
