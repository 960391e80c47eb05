"""How far to sample and from where on to believe the model: partial returns blended by their estimated error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from evaluation.sequential import blend
from evaluation.terms import Means, Terms

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # ratio, reward, q, v, discount; (C, H) each

MOST_RETURNS = 12  # partial returns that are blended, evenly spread over the steps; assumed: more are alike
REACH = 1.6448536  # standard errors of a 90 % interval, outside of which a partial return counts as biased
HEAVY = 1e4  # weight of the row that makes the blend's weights sum to 1, over the largest error


@dataclass(frozen=True)
class Blend:
    """Weights of partial returns."""

    steps: np.ndarray  # (J,) int, decisions that a partial return samples, 0 .. H
    share: np.ndarray  # (J,) float64, of each in the blend; sums to 1
    bias: np.ndarray  # (J,) float64, estimated
    error: np.ndarray  # (J,) float64, standard error, estimated

    def sampled(self, horizon: int) -> np.ndarray:  # (H,) float64
        """How far each step is left to sampling."""
        return np.array([self.share[self.steps > t].sum() for t in range(horizon)])


def blended(
    ratio: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray, discount: np.ndarray
) -> tuple[Terms, Blend]:
    """The blend with the least estimated squared error, and its weights; arguments as `sequential.blend`."""
    found = least_error(lambda: iter([(ratio, reward, q, v, discount)]))
    return blend(ratio, reward, q, v, discount, found.sampled(ratio.shape[1])), found


def least_error(parts: Callable[[], Iterator[Arrays]]) -> Blend:
    """The weights of the blend with the least estimated squared error; parts: of the customers, gone through twice.

    Minimises x' (Omega + b b') x over x >= 0 that sum to 1: Omega the covariance of the partial returns, b how far each
    lies outside the 90 % interval of the longest one that has a value, which is taken to have no bias. Thomas &
    Brunskill (2016), equations 9 to 11; their bootstrap of the interval is replaced by the normal one.
    """
    horizon = next(parts())[0].shape[1]
    steps = np.unique(np.linspace(0, horizon, min(horizon, MOST_RETURNS) + 1).round().astype(int))

    def partial(arrays: Arrays, j: int) -> Terms:
        return blend(*arrays, (np.arange(horizon) < j).astype(np.float64))

    means = Means.of_all([partial(arrays, int(j)) for j in steps] for arrays in parts())
    values, customers, square = np.array([mean.estimate() for mean in means]), 0, np.zeros((len(steps), len(steps)))
    for arrays in parts():
        moved = np.stack([mean.influence(partial(arrays, int(j))) for mean, j in zip(means, steps, strict=True)])
        customers, square = customers + moved.shape[1], square + moved @ moved.T  # 0 in the mean
    known = np.isfinite(values) & np.isfinite(square.diagonal())  # until weights have run out
    steps, values = steps[known], values[known]
    covariance = square[np.ix_(known, known)] / max(customers - 1, 1) / customers
    reach = REACH * np.sqrt(covariance[-1, -1])
    apart = values - values[-1]
    bias = np.sign(apart) * np.maximum(np.abs(apart) - reach, 0.0)
    share = _least(covariance + np.outer(bias, bias))
    return Blend(steps, share, bias, np.sqrt(np.diag(covariance)))


def _least(matrix: np.ndarray) -> np.ndarray:
    """argmin x' M x over x >= 0, sum x = 1, by non-negative least squares on a root of M. Lawson & Hanson (1974)."""
    size, vectors = np.linalg.eigh(matrix)
    root = np.sqrt(np.maximum(size, 0.0))[:, None] * vectors.T
    largest = max(float(np.abs(root).max()), 1e-300)
    rows = np.concatenate([root / largest, np.full((1, len(matrix)), HEAVY)])
    share, _ = nnls(rows, np.r_[np.zeros(len(matrix)), HEAVY])
    return np.asarray(share / share.sum())
