"""Leads: hot opportunities between channels, followed event by event for each customer and product.

A lead opens when a customer engages with a product that sells, abandons an application for it or refers somebody, and
none is open. It belongs to the channel of that event. It ends in one of these ways, whichever comes first:

- taken up: the first contact about the product by any channel, while the lead is open; this is a hand-over
- answered: the customer applies, converts or refuses unasked
- dropped: nobody takes it up for `patience`, or the customer leaves
- still open when the period ends

A hand-over engages or converts if the customer does so (engages on the channel that took it up; applies or converts
anywhere) before the next contact about the product, within `patience` of the first.

`follow` is plain arithmetic on one record, so that numba compiles it as it stands.
"""

from __future__ import annotations

import numpy as np

from envs.counts import ANSWERED, CONVERTED, DAYS, DROPPED, ENGAGED, OPENED, TAKEN

# What an event means to a lead; at one instant they happen in this order.
CONTACT, ENGAGEMENT, SIGN, REFUSAL, WON, GONE, OVER = range(7)
MEANING = {
    "contacted": CONTACT,
    "engaged": ENGAGEMENT,
    "abandoned": SIGN,
    "referred": SIGN,
    "declined": REFUSAL,
    "applied": WON,
    "converted": WON,
    "churned": GONE,
}
DAY = 1440  # minutes
NOBODY = -1
# The state of one customer and product. Instants in minutes since 1970-01-01; channels by position.
THREAD = np.dtype(
    [
        ("since", "i4"),  # when the open lead arose, -1: none is open
        ("source", "i2"),  # the channel where it arose, the number of channels: none
        ("taken", "i4"),  # when the latest hand-over was taken up, -1: none is running
        ("giver", "i2"),  # its channels
        ("taker", "i2"),
        ("engaged", "i2"),  # 1 if it engaged
    ]
)


def new_threads(shape: int | tuple[int, ...]) -> np.ndarray:
    """States without a lead."""
    threads = np.zeros(shape, THREAD)
    threads["since"] = threads["taken"] = NOBODY
    return threads


def follow(
    thread: np.void, meaning: int, channel: int, minute: int, patience: int, leads: np.ndarray, hand_overs: np.ndarray
) -> None:
    """One event of one customer and product, in the order of time; adds to `leads` and `hand_overs`.

    thread:     one record of THREAD, changed in place
    channel:    position, the number of channels: none (such a contact takes no lead up)
    minute:     since 1970-01-01; patience: minutes
    leads:      (channels + 1, 3); hand_overs: (channels + 1, channels, 4), as in `Counts`
    """
    if thread["since"] >= 0 and (meaning == GONE or minute - thread["since"] > patience):
        leads[thread["source"], DROPPED] += 1
        thread["since"] = NOBODY
    if thread["taken"] >= 0 and minute - thread["taken"] > patience:
        thread["taken"] = NOBODY
    if meaning == CONTACT:
        thread["taken"] = NOBODY
        if thread["since"] >= 0 and channel < hand_overs.shape[1]:
            hand_overs[thread["source"], channel, TAKEN] += 1
            hand_overs[thread["source"], channel, DAYS] += (minute - thread["since"]) / DAY
            thread["taken"], thread["giver"], thread["taker"] = minute, thread["source"], channel
            thread["engaged"], thread["since"] = 0, NOBODY
    elif meaning in (ENGAGEMENT, SIGN):
        if meaning == ENGAGEMENT and thread["taken"] >= 0 and channel == thread["taker"] and not thread["engaged"]:
            thread["engaged"] = 1
            hand_overs[thread["giver"], thread["taker"], ENGAGED] += 1
        if thread["since"] < 0:
            thread["since"], thread["source"] = minute, channel
            leads[channel, OPENED] += 1
    elif meaning in (REFUSAL, WON):
        if thread["since"] >= 0:
            leads[thread["source"], ANSWERED] += 1
        if thread["taken"] >= 0 and meaning == WON:
            hand_overs[thread["giver"], thread["taker"], CONVERTED] += 1
        thread["since"] = thread["taken"] = NOBODY


def follow_all(
    thread: np.ndarray,
    block: np.ndarray,
    meaning: np.ndarray,
    channel: np.ndarray,
    minute: np.ndarray,
    patience: int,
    leads: np.ndarray,
    hand_overs: np.ndarray,
) -> None:
    """Events of many threads, sorted by thread, then time; adds to the `leads` and `hand_overs` of each one's block.

    thread, block, meaning, channel, minute: (n,) int; leads, hand_overs: as in `Counts`, blocks first
    """
    state, current = new_threads(1), None
    rows = zip(*(a.tolist() for a in (thread, block, meaning, channel, minute)), strict=True)
    for one, part, what, where, when in rows:
        if one != current:
            state, current = new_threads(1), one
        follow(state[0], what, where, when, patience, leads[part], hand_overs[part])
