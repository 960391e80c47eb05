"""Late outcomes: windows that reach beyond the log's end, and what they would hold if margins went on as they began."""

from __future__ import annotations

import numpy as np

from evaluation.log import Log

MOST = 10.0  # times what was seen of a window that it is taken for; assumed: of a tenth of a window little can be said


def open_windows(log: Log) -> int:
    """Decisions whose outcomes may still come."""
    return 0 if log.seen_days is None else int((log.seen_days < log.gap_days).sum())


def caught_up(log: Log, reward: np.ndarray) -> np.ndarray:  # (n,) float64
    """The reward if the margin of every open window went on at the rate at which it began.

    reward + margin x (min(days of the window / days seen of it, 10) - 1). It is no bound: where customers take weeks
    to answer, nothing is booked in the first days, and of that the log tells nothing. reward: (n,)
    """
    if log.seen_days is None:
        return reward
    times = np.where(log.seen_days > 0, log.gap_days / np.maximum(log.seen_days, 1e-9), 1.0)
    return np.asarray(reward + log.margin * (np.clip(times, 1.0, MOST) - 1))
