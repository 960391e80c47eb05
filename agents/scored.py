"""Policies that score treatments: the best one is taken, or one is drawn by softmax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.policy import greedy, softened


class Scored:
    """A policy that takes the best of its scores; subclasses say what the scores are."""

    def scores(self, observation: np.ndarray) -> np.ndarray:
        """(batch, fields) float32 -> (batch, treatments) float64."""
        raise TypeError(f"{type(self).__name__} must say what its scores are")

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return greedy(self.scores(observation), mask)


@dataclass(frozen=True)
class Softened:
    """A scoring rule drawn from by softmax: temperature in units of the score, floor spread over the allowed."""

    rule: Scored
    temperature: float
    floor: float
    name: str = "softened"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return softened(self.rule.scores(observation), mask, self.temperature, self.floor)
