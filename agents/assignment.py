"""Budgeted assignment: propensity x margin under budgets, by a linear program over everybody who is decided together.

    maximise    sum x_ik value_ik
    subject to  sum_k x_ik <= 1,   sum x_ik use_ikr <= budget_r x customers,   x >= 0

Value is the engine's score at the observed prices. A use is annoyance (expected, opt-outs) or a pool's effort. Few
constraints tie customers together, so the optimum is described by the prices of the budgets (duals), and all but a few
customers take their best treatment at these prices: everybody does here, so that a budget is met up to those few. **A
customer's decision therefore depends on who else is asked about in the same call**: with the same policy, another batch
has other prices. Prices come from HiGHS on at most `SAMPLE` customers, evenly spread over the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from agents.levers import Levers, weighed
from agents.policy import greedy
from envs.errors import InputError
from envs.expectation import Expected
from envs.observation import Encoder

SAMPLE = 500  # customers in the linear program: a budget that serves few of them is met the less exactly


class Engine(Protocol):
    """Who says what treatments bring: propensity x margin, say."""

    def expected(self, observation: np.ndarray, mask: np.ndarray) -> Expected:
        """Of every allowed treatment."""
        ...


class Assigned(NamedTuple):
    """A solved program."""

    shares: np.ndarray  # (customers, treatments) float64, how much of each; silence is what is left
    prices: np.ndarray  # (budgets,) float64, currency per unit: what one unit more would bring
    value: float  # currency, of all customers together


def assign(value: np.ndarray, use: np.ndarray, budget: np.ndarray) -> Assigned:
    """Solve the program.

    value: (n, A), -inf where not allowed, silence worth 0; use: (n, A, R), units; budget: (R,), units in all
    """
    row, column = np.nonzero(np.isfinite(value) & (np.arange(value.shape[1]) > 0) & (value > 0))
    shares, budgets = np.zeros(value.shape), len(budget)
    if not len(row):
        return Assigned(shares, np.zeros(budgets), 0.0)
    alone = sparse.coo_matrix((np.ones(len(row)), (row, np.arange(len(row)))), shape=(len(value), len(row)))
    limits = sparse.vstack([sparse.csr_matrix(use[row, column].T.reshape(budgets, len(row))), alone]).tocsc()
    most = np.concatenate([budget, np.ones(len(value))])
    solved = linprog(-value[row, column], A_ub=limits, b_ub=most, bounds=(0, None), method="highs")
    if solved.status != 0:
        raise InputError("must have a solution: budgets >= 0", field="budget", value=budget.tolist())
    shares[row, column] = solved.x
    return Assigned(shares, -solved.ineqlin.marginals[:budgets], float(-solved.fun))


@dataclass(frozen=True)
class BudgetedAssignment:
    """The policy: budgets per customer and decision."""

    engine: Engine = field(repr=False)
    encoder: Encoder = field(repr=False)
    annoyance: float  # opt-outs per customer and decision
    pools: tuple[float, ...] = ()  # units per customer and decision; empty: pools have no budget
    levers: Levers = field(default_factory=Levers)
    name: str = "assignment"

    def dialled(self, levers: Levers, annoyance: float) -> BudgetedAssignment:
        """The same engine under other levers and another budget."""
        return replace(self, levers=levers, annoyance=annoyance)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        expected = self.engine.expected(observation, mask)
        value = weighed(expected, self.encoder, observation, self.levers)
        use = self._use(expected.annoyance)
        some = np.unique(np.linspace(0, len(mask) - 1, min(SAMPLE, len(mask))).astype(np.int64))
        worth = np.where(mask[some], value[some] - value[some, :1], -np.inf)
        prices = assign(worth, use[some], len(some) * np.array([self.annoyance, *self.pools])).prices
        return greedy(value - use @ prices, mask)

    def _use(self, annoyance: np.ndarray) -> np.ndarray:  # (batch, treatments, budgets) float64
        effort = np.broadcast_to(
            self.encoder.catalogue.effort[:, : len(self.pools)], (*annoyance.shape, len(self.pools))
        )
        return np.concatenate([annoyance[:, :, None], effort], axis=2)
