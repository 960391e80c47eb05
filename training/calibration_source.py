"""The tables of some customers, laid out as heads are fitted on them: decisions, windows, and what happened in each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from envs.records import DAY, days_of, positions
from envs.tables import Tables
from evaluation.reading import window_ends

ORPHANS = 0.05  # share of answers without decision and product from which on they count as unasked
ANSWERS = ("delivered", "engaged", "converted", "declined", "opted_out", "complained")


@dataclass(frozen=True)
class Source:
    """The tables of some customers, as arrays."""

    tables: Tables
    recorded: frozenset[tuple[str, str]] = frozenset()  # (answer, channel) that are recorded, even if none is there

    @cached_property
    def decisions(self) -> pl.DataFrame:
        """Decisions that were carried out."""
        return self.tables.decisions.filter(pl.col("assignment") != "shadow").sort("customer_id", "at")

    @cached_property
    def observation(self) -> np.ndarray:  # (decisions, fields) float32
        flat = self.decisions["observation"].explode().to_numpy()
        return flat.reshape(self.decisions.height, -1)

    @cached_property
    def treatment(self) -> np.ndarray:  # (decisions,) int64
        return positions(self.decisions["treatment"], self.tables.catalogue.treatment_ids)

    @cached_property
    def channel(self) -> np.ndarray:  # (decisions,) int64, -1 for silence
        return np.asarray(self.tables.catalogue.channel_of[self.treatment])

    @cached_property
    def day(self) -> np.ndarray:  # (decisions,) int64, days since 1970-01-01
        return days_of(self.decisions["at"])

    @cached_property
    def customer(self) -> np.ndarray:  # (decisions,) int64
        return self.decisions["customer_id"].rle_id().to_numpy().astype(np.int64)

    @cached_property
    def answered(self) -> dict[str, np.ndarray]:  # event -> (decisions,) bool
        """Which decisions each kind of answer names."""
        events = self.tables.events.filter(pl.col("decision_id").is_not_null())
        ids = self.decisions["decision_id"]
        return {
            event: ids.is_in(events.filter(pl.col("event") == event)["decision_id"].unique().implode()).to_numpy()
            for event in ANSWERS
            if (events["event"] == event).any()
        }

    @cached_property
    def windows(self) -> pl.DataFrame:
        """One row per customer and moment: customer_id, at, look, treatment (the last desk's), days, end."""
        looks = self.decisions.select("customer_id", "at", look=pl.int_range(pl.len(), dtype=pl.Int64))
        looks = looks.with_columns(treatment=pl.Series(self.treatment))
        moments = looks.group_by("customer_id", "at", maintain_order=True).agg(
            pl.col("look").first(), pl.col("treatment").max()
        )
        end = window_ends(moments, self.tables)
        days = (end - moments["at"].dt.epoch("us").to_numpy()) / DAY
        moments = moments.with_columns(
            days=pl.Series(np.maximum(days, 1.0)), end=pl.Series(end).cast(pl.Datetime("us", "UTC"))
        )
        return moments.with_columns(window=pl.int_range(pl.len(), dtype=pl.Int64))

    @cached_property
    def placed(self) -> pl.DataFrame:
        """Events with the window (at, end] in which they happened."""
        events = self.tables.events.sort("at").join_asof(
            self.windows.select("customer_id", "at", "window", "end").sort("at"),
            on="at",
            by="customer_id",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        return events.filter(pl.col("window").is_not_null() & (pl.col("at") <= pl.col("end")))

    def orphaned(self, event: str) -> bool:
        """Do these events happen without anybody asking, and without a product?"""
        own = self.tables.events.filter(pl.col("event") == event)
        alone = own.filter(pl.col("decision_id").is_null() & pl.col("product").is_null()).height
        return alone > ORPHANS * max(own.height, 1)

    def sums(self, events: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Number and total value of events by window. Each (windows,) float64."""
        found = events.group_by("window").agg(count=pl.len(), total=pl.col("value").fill_null(0.0).sum())
        count, total = np.zeros(self.windows.height), np.zeros(self.windows.height)
        rows = found["window"].to_numpy()
        count[rows], total[rows] = found["count"].to_numpy(), found["total"].to_numpy()
        return count, total
