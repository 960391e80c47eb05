"""Demand: what a policy asks of each pool at the log's own states, beside what there is.

An estimate from a log holds at its congestion: whoever was called found an agent free. A policy that asks for more
than there is would meet another world, of which the log says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from envs.catalogue import Catalogue
from evaluation.log import Log

CUSTOMERS = 10_000  # for which capacities are stated
MORE = 1.05  # times what the log's own decisions asked: not another congestion; assumed, a day's chance


@dataclass(frozen=True)
class Resources:
    """What treatments draw from the pools, and what there is for every 10,000 customers."""

    pools: tuple[str, ...]
    units: tuple[str, ...]
    capacity: np.ndarray  # (pools,) a day's; of a stock, all there is
    stock: np.ndarray  # (pools,) bool
    effort: np.ndarray  # (treatments, pools) units a contact

    @classmethod
    def of(cls, catalogue: Catalogue) -> Resources:
        """A catalogue's."""
        pools = catalogue.pools
        capacity, stock = (np.array([getattr(pool, name) for pool in pools]) for name in ("capacity", "stock"))
        ids, units = (tuple(getattr(pool, name) for pool in pools) for name in ("id", "unit"))
        return cls(ids, units, capacity.astype(np.float64), stock.astype(bool), catalogue.effort)


@dataclass(frozen=True)
class Demand:
    """What one policy asks of one pool, in units for every 10,000 customers; of a stock over the whole log."""

    policy: str
    pool: str
    unit: str
    capacity: float  # a day, or in all
    asked: float  # mean of the days, or in all
    logged: float  # the same of what was done in the log
    busiest: float  # of the log's days; of a stock the same as asked
    days_above: float  # share of the days on which more is asked for than there is

    @property
    def above(self) -> bool:
        """More is asked for than there is, day in, day out, and than the log's own decisions did."""
        return self.asked > max(self.capacity, MORE * self.logged)


@dataclass(frozen=True)
class Days:
    """The days of a log's calendar, from the first decision to the last."""

    first: int  # days since 1970-01-01
    count: int

    @classmethod
    def of(cls, first: np.datetime64, last: np.datetime64) -> Days:
        """Between two instants."""
        ends = [int(at.astype("datetime64[D]").astype(np.int64)) for at in (first, last)]
        return cls(ends[0], ends[1] - ends[0] + 1)

    def used(self, log: Log, effort: np.ndarray) -> np.ndarray:  # (days, pools) float64
        """Units drawn on each day by the decisions of a log, or a part of one. effort: (n, pools)"""
        day = log.at.astype("datetime64[D]").astype(np.int64) - self.first
        pools = [np.bincount(day, column, self.count) for column in effort.T]
        return np.stack(pools, axis=1) if pools else np.zeros((self.count, 0))


def demands(policy: str, log: Log, chosen: np.ndarray, resources: Resources) -> Iterator[Demand]:
    """Of a log, see `demands_of`. chosen: (n, treatments) probabilities at its decisions"""
    days = Days.of(log.at.min(), log.at.max())
    used, done = (days.used(log, effort) for effort in (chosen @ resources.effort, resources.effort[log.treatment]))
    yield from demands_of(policy, used, done, log.customers, resources)


def demands_of(
    policy: str, used: np.ndarray, done: np.ndarray, customers: int, resources: Resources
) -> Iterator[Demand]:
    """One per pool. used, done: (days, pools) units that the policy asks for, and that the log's decisions drew

    A day without decisions asks for nothing.
    """
    used, done = (units * CUSTOMERS / customers for units in (used, done))
    for k, pool in enumerate(resources.pools):
        by_day, logged = (np.array([u[:, k].sum()]) if resources.stock[k] else u[:, k] for u in (used, done))
        capacity = float(resources.capacity[k])
        yield Demand(
            policy, pool, resources.units[k], capacity, float(by_day.mean()), float(logged.mean()),
            float(by_day.max()), float((by_day > capacity).mean()),
        )  # fmt: skip
