"""Frequency caps, counted contact by contact.

The contact history keeps one bit per channel and day (envs/history.py): exact for one decision a day. A service
may be asked several times a day, so it counts the contacts of its ledger themselves; it only ever closes more.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from envs.records import CONTACTED, Records
from envs.rules import RuleBook


def reached(book: RuleBook, records: Records, day: int) -> Iterator[tuple[str, np.ndarray]]:
    """Caps on channels that one customer has reached: the rule's name, (treatments,) bool of what it closes.

    records: everything of this customer before the decision; day: of the decision, days since 1970-01-01
    Caps on products count days on which one was offered, and need no help.
    """
    catalogue = book.catalogue
    for cap in book.rules.caps:
        if cap.products:
            continue
        outbound = [channel.id for channel in catalogue.channels if channel.inbound is None]
        channels = [catalogue.channel_ids.index(name) for name in cap.channels or outbound]
        recent = (records.kind == CONTACTED) & (day - records.day < cap.days) & np.isin(records.channel, channels)
        if recent.sum() >= cap.most:
            yield cap.name, np.isin(catalogue.channel_of, channels)
