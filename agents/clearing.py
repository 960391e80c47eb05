"""The price rule: dual ascent to the prices at which a population asks for no more than there is.

    prices <- within [low, high] of  prices + step x range x excess / sqrt(.1 + sum of the squared excesses so far)
    excess  = (demand at these prices - capacity) / capacity, for each price its own

A projected subgradient of the Lagrangian dual (Shor 1985, "Minimization methods for non-differentiable functions"): the
excess is the dual's slope. The step is AdaGrad's (Duchi, Hazan and Singer 2011, JMLR 12), price by price, so that no
unit of a pool has to be known. A round averages the second half of its iterates (Polyak and Juditsky 1992, SIAM J.
Control Optim. 30(4)); the next round starts there with a shorter step. A price whose excess never changed its sign in a
round is still on its way: it goes on from where it got to, by the same step (Kesten 1958, Annals of Mathematical
Statistics 29(1)). The ascent ends as soon as the prices clear.

Where many customers are alike no single price clears: at one all of them ask, just above it none. Then customers are
told different iterates, drawn for each of them: decisions averaged over the iterates approach those of the linear
programme (Larsson, Patriksson and Stromberg 1999, "Ergodic, primal convergence in dual subgradient schemes for convex
programming", Mathematical Programming 86).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Demand = Callable[[np.ndarray], np.ndarray]  # prices -> units asked for, both of any one shape


@dataclass(frozen=True)
class AscentRule:
    """The numbers of the rule."""

    step: float = 0.1  # of a price's range, for an excess as large as the capacity
    rounds: int = 3
    iterations: int = 40  # of a round
    shrink: float = 0.25  # of the step, from round to round
    tolerance: float = 0.01  # of the capacity, within which demand clears


DEFAULT_RULE = AscentRule()
DAMPING = 0.1  # beside the squared excesses: a first excess of a tenth moves a price by a third of the step; assumed


@dataclass(frozen=True)
class Cleared:
    """Prices, and what is asked for at them. All arrays but the last two have the shape of the prices."""

    prices: np.ndarray  # float64, mean of the path, currency per unit
    demand: np.ndarray  # float64, mean over the path, units
    capacity: np.ndarray  # float64, units
    high: np.ndarray  # float64, the top of each price's range
    path: np.ndarray  # (iterates, ...) float64: prices that are told, each to the same share of customers
    evaluations: int  # of the demand

    def short(self, tolerance: float = DEFAULT_RULE.tolerance) -> np.ndarray:
        """Prices that stand at the top of their range while more is asked for than there is. bool."""
        at_top = self.prices >= self.high * (1 - 1e-6)
        return np.asarray(at_top & (self.demand > self.capacity * (1 + tolerance)))

    def told(self, uniform: np.ndarray) -> np.ndarray:
        """Prices of customers. uniform: (n,) in [0, 1), one draw each -> (n, ...) float64."""
        return np.asarray(self.path[(uniform * len(self.path)).astype(np.int64)])


def excess(demand: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """What is asked for beyond the capacity, in capacities; of nothing where there is nothing."""
    return np.asarray((demand - capacity) / np.where(capacity > 0, capacity, 1.0))


def uncleared(
    demand: np.ndarray, capacity: np.ndarray, prices: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """How far each price is from clearing, in capacities: its excess, 0 where the box of prices excuses it.

    Complementary slackness: too little may be asked for at the lowest price, too much at the highest.
    """
    over = excess(demand, capacity)
    excused = ((over < 0) & (prices <= low)) | ((over > 0) & (prices >= high))
    return np.asarray(np.where(excused, 0.0, over))


def ascend(
    demand: Demand,
    capacity: np.ndarray,
    start: np.ndarray,
    high: np.ndarray,
    low: np.ndarray | None = None,
    *,
    span: np.ndarray | None = None,
    lump: np.ndarray | float = 0.0,
    rule: AscentRule = DEFAULT_RULE,
) -> Cleared:
    """The prices that clear, from those that it starts with.

    demand: falls in prices, on the whole; capacity, start, high, low (default 0): of one shape; span: the range that a
    step is a share of, default high; lump: units above the capacity that still clear, as those of one contact
    """
    floor, evaluations = np.zeros_like(start) if low is None else low, 0
    prices, step = np.clip(start, floor, high), rule.step * (high if span is None else span)
    most = np.maximum(rule.tolerance, excess(capacity + lump, capacity))
    for _ in range(rule.rounds):
        path, asked, squares = [], [], np.full_like(start, DAMPING)
        for _ in range(rule.iterations):
            found = demand(prices)
            evaluations += 1
            left = uncleared(found, capacity, prices, floor, high)
            if ((left >= -rule.tolerance) & (left <= most)).all():
                return Cleared(prices, found, capacity, high, prices[None], evaluations)
            path.append(prices)
            asked.append(found)
            over = excess(found, capacity)
            squares = squares + over**2
            prices = np.clip(prices + step * over / np.sqrt(squares), floor, high)
        turned = np.ptp(np.sign(excess(np.stack(asked), capacity)), axis=0) > 0
        kept, last = np.stack(path[len(path) // 2 :]), prices
        prices, step = np.where(turned, kept.mean(axis=0), last), np.where(turned, step * rule.shrink, step)
    kept = np.where(turned, kept, last)
    return Cleared(prices, np.mean(asked[len(path) // 2 :], axis=0), capacity, high, kept, evaluations)


def paced(left: np.ndarray, stock: np.ndarray, days_left: int) -> np.ndarray:
    """What a day may use: of a daily pool what is left, of a stock an even share of it for each day left. (pools,)"""
    return np.asarray(np.where(stock, left / max(days_left, 1), left))


WEEK = 7  # days over which a stock's price is averaged, so that it does not follow the weekdays; assumed


def smoothed(prices: np.ndarray, yesterday: np.ndarray, stock: np.ndarray, day: int, days_left: int) -> np.ndarray:
    """Today's prices: of a daily pool the one that clears, of a stock a mean of those that would have cleared so far.

    A unit of a stock is the same unit on whatever day it is used, so that its price should not change from day to day
    but for what was learned. The mean forgets over a week, and over fewer days towards the end. (..., pools)
    """
    weight = 1.0 / min(day + 1, WEEK, max(days_left, 1))
    return np.asarray(np.where(stock, weight * prices + (1 - weight) * yesterday, prices))
