"""Contact history: what past contacts and events leave behind, for a batch of customers.

A struct of arrays; the last axis of every array is the customer. Time counts in whole calendar days. The simulator, the
replay of a log and the serving module all keep history with these two verbs: `advance` the day, then `record` events.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from envs.catalogue import Catalogue
from envs.schema import Fading, Schema

NEVER = np.int32(-1_000_000)  # "last happened" long ago
WINDOW = 31  # days that the rolling windows of frequency caps can look back
EVENTS = frozenset(
    ["contacted", "delivered", "engaged", "declined", "converted", "cancelled", "opted_out", "complained"]
    + ["blocked", "churned", "balance_changed", "redeemed", "purchased", "app_session", "browsed", "abandoned"]
    + ["inbound_call", "branch_visit", "partner_scene", "satisfaction_rated", "risk_hold", "risk_cleared", "referred"]
)


@lru_cache(maxsize=64)
def _factors(half_life: float) -> np.ndarray:  # (days,) float32
    factors = np.exp2(-np.arange(4096) / half_life).astype(np.float32)
    factors[-1] = 0.0  # after eleven years nothing is left, nor of what never happened
    return factors


def fade(days: np.ndarray | int, half_life: float) -> np.ndarray:
    """2^(-days / half-life), float32, 0 after 4,095 days; from a table, so that every path gets the same bits."""
    table = _factors(half_life)
    return np.asarray(table[np.minimum(days, table.size - 1)])


@dataclass
class History:
    """History of a batch of customers. Shapes: (batch,), (channels, batch) or (products, batch)."""

    day: np.ndarray  # (batch,) int32, days since 1970-01-01
    fading: Fading
    last_contact: np.ndarray  # (channels, batch) int32, day
    pressure: np.ndarray  # (channels, batch) float32, faded number of contacts
    engagements: np.ndarray  # (channels, batch) float32, faded
    opted_out: np.ndarray  # (channels, batch) bool
    contact_days: np.ndarray  # (channels, batch) uint32, bit d: a contact d days ago
    last_offer: np.ndarray  # (products, batch) int32, day
    offer_days: np.ndarray  # (products, batch) uint32, bit d: offered d days ago
    intent: np.ndarray  # (products, batch) float32, faded evidence
    lead: np.ndarray  # (products, batch) int32, day of the last unanswered engagement
    refusals: np.ndarray  # (products, batch) float32, faded
    last_refusal: np.ndarray  # (products, batch) int32, day
    holds: np.ndarray  # (products, batch) bool
    complaints: np.ndarray  # (batch,) float32, faded
    last_complaint: np.ndarray  # (batch,) int32, day
    purchases: np.ndarray  # (batch,) float32, faded number
    spend: np.ndarray  # (batch,) float32, faded amount, in currency
    risk_hold: np.ndarray  # (batch,) bool

    @classmethod
    def fresh(cls, catalogue: Catalogue, schema: Schema, day: np.ndarray) -> History:
        """Customers of whom nothing has happened yet. day: (batch,) int, days since 1970-01-01."""
        batch, channels, products = day.shape[0], len(catalogue.channels), len(catalogue.products)

        def zeros(rows: int | None, dtype: type) -> np.ndarray:
            return np.zeros((batch,) if rows is None else (rows, batch), dtype)

        def never(rows: int | None) -> np.ndarray:
            return np.full((batch,) if rows is None else (rows, batch), NEVER, np.int32)

        return cls(
            day=day.astype(np.int32),
            fading=schema.fading,
            last_contact=never(channels),
            pressure=zeros(channels, np.float32),
            engagements=zeros(channels, np.float32),
            opted_out=zeros(channels, np.bool_),
            contact_days=zeros(channels, np.uint32),
            last_offer=never(products),
            offer_days=zeros(products, np.uint32),
            intent=zeros(products, np.float32),
            lead=never(products),
            refusals=zeros(products, np.float32),
            last_refusal=never(products),
            holds=zeros(products, np.bool_),
            complaints=zeros(None, np.float32),
            last_complaint=never(None),
            purchases=zeros(None, np.float32),
            spend=zeros(None, np.float32),
            risk_hold=zeros(None, np.bool_),
        )

    def __len__(self) -> int:
        return int(self.day.shape[0])

    def _arrays(self) -> list[str]:
        return [f.name for f in fields(self) if f.name != "fading"]

    def take(self, rows: np.ndarray) -> History:
        """A copy of some customers, in the order of `rows` (indices or a boolean mask)."""
        parts = {name: np.ascontiguousarray(getattr(self, name)[..., rows]) for name in self._arrays()}
        return History(fading=self.fading, **parts)

    def put(self, rows: np.ndarray, other: History) -> None:
        """Overwrite some customers with those of `other`."""
        for name in self._arrays():
            getattr(self, name)[..., rows] = getattr(other, name)

    def advance(self, days: np.ndarray | int) -> None:
        """Let days pass: traces fade, windows roll. days: an int >= 0, or (batch,) of them."""
        f = self.fading
        self.day += np.asarray(days, dtype=np.int32)
        self.pressure *= fade(days, f.pressure)
        self.engagements *= fade(days, f.engagement)
        self.intent *= fade(days, f.intent)
        self.refusals *= fade(days, f.refusal)
        self.complaints *= fade(days, f.complaint)
        kept = fade(days, f.purchase)
        self.purchases *= kept
        self.spend *= kept
        shift = np.minimum(days, 32)
        for bits in (self.contact_days, self.offer_days):  # in 64 bits, where a shift by 32 is defined
            bits[...] = (bits.astype(np.uint64) << np.asarray(shift, dtype=np.uint64)).astype(np.uint32)

    def record(
        self,
        event: str,
        rows: np.ndarray,
        *,
        channel: np.ndarray | None = None,
        product: np.ndarray | None = None,
        value: np.ndarray | None = None,
    ) -> None:
        """Record one kind of event that happened today to some customers (`rows`: distinct indices).

        channel, product: positions, (rows,) int, -1 where the event has none; value: (rows,) float, NaN where none.
        Events that leave no trace in the history (delivered, app_session ...) are accepted and do nothing.
        """
        if event not in EVENTS:
            raise ValueError(f"event == {event!r}, must be one of: {', '.join(sorted(EVENTS))}")
        if event in _BY_CUSTOMER:
            _BY_CUSTOMER[event](self, rows, value)
        if channel is not None and event in _BY_CHANNEL:
            known = channel >= 0
            _BY_CHANNEL[event](self, channel[known], rows[known])
        if product is not None and event in _BY_PRODUCT:
            known = product >= 0
            _BY_PRODUCT[event](self, product[known], rows[known])

    def contacts_within(self, days: int) -> np.ndarray:
        """Days with a contact on each channel in the last `days` days, today included. -> (channels, batch) uint8."""
        return np.asarray(np.bitwise_count(self.contact_days & _last(days)))

    def offers_within(self, days: int) -> np.ndarray:
        """Days with an offer of each product in the last `days` days, today included. -> (products, batch) uint8."""
        return np.asarray(np.bitwise_count(self.offer_days & _last(days)))


def _last(days: int) -> np.uint32:
    return np.uint32((1 << min(days, 32)) - 1)


def _contacted_channel(h: History, c: np.ndarray, rows: np.ndarray) -> None:
    h.last_contact[c, rows] = h.day[rows]
    h.pressure[c, rows] += np.float32(1)
    h.contact_days[c, rows] |= np.uint32(1)


def _contacted_product(h: History, p: np.ndarray, rows: np.ndarray) -> None:
    h.last_offer[p, rows] = h.day[rows]
    h.offer_days[p, rows] |= np.uint32(1)


def _engaged_channel(h: History, c: np.ndarray, rows: np.ndarray) -> None:
    h.engagements[c, rows] += np.float32(1)


def _opted_out(h: History, c: np.ndarray, rows: np.ndarray) -> None:
    h.opted_out[c, rows] = True


def _interested(h: History, p: np.ndarray, rows: np.ndarray) -> None:
    h.intent[p, rows] += np.float32(1)
    h.lead[p, rows] = h.day[rows]


def _browsed(h: History, p: np.ndarray, rows: np.ndarray) -> None:
    h.intent[p, rows] += np.float32(0.5)  # assumed: looking is half the evidence of engaging


def _declined(h: History, p: np.ndarray, rows: np.ndarray) -> None:
    h.refusals[p, rows] += np.float32(1)
    h.last_refusal[p, rows] = h.day[rows]
    h.lead[p, rows] = NEVER


def _converted(h: History, p: np.ndarray, rows: np.ndarray) -> None:
    h.holds[p, rows] = True
    h.intent[p, rows] = 0
    h.lead[p, rows] = NEVER


def _cancelled(h: History, p: np.ndarray, rows: np.ndarray) -> None:
    h.holds[p, rows] = False


def _complained(h: History, rows: np.ndarray, value: np.ndarray | None) -> None:
    h.complaints[rows] += np.float32(1)
    h.last_complaint[rows] = h.day[rows]


def _purchased(h: History, rows: np.ndarray, value: np.ndarray | None) -> None:
    h.purchases[rows] += np.float32(1)
    if value is not None:
        h.spend[rows] += np.nan_to_num(value).astype(np.float32)


def _held(h: History, rows: np.ndarray, value: np.ndarray | None) -> None:
    h.risk_hold[rows] = True


def _cleared(h: History, rows: np.ndarray, value: np.ndarray | None) -> None:
    h.risk_hold[rows] = False


_BY_CUSTOMER = {
    "complained": _complained,
    "purchased": _purchased,
    "risk_hold": _held,
    "risk_cleared": _cleared,
}
_BY_CHANNEL = {
    "contacted": _contacted_channel,
    "engaged": _engaged_channel,
    "opted_out": _opted_out,
    "blocked": _opted_out,
}
_BY_PRODUCT = {
    "contacted": _contacted_product,
    "engaged": _interested,
    "abandoned": _interested,
    "referred": _interested,
    "browsed": _browsed,
    "declined": _declined,
    "converted": _converted,
    "cancelled": _cancelled,
}
