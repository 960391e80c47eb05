"""Bounds on work whose size nobody knows beforehand: memory of this process, seconds by the clock."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ALONE = threading.Lock()  # the limit is the whole process's


@contextmanager
def memory_bounded(extra: int) -> Iterator[None]:
    """Let the process take at most `extra` bytes of address space more than it has; more fails as memory used up does.

    Where the system does not tell or limit it (not Linux), nothing is bounded.
    """
    with _ALONE:
        try:
            with open("/proc/self/statm", encoding="ascii") as file:
                size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            yield
            return
        before, most = resource.getrlimit(resource.RLIMIT_AS)
        wanted = size + extra
        if before != resource.RLIM_INFINITY:
            wanted = min(wanted, before)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, most))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (before, most))


@contextmanager
def time_bounded(seconds: float, stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop`, from another thread, if the block takes longer."""
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
