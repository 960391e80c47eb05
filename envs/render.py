"""Pictures of a customer's timeline: an array of colours, or a window that follows the steps.

matplotlib is loaded when something is drawn, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np

from envs.errors import InputError
from envs.simulator import Outcome, Simulator
from envs.timeline import Timeline, Watch
from envs.world import World

MODES = ["human", "rgb_array"]
FRAMES_PER_SECOND = 4  # of a recording: a month of days in a few seconds
SIZE, DOTS = (12.0, 7.5), 100  # inches, dots per inch: 1200 x 750

log = logging.getLogger("nextbest.render")


class Picture:
    """Watches some rows of a simulator and draws them when asked, or, for people, after every step."""

    def __init__(self, mode: str, world: World, horizon: int, rows: Iterable[int] = (0,)) -> None:
        """horizon: days that an episode of a continuing task lasts."""
        if mode not in MODES:
            raise InputError(f"must be one of: {', '.join(MODES)}, or None", field="render_mode", value=mode)
        task = world.schema.task
        self.mode, self.world = mode, world
        self.days = task.end_day if task.kind == "finite" else horizon
        self.watch = Watch(rows)
        self._windows: dict[int, Any] = {}
        self._open = mode == "human" and _windows_open()

    def begin(self, simulator: Simulator, rows: Iterable[int] | None = None) -> None:
        """New customers stand in all rows, or in some."""
        self.watch.begin(simulator, rows)
        self._show()

    def add(self, simulator: Simulator, outcome: Outcome) -> None:
        """A step was taken, and nobody has been replaced yet."""
        self.watch.add(simulator, outcome)
        self._show()

    def frames(self) -> tuple[np.ndarray, ...]:
        """One picture per row that is watched, (height, width, 3) uint8, each a new array."""
        return tuple(frame(self.world, timeline, self.days) for timeline in self.watch.timelines.values())

    def _show(self) -> None:
        if not self._open:
            return
        from matplotlib import pyplot

        from envs.drawing import draw

        for row, timeline in self.watch.timelines.items():
            if row not in self._windows:
                self._windows[row] = pyplot.figure(figsize=SIZE, dpi=DOTS)
                self._windows[row].canvas.manager.set_window_title(f"nextbest, row {row}")
                self._windows[row].canvas.manager.show()
            figure = self._windows[row]
            figure.clear()
            draw(figure, self.world, timeline, self.days)
            figure.canvas.draw_idle()
            figure.canvas.flush_events()

    def close(self) -> None:
        """Close the windows; there may be none."""
        if self._windows:
            from matplotlib import pyplot

            for figure in self._windows.values():
                pyplot.close(figure)
            self._windows.clear()


def frame(world: World, timeline: Timeline, days: int) -> np.ndarray:
    """The picture of a timeline, (750, 1200, 3) uint8. days: length of the axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from envs.drawing import draw

    figure = Figure(figsize=SIZE, dpi=DOTS)
    canvas: Any = FigureCanvasAgg(figure)
    draw(figure, world, timeline, days)
    canvas.draw()
    return np.array(np.asarray(canvas.buffer_rgba())[:, :, :3])


def _windows_open() -> bool:
    """Can a window open here? If not, say what it would take."""
    from matplotlib import pyplot
    from matplotlib.backends.registry import BackendFilter, backend_registry

    name = pyplot.get_backend()
    interactive = backend_registry.list_builtin(BackendFilter.INTERACTIVE)  # type: ignore[no-untyped-call]
    if name.lower() in {known.lower() for known in interactive}:
        return True
    log.warning(
        "render_mode='human' opens no window: matplotlib draws with %r. It takes a display and a toolkit "
        "(tkinter, PyQt, wxPython or GTK); MPLBACKEND=TkAgg, say, chooses one. render_mode='rgb_array' needs neither.",
        name,
    )
    return False
