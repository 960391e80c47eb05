"""How much memory customers take: `python -m benchmarks.held CUSTOMERS SEED`, in a process of their own."""

from __future__ import annotations

import resource
import sys

import numpy as np

from envs.simulator import Simulator
from envs.world import load_world

PART = 4096  # customers who are stepped, and observed, at once


def hold(customers: int, seed: int) -> None:
    """Keep customers and let them live a day in silence; print the peak of memory and the bytes of their state."""
    simulator = Simulator(load_world("bank"), seed, cadence_days=1)
    states = []
    for start in range(0, customers, PART):
        simulator.reset(np.arange(start, min(start + PART, customers)))
        states.append(simulator.state)
    for state in states:
        simulator.state = state
        simulator.step(np.zeros(state.batch, np.int64))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(peak, sum(state.nbytes for state in states))


if __name__ == "__main__":
    hold(int(sys.argv[1]), int(sys.argv[2]))
