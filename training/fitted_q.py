"""Fitted Q iteration (Ernst, Geurts & Wehenkel 2005) on experience, for all prices of annoyance at once.

Rewards of a log are known in parts, so that they can be priced anew: every customer is given a price, drawn as serving
might tell it, for all decisions, and every round's value is computed at that price. In rewards of one sale in a hundred
contacts variance is all there is, and three things keep it down: today's reward is the engine's expectation, not the
luck of the log; trees are fitted to what remains after the state's own worth,

    D(s, a, p)  <-  V(s', p) - V(s, p)     with V(s') = 0 where the customer left

and the outermost of these differences are clipped. A task that continues is bootstrapped through the end of the log:
last decisions are not fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from agents.experience import Experience
from agents.fitted_q import Candidates, FittedQ, Tomorrow, candidates
from agents.pairs import Pairs
from agents.propensity import PropensityMargin
from training.experience import drawn_prices
from training.fidelity_yardstick import lightgbm
from training.progress import Advance

ROUNDS = 12  # decisions that are looked ahead, at least
ROWS = 200_000  # most decisions that are fitted on, by whole customers
CLIPPED = 0.003  # share of differences clipped at either end
BATCH = 20_000  # decisions whose expectations are formed at a time
TREES: dict[str, Any] = {
    "n_estimators": 60, "num_leaves": 15, "learning_rate": 0.1, "min_child_samples": 1500, "reg_lambda": 50.0,
    "subsample": 0.7, "subsample_freq": 1, "max_bin": 63,
}  # fmt: skip


@dataclass(frozen=True)
class Replay:
    """Experience as rounds of fitting read it."""

    pairs: Pairs
    experience: Experience
    price: np.ndarray  # (n,) float64, drawn for each customer
    among: Candidates  # of all decisions
    logged: np.ndarray  # (n,) float64, today's expected reward of the logged treatment

    @cached_property
    def known(self) -> np.ndarray:  # (k,) int64
        """Decisions after which something is known: another one, or the end."""
        return np.flatnonzero((self.experience.following >= 0) | self.experience.terminated)

    @cached_property
    def inputs(self) -> np.ndarray:  # (k, columns) float32
        """Of the logged pairs."""
        e, known = self.experience, self.known
        shape = Tomorrow(self.pairs, None)
        return shape.written(e.observation, known, e.treatment[known], self.logged[known], self.among.best, self.price)

    @cached_property
    def table(self) -> np.ndarray:  # (m, columns) float32
        """Of the candidates."""
        among = self.among
        shape = Tomorrow(self.pairs, None)
        observation = self.experience.observation
        return shape.written(observation, among.row, among.treatment, among.reward, among.best, self.price)


def learn_fitted_q(
    engine: PropensityMargin,
    experience: Experience,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
    trees: dict[str, Any] | None = None,
    advance: Advance | None = None,
) -> FittedQ:
    """The policy after some rounds. trees: other settings of LightGBM; advance: told every round."""
    rng = np.random.default_rng(seed)
    replay = prepared(engine, _some(experience, rng), rng)
    e, among, value = replay.experience, replay.among, np.zeros(len(replay.price))
    discount, ahead = e.gamma**e.days, np.zeros(len(replay.among.row))
    booster = None
    for number in range(rounds):
        q = among.reward + discount[among.row] * (value[among.row] + ahead)
        value = np.maximum.reduceat(q, among.first)
        after = np.where(e.following >= 0, value[e.following], 0.0)
        model = lightgbm().LGBMRegressor(
            **(TREES | (trees or {})), random_state=seed + number, n_jobs=1, verbose=-1, deterministic=True
        )
        target = clipped((after - value)[replay.known])
        booster = model.fit(replay.inputs, target, categorical_feature=[0, 1]).booster_
        ahead = np.asarray(booster.predict(replay.table, num_threads=1))
        if advance is not None:
            advance(1)
    predict = None if booster is None else lambda rows: np.asarray(booster.predict(rows, num_threads=1))
    return FittedQ(engine, Tomorrow(engine.pairs, predict), float(np.median(discount)))


def prepared(engine: PropensityMargin, experience: Experience, rng: np.random.Generator) -> Replay:
    """Prices drawn, candidates listed with today's rewards at these prices."""
    price, logged = _prices(engine.pairs, experience.customer, rng), np.empty(len(experience))
    parts: list[Candidates] = []
    for start in range(0, len(experience), BATCH):
        part = slice(start, start + BATCH)
        expected = engine.expected(experience.observation[part], experience.mask[part])
        reward = expected.margin - expected.cost - price[part, None] * expected.annoyance
        logged[part] = reward[np.arange(len(reward)), experience.treatment[part]]
        parts.append(candidates(reward, experience.mask[part], engine.pairs))
    return Replay(engine.pairs, experience, price, _joined(parts), logged)


def clipped(difference: np.ndarray) -> np.ndarray:
    """The outermost brought back to the edge of the rest."""
    low, high = np.quantile(difference, [CLIPPED, 1 - CLIPPED])
    return np.asarray(np.clip(difference, low, high))


def _joined(parts: list[Candidates]) -> Candidates:
    rows = np.cumsum([0, *(len(part.best) for part in parts[:-1])])
    places = np.cumsum([0, *(len(part.row) for part in parts[:-1])])
    return Candidates(
        np.concatenate([part.row + start for part, start in zip(parts, rows, strict=True)]),
        np.concatenate([part.treatment for part in parts]),
        np.concatenate([part.reward for part in parts]),
        np.concatenate([part.first + start for part, start in zip(parts, places, strict=True)]),
        np.concatenate([part.best for part in parts]),
    )


def _prices(pairs: Pairs, customer: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # (n,) float64
    _, person = np.unique(customer, return_inverse=True)
    return drawn_prices(pairs.encoder, int(person.max()) + 1, rng)[person]


def _some(experience: Experience, rng: np.random.Generator) -> Experience:
    """Whole customers, at most `ROWS` decisions."""
    if len(experience) <= ROWS:
        return experience
    kept, _ = experience.parts((ROWS / len(experience), 1 - ROWS / len(experience)), rng)
    return experience.rows(kept)
