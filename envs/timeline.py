"""The timeline: what was done to one customer and what came of it, as a picture of it needs to know.

Kept only while somebody watches: without a render mode nothing here is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from envs.inside import Happened, Standing, events_of, number_of, standing_of
from envs.simulator import Outcome, Simulator


@dataclass(frozen=True)
class Lived:
    """One decision and its outcome."""

    day: int  # of the decision, days since 1970-01-01
    treatment: int  # the one carried out
    margin: float  # until the next decision, in currency
    cost: float  # in currency
    annoyance: float  # in opt-outs


@dataclass
class Timeline:
    """The episode of one customer so far."""

    customer: int  # number in the population
    standings: list[Standing]  # at each decision, the coming one last
    events: list[Happened]
    lived: list[Lived] = field(default_factory=list)

    @property
    def first_day(self) -> int:
        return self.standings[0].day


class Watch:
    """Keeps the timelines of some rows of a simulator that records."""

    def __init__(self, rows: Iterable[int]) -> None:
        self.rows = tuple(rows)
        self.timelines: dict[int, Timeline] = {}

    def begin(self, simulator: Simulator, rows: Iterable[int] | None = None) -> None:
        """New customers stand in all rows, or in some."""
        new = self.rows if rows is None else tuple(set(self.rows) & {int(row) for row in rows})
        for row in new:
            number = number_of(simulator, row)
            morning = events_of(simulator.morning, row)
            self.timelines[row] = Timeline(number, [standing_of(simulator, row)], morning)

    def add(self, simulator: Simulator, outcome: Outcome) -> None:
        """A step was taken, and nobody has been replaced yet."""
        for row, timeline in self.timelines.items():
            parts = (outcome.tally.margin, outcome.tally.cost, outcome.tally.annoyance)
            reward = (float(part[row]) for part in parts)
            timeline.lived.append(Lived(timeline.standings[-1].day, int(outcome.executed[row, 0]), *reward))
            timeline.events += events_of(outcome.events, row)
            timeline.standings.append(standing_of(simulator, row))
