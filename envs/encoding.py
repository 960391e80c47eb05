"""How the fields of the observation are filled, one customer at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.calendar import FIRST_DAY
from envs.history import (
    BREAK_POINT,
    HISTORY_ARRAYS,
    HISTORY_NUMBERS,
    RECENCY,
    RING,
    channel_at,
    customer_at,
    product_at,
)
from envs.jit import inlined, kernel
from envs.pointers import LONG, SINGLE, long_at, reach_type, single_at

# Name, meaning, and unit, in which the half-lives of the world and its currency are put.
TRACE = "2^(-days / {recency:g})"
CONTACT_FIELDS = (
    ("contact:pressure", "faded number of contacts on all channels", "contacts / 10"),
    ("contact:week", "contacts in the last 7 days", "contacts / 7"),
    ("contact:complaints", "faded number of complaints", "complaints / 5"),
    ("contact:spend", "faded amount spent", "log(1 + {currency}) / 5"),
    ("contact:risk_hold", "1 under a risk hold", "0 or 1"),
)
CHANNEL_FIELDS = (
    ("recency", "trace of the last contact on this channel", TRACE),
    ("pressure", "faded number of contacts on this channel", "contacts / 5"),
    ("engagements", "faded number of engagements on this channel", "engagements / 5"),
    ("consent", "1 while the customer has not opted out", "0 or 1"),
)
PRODUCT_FIELDS = (
    ("intent", "faded evidence of intent", "engagements' worth / 5"),
    ("lead", "trace of the last engagement not yet answered by a conversion or refusal", TRACE),
    ("offered", "trace of the last offer of this product", TRACE),
    ("abandoned", "trace of an application that was broken off", "2^(-days / {break_point:g})"),
    ("refusals", "faded number of refusals", "refusals / 5"),
    ("holds", "1 if the customer holds the product", "0 or 1"),
    ("pending", "1 while an application matures", "0 or 1"),
)
BLOCKS = ("profile", "contact", "channels", "products", "stages", "calendar", "key_day", "triggers", "clock", "prices")
MOST = np.float32(20)  # counts are cut here


PLAN_ARRAYS = {"calendar": SINGLE, "day_of_month": LONG}
PLAN_NUMBERS = dict.fromkeys((*(f"{block}_from" for block in BLOCKS), "fields", "calendar_fields", "end_day"), "i8")
PLAN_NUMBERS |= {"key_column": "i8", "key_center": "f8", "key_scale": "f8"}
PLAN = reach_type({**PLAN_ARRAYS, **HISTORY_ARRAYS}, {**PLAN_NUMBERS, **HISTORY_NUMBERS})


@kernel
def encode_all(
    at: np.ndarray, profile: np.ndarray, trigger: np.ndarray, clock: np.ndarray, prices: np.ndarray, out: np.ndarray
) -> None:
    """at: (1,) PLAN; profile: (batch, n); trigger: (batch,); clock: (batch, 2); prices: (batch, n) fields, C order.

    out: (batch, fields) float32
    """
    m = at[0]
    for i in range(out.shape[0]):
        row = out[i].ctypes.data
        encode_one(m, m, i, profile[i].ctypes.data, clock[i, 0], clock[i, 1], prices[i].ctypes.data, row)
        tell_trigger(m, trigger[i], row)


@kernel
def tell_trigger(m: Any, trigger: int, out: int) -> None:
    """Write the moment into an observation that has none. out: its address."""
    if trigger >= 0:
        single_at(out, m.triggers_from + trigger).value = 1


@kernel
def encode_one(m: Any, h: Any, i: int, profile: int, left: float, gap: float, prices: int, out: int) -> None:
    """Write the observation of customer i, all but the moment.

    m: a record with the fields of PLAN; h: of HISTORY; profile, prices, out: addresses of the customer's rows, float32
    """
    for k in range(m.contact_from):
        single_at(out, k).value = single_at(profile, k).value
    me = customer_at(h.customer, i)
    _contact(h, i, me, out, m.contact_from)
    _channels(h, i, me.day, out, m.channels_from)
    _products(h, i, me.day, out, m.products_from)
    for k in range(m.stages_from, m.calendar_from):
        single_at(out, k).value = 1 if me.stage == k - m.stages_from else 0
    for k in range(m.calendar_fields):
        place = (me.day - FIRST_DAY) * m.calendar_fields + k
        single_at(out, m.calendar_from + k).value = single_at(m.calendar, place).value
    if m.key_column >= 0:
        key = round(np.float64(single_at(profile, m.key_column).value) * m.key_scale + m.key_center)
        single_at(out, m.key_day_from).value = 1 if long_at(m.day_of_month, me.day - FIRST_DAY).value == key else 0
    for k in range(m.triggers_from, m.clock_from):
        single_at(out, k).value = 0
    if m.end_day > 0:
        single_at(out, m.clock_from).value = left / m.end_day
        single_at(out, m.clock_from + 1).value = gap / m.end_day
    for k in range(m.fields - m.prices_from):
        single_at(out, m.prices_from + k).value = single_at(prices, k).value


@inlined
def scaled(value: Any, share: float) -> Any:
    """value x share, cut. Where 1 / share is a small whole number, these are the bits of a division by it in float32:
    float64 has digits enough that the product is never rounded to the other side."""
    return min(np.float32(np.float64(value) * share), MOST)


@kernel
def _contact(h: Any, i: int, me: Any, out: Any, start: int) -> None:
    pressure = np.float32(0)
    for c in range(h.channels):
        pressure += channel_at(h.channel, i * h.channels + c).pressure
    single_at(out, start).value = scaled(pressure, 0.1)
    single_at(out, start + 1).value = scaled(contacts_since(me, 7), 1 / 7)
    single_at(out, start + 2).value = scaled(me.complaints, 0.2)
    spend = np.float32(0)
    if me.spend > 0:
        spend = min(np.log1p(me.spend) / np.float32(5), MOST)
    single_at(out, start + 3).value = spend
    single_at(out, start + 4).value = 1 if me.risk_hold else 0


@kernel
def contacts_since(me: Any, days: int) -> int:
    """Contacts in the last `days` days, today included, as far as the ring remembers. me: a CUSTOMER record."""
    count = 0
    for k in range(RING):
        if me.day - me.ring_day[(me.newest - k) % RING] >= days:
            break
        count += 1
    return count


@kernel
def _channels(h: Any, i: int, day: int, out: Any, start: int) -> None:
    recency, last = h.fades + np.uint64(4 * RECENCY * h.faded_days), h.faded_days - 1
    for c in range(h.channels):
        channel, k = channel_at(h.channel, i * h.channels + c), start + 4 * c
        single_at(out, k).value = single_at(recency, min(day - channel.last_contact, last)).value
        single_at(out, k + 1).value = scaled(channel.pressure, 0.2)
        single_at(out, k + 2).value = scaled(channel.engagements, 0.2)
        single_at(out, k + 3).value = 0 if channel.opted_out else 1


@kernel
def _products(h: Any, i: int, day: int, out: Any, start: int) -> None:
    recency, last = h.fades + np.uint64(4 * RECENCY * h.faded_days), h.faded_days - 1
    break_point = h.fades + np.uint64(4 * BREAK_POINT * h.faded_days)
    for p in range(h.products):
        product, k = product_at(h.product, i * h.products + p), start + 7 * p
        single_at(out, k).value = scaled(product.intent, 0.2)
        single_at(out, k + 1).value = single_at(recency, min(day - product.lead, last)).value
        single_at(out, k + 2).value = single_at(recency, min(day - product.last_offer, last)).value
        single_at(out, k + 3).value = single_at(break_point, min(day - product.abandoned, last)).value
        single_at(out, k + 4).value = scaled(product.refusals, 0.2)
        single_at(out, k + 5).value = 1 if product.holds else 0
        single_at(out, k + 6).value = 1 if product.pending else 0
