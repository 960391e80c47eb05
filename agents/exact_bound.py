"""The Lagrangian bound: no policy for customers who share pools can be worth more.

    g(prices) = sum_i V*_i(prices) + sum over pools and decisions of gamma^day x price x capacity
    bound     = min of g over prices >= 0

V*_i is the optimum of customer i alone when a unit of a pool costs its price (the annoyance price stays): prices take
the place of the capacities that customers share (Hawkins 2003, "A Langrangian decomposition approach to weakly coupled
dynamic optimization problems and its applications"; Adelman and Mersereau 2008, "Relaxations of weakly coupled
stochastic dynamic programs", Operations Research 56(3)). Whatever the prices, g is a bound; it is convex in them, with
slope gamma^day x (capacity - expected demand). It is minimised by cutting planes (Kelley 1960), each step a linear
programme.

The programme's multipliers mix the policies met on the way into one that asks, on average, for no more than there is.
Its value equals the minimum of the cutting planes: between it and the bound lies only what the minimisation left over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from agents.exact import Schedule, Solution, demand, solve
from envs.errors import InputError
from envs.exact import ExactModel

MOST_CUTS = 400
NO_SHARE = 1e-9  # multipliers below are rounding


@dataclass(frozen=True)
class Cut:
    """The bound at one schedule of prices, and what the optimal policy there asks for."""

    schedule: Schedule
    bound: float  # currency
    slope: np.ndarray  # (decisions, pools) float64, of the bound in each price
    demand: np.ndarray  # (decisions, pools) float64, expected, units


@dataclass(frozen=True)
class Bound:
    """The least bound that was found."""

    value: float  # currency, of the whole population
    reached: float  # value of the mixture of policies that meets the capacity on average
    schedule: Schedule  # its prices
    mixture: tuple[
        tuple[float, Schedule], ...
    ]  # share of customers, and the prices at which they are decided optimally
    demand: np.ndarray  # (decisions, pools) float64, expected demand of the mixture, units
    capacity: np.ndarray  # (decisions, pools) float64, units
    cuts: int  # dynamic programmes that it took

    @property
    def prices(self) -> np.ndarray:  # (decisions, pools) float64, currency per unit
        return self.schedule.pools

    @property
    def left(self) -> float:
        """What the minimisation left over, as a share of the bound."""
        return (self.value - self.reached) / max(abs(self.value), 1e-12)


def capacities(model: ExactModel, customers: float, share: float = 1.0) -> np.ndarray:
    """The pools' units on each decision day for so many customers. share: of the catalogue's capacity."""
    catalogue = model.world.catalogue
    for pool in catalogue.pools:
        if pool.stock:
            raise InputError("must be filled up every day: the bound has a price per day", field="stock", value=pool.id)
    daily = np.array([pool.capacity for pool in catalogue.pools]) * customers / 10_000 * share
    return np.tile(daily, (len(model.layers), 1))


def lagrangian_bound(
    model: ExactModel,
    customers: np.ndarray,
    capacity: np.ndarray,
    annoyance_price: float,
    *,
    by_day: bool = False,
    tolerance: float = 1e-6,
) -> Bound:
    """Minimise the bound over prices of the pools, one for the whole task or one for every decision.

    customers: (states,) number of them in each state of the first decision; capacity: (decisions, pools) units, > 0.
    """
    if capacity.size == 0 or not (capacity > 0).all():
        raise InputError("must be above 0 for every pool and decision", field="capacity", value=capacity.min(initial=0))
    search = _Search(model, customers, capacity, annoyance_price, by_day)
    cuts = [search.cut(np.zeros(search.size))]
    high = search.above(cuts)
    while True:
        least, prices, weights = search.programme(cuts, high)
        best = min(cuts, key=lambda cut: cut.bound)
        inside = bool((prices < high).all())
        close = best.bound - least <= tolerance * max(abs(best.bound), 1e-12)
        if (inside and close) or len(cuts) >= MOST_CUTS:
            mixed = np.einsum("c,cdp->dp", weights, np.stack([cut.demand for cut in cuts]))
            mixture = tuple((float(w), cut.schedule) for w, cut in zip(weights, cuts, strict=True) if w > NO_SHARE)
            return Bound(best.bound, least, best.schedule, mixture, mixed, capacity, len(cuts))
        cuts.append(search.cut(prices))
        high = high if inside else high * 2


@dataclass(frozen=True)
class _Search:
    model: ExactModel
    customers: np.ndarray  # (states,)
    capacity: np.ndarray  # (decisions, pools)
    annoyance_price: float
    by_day: bool

    @property
    def size(self) -> int:
        """Number of prices that are free."""
        return self.capacity.size if self.by_day else self.capacity.shape[1]

    def _spread(self, prices: np.ndarray) -> np.ndarray:
        """Free prices -> (decisions, pools)."""
        whole = prices.reshape(self.capacity.shape) if self.by_day else prices[None]
        return np.broadcast_to(whole, self.capacity.shape).copy()

    def _gathered(self, slope: np.ndarray) -> np.ndarray:
        """(decisions, pools) slopes -> those of the free prices."""
        return slope.ravel() if self.by_day else slope.sum(axis=0)

    def cut(self, prices: np.ndarray) -> Cut:
        """Bound and slope at some prices: one dynamic programme."""
        task = self.model.world.schema.task
        schedule = Schedule(self.annoyance_price, self._spread(prices))
        solution: Solution = solve(self.model, schedule)
        asked = demand(self.model, solution.choice, self.customers)
        discount = task.gamma ** np.array(task.days)[:, None]
        worth = float(self.customers @ solution.values[0] + (discount * schedule.pools * self.capacity).sum())
        return Cut(schedule, worth, discount * (self.capacity - asked), asked)

    def above(self, cuts: list[Cut]) -> np.ndarray:
        """Prices at which nobody asks for more than there is; the cuts met on the way are kept."""
        high = np.ones(self.size)
        while True:
            cuts.append(self.cut(high))
            if (self._gathered(cuts[-1].slope) >= 0).all():
                return high * 2
            high = high * 2

    def programme(self, cuts: list[Cut], high: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The least of the cutting planes: its value, the prices there, and the weight of each cut, which sum to 1."""
        slopes = np.stack([self._gathered(cut.slope) for cut in cuts])
        at = np.stack([self._free(cut.schedule) for cut in cuts])
        bounds = np.array([cut.bound for cut in cuts])
        scale = max(float(np.abs(bounds).max()), 1e-12)  # HiGHS works to absolute tolerances
        rows = np.column_stack([slopes / scale, -np.ones(len(cuts))])
        right = ((slopes * at).sum(axis=1) - bounds) / scale
        box = [*((0.0, float(top)) for top in high), (None, None)]
        found = linprog(np.eye(self.size + 1)[-1], A_ub=rows, b_ub=right, bounds=box, method="highs")
        if found.status != 0:
            raise ArithmeticError(f"the cutting planes have no least: {found.message}")
        return float(found.x[-1] * scale), found.x[:-1], -np.asarray(found.ineqlin.marginals)

    def _free(self, schedule: Schedule) -> np.ndarray:
        return schedule.pools.ravel() if self.by_day else schedule.pools[0]
