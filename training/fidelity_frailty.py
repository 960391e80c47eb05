"""A head with an effect of the customer, as a forecaster: each row from the customer's earlier rows.

The effect u ~ N(0, 1) is not seen, but every answer tells of it: after t rows its density is proportional to its prior
times the likelihood of the t answers, here on a grid of nodes. The probability of the next answer is the mean over it.
Forecasts made so are what the world says one step ahead, and their errors are uncorrelated if the world is right
(Dawid 1984, "Statistical theory: the prequential approach").
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from training.glm import Link, Rows, log_likelihood

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(25)


def filtered(
    link: Link, eta: np.ndarray, sigma: float, rows: Rows, thin: np.ndarray, at: np.ndarray
) -> np.ndarray:  # (n,) float64
    """The linear predictor of each row's forecast.

    eta: (n,) linear predictor of a customer whose effect is 0; sigma: spread of the effect
    thin: (n,) how many rows of the log each one stands for; at: (n,) when
    """
    order = np.lexsort((at, rows.customer))
    first = np.r_[True, np.diff(rows.customer[order]) != 0]
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))  # where each customer's rows begin
    told = np.empty((len(order), len(NODES)))
    for k, node in enumerate(NODES):
        each = (rows.weight / thin) * log_likelihood(link, eta + sigma * node, rows)
        before = np.r_[0.0, np.cumsum(each[order])[:-1]]  # of all earlier rows, of this customer and others
        told[:, k] = before - before[start]
    weight = WEIGHTS * np.exp(told - told.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    out = np.empty(len(eta))
    out[order] = _mean(link, eta[order], sigma, rows.days[order], weight)
    return out


def _mean(link: Link, eta: np.ndarray, sigma: float, days: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The linear predictor of the mean over the nodes. weight: (n, nodes), rows sum to 1."""
    shifted = eta[:, None] + sigma * NODES
    if link == "lognormal":
        return np.asarray(np.log((weight * np.exp(shifted)).sum(axis=1)))
    if link == "logit":
        p = np.clip((weight * expit(shifted)).sum(axis=1), 1e-15, 1 - 1e-15)
        return np.asarray(np.log(p) - np.log1p(-p))
    p = np.clip((weight * -np.expm1(-days[:, None] * np.exp(shifted))).sum(axis=1), 1e-15, 1 - 1e-15)
    return np.asarray(np.log(-np.log1p(-p) / days))
