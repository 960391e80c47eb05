"""From canonical tables to the rows that each head of a response model is fitted on.

Two kinds of rows. A *contact* is a decision that was carried out and is not silence; its answers are the events that
name it. A *window* runs from one moment of decision to the next; what happened in it unasked belongs to it. An answer
is fitted among the contacts for which it could happen (engaged among the delivered, where the log shows deliveries).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from envs.records import DAY, positions
from envs.response import Given
from envs.tables import Tables
from evaluation.reading import window_ends
from training.glm import Link, Rows

CHAIN = 0.95  # share of answers that must follow another for the one to be fitted given the other
ORPHANS = 0.05  # share of answers without decision and product from which on they count as unasked
ANSWERS = ("delivered", "engaged", "converted", "declined", "opted_out", "complained")
UNASKED = {"organic": "converted", "browsed": "browsed", "abandoned": "abandoned"}  # per product


@dataclass(frozen=True)
class HeadRows:
    """What one head is fitted on."""

    name: str
    link: Link
    given: Given
    per: Literal["decision", "product"]
    look: np.ndarray  # (n,) int64, row of the decisions' observations
    option: np.ndarray  # (n,) int64, treatment or product
    rows: Rows

    @property
    def events(self) -> float:
        """How often it happened, in the rows at hand."""
        return float((self.rows.y > 0).sum())

    def take(self, rows: np.ndarray) -> HeadRows:
        return HeadRows(
            self.name, self.link, self.given, self.per, self.look[rows], self.option[rows], self.rows.take(rows)
        )


@dataclass(frozen=True)
class Source:
    """The tables of some customers, as arrays."""

    tables: Tables

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


def head_rows(source: Source) -> Iterator[HeadRows]:
    """The rows of every head that the log can tell something about."""
    yield from _answers(source)
    yield from _unasked(source)
    yield from _per_product(source)
    yield from _triggers(source)
    yield from _values(source)


def _answers(s: Source) -> Iterator[HeadRows]:
    """Answers to contacts."""
    contact = s.treatment > 0
    seen = {event: flags & contact for event, flags in s.answered.items() if not s.orphaned(event)}
    reached: Given = "delivered" if "delivered" in seen else "contacted"
    among: dict[Given, np.ndarray] = {"contacted": contact, "delivered": seen.get("delivered", contact)}
    if "engaged" in seen:
        among["engaged"] = seen["engaged"]
        among["unconverted"] = seen["engaged"] & ~seen.get("converted", ~contact)
    wanted: dict[str, tuple[Given, ...]] = {
        "delivered": ("contacted",),
        "engaged": (reached, "contacted"),
        "converted": ("engaged", reached, "contacted"),
        "declined": ("unconverted",),
        "opted_out": ("delivered",),
        "complained": ("delivered",),
    }
    for event, choices in wanted.items():
        if event not in seen:
            continue
        known = [given for given in choices if given in among]
        given = next((g for g in known if (among[g] & seen[event]).sum() >= CHAIN * seen[event].sum()), None)
        if given is None and event not in ("opted_out", "complained", "declined"):
            given = known[-1]
        if given is not None:
            rows = np.flatnonzero(among[given])
            yield _decided(s, event, given, rows, seen[event][rows])


def _decided(s: Source, name: str, given: Given, rows: np.ndarray, y: np.ndarray) -> HeadRows:
    ones = np.ones(len(rows))
    return HeadRows(
        name,
        "logit",
        given,
        "decision",
        rows,
        s.treatment[rows],
        Rows(y.astype(np.float64), ones, ones, s.customer[rows]),
    )


def _window_rows(s: Source, name: str, link: Link, given: Given, y: np.ndarray, which: np.ndarray) -> HeadRows:
    look = s.windows["look"].to_numpy()[which]
    option = s.windows["treatment"].to_numpy()[which]
    rows = Rows(y[which].astype(np.float64), s.windows["days"].to_numpy()[which], np.ones(len(which)), s.customer[look])
    return HeadRows(name, link, given, "decision", look, option, rows)


def _unasked(s: Source) -> Iterator[HeadRows]:
    """Purchases and churn; and answers that come without a contact too (a visit that nobody asked for)."""
    everything = np.arange(s.windows.height)
    counts = {e: s.sums(s.placed.filter(pl.col("event") == e))[0] for e in ("engaged", "converted") if s.orphaned(e)}
    if "engaged" in counts:
        yield _window_rows(s, "engaged", "rate", "always", counts["engaged"] > 0, everything)
    if "converted" in counts:
        visited = counts.get("engaged", np.zeros(len(everything))) > 0
        happened = counts["converted"] > 0
        chained = "engaged" in counts and (visited & happened).sum() >= CHAIN * happened.sum()
        which = np.flatnonzero(visited) if chained else everything
        link: Link = "logit" if chained else "rate"
        yield _window_rows(s, "converted", link, "engaged" if chained else "always", happened, which)
    for event in ("purchased", "churned"):
        count, total = s.sums(s.placed.filter(pl.col("event") == event))
        if count.any():
            yield _window_rows(s, event, "rate", "always", count > 0, everything)
            paid: Given = "purchased" if event == "purchased" else "churned"
            if (total > 0).any():
                yield _window_rows(s, f"{event}_value", "lognormal", paid, total, np.flatnonzero(total > 0))


def _per_product(s: Source) -> Iterator[HeadRows]:
    """Organic conversions, browsing and abandoned applications, product by product."""
    products, windows = s.tables.catalogue.product_ids, s.windows.height
    for name, event in UNASKED.items():
        found = s.placed.filter(
            (pl.col("event") == event) & pl.col("decision_id").is_null() & pl.col("product").is_not_null()
        )
        if not found.height:
            continue
        y = np.zeros((windows, len(products)))
        y[found["window"].to_numpy(), positions(found["product"], products)] = 1
        look = np.repeat(s.windows["look"].to_numpy(), len(products))
        option = np.tile(np.arange(len(products)), windows)
        days = np.repeat(s.windows["days"].to_numpy(), len(products))
        rows = Rows(y.ravel(), days, np.ones(y.size), s.customer[look])
        yield HeadRows(name, "rate", "always", "product", look, option, rows)


def _triggers(s: Source) -> Iterator[HeadRows]:
    """Moments at which customers come in: so many of a window's days, after those of earlier triggers."""
    left = np.maximum(np.round(s.windows["days"].to_numpy()), 1.0)
    windows = np.arange(s.windows.height)
    for trigger in s.tables.schema.triggers:
        count, _ = s.sums(s.placed.filter(pl.col("event") == trigger))
        count = np.minimum(count, left)
        if not count.any():
            continue
        y = np.repeat([1.0, 0.0], len(windows))
        weight = np.concatenate([count, left - count])
        look = np.tile(s.windows["look"].to_numpy(), 2)
        rows = Rows(y, np.ones(len(y)), weight, s.customer[look])
        silent = np.zeros(len(y), np.int64)
        full = HeadRows(f"trigger:{trigger}", "logit", "always", "decision", look, silent, rows)
        yield full.take(np.flatnonzero(weight > 0))
        left = left - count


def _values(s: Source) -> Iterator[HeadRows]:
    """Margins of conversions, by product."""
    events = s.placed.filter((pl.col("event") == "converted") & (pl.col("value") > 0) & pl.col("product").is_not_null())
    if not events.height:
        return
    look = s.windows["look"].to_numpy()[events["window"].to_numpy()]
    option = positions(events["product"], s.tables.catalogue.product_ids)
    ones = np.ones(events.height)
    rows = Rows(events["value"].to_numpy(), ones, ones, s.customer[look])
    yield HeadRows("converted_value", "lognormal", "converted", "product", look, option, rows)
