"""Turns: customers who share pools are decided one after another, so that logged propensities are true.

Everybody waits in one queue, in a random order. At each turn the treatments that a pool lacks are masked, the policy
says its distribution under that mask, and the treatment is drawn from it: whether a treatment was open depends on who
came before, never on the customer's own draw. A policy that is not told of the pools (silos) draws as ever, and what
is lacking becomes silence: its logged distribution has the probability of the lacking treatments moved to silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agents.knowing import told as told_of
from agents.policy import Policy, draw
from envs.hidden_states import HiddenStates
from envs.pools import Pools
from envs.randomness import Luck

PLACE, CHOICE = 8900, 9000  # draws: the place in the queue; the treatment, plus the desk


@dataclass(frozen=True)
class Turns:
    """What came of the turns of a batch. One turn for each customer and desk."""

    treatment: np.ndarray  # (batch, desks) int64, granted
    wanted: np.ndarray  # (batch, desks) int64, as drawn had every pool been full
    probabilities: np.ndarray  # (batch, desks, treatments) float64, from which `treatment` was drawn
    phase: np.ndarray  # (batch, desks) int64, which row of `lacking` held at the turn
    lacking: np.ndarray  # (phases, pools, treatments) bool

    @property
    def closed(self) -> np.ndarray:  # (batch, desks, treatments) bool
        """Treatments that some pool lacked at the turn."""
        return np.asarray(_any(self.lacking, 1)[self.phase])

    @cached_property
    def short(self) -> np.ndarray:  # (pools, batch, desks) bool
        """Turns for whose wanted treatment a pool lacked the effort."""
        if not self.lacking.any():
            return np.zeros((self.lacking.shape[1], *self.phase.shape), bool)
        return np.stack([self.lacking[self.phase, pool, self.wanted] for pool in range(self.lacking.shape[1])])

    @property
    def refused(self) -> np.ndarray:  # (batch, desks) bool
        """Turns whose wanted treatment was lacking."""
        return _any(self.short)


def take_turns(
    policy: Policy,
    observation: np.ndarray,
    mask: np.ndarray,
    alive: np.ndarray,
    pools: Pools,
    luck: Luck,
    *,
    told: bool = True,
    hidden: HiddenStates | None = None,
) -> Turns:
    """Decide a batch one by one; `pools` are drawn down.

    observation: (batch, fields) float32; mask: (batch, treatments) bool; alive: (batch,) bool, who takes a turn;
    told: whether the policy sees the mask of the pools; hidden: for policies that know it
    """
    desk = _Desks(policy, observation, mask, luck, told, hidden)
    rows = np.argsort(luck.uniform(PLACE), kind="stable")
    desks = desk.treatment.shape[1]
    queue = (rows[alive[rows], None] * desks + np.arange(desks)).ravel()  # flat places (customer, desk)
    phase, lacking = np.zeros(desk.treatment.shape, np.int64), [pools.lacking]
    desk.close(queue, _any(lacking[0]), np.zeros(mask.shape[1], bool))
    while len(queue):
        queue = queue[pools.serve(desk.treatment.ravel()[queue]) :]
        if len(queue):
            phase.ravel()[queue] = len(lacking)
            lacking.append(pools.lacking)
            desk.close(queue, _any(lacking[-1]), _any(lacking[-2]))
    return Turns(desk.treatment, desk.wanted, desk.probabilities, phase, np.stack(lacking))


class _Desks:
    """The decisions of a batch as they stand while the pools run down."""

    def __init__(
        self,
        policy: Policy,
        observation: np.ndarray,
        mask: np.ndarray,
        luck: Luck,
        told: bool,
        hidden: HiddenStates | None,
    ) -> None:
        self._policy, self._observation, self._mask, self._told = policy, observation, mask, told
        self._hidden = hidden
        self.probabilities = _three(self._of(np.arange(len(mask))).probabilities(observation, mask))
        desks = range(self.probabilities.shape[1])
        self._uniform = np.stack([luck.uniform(CHOICE + k) for k in desks], axis=1)
        self.treatment = draw(self.probabilities, self._uniform)
        self.wanted = self.treatment.copy()

    def close(self, queue: np.ndarray, closed: np.ndarray, before: np.ndarray) -> None:
        """Decide those who wait anew, as far as something was open to them that is closed now.

        queue: flat places; closed, before: (treatments,) bool, what is lacking now and what was so far
        """
        concerned = self._mask[:, closed & ~before].any(axis=1)
        row, desk = np.divmod(queue[np.repeat(concerned, self.treatment.shape[1])[queue]], self.treatment.shape[1])
        if len(row):
            again = (self._asked if self._told else self._silenced)(row, desk, closed)
            self.probabilities[row, desk] = again
            meant = self.treatment[row, desk]
            drawn = draw(again, self._uniform[row, desk]) if self._told else np.where(closed[meant], 0, meant)
            self.treatment[row, desk] = drawn

    def _asked(self, row: np.ndarray, desk: np.ndarray, closed: np.ndarray) -> np.ndarray:  # (n, treatments)
        """What the policy says under the mask of the pools."""
        some, place = np.unique(row, return_inverse=True)
        said = self._of(some).probabilities(self._observation[some], self._mask[some] & ~closed)
        return np.asarray(_three(said)[place, desk])

    def _of(self, rows: np.ndarray) -> Policy:
        """Who decides about some customers."""
        return self._policy if self._hidden is None else told_of(self._policy, self._hidden.take(rows))

    def _silenced(self, row: np.ndarray, desk: np.ndarray, closed: np.ndarray) -> np.ndarray:  # (n, treatments)
        """What it said, closed treatments turned into silence."""
        said = self.probabilities[row, desk]
        kept = np.where(closed, 0.0, said)
        kept[:, 0] += (said * closed).sum(axis=1)
        return kept


def _any(lacking: np.ndarray, axis: int = 0) -> np.ndarray:
    """Treatments that any pool lacks."""
    return np.asarray(lacking.any(axis=axis))


def _three(probabilities: np.ndarray) -> np.ndarray:
    """(batch, desks, treatments), from a policy with one desk or several."""
    return probabilities[:, None] if probabilities.ndim == 2 else probabilities
