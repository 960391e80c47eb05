"""How far to sample and from where on to believe the model: partial returns blended by their estimated error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from evaluation.sequential import blend
from evaluation.terms import Terms

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
    """The blend with the least estimated squared error; arguments as `sequential.blend`.

    Minimises x' (Omega + b b') x over x >= 0 that sum to 1: Omega the covariance of the partial returns, b how far each
    lies outside the 90 % interval of the longest one that has a value, which is taken to have no bias. Thomas &
    Brunskill (2016), equations 9 to 11; their bootstrap of the interval is replaced by the normal one.
    """
    horizon = ratio.shape[1]
    steps = np.unique(np.linspace(0, horizon, min(horizon, MOST_RETURNS) + 1).round().astype(int))
    partial = [blend(ratio, reward, q, v, discount, (np.arange(horizon) < j).astype(np.float64)) for j in steps]
    values = np.array([terms.estimate() for terms in partial])
    spread = np.stack([terms.influence() for terms in partial])  # (J, C)
    known = np.isfinite(values) & np.isfinite(spread).all(axis=1)  # until weights have run out
    steps, values, spread = steps[known], values[known], spread[known]
    covariance = np.atleast_2d(np.cov(spread)) / spread.shape[1]
    reach = REACH * np.sqrt(covariance[-1, -1])
    apart = values - values[-1]
    bias = np.sign(apart) * np.maximum(np.abs(apart) - reach, 0.0)
    share = _least(covariance + np.outer(bias, bias))
    found = Blend(steps, share, bias, np.sqrt(np.diag(covariance)))
    return blend(ratio, reward, q, v, discount, found.sampled(horizon)), found


def _least(matrix: np.ndarray) -> np.ndarray:
    """argmin x' M x over x >= 0, sum x = 1, by non-negative least squares on a root of M. Lawson & Hanson (1974)."""
    size, vectors = np.linalg.eigh(matrix)
    root = np.sqrt(np.maximum(size, 0.0))[:, None] * vectors.T
    largest = max(float(np.abs(root).max()), 1e-300)
    rows = np.concatenate([root / largest, np.full((1, len(matrix)), HEAVY)])
    share, _ = nnls(rows, np.r_[np.zeros(len(matrix)), HEAVY])
    return np.asarray(share / share.sum())
