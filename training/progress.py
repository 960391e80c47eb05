"""Progress on the terminal: a bar with the time left, the figures of the moment beside it, and lines that stay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0  # seconds of work before a progress bar shows (the promise of the command line)

Advance = Callable[[float], None]  # called with the units of work just finished


class Bar:
    """Called with the units just finished; `now` shows figures beside the bar, `keep` writes a line that stays.

    Where stderr is no terminal there are only the label and the lines that stay.
    """

    def __init__(self, label: str, total: float | None) -> None:
        self._console, self._label = Console(stderr=True), label
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn("{task.fields[now]}", style="dim"))  # fmt: skip
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task(label, total=total, now="")
        self._lock, self._shown, self._kept = threading.Lock(), False, list[str]()

    def __call__(self, units: float) -> None:
        self._bar.update(self._task, advance=units)

    def now(self, figures: str) -> None:
        """Figures of the moment, in the place of those before."""
        self._bar.update(self._task, now=figures)

    def keep(self, line: str) -> None:
        """A line that stays; of work that is too short for a bar it is not shown."""
        with self._lock:
            if self._shown:
                self._write(line)
            else:
                self._kept.append(line)

    def show(self) -> None:
        """Begin to be seen."""
        with self._lock:
            if self._console.is_terminal:
                self._bar.start()
            else:
                self._write(f"{self._label} …")
            for line in self._kept:
                self._write(line)
            self._shown = True

    def stop(self) -> None:
        """Vanish, but for the lines that stay."""
        if self._bar.live.is_started:
            self._bar.stop()

    def _write(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(label: str, total: float | None = None, patience: float = PATIENCE) -> Iterator[Bar]:
    """A progress bar on stderr for work that takes longer than `patience` seconds (not a terminal: a line).

    label: what is being done; total: units of work, None when unknown
    yields what to call with the units just finished; it costs next to nothing

    >>> with progress("counting", total=3) as advance:
    ...     for _ in range(3):
    ...         advance(1)
    """
    bar = Bar(label, total)
    timer = threading.Timer(patience, bar.show)
    timer.daemon = True
    timer.start()
    try:
        yield bar
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
