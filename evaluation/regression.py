"""Regressions of an amount on (state, treatment): linear with interactions, and boosted trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from evaluation.keeping import kept_matrix

CELLS = 4_000_000  # of the linear design matrix built at a time: 32 MB
PAIRS = 400_000  # (row, treatment) pairs predicted at a time: bounds memory
GENERAL = 2  # of those directions, how many come from the attributes; assumed: kind and cost of a contact
INTERACTIONS = 600  # most state x treatment products of the linear model: keeps its normal equations small
PENALTIES = (10.0, 1000.0, 100_000.0)  # of the linear model on standardised columns, in rows; held-out loss chooses


@dataclass(frozen=True)
class TreatmentFeatures:
    """How models tell treatments apart; attributes (A, T) float64, a row per treatment, T may be 0.

    groups: (A,) int, treatments that are taken to be alike where a group stands for its members; None: none are
    """

    attributes: np.ndarray
    groups: np.ndarray | None = None

    @property
    def treatments(self) -> int:
        return len(self.attributes)

    def scores(self, z: np.ndarray, treatment: np.ndarray, pilot: np.ndarray, rank: int) -> np.ndarray:  # (A, R)
        """The few directions in which treatments' effects vary most with the state.

        With room for all (rank >= A) every treatment has its own. Otherwise the leading right singular vectors
        of slopes of the pilot amounts, per field and treatment, after the slopes common to all: reduced-rank
        regression (Izenman 1975) in one step; then principal components of the attributes.

        z: (m, F) standardised state; pilot: (m, P) amounts whose variation is sought
        """
        width = self.treatments
        if rank >= width:
            return np.asarray(np.eye(width) * np.sqrt(width))
        count = np.bincount(treatment, minlength=width)
        chosen = np.eye(width)[treatment]
        slopes = []
        for amount in pilot.T:
            level = np.bincount(treatment, weights=amount, minlength=width) / np.maximum(count, 1)
            rest = amount - level[treatment]
            common = z.T @ rest / len(z)
            slopes.append((z.T @ (rest[:, None] * chosen) - np.outer(common, count)) / np.sqrt(np.maximum(count, 1)))
        _, _, right = np.linalg.svd(np.concatenate(slopes), full_matrices=False)
        guided = (right / np.sqrt(np.maximum(count, 1))).T[:, : max(1, rank - GENERAL)]
        return _unit(np.concatenate([guided, self._components], axis=1)[:, :rank], count)

    @cached_property
    def _components(self) -> np.ndarray:  # (A, <= T)
        """Principal components of the attributes."""
        values = self.attributes - self.attributes.mean(axis=0)
        left, size, _ = np.linalg.svd(values, full_matrices=False)
        return np.asarray(left[:, size > 1e-9])


def _unit(scores: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Columns scaled to mean square 1 over the rows of a log."""
    size = np.sqrt((scores**2 * count[:, None]).sum(axis=0) / count.sum())
    return np.asarray(scores / np.where(size > 1e-12, size, 1.0))


class Model(Protocol):
    """A fitted regression."""

    def values(self, state: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        """Of (state, treatment) pairs: (m, F), (m,) int -> (m,) float64."""
        ...

    def expected(self, state: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """sum_a pi(a) q(x, a): (m, F), (m, A) -> (m,) float64."""
        ...


class Fitter(Protocol):
    """Inputs of a regression, ready to be fitted to one target after another."""

    def fit(self, target: np.ndarray) -> Model:
        """target: (m,) float64."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How to fit: "constant", "trees", or "ridge" with its penalty."""

    kind: str
    penalty: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.kind} {self.penalty:g}" if self.kind == "ridge" else self.kind

    def fitter(
        self,
        state: np.ndarray,
        treatment: np.ndarray,
        features: TreatmentFeatures,
        pilot: np.ndarray,
        seed: int,
        emphasis: np.ndarray | None = None,
    ) -> Fitter:
        """Inputs of a regression.

        state: (m, F); treatment: (m,) int; pilot: (m, P), amounts like those that will be fitted
        emphasis: (m,) >= 0, what a row's squared error counts for; None: all the same
        """
        counts = np.ones(len(state)) if emphasis is None else emphasis
        if self.kind == "trees":
            return TreeFitter(state, treatment, features, seed, counts)
        if self.kind == "ridge":
            return RidgeFitter(state, treatment, features, pilot, self.penalty, counts)
        return ConstantFitter(counts)


@dataclass(frozen=True)
class Constant:
    """One value for everything."""

    value: float

    def values(self, state: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        return np.full(len(state), self.value)

    def expected(self, state: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return np.asarray(self.value * probabilities.sum(axis=1))


@dataclass(frozen=True)
class ConstantFitter:
    """Fits the mean; emphasis: (m,)"""

    emphasis: np.ndarray

    def fit(self, target: np.ndarray) -> Constant:
        return Constant(float(np.average(target, weights=self.emphasis)))


@dataclass(frozen=True)
class Ridge:
    """q(x, a) = b + w.z + c_a + z' W u_a, with z the standardised state and u_a a treatment's scores.

    Linear in c_a and u_a: the expectation over treatments needs no loop over them.
    """

    center: np.ndarray  # (F,)
    scale: np.ndarray  # (F,)
    scores: np.ndarray  # (A, R)
    coefficients: np.ndarray  # (1 + F + A + F * R,)

    def values(self, state: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        return self._at(state, self._own[treatment], self.scores[treatment])

    def expected(self, state: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        total = probabilities.sum(axis=1)  # 1, or 0 for rows that have nothing to decide
        at = self._at(state, probabilities @ self._own, probabilities @ self.scores)
        return np.where(total > 0, at, 0.0)

    @property
    def _own(self) -> np.ndarray:  # (A,)
        fields = len(self.center)
        return self.coefficients[1 + fields : 1 + fields + len(self.scores)]

    def _at(self, state: np.ndarray, own: np.ndarray, scores: np.ndarray) -> np.ndarray:
        fields = len(self.center)
        z = (state - self.center) / self.scale
        cross = self.coefficients[1 + fields + len(self.scores) :].reshape(fields, scores.shape[1])
        linear = self.coefficients[0] + z @ self.coefficients[1 : 1 + fields] + own
        return np.asarray(linear + ((z @ cross) * scores).sum(axis=1))


class RidgeFitter:
    """Ridge regression by its normal equations, factorised once for all targets.

    Hoerl & Kennard (1970). The intercept is not penalised.
    """

    def __init__(
        self,
        state: np.ndarray,
        treatment: np.ndarray,
        features: TreatmentFeatures,
        pilot: np.ndarray,
        penalty: float,
        emphasis: np.ndarray,
    ) -> None:
        self.center = state.mean(axis=0, dtype=np.float64)
        spread = state.std(axis=0, dtype=np.float64)
        self.scale = np.where(spread > 1e-6, spread, 1.0)
        self.z, self.treatment, self.emphasis = (state - self.center) / self.scale, treatment, emphasis
        rank = max(1, min(features.treatments, INTERACTIONS // max(1, state.shape[1])))
        self.scores = features.scores(self.z, treatment, pilot, rank)
        gram = kept_matrix((state, treatment, emphasis, self.scores), self._gram)
        ridge = np.full(len(gram), penalty)
        ridge[0] = 1e-6
        self.factor = np.linalg.cholesky(gram + np.diag(ridge))

    def fit(self, target: np.ndarray) -> Ridge:
        from scipy.linalg import cho_solve

        target = target * self.emphasis
        own = np.bincount(self.treatment, weights=target, minlength=len(self.scores))
        cross = self.z.T @ (target[:, None] * self.scores[self.treatment])
        moment = np.concatenate([[target.sum()], self.z.T @ target, own, cross.ravel()])
        return Ridge(self.center, self.scale, self.scores, cho_solve((self.factor, True), moment))

    def _gram(self) -> np.ndarray:
        """Products of the columns of the design matrix, summed over the rows; neither target nor penalty is in it."""
        width = 1 + self.z.shape[1] * (1 + self.scores.shape[1]) + len(self.scores)
        gram = np.zeros((width, width))
        for block, counts in self._design(width):
            gram += block.T @ (block * counts[:, None])
        return gram

    def _design(self, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of the design matrix, a block at a time, and what each counts for: [1, z, one-hot a, z x u_a]."""
        step = max(1, CELLS // width)
        identity = np.eye(len(self.scores))
        for start in range(0, len(self.treatment), step):
            z, a = self.z[start : start + step], self.treatment[start : start + step]
            cross = (z[:, :, None] * self.scores[a][:, None, :]).reshape(len(z), -1)
            rows = np.concatenate([np.ones((len(z), 1)), z, identity[a], cross], axis=1)
            yield rows, self.emphasis[start : start + step]


@dataclass(frozen=True)
class Trees:
    """Gradient-boosted trees on state, attributes and the treatment itself as a category."""

    model: Any
    features: TreatmentFeatures

    def values(self, state: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        step = PAIRS
        parts = [
            self.model.predict(_tree_inputs(state[i : i + step], treatment[i : i + step], self.features))
            for i in range(0, len(state), step)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def expected(self, state: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        rows, treatment = np.nonzero(probabilities)
        out = np.zeros(len(state))
        for start in range(0, len(rows), PAIRS):
            r, a = rows[start : start + PAIRS], treatment[start : start + PAIRS]
            out += np.bincount(r, weights=probabilities[r, a] * self.values(state[r], a), minlength=len(state))
        return out


class TreeFitter:
    """Histogram gradient boosting (scikit-learn), small and strongly regularised: amounts are heavy-tailed."""

    def __init__(
        self, state: np.ndarray, treatment: np.ndarray, features: TreatmentFeatures, seed: int, emphasis: np.ndarray
    ) -> None:
        self.inputs, self.features, self.seed = _tree_inputs(state, treatment, features), features, seed
        self.emphasis = emphasis

    def fit(self, target: np.ndarray) -> Trees:
        from sklearn.ensemble import HistGradientBoostingRegressor

        last = self.inputs.shape[1] - 1
        model = HistGradientBoostingRegressor(
            learning_rate=0.1, max_iter=60, max_leaf_nodes=12, min_samples_leaf=60, l2_regularization=30.0,
            max_bins=64, categorical_features=[last] if self.features.treatments <= 64 else None,
            early_stopping=False, random_state=self.seed,
        )  # fmt: skip
        return Trees(model.fit(self.inputs, target, sample_weight=self.emphasis), self.features)


def _tree_inputs(state: np.ndarray, treatment: np.ndarray, features: TreatmentFeatures) -> np.ndarray:
    attributes = features.attributes[treatment].astype(np.float32)
    return np.concatenate([state, attributes, treatment[:, None].astype(np.float32)], axis=1)
