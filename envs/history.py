"""Contact history: what past contacts and events leave behind, for a batch of customers.

Three arrays of records, customer first: one record per customer, one per customer and channel, one per customer and
product. Time counts in whole calendar days. The simulator, the replay of a log and the serving module all keep history
with the same two verbs: `advance` the day, then `record` events; the kernels below them do it for one customer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from envs.catalogue import Catalogue
from envs.jit import kernel
from envs.pointers import SINGLE, place, reach, reach_type, single_at
from envs.schema import Fading, Schema

NEVER = -1_000_000  # "last happened" long ago
RING = 16  # contacts that are remembered one by one: the most that a cap can count

EVENTS = frozenset(
    ["contacted", "delivered", "engaged", "declined", "applied", "converted", "cancelled", "opted_out", "complained"]
    + ["blocked", "churned", "balance_changed", "redeemed", "purchased", "app_session", "browsed", "abandoned"]
    + ["inbound_call", "branch_visit", "partner_scene", "satisfaction_rated", "risk_hold", "risk_cleared", "referred"]
    + ["stage_changed"]
)
NAMES = tuple(sorted(EVENTS))  # an event's code is its position here
CONTACTED, ENGAGED, DECLINED = (NAMES.index(name) for name in ("contacted", "engaged", "declined"))
APPLIED, CONVERTED, CANCELLED = (NAMES.index(name) for name in ("applied", "converted", "cancelled"))
OPTED_OUT, BLOCKED, COMPLAINED = (NAMES.index(name) for name in ("opted_out", "blocked", "complained"))
BROWSED, ABANDONED, REFERRED = (NAMES.index(name) for name in ("browsed", "abandoned", "referred"))
PURCHASED, RISK_HOLD, RISK_CLEARED = (NAMES.index(name) for name in ("purchased", "risk_hold", "risk_cleared"))
STAGE_CHANGED = NAMES.index("stage_changed")

CUSTOMER = np.dtype(
    [
        ("day", "i4"),  # today, days since 1970-01-01
        ("complaints", "f4"),  # faded
        ("last_complaint", "i4"),  # day
        ("purchases", "f4"),  # faded number
        ("spend", "f4"),  # faded amount, currency
        ("risk_hold", "?"),
        ("stage", "i2"),  # position in schema.stages, -1: none
        ("newest", "i2"),  # place of the newest contact in the ring
        ("ring_day", "i4", (RING,)),  # day of each of the last contacts
        ("ring_channel", "i2", (RING,)),
        ("ring_product", "i2", (RING,)),
        ("ring_treatment", "i2", (RING,)),  # -1: a contact that nobody decided here
    ],
    align=True,
)
CHANNEL = np.dtype(
    [
        ("last_contact", "i4"),  # day
        ("pressure", "f4"),  # faded number of contacts
        ("engagements", "f4"),  # faded
        ("opted_out", "?"),
    ],
    align=True,
)
PRODUCT = np.dtype(
    [
        ("last_offer", "i4"),  # day
        ("intent", "f4"),  # faded evidence
        ("lead", "i4"),  # day of the last engagement not yet answered by a conversion or refusal
        ("lead_channel", "i2"),  # where it arose, -1: unasked
        ("lead_owner", "i2"),  # channel of the first contact since then, -1: nobody took it up
        ("abandoned", "i4"),  # day of the last application that was broken off
        ("refusals", "f4"),  # faded
        ("last_refusal", "i4"),  # day
        ("holds", "?"),
        ("pending", "?"),  # applied, not matured
    ],
    align=True,
)
RECENCY, PRESSURE, ENGAGEMENT, INTENT, REFUSAL, COMPLAINT, PURCHASE, BREAK_POINT = range(8)  # rows of the fade table

HISTORY_ARRAYS = {"customer": CUSTOMER, "channel": CHANNEL, "product": PRODUCT, "fades": SINGLE}
HISTORY_NUMBERS = {"batch": "i8", "channels": "i8", "products": "i8", "faded_days": "i8"}
HISTORY = reach_type(HISTORY_ARRAYS, HISTORY_NUMBERS)  # what the kernels below are handed as `h`
customer_at, channel_at, product_at = place(CUSTOMER), place(CHANNEL), place(PRODUCT)


@lru_cache(maxsize=64)
def _factors(half_life: float) -> np.ndarray:  # (days,) float32
    factors = np.exp2(-np.arange(4096) / half_life).astype(np.float32)
    factors[-1] = 0.0  # after eleven years nothing is left, nor of what never happened
    return factors


@lru_cache(maxsize=64)
def fade_table(fading: Fading) -> np.ndarray:  # (8, days) float32
    """2^(-days / half-life) of each trace, 0 after 4,095 days: every path reads the same bits."""
    order = ("recency", "pressure", "engagement", "intent", "refusal", "complaint", "purchase", "break_point")
    table = np.ascontiguousarray(np.stack([_factors(getattr(fading, name)) for name in order]))
    table.setflags(write=False)
    return table


def fade(days: np.ndarray | int, half_life: float) -> np.ndarray:
    """2^(-days / half-life), float32, 0 after 4,095 days."""
    table = _factors(half_life)
    return np.asarray(table[np.minimum(days, table.size - 1)])


class History(NamedTuple):
    """History of a batch of customers. Columns by name: `history.channel["pressure"]` is (batch, channels)."""

    customer: np.ndarray  # (batch,) CUSTOMER
    channel: np.ndarray  # (batch, channels) CHANNEL
    product: np.ndarray  # (batch, products) PRODUCT
    fades: np.ndarray  # (8, days) float32, shared

    @classmethod
    def fresh(cls, catalogue: Catalogue, schema: Schema, day: np.ndarray) -> History:
        """Customers of whom nothing has happened yet. day: (batch,) int, days since 1970-01-01."""
        batch = day.shape[0]
        customer = np.zeros(batch, CUSTOMER)
        channel = np.zeros((batch, len(catalogue.channels)), CHANNEL)
        product = np.zeros((batch, len(catalogue.products)), PRODUCT)
        customer["day"], customer["stage"] = day, -1
        for name in ("last_complaint", "ring_day"):
            customer[name] = NEVER
        customer["ring_treatment"] = -1
        channel["last_contact"] = NEVER
        for name in ("last_offer", "lead", "abandoned", "last_refusal"):
            product[name] = NEVER
        product["lead_channel"] = product["lead_owner"] = -1
        return cls(customer, channel, product, fade_table(schema.fading))

    @property
    def day(self) -> np.ndarray:  # (batch,) int32
        return np.asarray(self.customer["day"])

    @property
    def arrays(self) -> dict[str, tuple[np.ndarray, np.dtype[Any]]]:
        """The arrays with the types of their elements, for `reach`."""
        return {name: (getattr(self, name), kind) for name, kind in HISTORY_ARRAYS.items()}

    @property
    def numbers(self) -> dict[str, int]:
        """The sizes, for `reach`."""
        sizes = (*self.channel.shape, self.product.shape[1], self.fades.shape[1])
        return dict(zip(HISTORY_NUMBERS, sizes, strict=True))

    @property
    def batch(self) -> int:
        return int(self.customer.shape[0])

    def take(self, rows: np.ndarray) -> History:
        """A copy of some customers, in the order of `rows` (indices or a boolean mask)."""
        return History(self.customer[rows], self.channel[rows], self.product[rows], self.fades)

    def put(self, rows: np.ndarray, other: History) -> None:
        """Overwrite some customers with those of `other`."""
        self.customer[rows], self.channel[rows], self.product[rows] = other.customer, other.channel, other.product

    def part(self, start: int, stop: int) -> History:
        """A view of customers who stand side by side: what is done to it is done to them."""
        return History(self.customer[start:stop], self.channel[start:stop], self.product[start:stop], self.fades)

    def advance(self, days: np.ndarray | int) -> None:
        """Let days pass: traces fade. days: an int >= 0, or (batch,) of them."""
        _advance_all(self._reach(), np.broadcast_to(np.asarray(days, np.int64), self.customer.shape))

    def record(
        self,
        event: str,
        rows: np.ndarray,
        *,
        channel: np.ndarray | None = None,
        product: np.ndarray | None = None,
        treatment: np.ndarray | None = None,
        value: np.ndarray | None = None,
    ) -> None:
        """Record one kind of event that happened today to some customers (`rows`: indices).

        channel, product, treatment: positions, (rows,) int, -1 where the event has none; value: (rows,) float, NaN
        where none. Events that leave no trace in the history (delivered, app_session ...) are accepted and do nothing.
        """
        if event not in EVENTS:
            raise ValueError(f"event == {event!r}, must be one of: {', '.join(NAMES)}")
        none = np.full(len(rows), -1)
        places = [none if given is None else given for given in (channel, product, treatment)]
        amount = np.full(len(rows), np.nan) if value is None else np.asarray(value, np.float64)
        at, (who, c, p, t) = self._reach(), (np.asarray(part, np.int64) for part in (rows, *places))
        for name, given, first, end in (
            ("rows", who, 0, self.batch),
            ("channel", c, -1, self.channel.shape[1]),
            ("product", p, -1, self.product.shape[1]),
        ):  # kernels check nothing
            if given.shape != amount.shape or (given.size and not first <= given.min() <= given.max() < end):
                raise ValueError(f"{name}: must be {len(amount)} positions from {first} to {end - 1}")
        _record_all(at, NAMES.index(event), who, c, p, t, amount)

    def _reach(self) -> np.ndarray:
        return reach(HISTORY, self.arrays, self.numbers)

    def contacts_within(self, days: int) -> np.ndarray:
        """Contacts remembered on each channel in the last `days` days, today included. -> (batch, channels) int64."""
        inside = self.day[:, None] - self.customer["ring_day"] < days  # (batch, RING)
        on = self.customer["ring_channel"][:, :, None] == np.arange(self.channel.shape[1])
        return np.asarray((inside[:, :, None] & on).sum(axis=1))


@kernel
def _advance_all(at: np.ndarray, days: np.ndarray) -> None:
    for i in range(days.shape[0]):
        if days[i] > 0:
            advance_one(at[0], i, days[i])


@kernel
def _record_all(
    at: np.ndarray,
    event: int,
    rows: np.ndarray,
    channel: np.ndarray,
    product: np.ndarray,
    treatment: np.ndarray,
    value: np.ndarray,
) -> None:
    for k in range(rows.shape[0]):
        record_one(at[0], rows[k], event, channel[k], product[k], treatment[k], value[k])


@kernel
def faded(h: Any, row: int, days: int) -> float:
    """What is left of a trace after so many days. row: RECENCY ... BREAK_POINT."""
    return single_at(h.fades, row * h.faded_days + min(days, h.faded_days - 1)).value


@kernel
def advance_one(h: Any, i: int, days: int) -> None:
    """Let days pass for customer i. h: a HISTORY record, or another with its fields."""
    me, channels, products = customer_at(h.customer, i), h.channels, h.products
    me.day += np.int32(days)
    if me.complaints != 0:
        me.complaints *= faded(h, COMPLAINT, days)
    if me.purchases != 0:
        me.purchases *= faded(h, PURCHASE, days)
        me.spend *= faded(h, PURCHASE, days)
    pressure, engagement = faded(h, PRESSURE, days), faded(h, ENGAGEMENT, days)
    for c in range(i * channels, (i + 1) * channels):
        channel = channel_at(h.channel, c)
        channel.pressure *= pressure
        channel.engagements *= engagement
    intent, refusal = faded(h, INTENT, days), faded(h, REFUSAL, days)
    for p in range(i * products, (i + 1) * products):
        product = product_at(h.product, p)
        product.intent *= intent
        product.refusals *= refusal


@kernel
def record_one(h: Any, i: int, event: int, channel: int, product: int, treatment: int, value: float) -> None:
    """Record an event of customer i today; -1: the event has no channel, product or treatment."""
    me = customer_at(h.customer, i)
    if event == CONTACTED:
        _contacted(h, i, me, channel, product, treatment)
        return
    _of_customer(me, event, value)
    if channel >= 0:
        _of_channel(channel_at(h.channel, i * h.channels + channel), event)
    if product >= 0:
        _of_product(product_at(h.product, i * h.products + product), event, channel, me.day)


@kernel
def _contacted(h: Any, i: int, me: Any, channel: int, product: int, treatment: int) -> None:
    me.newest = (me.newest + 1) % RING
    me.ring_day[me.newest] = me.day
    me.ring_channel[me.newest] = channel
    me.ring_product[me.newest] = product
    me.ring_treatment[me.newest] = treatment
    if channel >= 0:
        used = channel_at(h.channel, i * h.channels + channel)
        used.last_contact = me.day
        used.pressure += np.float32(1)
    if product >= 0:
        offered = product_at(h.product, i * h.products + product)
        offered.last_offer = me.day
        if offered.lead != NEVER and offered.lead_owner < 0:
            offered.lead_owner = channel


@kernel
def _of_customer(me: Any, event: int, value: float) -> None:
    if event == COMPLAINED:
        me.complaints += np.float32(1)
        me.last_complaint = me.day
    elif event == PURCHASED:
        me.purchases += np.float32(1)
        if not np.isnan(value):
            me.spend += np.float32(value)
    elif event == RISK_HOLD:
        me.risk_hold = True
    elif event == RISK_CLEARED:
        me.risk_hold = False
    elif event == STAGE_CHANGED and not np.isnan(value):
        me.stage = np.int16(value)


@kernel
def _of_channel(channel: Any, event: int) -> None:
    if event == ENGAGED:
        channel.engagements += np.float32(1)
    elif event in (OPTED_OUT, BLOCKED):
        channel.opted_out = True


@kernel
def _of_product(product: Any, event: int, channel: int, day: int) -> None:
    if event in (ENGAGED, ABANDONED, REFERRED):
        product.intent += np.float32(1)
        product.lead, product.lead_channel, product.lead_owner = day, channel, -1
        if event == ABANDONED:
            product.abandoned = day
    elif event == BROWSED:
        product.intent += np.float32(0.5)  # assumed: looking is half the evidence of engaging
    elif event == DECLINED:
        product.refusals += np.float32(1)
        product.last_refusal = day
        product.lead = NEVER
    elif event == APPLIED:
        product.pending = True
        product.intent, product.lead, product.abandoned = 0, NEVER, NEVER
    elif event == CONVERTED:
        product.holds, product.pending = True, False
        product.intent, product.lead, product.abandoned = 0, NEVER, NEVER
    elif event == CANCELLED and product.pending:  # it falls through; what was held before stays
        product.pending = False
    elif event == CANCELLED:
        product.holds = False
