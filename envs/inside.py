"""Inside a simulator: what the Gymnasium faces ask beyond its view, each question in one function.

Why was a treatment masked? What has happened to a customer? How does that customer stand?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.features import IRRITATION
from envs.history import NAMES
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


def events_of(events: np.ndarray | None, row: int) -> list[Happened]:
    """What has happened to the customer of a row, in order. events: (n,) EVENT of a simulator that records."""
    if events is None:
        return []
    return [
        Happened(int(e["day"]), NAMES[e["event"]], int(e["channel"]), int(e["product"]), float(e["value"]))
        for e in events[events["row"] == row]
    ]


def number_of(simulator: Simulator, row: int) -> int:
    """The number of the customer that stands in a row."""
    return int(simulator.state.customer[row])


def standing_of(simulator: Simulator, row: int) -> Standing:
    """How the customer of a row stands now."""
    state = simulator.state
    irritation = float(state.latent[row, IRRITATION]) if "irritation" in simulator.world.heads else None
    return Standing(int(state.history.day[row]), state.history.product["intent"][row].astype(np.float64), irritation)


def reasons_of(simulator: Simulator, rows: np.ndarray, treatment: np.ndarray) -> list[tuple[str, ...]]:
    """Names of the rules in the way of one treatment of each of some rows. rows, treatment: (rows,) int."""
    state, world = simulator.state, simulator.world
    busy = simulator.busy()[rows]
    situation = Situation(state.profile[rows], state.history.take(rows), state.trigger[rows].astype(np.int64), busy)
    ids = world.catalogue.treatment_ids
    told = world.rule_book.reasons(situation)
    return [tuple(reasons[ids[wish]]) for reasons, wish in zip(told, treatment, strict=True)]
