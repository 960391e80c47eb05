"""A meter of what work costs: seconds, CPU seconds, peak memory, cores."""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass

UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss, getrusage(2)


@dataclass(frozen=True)
class Used:
    """What was used since the meter started."""

    seconds: float  # by the clock
    cpu_seconds: float  # of this process and its finished children, user and system
    peak_memory_mib: float  # of this process since it began: the system keeps no other peak
    cores: int  # that this process may run on


class Meter:
    """Started when it is made."""

    def __init__(self) -> None:
        self._clock, self._cpu = time.monotonic(), _cpu_seconds()

    def read(self) -> Used:
        """What was used so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 2**20
        return Used(time.monotonic() - self._clock, _cpu_seconds() - self._cpu, peak, _cores())


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
