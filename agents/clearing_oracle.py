"""One day's assignment, exactly: which customer gets which treatment, when pools are knapsacks.

    max   sum over customers and treatments of value x assigned
    where every customer gets one treatment, and no pool gives more than its capacity

As a linear programme (shares of customers, with the pools' dual prices) and in whole customers, by HiGHS. What prices
that a dual ascent finds are checked against; for some thousand customers at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, linprog, milp
from scipy.sparse import csr_matrix

from agents.clearing import DEFAULT_RULE, AscentRule, Cleared, ascend


@dataclass(frozen=True)
class Assignment:
    """The best that can be had."""

    value: float  # of all customers together
    prices: np.ndarray  # (pools,) float64, dual: what one more unit would be worth; zeros for whole customers
    shares: np.ndarray  # (customers, treatments) float64, rows sum to 1


def assign(value: np.ndarray, effort: np.ndarray, capacity: np.ndarray, *, whole: bool = False) -> Assignment:
    """value: (customers, treatments), -inf where not allowed; effort: (treatments, pools); capacity: (pools,).

    whole: no shares of customers. Every customer must be allowed a treatment without effort.
    """
    customer, treatment = np.nonzero(np.isfinite(value))
    places, worth = np.arange(len(customer)), value[customer, treatment]
    each = csr_matrix((np.ones(len(places)), (customer, places)), shape=(len(value), len(places)))
    pooled = csr_matrix(effort[treatment].T)
    if whole:
        rows = [LinearConstraint(each, 1, 1), LinearConstraint(pooled, -np.inf, capacity)]
        found = _checked(milp(-worth, constraints=rows, integrality=np.ones(len(places)), bounds=Bounds(0, 1)))
        prices = np.zeros(len(capacity))
    else:
        found = _checked(
            linprog(-worth, A_ub=pooled, b_ub=capacity, A_eq=each, b_eq=np.ones(len(value)), method="highs")
        )
        prices = -np.asarray(found.ineqlin.marginals)
    shares = np.zeros(value.shape)
    shares[customer, treatment] = found.x
    return Assignment(float(-found.fun), prices, shares)


def dual_value(value: np.ndarray, effort: np.ndarray, capacity: np.ndarray, prices: np.ndarray) -> float:
    """The Lagrangian bound at some prices: everybody's best when pools cost, plus the capacity at its prices."""
    return float((value - effort @ prices).max(axis=1).sum() + prices @ capacity)


def clear(
    value: np.ndarray, effort: np.ndarray, capacity: np.ndarray, high: np.ndarray, rule: AscentRule = DEFAULT_RULE
) -> Cleared:
    """The same day's prices by dual ascent. high: (pools,) the top of the prices' range."""

    def demand(prices: np.ndarray) -> np.ndarray:
        return np.asarray(effort[(value - effort @ prices).argmax(axis=1)].sum(axis=0))

    return ascend(demand, capacity, np.zeros(len(capacity)), high, rule=rule)


def _checked(found: OptimizeResult) -> OptimizeResult:
    if found.status != 0:
        raise ArithmeticError(f"the assignment has no best: {found.message}")
    return found
