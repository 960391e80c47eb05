"""From canonical tables to the rows that each head of a response model is fitted on.

Two kinds of rows. A *contact* is a decision that was carried out and is not silence; its answers are the events that
name it. A *window* runs from one moment of decision to the next; what happened in it unasked belongs to it. An answer
is fitted among the contacts for which it could happen (engaged among the delivered, where the log shows deliveries).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from envs.catalogue import Catalogue
from envs.records import positions
from envs.response import Given
from training.calibration_findings import Finding
from training.calibration_recorded import channel_finding, outside_span, unrecorded_channels
from training.calibration_source import Source as Source
from training.glm import Link, Rows

CHAIN = 0.95  # share of answers that must follow another for the one to be fitted given the other
SALES = ("converted", "organic", "converted_value")  # heads of which products that sell nothing have no part
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
    certain: tuple[int, ...] = ()  # channels on which it is taken to happen always: not recorded there
    findings: tuple[Finding, ...] = ()  # what these rows cannot tell

    @property
    def events(self) -> float:
        """How often it happened, in the rows at hand."""
        return float((self.rows.y > 0).sum())

    def take(self, rows: np.ndarray) -> HeadRows:
        return replace(self, look=self.look[rows], option=self.option[rows], rows=self.rows.take(rows))


def idle_options(head: HeadRows, catalogue: Catalogue) -> np.ndarray:  # (k,) int64
    """Options whose product sells nothing, in a head of sales, as long as the log shows no sale of them."""
    if head.name not in SALES:
        return np.zeros(0, np.int64)
    care = np.array([not product.selling for product in catalogue.products])
    product = np.arange(len(care)) if head.per == "product" else catalogue.product_of
    sold = np.unique(head.option[head.rows.y > 0])
    return np.setdiff1d(np.flatnonzero((product >= 0) & care[product]), sold)


def thinned(head: HeadRows, most: int, rng: np.random.Generator) -> HeadRows:
    """At most `most` rows: events and others sampled apart, each kept row weighted by how many it stands for."""
    if len(head.look) <= most:
        return head
    happened = np.flatnonzero(head.rows.y > 0) if head.link != "lognormal" else np.arange(len(head.look))
    others = np.setdiff1d(np.arange(len(head.look)), happened, assume_unique=True)
    room = min(len(happened), max(most // 2, most - len(others)))
    kept, weight = [], []
    for group, size in ((happened, room), (others, min(len(others), most - room))):
        chosen = np.sort(rng.choice(group, size, replace=False)) if size < len(group) else group
        kept.append(chosen)
        weight.append(np.full(len(chosen), len(group) / max(len(chosen), 1)))
    thin = head.take(np.concatenate(kept))
    return replace(thin, rows=replace(thin.rows, weight=thin.rows.weight * np.concatenate(weight)))


def head_rows(source: Source) -> Iterator[HeadRows]:
    """The rows of every head that the log can tell something about; rows without a record are put aside."""
    for kind in (_answers, _unasked, _per_product, _triggers, _values):
        for head in kind(source):
            yield _within_span(source, head)


def _within_span(s: Source, head: HeadRows) -> HeadRows:
    if head.link == "lognormal":
        return head
    aside, findings = outside_span(head.name, head.rows, s.day[head.look])
    kept = head if not findings else head.take(np.flatnonzero(~aside))
    return replace(kept, findings=head.findings + findings)


def _answers(s: Source) -> Iterator[HeadRows]:
    """Answers to contacts."""
    contact = s.treatment > 0
    seen = {event: flags & contact for event, flags in s.answered.items() if not s.orphaned(event)}
    unseen = {event: unrecorded_channels(s, event, flags, contact) for event, flags in seen.items()}
    reached: Given = "delivered" if "delivered" in seen else "contacted"
    assumed = contact & np.isin(s.channel, unseen.get("delivered", []))  # delivered, as far as anybody knows
    among: dict[Given, np.ndarray] = {"contacted": contact, "delivered": seen.get("delivered", contact) | assumed}
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
            rows = np.flatnonzero(among[given] & ~np.isin(s.channel, unseen[event]))
            findings = channel_finding(s, event, unseen[event], contact)
            findings += _skipped(event, given, int((seen[event] & ~among[given]).sum()))
            head = _decided(s, event, given, rows, seen[event][rows])
            certain = tuple(unseen[event]) if event == "delivered" else ()
            yield replace(head, certain=certain, findings=findings)


def _skipped(event: str, given: Given, count: int) -> tuple[Finding, ...]:
    """Answers that the log shows without what they are fitted given."""
    if not count:
        return ()
    before = "engaged contact without a conversion" if given == "unconverted" else f"contact that was {given}"
    evidence = f"{count:,} {event} on no {before}, put aside"
    return (Finding(f"head {event}", f"some {event} skip the step before", evidence, "none does"),)


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
    everything = s.placed.filter(pl.col("event") == "converted")
    events = everything.filter((pl.col("value") > 0) & pl.col("product").is_not_null())
    if not events.height:
        return
    look = s.windows["look"].to_numpy()[events["window"].to_numpy()]
    option = positions(events["product"], s.tables.catalogue.product_ids)
    ones = np.ones(events.height)
    rows = Rows(events["value"].to_numpy(), ones, ones, s.customer[look])
    head = HeadRows("converted_value", "lognormal", "converted", "product", look, option, rows)
    yield replace(head, findings=_unknown_values(everything, events.height))


def _unknown_values(events: pl.DataFrame, used: int) -> tuple[Finding, ...]:
    """Conversions whose margin or product the log does not say, or says is not positive."""
    if used == events.height:
        return ()
    null, nameless = (events[name].null_count() for name in ("value", "product"))
    low = events.filter(pl.col("value") <= 0).height
    evidence = f"{events.height - used:,} of {events.height:,}: {null:,} without value, {low:,} not positive, "
    evidence += f"{nameless:,} without product; put aside"
    what = "the margin of some conversions is unknown or not positive"
    return (Finding("head converted_value", what, evidence, "they bring what the others bring"),)
