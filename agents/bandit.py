"""A contextual bandit: linear Thompson sampling over (customer, treatment) pairs.

Reward is linear in a pair's features (`agents/linear.py`). Its parts have posteriors of their own: what a contact
brings (currency) and how it upsets (opt-outs), so that the observed prices weigh them anew in every decision. The
policy is the lottery of a fixed number of posterior samples, each of which takes its best treatment: the probability of
a treatment is the share of samples that take it, an honest propensity. Agrawal & Goyal (2013), "Thompson sampling for
contextual bandits with linear payoffs". Fitted in `training/bandit.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from agents.levers import Levers, weighed
from agents.linear import Linear
from agents.pairs import Pairs
from agents.policy import greedy
from envs.expectation import Expected
from envs.reward import PRESSURE_FIELD, PRESSURE_UNIT, contact_annoyance


@dataclass(frozen=True)
class LinearThompson:
    """The lottery of posterior samples."""

    pairs: Pairs = field(repr=False)
    brings: Linear = field(repr=False)  # margin less benefits, one function per sample
    upsets: Linear = field(repr=False)  # annoyance beyond the contact's own, as many
    levers: Levers = field(default_factory=Levers)
    name: str = "thompson"

    def dialled(self, levers: Levers) -> LinearThompson:
        """The same posterior under other levers."""
        return replace(self, levers=levers)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        catalogue = self.pairs.catalogue
        row, treatment = np.nonzero(mask[:, 1:])
        treatment = treatment + 1
        brings = self.brings.values(observation, row, treatment)
        upsets = np.maximum(self.upsets.values(observation, row, treatment), 0.0)
        pressure = observation[:, [self.pairs.encoder.names.index(PRESSURE_FIELD)]].astype(np.float64) * PRESSURE_UNIT
        contact = contact_annoyance(catalogue, np.arange(mask.shape[1])[None], pressure)
        out = np.zeros(mask.shape)
        for one, other in zip(brings, upsets, strict=True):
            margin, annoyance = np.zeros(mask.shape), contact.copy()
            margin[row, treatment] = one
            annoyance[row, treatment] += other
            expected = Expected(margin, np.broadcast_to(catalogue.cost, mask.shape), annoyance)
            out += greedy(weighed(expected, self.pairs.encoder, observation, self.levers), mask)
        return out / len(brings)
