"""Levers: how a rule that expects margin, cost and annoyance of every treatment weighs them.

score = margin - cost lever x (cost + pool prices x effort)
        - annoyance lever x annoyance price x annoyance - contact lever
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.expectation import Expected
from envs.observation import Encoder
from envs.prices import price_of


@dataclass(frozen=True)
class Levers:
    """Multipliers by which a myopic rule is made to look ahead."""

    annoyance: float = 1.0
    cost: float = 1.0
    contact: float = 0.0  # currency per contact


def observed_prices(encoder: Encoder, observation: np.ndarray) -> np.ndarray:
    """The prices that observations tell. (batch, fields) float32 -> (batch, 1 + pools) float64, currency."""
    columns = list(encoder.price_columns.values())
    return price_of(observation[:, columns].astype(np.float64), encoder.price_highs)


def weighed(expected: Expected, encoder: Encoder, observation: np.ndarray, levers: Levers) -> np.ndarray:
    """Expected reward of treatments at the observed prices, by levers. -> (batch, treatments) float64, currency."""
    prices, catalogue = observed_prices(encoder, observation), encoder.catalogue
    efforts = prices[:, 1:] @ catalogue.effort.T
    contact = np.array([0.0] + [levers.contact] * len(catalogue.treatments))
    annoyance = levers.annoyance * prices[:, :1] * expected.annoyance
    return np.asarray(expected.margin - levers.cost * (expected.cost + efforts) - annoyance - contact)
