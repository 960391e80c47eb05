"""Generalised linear models with ridge, case weights and standard errors that respect customers.

One Fisher-scoring loop for three likelihoods, all through the linear predictor eta:

    logit      y in {0, 1}, P = 1 / (1 + exp(-eta))
    rate       y in {0, 1}, P = 1 - exp(-d exp(eta)): at least once in d days
    lognormal  y > 0, E[y] = exp(eta). The mean is fitted by the gamma quasi-likelihood, whose estimate is consistent
               for the mean whatever the shape (McCullagh and Nelder 1989, chapter 8), then sigma by maximum likelihood
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

Link = Literal["logit", "rate", "lognormal"]
Errors = Literal["customer", "row"]  # what counts as independent in standard errors
CLIP = 30.0  # |eta| beyond which probabilities are 0 or 1 in double precision
ITERATIONS = 50
HALVINGS = 30
TOLERANCE = 1e-7  # largest change of a standardised coefficient at convergence


@dataclass(frozen=True)
class Rows:
    """Observations of one response."""

    y: np.ndarray  # (n,) float64
    days: np.ndarray  # (n,) float64, exposure of a rate, else ignored
    weight: np.ndarray  # (n,) float64, how many rows of the log this one stands for
    customer: np.ndarray  # (n,) int64

    def take(self, rows: np.ndarray) -> Rows:
        return Rows(self.y[rows], self.days[rows], self.weight[rows], self.customer[rows])


class Solution(NamedTuple):
    """Coefficients on the original scale of the columns."""

    beta: np.ndarray  # (columns,) float64
    sigma: float | None  # spread of the logarithm, for lognormal


@dataclass(frozen=True)
class Fit:
    """Coefficients on the original scale of the columns, with their covariance."""

    beta: np.ndarray  # (columns,) float64
    covariance: np.ndarray  # (columns, columns), robust
    sigma: float | None  # spread of the logarithm, for lognormal

    @property
    def se(self) -> np.ndarray:  # (columns,) float64
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


@dataclass(frozen=True)
class Scale:
    """Centre and scale of the columns; the constant stays, and without one nothing is centred."""

    center: np.ndarray
    scale: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        return np.asarray((x - self.center) / self.scale)

    def back(self) -> np.ndarray:
        """The linear map from standardised to original coefficients."""
        out = np.diag(1 / self.scale)
        out[0] -= self.center / self.scale
        return out


def has_constant(x: np.ndarray) -> bool:
    """Is the first column the constant?"""
    return bool(np.all(x[:, 0] == 1.0))


def scaling(x: np.ndarray, weight: np.ndarray) -> Scale:
    """Weighted mean and standard deviation of every column but a constant first one."""
    total = weight.sum()
    center = weight @ x / total
    spread = np.sqrt(np.maximum(weight @ (x - center) ** 2 / total, 0.0))
    if has_constant(x):
        center[0], spread[0] = 0.0, 1.0
    else:
        center = np.zeros_like(center)
    return Scale(center, np.where(spread > 1e-9, spread, 1.0))


def derivatives(link: Link, eta: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and expected curvature of each row's log-likelihood with respect to eta. Each (n,)."""
    eta = np.clip(eta, -CLIP, CLIP)
    if link == "logit":
        p = expit(eta)
        return rows.y - p, p * (1 - p)
    if link == "rate":
        mu = rows.days * np.exp(eta)
        p = np.maximum(-np.expm1(-mu), 1e-300)
        return mu * (rows.y / p - 1), mu**2 * np.exp(-mu) / p
    return rows.y * np.exp(-eta) - 1, np.ones_like(eta)


def solve(
    x: np.ndarray, rows: Rows, link: Link, penalty: np.ndarray, start: np.ndarray | None = None, steps: int = ITERATIONS
) -> Solution:
    """Maximise the weighted log-likelihood - 1/2 sum(penalty * standardised coefficient^2).

    x: (n, columns), the first of them constant or none; penalty: (columns,), 0 for the constant
    start: coefficients to start from, on the original scale, if they are better than none; nearby, few steps do
    """
    scale = scaling(x, rows.weight)
    z, back = scale.apply(x), scale.back()
    b = np.zeros(x.shape[1])
    if has_constant(x):
        b[0] = _constant(link, rows)
    if start is not None:
        near = np.linalg.solve(back, start)
        if _height(z, rows, link, penalty, near) >= _height(z, rows, link, penalty, b):
            b = near
    beta = back @ _ascend(z, rows, link, penalty, b, steps)
    return Solution(beta, spread(rows, x @ beta) if link == "lognormal" else None)


def fit(
    x: np.ndarray,
    rows: Rows,
    link: Link,
    penalty: np.ndarray,
    start: np.ndarray | None = None,
    errors: Errors = "customer",
) -> Fit:
    """The solution with its covariance. errors: customer, scores are summed within customers; row, they are not."""
    beta, sigma = solve(x, rows, link, penalty, start)
    scale = scaling(x, rows.weight)
    back = scale.back()
    groups = rows.customer if errors == "customer" else np.arange(len(rows.y))
    inner = _sandwich(scale.apply(x), rows, link, x @ beta, penalty, groups)
    return Fit(beta, back @ inner @ back.T, sigma)


def _ascend(z: np.ndarray, rows: Rows, link: Link, penalty: np.ndarray, b: np.ndarray, steps: int) -> np.ndarray:
    """Fisher scoring; a step that does not raise the penalised quasi-likelihood is halved."""
    height = _height(z, rows, link, penalty, b)
    for _ in range(steps):
        eta = z @ b
        gradient, _ = derivatives(link, eta, rows)
        bread = cho_factor(information(z, rows, link, eta) + np.diag(penalty + 1e-10))
        step = cho_solve(bread, z.T @ (rows.weight * gradient) - penalty * b)
        for _ in range(HALVINGS):
            higher = _height(z, rows, link, penalty, b + step)
            if higher >= height:
                break
            step = step / 2
        else:
            return b
        b, height = b + step, higher
        if np.abs(step).max() < TOLERANCE:
            break
    return b


def _height(z: np.ndarray, rows: Rows, link: Link, penalty: np.ndarray, b: np.ndarray) -> float:
    """What the scoring steps climb: weighted (quasi-)log-likelihood less the penalty."""
    eta = z @ b
    if link == "lognormal":  # gamma quasi-likelihood
        each = -rows.y * np.exp(-np.clip(eta, -CLIP, CLIP)) - eta
    else:
        each = log_likelihood(link, eta, rows)
    return float(rows.weight @ each - 0.5 * (penalty * b) @ b)


def _constant(link: Link, rows: Rows) -> float:
    """The constant of a model that knows only the base rate, nearly."""
    total = float(rows.weight @ rows.y)
    if link == "lognormal":
        return float(np.log(total / rows.weight.sum()))
    share = np.clip(total / rows.weight.sum(), 1e-9, 1 - 1e-9)
    if link == "logit":
        return float(np.log(share / (1 - share)))
    return float(np.log(-np.log1p(-share) / np.average(rows.days, weights=rows.weight)))


def information(z: np.ndarray, rows: Rows, link: Link, eta: np.ndarray) -> np.ndarray:
    """Fisher information of the coefficients of z. -> (columns, columns)."""
    _, curvature = derivatives(link, eta, rows)
    return np.asarray((z * (rows.weight * curvature)[:, None]).T @ z)


def _sandwich(
    z: np.ndarray, rows: Rows, link: Link, eta: np.ndarray, penalty: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Huber-White covariance with scores summed within groups (Liang and Zeger 1986, Biometrika 73).

    Times g / (g - 1) for g groups (Cameron and Miller 2015, Journal of Human Resources 50). -> (columns, columns).
    """
    gradient, _ = derivatives(link, eta, rows)
    scores = by_customer(z * (rows.weight * gradient)[:, None], groups)
    few = len(scores) / max(len(scores) - 1, 1)
    bread = cho_factor(information(z, rows, link, eta) + np.diag(penalty + 1e-10))
    return np.asarray(few * cho_solve(bread, cho_solve(bread, scores.T @ scores).T))


def by_customer(values: np.ndarray, customer: np.ndarray) -> np.ndarray:
    """Sum the rows of each customer. (n, ...) -> (customers, ...)."""
    if not np.all(customer[1:] >= customer[:-1]):
        order = np.argsort(customer, kind="stable")
        values, customer = values[order], customer[order]
    first = np.flatnonzero(np.r_[True, customer[1:] != customer[:-1]])
    return np.asarray(np.add.reduceat(values, first, axis=0))


def log_likelihood(link: Link, eta: np.ndarray, rows: Rows, sigma: float | None = None) -> np.ndarray:
    """(n,) log-likelihood of each row, unweighted."""
    eta = np.clip(eta, -CLIP, CLIP)
    if link == "logit":
        return np.asarray(rows.y * eta - np.logaddexp(0, eta))
    if link == "rate":
        mu = rows.days * np.exp(eta)
        return np.asarray(np.where(rows.y > 0, np.log(np.maximum(-np.expm1(-mu), 1e-300)), -mu))
    s, logs = sigma or 1.0, np.log(rows.y)
    return np.asarray(-logs - np.log(s) - 0.5 * np.log(2 * np.pi) - (logs - eta + s**2 / 2) ** 2 / (2 * s**2))


def spread(rows: Rows, eta: np.ndarray) -> float:
    """Sigma of log-normal amounts with means exp(eta): v = sigma^2 solves v^2 + 4 v = 4 mean((log y - eta)^2)."""
    square = np.average((np.log(rows.y) - eta) ** 2, weights=rows.weight)
    return float(np.sqrt(max(-2 + 2 * np.sqrt(1 + square), 1e-6)))


def score_z(column: np.ndarray, gradient: np.ndarray, curvature: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """|z| of the score test for adding columns to a fitted model. column: (n, k) -> (k,)."""
    total = weight.sum()
    centred = column - weight @ column / total
    variance = (weight * curvature) @ centred**2
    return np.asarray(np.abs((weight * gradient) @ centred) / np.sqrt(np.maximum(variance, 1e-12)))
