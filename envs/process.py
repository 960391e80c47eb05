"""Process figures: how contacts and leads move, per channel and hand-over; each is one formula over `Counts`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import polars as pl

from envs.catalogue import Catalogue
from envs.counts import ACTIVE, ANSWERED, CONTACTED, CONVERTED, DAYS, DROPPED, ENGAGED, OPENED, TAKEN, Counts
from envs.indicators import PER, ratio

UNASKED = "unasked"  # where a lead arose that no channel caused
EVERYWHERE = ("online", "remote", "offline")


class ChannelFigure(NamedTuple):
    """One figure of a channel."""

    name: str
    unit: str
    formula: str
    value: Callable[[Counts, int], float | None]  # (counts, position of the channel)
    needs: tuple[str, ...] = ()
    families: tuple[str, ...] = EVERYWHERE  # of channels that have it
    unasked: bool = False  # leads that arose on no channel have it, too


class HandOverFigure(NamedTuple):
    """One figure of a hand-over from one channel to another, or to itself."""

    name: str
    unit: str
    formula: str
    value: Callable[[Counts, int, int], float | None]  # (counts, from, to)


def _per_contact(kind: str, times: int = 1) -> Callable[[Counts, int], float | None]:
    return lambda counts, c: ratio(times * counts.number(kind, c), counts.number("contacted", c))


def _lead(counts: Counts, source: int, column: int) -> float:
    return float(counts.leads[source, column])


def _taken(counts: Counts, source: int, column: int = TAKEN) -> float:
    return float(counts.hand_overs[source, :, column].sum())


def _acceptance(counts: Counts, source: int) -> float | None:
    taken = _taken(counts, source)
    return ratio(taken, taken + _lead(counts, source, DROPPED))


CHANNEL_FIGURES = (
    ChannelFigure("contacts", "contacts", "contacted", lambda n, c: n.number("contacted", c)),
    ChannelFigure("reach", "share", "customers contacted on the channel / customers",
                  lambda n, c: ratio(int(n.channel_customers[CONTACTED, c]), n.customers)),
    ChannelFigure("penetration", "share", "customers active on the channel / customers",
                  lambda n, c: ratio(int(n.channel_customers[ACTIVE, c]), n.customers), ("engaged",)),
    ChannelFigure("delivery", "share", "delivered / contacted, of an online channel",
                  _per_contact("delivered"), ("delivered",), ("online",)),
    ChannelFigure("connection", "share", "delivered / contacted, of a remote or offline channel",
                  _per_contact("delivered"), ("delivered",), ("remote", "offline")),
    ChannelFigure("engagement", "share", "engaged / contacted", _per_contact("engaged"), ("engaged",)),
    ChannelFigure("conversions", "share", "converted / contacted", _per_contact("converted"), ("converted",)),
    ChannelFigure("complaints", "per 10,000 contacts", "10,000 × complained / contacted",
                  _per_contact("complained", PER), ("complained",)),
    ChannelFigure("opt_outs", "per 10,000 contacts", "10,000 × opted_out / contacted",
                  _per_contact("opted_out", PER), ("opted_out",)),
    ChannelFigure("leads", "leads", "leads that arose there",
                  lambda n, c: _lead(n, c, OPENED), ("engaged",), unasked=True),
    ChannelFigure("acceptance", "share", "leads taken up / (leads taken up + leads dropped)",
                  _acceptance, ("engaged",), unasked=True),
    ChannelFigure("follow_up", "days", "days from lead to take-up, summed / leads taken up",
                  lambda n, c: ratio(_taken(n, c, DAYS), _taken(n, c)), ("engaged",), unasked=True),
    ChannelFigure("answered", "share", "leads that the customer answered unasked / leads",
                  lambda n, c: ratio(_lead(n, c, ANSWERED), _lead(n, c, OPENED)), ("engaged",), unasked=True),
    ChannelFigure("drop_outs", "share", "leads dropped / leads",
                  lambda n, c: ratio(_lead(n, c, DROPPED), _lead(n, c, OPENED)), ("engaged",), unasked=True),
)  # fmt: skip
HAND_OVER_FIGURES = (
    HandOverFigure("taken_up", "leads", "leads that `to` took up", lambda n, a, b: float(n.hand_overs[a, b, TAKEN])),
    HandOverFigure("flow", "share", "leads that `to` took up / leads that arose on `from`",
                   lambda n, a, b: ratio(float(n.hand_overs[a, b, TAKEN]), _lead(n, a, OPENED))),
    HandOverFigure("follow_up", "days", "days from lead to take-up, summed / leads that `to` took up",
                   lambda n, a, b: ratio(float(n.hand_overs[a, b, DAYS]), float(n.hand_overs[a, b, TAKEN]))),
    HandOverFigure("engagement", "share", "of these, leads that engaged on `to` / leads that `to` took up",
                   lambda n, a, b: ratio(float(n.hand_overs[a, b, ENGAGED]), float(n.hand_overs[a, b, TAKEN]))),
    HandOverFigure("conversion", "share", "of these, leads that applied or converted / leads that `to` took up",
                   lambda n, a, b: ratio(float(n.hand_overs[a, b, CONVERTED]), float(n.hand_overs[a, b, TAKEN]))),
)  # fmt: skip
COLUMNS = {"figure": pl.String, "from": pl.String, "to": pl.String, "value": pl.Float64, "unit": pl.String}


def process_figures(counts: Counts, catalogue: Catalogue) -> pl.DataFrame:
    """Rows of figure, from, to, value, unit, formula. `to` is null for a figure of the channel `from` alone.

    Hand-overs have rows where `to` took up at least one lead. Undefined values are null.
    """
    counts.check(catalogue)
    rows = [*_of_channels(counts, catalogue), *_of_hand_overs(counts, catalogue)]
    return pl.DataFrame(rows, {**COLUMNS, "formula": pl.String}, orient="row")


Row = tuple[str, str, str | None, float | None, str, str]


def _of_channels(counts: Counts, catalogue: Catalogue) -> Iterator[Row]:
    for position, channel in enumerate([*catalogue.channels, None]):
        for f in CHANNEL_FIGURES:
            if f.unasked if channel is None else channel.family in f.families:
                value = f.value(counts, position) if all(map(counts.records, f.needs)) else None
                yield f.name, UNASKED if channel is None else channel.id, None, value, f.unit, f.formula


def _of_hand_overs(counts: Counts, catalogue: Catalogue) -> Iterator[Row]:
    names = (*catalogue.channel_ids, UNASKED)
    for source, taker in zip(*counts.hand_overs[..., TAKEN].nonzero(), strict=True):
        for f in HAND_OVER_FIGURES:
            yield f.name, names[source], names[taker], f.value(counts, int(source), int(taker)), f.unit, f.formula
