"""Steering: does one policy do as its prices say? Exact answers, on a world whose optimum is known.

share(p)        = (V_p(told p) - V_p(silence)) / (V_p(optimum) - V_p(silence))
cross(p, q)     = V_p(told q): the value at price p of the policy that is told q; told p should be best
hypervolume     = area of (annoyance, profit) that a set of policies dominates, up to a reference point
regret(p)       = the best value of any policy compared less one's own, as a share of (optimum - silence)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agents.baselines import Silence
from agents.exact import Worth, choices, evaluate, solve
from agents.policy import Policy
from envs.exact import ExactModel
from envs.prices import Prices


@dataclass(frozen=True)
class Steered:
    """A policy at several prices of annoyance, pools at no price."""

    prices: tuple[float, ...]
    cross: np.ndarray  # (judged, told) float64, value per customer, currency
    optimum: np.ndarray  # (judged,) float64
    silence: np.ndarray  # (judged,) float64
    profit: np.ndarray  # (told,) float64, margin - cost per customer, currency
    annoyance: np.ndarray  # (told,) float64, opt-outs per customer

    @property
    def share(self) -> np.ndarray:  # (prices,) float64
        """Of (optimum - silence), told the price it is judged at."""
        return np.asarray((np.diag(self.cross) - self.silence) / (self.optimum - self.silence))

    @property
    def wrongly_told(self) -> np.ndarray:  # (prices,) float64
        """What the best wrong price brings beyond the right one, as a share of (optimum - silence)."""
        wrong = np.where(np.eye(len(self.prices), dtype=bool), -np.inf, self.cross).max(axis=1)
        return np.asarray((wrong - np.diag(self.cross)) / (self.optimum - self.silence))

    @property
    def monotone(self) -> bool:
        """True if a higher price never raises annoyance. The prices must rise."""
        return bool((np.diff(self.annoyance) <= 1e-12).all())


def steered(model: ExactModel, policy: Policy, prices: Sequence[float]) -> Steered:
    """Exact values of a policy, told and judged at each of some prices of annoyance, which rise."""
    told = [_worth(model, policy, price) for price in prices]
    profit = np.array([_mean(model, worth.margin) - _mean(model, worth.cost) for worth in told])
    annoyance = np.array([_mean(model, worth.annoyance) for worth in told])
    levels = np.array(prices)
    silent = _worth(model, Silence(), 0.0)
    silence = _mean(model, silent.margin) - _mean(model, silent.cost) - levels * _mean(model, silent.annoyance)
    best = np.array([_mean(model, solve(model, _prices(model, price)).values[0]) for price in prices])
    return Steered(tuple(prices), profit[None] - levels[:, None] * annoyance[None], best, silence, profit, annoyance)


def hypervolume(profit: np.ndarray, annoyance: np.ndarray, reference: tuple[float, float]) -> float:
    """Area dominated by points of more profit and less annoyance than a reference point (profit, annoyance).

    profit, annoyance: (points,). Zitzler & Thiele (1998), in two objectives: a sum of rectangles.
    """
    low, high = reference
    inside = (profit > low) & (annoyance < high)
    order = np.argsort(annoyance[inside], kind="stable")
    best, reached = np.maximum.accumulate(profit[inside][order]), np.append(annoyance[inside][order], high)
    return float(((best - low) * np.diff(reached)).sum()) if inside.any() else 0.0


def regret(own: Steered, others: Mapping[float, Steered]) -> np.ndarray:
    """(prices,) float64: the specialist of each price beyond the one policy, as a share of (optimum - silence)."""
    theirs = np.array([others[price].cross[k, k] for k, price in enumerate(own.prices)])
    return np.asarray((theirs - np.diag(own.cross)) / (own.optimum - own.silence))


def _worth(model: ExactModel, policy: Policy, price: float) -> Worth:
    return evaluate(model, choices(model, policy, _prices(model, price)), _prices(model, price))


def _prices(model: ExactModel, annoyance: float) -> Prices:
    return Prices(annoyance, (0.0,) * len(model.world.catalogue.pools))


def _mean(model: ExactModel, of_states: np.ndarray) -> float:
    return float(model.shares @ of_states)
