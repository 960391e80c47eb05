"""What stands beside a head when it is judged: base rates, LightGBM, and the head's own form fitted anew.

Each predicts the mean of rows (a probability, a mean amount) and scores them: log-loss for events, CRPS for amounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import logit

from envs.observation import Encoder
from envs.response import CompiledHead, design_matrix
from training.fidelity_rows import Sample
from training.fidelity_scores import LEVELS, crps_lognormal, crps_quantiles, log_loss
from training.fidelity_yardstick import FOLDS, LEAVES, AmountForest, Forest, Plot, grow, grow_amount, inputs
from training.glm import Link, fit, log_likelihood

INNER = 0.25  # share of customers on which a refitted form's shrinkage is chosen
RIDGES = (1.0, 10.0, 100.0, 1000.0)  # multiples of a unit prior that are tried
REFIT_ROWS = 30_000  # rows a form is refitted on; a hundred for each of the 300 coefficients a head may have


class Prediction(Protocol):
    """What some model says of rows."""

    def eta(self, sample: Sample) -> np.ndarray:
        """(n,) linear predictor on the head's own scale."""
        ...

    def score(self, sample: Sample, shift: float = 0.0) -> np.ndarray:
        """(n,) log-loss or CRPS, with `shift` added to the linear predictor."""
        ...


@dataclass(frozen=True)
class ByForm:
    """The head as it is, or its form with other coefficients."""

    link: Link
    beta: np.ndarray | None = None  # of `columns`; None: the head's own
    columns: Columns | None = None
    sigma: float | None = None

    def eta(self, sample: Sample) -> np.ndarray:
        return sample.eta if self.columns is None else np.asarray(self.columns(sample) @ self.beta)

    def score(self, sample: Sample, shift: float = 0.0) -> np.ndarray:
        eta = self.eta(sample) + shift
        if sample.is_amount:
            sigma = self.sigma or sample.head.head.sigma or 1.0
            return crps_lognormal(sample.rows.y, np.exp(eta), sigma)
        return log_loss(sample.rows.y, sample.head.mean(eta, sample.rows.days))


@dataclass(frozen=True)
class ByBaseRate:
    """The same for every row: the rate of the training customers, or the distribution of their amounts."""

    level: float  # linear predictor
    quantiles: np.ndarray  # (levels,), of amounts

    def eta(self, sample: Sample) -> np.ndarray:
        return np.full(len(sample.eta), self.level)

    def score(self, sample: Sample, shift: float = 0.0) -> np.ndarray:
        if sample.is_amount:
            return crps_quantiles(sample.rows.y, self.quantiles[None] * np.exp(shift))
        return log_loss(sample.rows.y, sample.head.mean(self.eta(sample) + shift, sample.rows.days))


@dataclass(frozen=True)
class ByTrees:
    """LightGBM on everything that the head may see."""

    forest: Forest | AmountForest
    encoder: Encoder
    observation: np.ndarray  # (decisions, fields) float32

    def _values(self, sample: Sample) -> np.ndarray:
        return inputs(self.encoder, sample.data, self.observation).values

    def eta(self, sample: Sample) -> np.ndarray:
        values = self._values(sample)
        if isinstance(self.forest, AmountForest):
            return np.asarray(np.log(self.forest.quantiles(values).mean(axis=1)))
        return linked(sample.data.link, self.forest.predict(values), sample.rows.days)

    def score(self, sample: Sample, shift: float = 0.0) -> np.ndarray:
        if isinstance(self.forest, AmountForest):
            return crps_quantiles(sample.rows.y, self.forest.quantiles(self._values(sample)) * np.exp(shift))
        if shift == 0.0:
            return log_loss(sample.rows.y, self.forest.predict(self._values(sample)))
        return log_loss(sample.rows.y, sample.head.mean(self.eta(sample) + shift, sample.rows.days))


def linked(link: Link, p: np.ndarray, days: np.ndarray) -> np.ndarray:
    """The linear predictor of a probability: (n,) -> (n,)."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.asarray(logit(p) if link == "logit" else np.log(-np.log1p(-p) / days))


def base_rate(train: Sample) -> ByBaseRate:
    """The base rate of some rows."""
    rows, link = train.rows, train.data.link
    level = fit(np.ones((len(rows.y), 1)), rows, link, np.zeros(1)).beta[0]
    if not train.is_amount:
        return ByBaseRate(float(level), np.zeros(0))
    order = np.argsort(rows.y)
    place = np.cumsum(rows.weight[order]) / rows.weight.sum()
    return ByBaseRate(float(level), np.interp(LEVELS, place, rows.y[order]))


def trees(
    train: Sample, encoder: Encoder, observation: np.ndarray, seed: int, leaves: Sequence[int] = LEAVES
) -> ByTrees:
    """LightGBM grown on some rows; of several sizes of tree, the best by rows it did not learn from."""
    data = inputs(encoder, train.data, observation)
    fold = np.random.default_rng(seed).integers(0, FOLDS, int(train.rows.customer.max()) + 1)
    if train.is_amount:
        return ByTrees(grow_amount(data, train.rows, fold, seed, leaves), encoder, observation)
    return ByTrees(grow(Plot("binary", data, train.rows, train.rows.y, fold, seed), leaves), encoder, observation)


@dataclass(frozen=True)
class Columns:
    """The features of a head's terms, each once, after a constant."""

    head: CompiledHead
    observation: np.ndarray  # (decisions, fields) float32

    def __call__(self, sample: Sample) -> np.ndarray:  # (n, 1 + features) float64
        data, ones = sample.data, np.ones((len(sample.eta), 1))
        features = tuple(f for f in self.head.features if f.name != "1")
        if not features:
            return ones
        return np.hstack([ones, design_matrix(features, self.observation[data.look], data.option)])


def refitted(train: Sample, observation: np.ndarray, rng: np.random.Generator) -> ByForm:
    """The form of a head fitted to some rows; how far it shrinks is chosen on customers set aside."""
    train = train.take(np.sort(rng.permutation(len(train.eta))[:REFIT_ROWS]))
    columns = Columns(train.head, observation)
    x, rows, link = columns(train), train.rows, train.data.link
    ids = np.unique(rows.customer)
    aside = np.isin(rows.customer, rng.choice(ids, int(INNER * len(ids)), replace=False))
    inner, outer = np.flatnonzero(~aside), np.flatnonzero(aside)
    penalty = np.r_[0.0, np.ones(x.shape[1] - 1)]
    found: list[tuple[float, float]] = []
    start: np.ndarray | None = None
    for ridge in RIDGES[::-1]:
        tried = fit(x[inner], rows.take(inner), link, ridge * penalty, start)
        start = tried.beta
        worth = log_likelihood(link, x[outer] @ tried.beta, rows.take(outer), tried.sigma)
        found.append((float(rows.weight[outer] @ worth), ridge))
    final = fit(x, rows, link, max(found)[1] * penalty, start)
    return ByForm(link, final.beta, columns, final.sigma)
