"""The two records of the ledger: rows of the canonical tables `decisions` and `events`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from envs.prices import Prices

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)  # the tables' resolution


@dataclass(frozen=True)
class Decision:
    """One row of `decisions`. Arrays in the order of the catalogue and the encoder."""

    decision_id: str
    customer_id: str
    at: datetime  # UTC
    trigger: str | None
    observation: np.ndarray  # (fields,) float32
    mask: np.ndarray  # (treatments,) bool
    treatment: str  # id; silence is one
    propensity: float  # probability of the treatment, in (0, 1]
    probabilities: np.ndarray  # (treatments,) float64, exactly 0 where masked
    policy_digest: str
    rules_digest: str
    prices: Prices
    assignment: str  # the role under which the customer was decided


@dataclass(frozen=True)
class Event:
    """One row of `events`."""

    event_id: str
    customer_id: str
    at: datetime  # UTC
    event: str
    channel: str | None
    product: str | None
    value: float | None
    decision_id: str | None


class Taken(NamedTuple):
    """What a decision left behind."""

    at: int  # microseconds since 1970-01-01 UTC
    treatment: str
    assignment: str
    decision_id: str


class Happened(NamedTuple):
    """What an event left behind."""

    at: int  # microseconds since 1970-01-01 UTC
    event: str
    channel: str | None
    product: str | None
    value: float | None
    decision_id: str | None


class Answered(NamedTuple):
    """The decision that an event answers to."""

    customer_id: str
    treatment: str


def micros(at: datetime) -> int:
    """Microseconds since 1970-01-01 UTC.

    >>> micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (at - EPOCH) // TICK


def instant(us: int) -> datetime:
    """The instant so many microseconds after 1970-01-01 UTC."""
    return EPOCH + us * TICK
