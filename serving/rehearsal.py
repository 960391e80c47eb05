"""A rehearsal before the service answers: decisions about nobody, in a ledger that is kept in memory and thrown away.

What the first decision would otherwise wait for happens now: numba compiles the kernels, or reads them from its cache.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numba.core import event

from envs.schema import Schema
from serving.engine import Engine, Manners
from serving.ledger import Ledger
from serving.model import Model
from serving.records import TICK
from serving.schemas import DecisionRequest, EventIn, EventsRequest

NOBODY = "rehearsal"
MOMENT = datetime(2026, 3, 2, 12, tzinfo=UTC)  # any moment that the calendars cover


def rehearse(model: Model, compiling: Callable[[], None] | None = None) -> None:
    """Take the ways of a decision about a new customer and about one with a history: afterwards nothing is compiled.

    compiling: called before the first kernel is compiled; not called if the cache has them all
    """
    request = DecisionRequest(customer_id=NOBODY, customer=anybody(model.schema))
    engaged = EventIn(event_id=NOBODY, customer_id=NOBODY, event="engaged")
    with (
        closing(Ledger.in_memory(model.catalogue, model.schema)) as ledger,
        event.install_listener("numba:compile", _First(compiling)),
    ):
        engine = Engine(model, ledger, np.random.default_rng(0), Manners(prices_outside="clamp"))
        engine.decide(request, MOMENT)
        engine.record(EventsRequest(events=[engaged]), MOMENT + TICK)
        engine.decide(request, MOMENT + 2 * TICK)


def anybody(schema: Schema) -> dict[str, Any]:
    """A profile that the schema allows: numbers at their centres, flags not set, the first of the categories."""
    usual: dict[str, Callable[[Any], Any]] = {
        "number": lambda column: column.center,
        "flag": lambda _: 0,
        "category": lambda column: column.categories[0],
    }
    return {column.name: usual[column.type](column) for column in schema.columns}


class _First(event.Listener):
    """Says once that something begins."""

    def __init__(self, say: Callable[[], None] | None) -> None:
        self._say = say

    def on_start(self, begun: event.Event) -> None:
        """The first time, say so."""
        say, self._say = self._say, None
        if say is not None:
            say()

    def on_end(self, ended: event.Event) -> None:
        """Ends are not told."""
