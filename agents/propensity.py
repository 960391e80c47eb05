"""Propensity x margin x levers: what commercial next-best-action engines do, on models that were learned from a log.

    margin    = chance of signing x what a signature of that product brings such a customer
    cost      = cost of the contact + chance of signing x cost of the benefit
    annoyance = annoyance of the contact (a known function) + chance of upsetting x what upsetting weighs

and then levers and observed prices as in `agents/levers.py`. Myopic by design: a contact that only warms is worth
nothing to it. Models are fitted in `training/propensity.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from scipy.special import expit

from agents.levers import Levers, weighed
from agents.linear import Linear
from agents.pairs import PAIRS, Pairs
from agents.policy import greedy
from envs.expectation import Expected
from envs.reward import PRESSURE_FIELD, PRESSURE_UNIT, contact_annoyance


class Chances(Protocol):
    """A classifier over (customer, treatment) pairs."""

    def margins(self, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        """Log-odds, before calibration. observation: (batch, fields); row, treatment: (m,) int -> (m,) float64."""
        ...


@dataclass(frozen=True)
class Boosted:
    """Gradient-boosted trees."""

    pairs: Pairs
    raw: Callable[[np.ndarray], np.ndarray] = field(repr=False)  # (m, columns) float32 -> (m,) log-odds

    def margins(self, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        out = np.empty(len(row))
        for start in range(0, len(row), PAIRS):
            part = slice(start, start + PAIRS)
            out[part] = self.raw(self.pairs.written(observation, row[part], treatment[part]))
        return out


@dataclass(frozen=True)
class Logistic:
    """Logistic regression: own fields, and the customer's with weights for each product."""

    linear: Linear = field(repr=False)  # one function

    def margins(self, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        return np.asarray(self.linear.values(observation, row, treatment)[0])


@dataclass(frozen=True)
class Calibration:
    """From log-odds to a chance: as they are, Platt's line, or isotonic steps (with lines between)."""

    kind: str  # raw, platt, isotonic
    slope: float = 1.0
    shift: float = 0.0
    knots: np.ndarray | None = None  # (k,) log-odds, rising
    levels: np.ndarray | None = None  # (k,) chances, rising

    def __call__(self, log_odds: np.ndarray) -> np.ndarray:
        """(m,) -> (m,) in [0, 1]."""
        if self.knots is not None and self.levels is not None:
            return np.asarray(np.interp(log_odds, self.knots, self.levels))
        return np.asarray(expit(self.slope * log_odds + self.shift))


@dataclass(frozen=True)
class Response:
    """A calibrated chance."""

    model: Chances
    calibration: Calibration

    def chance(self, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:  # (m,) float64
        """Of pairs."""
        return self.calibration(self.model.margins(observation, row, treatment))


@dataclass(frozen=True)
class Amounts:
    """What a signature brings: exp(profile . weights of the product), at least `least`, at most `most`."""

    columns: np.ndarray  # (profile fields,) int, of the observation
    weights: np.ndarray  # (1 + profile fields, products) float64
    most: np.ndarray  # (products,) float64, the largest amount seen

    def of(self, observation: np.ndarray) -> np.ndarray:  # (batch, products) float64, currency
        """Expected margin of a signature of every product."""
        logarithm = self.weights[0] + observation[:, self.columns].astype(np.float64) @ self.weights[1:]
        return np.asarray(np.minimum(np.exp(np.minimum(logarithm, 30.0)), self.most))


@dataclass(frozen=True)
class PropensityMargin:
    """The engine. Decides by the best score; steered by observed prices and by levers."""

    pairs: Pairs = field(repr=False)
    signing: Response = field(repr=False)
    upsetting: Response = field(repr=False)
    upset: float  # annoyance of an upset customer, opt-outs
    amounts: Amounts = field(repr=False)
    redeemed: float  # share of signatures with a benefit that redeem it
    levers: Levers = field(default_factory=Levers)
    name: str = "propensity_margin"

    def dialled(self, levers: Levers) -> PropensityMargin:
        """The same models under other levers."""
        return replace(self, levers=levers)

    def expected(self, observation: np.ndarray, mask: np.ndarray) -> Expected:
        """What every allowed treatment brings; 0 elsewhere. Each (batch, treatments)."""
        catalogue = self.pairs.catalogue
        row, treatment = np.nonzero(mask[:, 1:])
        treatment = treatment + 1
        signing, upsetting, brings = np.zeros(mask.shape), np.zeros(mask.shape), np.zeros(mask.shape)
        signing[row, treatment] = self.signing.chance(observation, row, treatment)
        upsetting[row, treatment] = self.upsetting.chance(observation, row, treatment)
        brings[row, treatment] = self.amounts.of(observation)[row, catalogue.product_of[treatment]]
        pressure = observation[:, [self.pairs.encoder.names.index(PRESSURE_FIELD)]].astype(np.float64) * PRESSURE_UNIT
        contact = contact_annoyance(catalogue, np.arange(mask.shape[1])[None], pressure)
        cost = catalogue.cost + signing * catalogue.benefit_cost * self.redeemed
        return Expected(signing * brings, cost, contact + upsetting * self.upset)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        expected = self.expected(observation, mask)
        return greedy(weighed(expected, self.pairs.encoder, observation, self.levers), mask)
