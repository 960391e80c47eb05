"""Scores of probabilistic predictions, row by row: the log-loss of events, the CRPS of amounts. Smaller is better.

log-loss   -y log p - (1 - y) log(1 - p), in nats
CRPS       integral over x of (F(x) - 1{y <= x})^2, in the unit of the amount (Gneiting and Raftery 2007,
           "Strictly proper scoring rules, prediction, and estimation", section 4.2)
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from evaluation.intervals import Interval, estimate_interval
from evaluation.resampling import Resamples
from evaluation.terms import ratio_of
from training.glm import by_customer

LEAST = 1e-12  # a probability below which the log-loss is cut off
LEVELS = (np.arange(200) + 0.5) / 200  # levels of the quantiles that stand for a predictive distribution


def log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(n,) nats. y: (n,) 0 or 1; p: (n,) probability of 1."""
    p = np.clip(p, LEAST, 1 - LEAST)
    return np.asarray(-np.where(y > 0, np.log(p), np.log1p(-p)))


def crps_lognormal(y: np.ndarray, mean: np.ndarray, sigma: float) -> np.ndarray:
    """(n,) CRPS of log-normal amounts with these means, in closed form.

    y, mean: (n,) amounts > 0; sigma: spread of the logarithm.
    Baran and Lerch (2015), "Log-normal distribution based EMOS models for probabilistic wind speed forecasting".
    """
    mu = np.log(mean) - sigma**2 / 2
    omega = (np.log(y) - mu) / sigma
    tail = ndtr(omega - sigma) + ndtr(sigma / np.sqrt(2)) - 1
    return np.asarray(y * (2 * ndtr(omega) - 1) - 2 * mean * tail)


def crps_quantiles(y: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """(n,) CRPS of a distribution given by its quantiles at LEVELS: twice the mean pinball loss.

    y: (n,); quantiles: (n, levels) or (1, levels). Laio and Tamea (2007), Hydrology and Earth System Sciences 11.
    """
    excess = y[:, None] - quantiles
    return np.asarray(2 * np.mean(np.maximum(LEVELS * excess, (LEVELS - 1) * excess), axis=1))


def mean_score(score: np.ndarray, weight: np.ndarray) -> float:
    """The mean over rows, each weighted by how many rows of the log it stands for."""
    return float(weight @ score / weight.sum())


def score_ratio(
    ours: np.ndarray,
    theirs: np.ndarray,
    weight: np.ndarray,
    customer: np.ndarray,
    resamples: Resamples,
    confidence: float,
) -> Interval:
    """Mean score of ours over theirs, with a bootstrap interval over customers. Each (n,)."""
    totals = by_customer(np.stack([weight * ours, weight * theirs], axis=1), customer)
    return estimate_interval(ratio_of(totals[:, :1], totals[:, 1:]), resamples, confidence)
