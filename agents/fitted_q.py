"""A value-based sequential learner: the engine's expectation of today, plus what a treatment does to tomorrow.

    Q(s, a, p) = r(s, a, p) + gamma^days (V(s, p) + D(s, a, p)),   V(s, p) = max over candidates a of Q(s, a, p)

r is propensity x margin at prices p (`agents/propensity.py`). D is how much more tomorrow is worth than today after a:
learned by fitted Q iteration (`training/fitted_q.py`). What is the same for all treatments, gamma^days V(s, p), decides
nothing and is left out of the scores, so that trees need not describe it. Candidates are silence and the few treatments
with the best expectation of today: whatever is worse today is no better tomorrow, and a maximum over many noisy values
is a lucky one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from agents.levers import Levers, observed_prices, weighed
from agents.pairs import Pairs
from agents.policy import greedy
from agents.propensity import PropensityMargin

CANDIDATES = 4  # besides silence


class Candidates(NamedTuple):
    """Pairs that are considered, by row, silence first; and the best of today by product."""

    row: np.ndarray  # (m,) int64
    treatment: np.ndarray  # (m,) int64
    reward: np.ndarray  # (m,) float64, today's, currency
    first: np.ndarray  # (batch,) int64, each row's first pair
    best: np.ndarray  # (batch, products + 1) float64, 0 where nothing is worth it


def candidates(reward: np.ndarray, mask: np.ndarray, pairs: Pairs) -> Candidates:
    """Silence and the best of today. reward: (batch, treatments) currency; mask: (batch, treatments) bool."""
    count = min(CANDIDATES + 1, mask.shape[1])
    ranked = np.where(mask, reward, -np.inf)
    ranked[:, 0] = np.inf
    top = np.argpartition(-ranked, count - 1, axis=1)[:, :count]
    top = np.sort(top, axis=1)
    row, treatment = np.repeat(np.arange(len(mask)), count), top.ravel()
    open_to = mask[row, treatment] | (treatment == 0)
    row, treatment = row[open_to], treatment[open_to]
    first = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
    worth = reward[row, treatment]
    best = np.zeros((len(mask), len(pairs.catalogue.products) + 1))
    np.maximum.at(best, (row, pairs.catalogue.product_of[treatment]), worth)
    return Candidates(row, treatment, worth, first, best)


@dataclass(frozen=True)
class Tomorrow:
    """D by boosted trees: on the pair, the price of annoyance, today's reward of it, of the best and of other products.

    The last three tell a contact that uses up today's best opportunity from one that leaves it for tomorrow.
    """

    pairs: Pairs = field(repr=False)
    predict: Callable[[np.ndarray], np.ndarray] | None = field(repr=False)  # None: nothing learned yet, 0

    def values(self, observation: np.ndarray, among: Candidates, price: np.ndarray) -> np.ndarray:  # (m,) float64
        """Of candidates. price: (batch,), currency per opt-out."""
        if self.predict is None:
            return np.zeros(len(among.row))
        return self.predict(self.written(observation, among.row, among.treatment, among.reward, among.best, price))

    def written(
        self,
        observation: np.ndarray,
        row: np.ndarray,
        treatment: np.ndarray,
        reward: np.ndarray,
        best: np.ndarray,
        price: np.ndarray,
    ) -> np.ndarray:
        """The columns of pairs. -> (m, columns + 4) float32."""
        order = np.sort(best, axis=1)
        product = self.pairs.catalogue.product_of[treatment] % best.shape[1]  # silence: the last
        mine = best.argmax(axis=1)[row] == product
        other = np.where(mine, order[row, -2], order[row, -1])
        more = [np.log1p(price)[row], _squeezed(reward), _squeezed(order[row, -1]), _squeezed(other)]
        pairs = self.pairs.written(observation, row, treatment)
        return np.concatenate([pairs, np.stack(more, axis=1).astype(np.float32)], axis=1)


@dataclass(frozen=True)
class FittedQ:
    """The policy; told prices as everybody else, steered by them and by levers on cost and contacts."""

    engine: PropensityMargin = field(repr=False)
    tomorrow: Tomorrow = field(repr=False)
    discount: float  # per decision
    weight: float = 1.0  # of tomorrow: 0 is the engine alone
    levers: Levers = field(default_factory=Levers)
    name: str = "fitted_q"

    def dialled(self, levers: Levers, weight: float = 1.0) -> FittedQ:
        """The same Q under other levers."""
        return replace(self, levers=levers, weight=weight)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        encoder = self.engine.pairs.encoder
        today = weighed(self.engine.expected(observation, mask), encoder, observation, self.levers)
        among = candidates(today, mask, self.engine.pairs)
        price = self.levers.annoyance * observed_prices(encoder, observation)[:, 0]
        ahead = self.tomorrow.values(observation, among, price)
        scores = np.full(mask.shape, -np.inf)
        scores[among.row, among.treatment] = among.reward + self.weight * self.discount * ahead
        return greedy(scores, mask & np.isfinite(scores))


def _squeezed(amount: np.ndarray) -> np.ndarray:
    """Sign times log(1 + |amount|)."""
    return np.asarray(np.sign(amount) * np.log1p(np.abs(amount)))
