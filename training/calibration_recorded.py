"""Which outcomes a log records where: no event is not the same as no record of events.

An answer that never comes on a channel, or never before or after some day, although at the rate of the other rows it
would have come EXPECTED times, is taken as not recorded there. Such rows are put aside and counted, never read as "did
not happen". The exception is declared, not guessed: pairs of answer and channel that the user says are recorded.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from training.calibration_findings import Finding
from training.calibration_source import Source
from training.glm import Rows

EXPECTED = 30.0  # events that must be missing; assumed: at a tenth of the rate one would still be seen 19 times in 20


def unrecorded_channels(s: Source, event: str, seen: np.ndarray, contact: np.ndarray) -> list[int]:
    """Channels on which an answer is not recorded. seen: (decisions,) bool, answered; contact: (decisions,) bool."""
    out = []
    later = [flags & contact for name, flags in s.answered.items() if name != "delivered"]
    for position, channel in enumerate(s.tables.catalogue.channel_ids):
        here = contact & (s.channel == position)
        if not here.any() or (seen & here).any() or (event, channel) in s.recorded:
            continue
        others = contact & ~here
        expected = here.sum() * seen[others].mean() if others.any() else 0.0
        answered = event == "delivered" and any((flags & here).any() for flags in later)
        if answered or expected >= EXPECTED:
            out.append(position)
    return out


def channel_finding(s: Source, event: str, channels: list[int], contact: np.ndarray) -> tuple[Finding, ...]:
    """What is said of an answer that some channels do not record."""
    out = []
    for position in channels:
        name, rows = s.tables.catalogue.channel_ids[position], int((contact & (s.channel == position)).sum())
        assumed = f"on {name} as on the other channels; say --recorded {event}@{name} if there are really none"
        if event == "delivered":
            assumed = f"every contact on {name} is delivered, and what follows is fitted per contact"
        evidence = f"0 {event} in {rows:,} contacts, put aside"
        out.append(Finding(f"head {event}", f"{event} is not recorded on channel {name}", evidence, assumed))
    return tuple(out)


def outside_span(event: str, rows: Rows, day: np.ndarray) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """Rows before the first or after the last event, where too many are missing for chance. -> (n,) bool.

    day: (n,) int, days since 1970-01-01
    """
    happened = rows.y > 0
    out, findings = np.zeros(len(day), bool), []
    if not happened.any():
        return out, ()
    first, last = int(day[happened].min()), int(day[happened].max())
    inside = (day >= first) & (day <= last)
    rate = float(rows.weight[happened].sum() / rows.weight[inside].sum())
    for part, edge, word in ((day < first, first, "before"), (day > last, last, "after")):
        missing = rate * float(rows.weight[part].sum())
        if missing >= EXPECTED:
            when = date(1970, 1, 1) + timedelta(days=edge)
            evidence = f"{int(part.sum()):,} rows put aside, {missing:.0f} events expected in them, none seen"
            what = f"{event} is not recorded {word} {when}"
            findings.append(Finding(f"head {event}", what, evidence, "then as in the rest of the log"))
            out |= part
    return out, tuple(findings)
