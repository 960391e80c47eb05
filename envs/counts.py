"""Counts: what was seen of a set of customers, as sums that add up; every indicator is a formula over them.

The canonical tables (`envs/counting.py`) and a running simulation fill the same record. Records of different customers
add up by `+`. Within one set of customers, a day's record with zeros in what is counted per customer adds up, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.history import EVENTS

KINDS = tuple(sorted(EVENTS))  # the first axis of `events` and `values`
CONTACT_BINS = 256  # the last bin: 255 contacts or more; a busy silo reaches 100 in a quarter
CONVERSION_BINS = 16  # the last bin: 15 conversions or more
CONTACTED, ACTIVE = 0, 1  # rows of `channel_customers`
OPENED, ANSWERED, DROPPED = 0, 1, 2  # columns of `leads`
TAKEN, DAYS, ENGAGED, CONVERTED = 0, 1, 2, 3  # columns of `hand_overs`


@dataclass(frozen=True, eq=False, repr=False)
class Counts:
    """Sufficient statistics of a set of customers over a period. NaN: the log does not say.

    Axes: kinds = KINDS; channels and products in the catalogue's order, `+ 1` for "none" (last); pools likewise.
    A conversion is a `converted` event, except of a product that sells nothing. A customer is active on a channel on
    which they engaged, or which their coming in opened. Leads are told in `envs/leads.py`.
    """

    customers: int
    days: float  # customer-days: from the start of the period, or of the customer, to its end or to churn
    recorded: np.ndarray  # (kinds,) bool, kinds of events that were written down: a zero of another kind says nothing
    events: np.ndarray  # (kinds, channels + 1, products + 1) int64
    values: np.ndarray  # (kinds, channels + 1, products + 1) float64, sums of the events' values
    contacts_histogram: np.ndarray  # (CONTACT_BINS,) int64, customers by number of contacts
    conversions_histogram: np.ndarray  # (CONVERSION_BINS,) int64, customers by number of conversions
    channels_histogram: np.ndarray  # (channels + 1,) int64, customers by number of channels on which they were active
    channel_customers: np.ndarray  # (2, channels) int64, customers contacted and customers active, at least once
    newcomers: int  # customers who held nothing at the start
    newcomers_converted: int  # of these, with at least one conversion
    churned: int  # customers who left
    effort: np.ndarray  # (pools,) float64, in the pool's unit
    margin: np.ndarray  # (products + 1,) float64, currency
    contact_cost: float  # currency
    benefit_cost: float  # currency, of redeemed benefits
    annoyance: float  # opt-outs
    assets: float  # assets under management at the start, currency
    leads: np.ndarray  # (channels + 1, 3) int64 by the channel where they arose (last: none): OPENED, ANSWERED, DROPPED
    hand_overs: np.ndarray  # (channels + 1, channels, 4) float64 from, to: TAKEN, DAYS waited, ENGAGED, CONVERTED

    @classmethod
    def empty(cls, catalogue: Catalogue) -> Counts:
        """Nobody seen."""
        shapes = _shapes(catalogue)
        types: dict[str, type] = {_SEEN: np.bool_, **dict.fromkeys(_FLOATS, np.float64)}
        said: dict[str, Any] = {name: np.zeros(shape, types.get(name, np.int64)) for name, shape in shapes.items()}
        return cls(**{f.name: said.get(f.name, 0 if f.type == "int" else 0.0) for f in fields(cls)})

    def __repr__(self) -> str:
        return f"Counts of {self.customers:,} customers over {self.days:,.1f} days, {self.events.sum():,} events"

    def __add__(self, other: Counts) -> Counts:
        """Both sets of customers together."""
        return self._with(other, 1)

    def __sub__(self, other: Counts) -> Counts:
        """The customers that are not in `other`, a part of this set; what is recorded stays."""
        return self._with(other, -1)

    def _with(self, other: Counts, sign: int) -> Counts:
        parts = {f.name: getattr(self, f.name) + sign * getattr(other, f.name) for f in fields(self) if f.name != _SEEN}
        return Counts(**parts, recorded=self.recorded | other.recorded)

    def number(self, kind: str, channel: int | slice = slice(None)) -> int:
        """Events of a kind: of all channels and none, or of one channel (by position)."""
        return int(self.events[_kind(kind), channel].sum()) if kind in EVENTS else 0

    def value(self, kind: str, product: int | slice | np.ndarray = slice(None)) -> float:
        """Sum of the values of a kind of events: of all products and none, or of some (by position, or a mask)."""
        return float(self.values[_kind(kind)][:, product].sum()) if kind in EVENTS else 0.0

    def records(self, kind: str) -> bool:
        """True if events of this kind were written down, so that their absence means that none happened."""
        return kind in EVENTS and bool(self.recorded[_kind(kind)])

    def check(self, catalogue: Catalogue) -> Counts:
        """These counts, if they have the shapes of this catalogue; else an InputError."""
        for name, shape in _shapes(catalogue).items():
            found = getattr(self, name).shape
            if found != shape:
                raise InputError(f"must have the shape {shape}, by this catalogue", field=name, value=found)
        return self

    def save(self, path: Path) -> None:
        """Write one .npz file, whole or not at all."""
        temporary = path.with_name(f".{path.stem}.npz")
        arrays: dict[str, Any] = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        np.savez(temporary, kinds=np.array(KINDS), **arrays)
        os.replace(temporary, path)


_SEEN = "recorded"
_FLOATS = ("values", "effort", "margin", "hand_overs")


def _kind(name: str) -> int:
    return KINDS.index(name)


def _shapes(catalogue: Catalogue) -> dict[str, tuple[int, ...]]:
    channels, products = len(catalogue.channels), len(catalogue.products)
    return {
        "recorded": (len(KINDS),),
        "events": (len(KINDS), channels + 1, products + 1),
        "values": (len(KINDS), channels + 1, products + 1),
        "contacts_histogram": (CONTACT_BINS,),
        "conversions_histogram": (CONVERSION_BINS,),
        "channels_histogram": (channels + 1,),
        "channel_customers": (2, channels),
        "effort": (len(catalogue.pools),),
        "margin": (products + 1,),
        "leads": (channels + 1, 3),
        "hand_overs": (channels + 1, channels, 4),
    }


def total(blocks: Iterable[Counts]) -> Counts:
    """The sum of at least one record."""
    return reduce(Counts.__add__, blocks)


def load_counts(path: Path) -> Counts:
    """Read what `Counts.save` wrote; raise InputError for anything else."""
    names = {f.name: f.type for f in fields(Counts)}
    try:
        with np.load(path, allow_pickle=False) as stored:
            kinds, found = tuple(stored["kinds"].tolist()), {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError) as fault:
        raise InputError(f"must be counts as `Counts.save` writes them ({fault})", file=path) from None
    if kinds != KINDS:
        raise InputError(f"must be of the events {', '.join(KINDS)}", file=path, field="kinds", value=kinds)
    return Counts(**{n: found[n].item() if names[n] in ("int", "float") else found[n] for n in names})
