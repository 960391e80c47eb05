"""A supply of new customers, made ahead: a block costs little more than one of them."""

from __future__ import annotations

import numpy as np

from envs.simulator import Simulator
from envs.state import CustomerState

BLOCK = 256


class Supply:
    """Customers number `first`, `first + 1` ... of a simulator's population, as they are before anything happened."""

    def __init__(self, simulator: Simulator, first: int) -> None:
        self._simulator, self.next = simulator, first  # next: number of the customer who comes next
        self._from = first
        self._made: CustomerState | None = None

    def take(self, count: int) -> CustomerState:
        """The next customers, whose prices are the schema's."""
        if self._made is None or self.next + count > self._from + self._made.batch:
            self._from = self.next
            self._made = self._simulator.fresh(self.next + np.arange(max(BLOCK, count)))
        rows = self.next - self._from + np.arange(count)
        self.next += count
        return self._made.take(rows)
