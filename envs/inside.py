"""Inside a simulator: what the Gymnasium faces ask beyond its view, each question in one function.

Why was a treatment masked? What has happened to a customer? How does that customer stand?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from envs.rules import Situation
from envs.simulator import Simulator


@dataclass(frozen=True)
class Happened:
    """One event of one customer."""

    day: int  # days since 1970-01-01
    event: str
    channel: int  # position in the catalogue, -1: none
    product: int  # position in the catalogue, -1: none
    value: float  # in the event's unit, nan: none


@dataclass(frozen=True)
class Standing:
    """How a customer stands at a decision."""

    day: int  # days since 1970-01-01
    intent: np.ndarray  # (products,) float64, faded evidence, in engagements' worth
    irritation: float | None  # None: the world knows no such thing


@dataclass(frozen=True)
class _Heard:
    """One call of a simulator's note: an event of several customers."""

    event: str
    customer: np.ndarray
    day: np.ndarray
    channel: np.ndarray | None
    product: np.ndarray | None
    value: np.ndarray | None


class Ear:
    """Keeps what a simulator notes until it is asked for: hand `ear.note` to the simulator."""

    def __init__(self) -> None:
        self.heard: list[_Heard] = []

    def note(
        self,
        event: str,
        customer: np.ndarray,
        day: np.ndarray,
        *,
        after: timedelta,
        channel: np.ndarray | None = None,
        product: np.ndarray | None = None,
        value: np.ndarray | None = None,
        desk: int | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        """The recorder's signature; the arrays may be changed later, so they are copied."""
        parts = [None if part is None else np.array(part) for part in (channel, product, value)]
        self.heard.append(_Heard(event, np.array(customer), np.array(day), *parts))

    def forget(self) -> None:
        """Drop what was heard so far."""
        self.heard.clear()


def events_of(ear: Ear, customer: int) -> list[Happened]:
    """What has happened to one customer since the ear last forgot, in order."""
    return [event for heard in ear.heard for event in _of(heard, customer)]


def _of(heard: _Heard, customer: int) -> Iterator[Happened]:
    for row in np.flatnonzero(heard.customer == customer):
        channel, product = (-1 if part is None else int(part[row]) for part in (heard.channel, heard.product))
        value = float("nan") if heard.value is None else float(heard.value[row])
        yield Happened(int(heard.day[row]), heard.event, channel, product, value)


def number_of(simulator: Simulator, row: int) -> int:
    """The number of the customer that stands in a row."""
    return int(simulator.state.customer[row])


def standing_of(simulator: Simulator, row: int) -> Standing:
    """How the customer of a row stands now."""
    state = simulator.state
    irritation = None if state.latent is None else float(state.latent.irritation[row])
    return Standing(int(state.history.day[row]), state.history.intent[:, row].astype(np.float64), irritation)


def reasons_of(simulator: Simulator, rows: np.ndarray, treatment: np.ndarray) -> list[tuple[str, ...]]:
    """Names of the rules in the way of one treatment of each of some rows. rows, treatment: (rows,) int."""
    state, world = simulator.state, simulator.world
    situation = Situation(state.profile[:, rows], state.history.take(rows), state.trigger[rows])
    ids = world.catalogue.treatment_ids
    told = world.rule_book.reasons(situation)
    return [tuple(reasons[ids[wish]]) for reasons, wish in zip(told, treatment, strict=True)]
