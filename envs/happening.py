"""What happens to a customer, written down: into history, the parts of the reward, the counts and the log."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from envs.history import NAMES, customer_at, record_one
from envs.jit import inlined, kernel
from envs.mechanics import worth_at
from envs.pointers import DOUBLE, LONG, double_at, long_at, place, reach, reach_type

# Minutes of the day at which things happen; decisions fall at 9 o'clock.
BOOKED, MET, DECIDED, ANSWERED, MADE_LATER, ANSWERED_LATER, CAME, EVENING = 420, 480, 540, 600, 630, 660, 720, 1200
TALLY = np.dtype(
    [
        ("margin", "f8"),  # currency
        ("cost", "f8"),  # currency
        ("annoyance", "f8"),  # opt-outs
        ("contacts", "i4"),
        ("conversions", "i4"),  # organic ones included
        ("opt_outs", "i4"),
        ("complaints", "i4"),
    ],
    align=True,
)
EVENT = np.dtype(
    [
        ("row", "i4"),  # of the batch
        ("day", "i4"),  # days since 1970-01-01
        ("decision", "i4"),  # number of the decision that led to it, -1: none
        ("minute", "i2"),
        ("event", "i2"),  # position in NAMES
        ("channel", "i2"),  # -1: none
        ("product", "i2"),  # -1: none
        ("treatment", "i2"),  # -1: none
        ("value", "f8"),  # NaN: none
    ],
    align=True,
)
HAND_OVER = np.dtype([("taken_up", "f8"), ("days_waited", "f8"), ("engaged", "f8"), ("converted", "f8")])
SUMS = np.dtype(
    [("contact_cost", "f8"), ("event_cost", "f8"), ("annoyance", "f8"), ("margin", "f8"), ("days", "f8")]
)  # currency, opt-outs, customer-days


class Out(NamedTuple):
    """What a step writes besides the customers' state."""

    tally: np.ndarray  # (batch,) TALLY, since the decision
    effort: np.ndarray  # (batch, pools) float64, since the decision
    events: np.ndarray  # (event kinds, channels + 1, products + 1) int64, added to; last place: none
    values: np.ndarray  # same shape, float64
    hand_overs: np.ndarray  # (channels + 1, channels) HAND_OVER: from where the lead arose (last: unasked), to whom
    sums: np.ndarray  # (1,) SUMS, added to
    log: np.ndarray  # (capacity,) EVENT; capacity 0: nobody listens
    logged: np.ndarray  # (1,) int64

    def reach(self) -> np.ndarray:  # (1,) OUT
        """The record by which kernels reach the arrays."""
        arrays = {name: (getattr(self, name), kind) for name, kind in OUT_ARRAYS.items()}
        channels, products = self.events.shape[1] - 1, self.events.shape[2] - 1
        sizes = {"channels": channels, "products": products, "pools": self.effort.shape[1], "capacity": len(self.log)}
        return reach(OUT, arrays, sizes)


OUT_ARRAYS = {
    "tally": TALLY,
    "effort": DOUBLE,
    "events": LONG,
    "values": DOUBLE,
    "hand_overs": HAND_OVER,
    "sums": SUMS,
    "log": EVENT,
    "logged": LONG,
}
OUT = reach_type(OUT_ARRAYS, dict.fromkeys(("channels", "products", "pools", "capacity"), "i8"))
tally_at, hand_over_at, sums_at, line_at = place(TALLY), place(HAND_OVER), place(SUMS), place(EVENT)


def new_out(batch: int, pools: int, channels: int, products: int, capacity: int = 0) -> Out:
    """Nothing written yet."""
    shape = (len(NAMES), channels + 1, products + 1)
    counts = (
        np.zeros(shape, np.int64), np.zeros(shape), np.zeros((channels + 1, channels), HAND_OVER), np.zeros(1, SUMS)
    )  # fmt: skip
    return Out(
        np.zeros(batch, TALLY), np.zeros((batch, pools)), *counts, np.zeros(capacity, EVENT), np.zeros(1, np.int64)
    )


class Cause(NamedTuple):
    """What led to something: a treatment of a decision, made at a minute of today."""

    treatment: int  # -1: nobody asked
    channel: int  # -1: none
    product: int  # -1: none
    decision: int  # number in the log, -1: none
    minute: int


@kernel
def because(treatment: int, channel: int, product: int, decision: int, minute: int) -> Cause:
    """A cause, of one type whatever the integers are."""
    return Cause(int(treatment), int(channel), int(product), int(decision), int(minute))


@inlined
def wipe(out: Any, i: int) -> None:
    """A new decision of customer i: nothing has happened since."""
    tally = tally_at(out.tally, i)
    tally.margin = tally.cost = tally.annoyance = 0.0
    tally.contacts = tally.conversions = tally.opt_outs = tally.complaints = 0
    for k in range(out.pools):
        double_at(out.effort, i * out.pools + k).value = 0.0


@kernel
def happened(m: Any, s: Any, out: Any, i: int, event: int, cause: Cause, value: float) -> None:
    """Write down an event of customer i today. value: NaN where the event has none."""
    record_one(s, i, event, cause.channel, cause.product, cause.treatment, value)
    amount = 0.0 if np.isnan(value) else value
    worth, tally, sums = worth_at(m.worth, event), tally_at(out.tally, i), sums_at(out.sums, 0)
    margin, cost = worth.margin_per_value * amount + worth.margin, worth.cost_per_value * amount
    tally.margin += margin
    tally.cost += cost
    tally.annoyance += worth.annoyance
    sums.margin += margin
    sums.event_cost += cost
    sums.annoyance += worth.annoyance
    place = count_place(out, event, cause.channel, cause.product)
    long_at(out.events, place).value += 1
    double_at(out.values, place).value += amount
    note(s, out, i, event, cause, value)


@kernel
def count_place(out: Any, event: int, channel: int, product: int) -> int:
    """Where events of this kind are counted; -1: the last place."""
    c = channel if channel >= 0 else out.channels
    p = product if product >= 0 else out.products
    return (event * (out.channels + 1) + c) * (out.products + 1) + p


@kernel
def note(s: Any, out: Any, i: int, event: int, cause: Cause, value: float) -> None:
    """Write an event into the log, if somebody listens."""
    if out.capacity > 0:
        count = long_at(out.logged, 0)
        line = line_at(out.log, count.value)
        line.row, line.day, line.minute = i, customer_at(s.customer, i).day, cause.minute
        line.decision, line.event, line.channel = cause.decision, event, cause.channel
        line.product, line.treatment, line.value = cause.product, cause.treatment, value
        count.value += 1
