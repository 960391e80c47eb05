"""The teacher: one-step expectations with levers, the levers chosen anew at every price from a few that were tried.

    score = margin - cost lever x (cost + pool prices x effort) - annoyance lever x annoyance - contact lever

Each setting of the levers was tried once, in simulation; what it gained, annoyed and asked of the pools tells which one
is best at any prices: the largest gain - annoyance price x annoyance - pool prices x effort. The teacher knows its
world, and of hidden states what the observation makes one expect (`agents/foresight.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.foresight import Foresight
from agents.policy import softened
from envs.expectation import Expected
from envs.prices import price_of
from envs.world import World


@dataclass(frozen=True)
class Setting:
    """Levers, in currency."""

    annoyance: float  # per opt-out's worth
    cost: float  # times the cost
    contact: float  # per contact


@dataclass(frozen=True)
class Tried:
    """What came of a setting, means per customer over a horizon."""

    setting: Setting
    gain: float  # currency
    annoyance: float  # opt-outs
    effort: tuple[float, ...]  # units of each pool


@dataclass(frozen=True)
class Teacher:
    """A scoring rule over observations, for the prices that each of them shows."""

    world: World
    tried: tuple[Tried, ...]
    foresight: Foresight
    name: str = "teacher"

    def best(self, prices: np.ndarray) -> np.ndarray:
        """Position of the best setting at some prices. prices: (batch, 1 + pools) -> (batch,) int."""
        gain = np.array([t.gain for t in self.tried])
        spent = np.array([[t.annoyance, *t.effort] for t in self.tried])
        return np.asarray((gain - prices @ spent.T).argmax(axis=1))

    def scores(self, observation: np.ndarray) -> np.ndarray:
        """(batch, fields) float32 -> (batch, treatments) float64, currency."""
        encoder = self.world.encoder
        shown = observation[:, list(encoder.price_columns.values())].astype(np.float64)
        prices = price_of(shown, encoder.price_highs)
        at = self.best(prices)
        annoyance, cost, contact = (
            np.array([getattr(t.setting, lever) for t in self.tried])[at, None]
            for lever in ("annoyance", "cost", "contact")
        )
        return scores_of(self.world, self.foresight(observation), annoyance, cost, contact, prices[:, 1:])


def shown(scores: np.ndarray, mask: np.ndarray, temperature: float, floor: float) -> np.ndarray:
    """Scores as distributions, (batch, treatments) each; temperature: in standard deviations of the best advantage."""
    advantage = np.where(mask, scores, -np.inf).max(axis=1) - scores[:, 0]
    spread = max(float(np.std(advantage)), 1e-6 * float(np.abs(scores).max()), 1e-12)
    return softened(scores, mask, temperature * spread, floor)


def scores_of(
    world: World,
    expected: Expected,
    annoyance: np.ndarray | float,
    cost: np.ndarray | float,
    contact: np.ndarray | float,
    pool_prices: np.ndarray,
) -> np.ndarray:
    """Expected margin less levers; pool_prices: (batch, pools) -> (batch, treatments) float64, currency."""
    efforts = pool_prices @ world.catalogue.effort.T
    contacts = (np.arange(efforts.shape[1]) > 0).astype(np.float64)
    return np.asarray(
        expected.margin - cost * (expected.cost + efforts) - annoyance * expected.annoyance - contact * contacts
    )
