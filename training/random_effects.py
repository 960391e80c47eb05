"""A random intercept per customer, integrated out: eta = x beta + sigma u, u ~ N(0, 1), one u per customer.

The likelihood of a customer, the integral over u of the product of the rows' likelihoods, is computed by adaptive
Gauss-Hermite quadrature: nodes around the mode of each customer's integrand (Pinheiro and Bates 1995, Journal of
Computational and Graphical Statistics 4). It is even in sigma, so sigma is free in the search and its absolute value is
the estimate. Gradient and observed information follow from Louis (1982, JRSS B 44). Against sigma = 0, on the edge of
what is possible, the likelihood ratio is half a chi-square with one degree of freedom (Self and Liang 1987, JASA 82).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import ndtr

from training.glm import CLIP, Link, Rows, by_customer, derivatives, log_likelihood, scaling

NODES = 9
START = 0.5  # sigma at which the search begins
MODES = 6  # scoring steps towards each customer's mode
ITERATIONS = 30
TOLERANCE = 1e-5  # largest standardised step at convergence
POINTS, WEIGHTS = np.polynomial.hermite_e.hermegauss(NODES)  # of exp(-u^2 / 2)


@dataclass(frozen=True)
class Mixed:
    """Coefficients with the spread of the customers' own intercepts."""

    beta: np.ndarray  # (columns,) float64
    sigma: float
    covariance: np.ndarray  # (columns + 1, columns + 1), robust, clustered by customer; sigma last
    ratio: float  # 2 x (log-likelihood - that at sigma = 0)
    modes: np.ndarray  # (customers,) float64, the likeliest u of each
    influence: np.ndarray  # (customers, columns + 1): what a unit of a customer's weight adds to the coefficients
    converged: bool

    @property
    def theta(self) -> np.ndarray:  # (columns + 1,) float64
        """Coefficients, then sigma."""
        return np.append(self.beta, self.sigma)

    @property
    def p(self) -> float:
        """Of the likelihood ratio against sigma = 0."""
        return float(ndtr(-np.sqrt(max(self.ratio, 0.0))))  # half of P(chi-square_1 > ratio)

    @property
    def se(self) -> np.ndarray:  # (columns + 1,) float64
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


def overdispersion(eta: np.ndarray, rows: Rows, link: Link) -> float:
    """z of the score test of sigma = 0 (Commenges and Jacqmin-Gadda 1997, JRSS B 59): large if customers differ."""
    gradient, curvature = derivatives(link, eta, rows)
    together = by_customer(rows.weight * gradient, rows.customer)
    excess = together**2 - by_customer(rows.weight * curvature, rows.customer)
    return float(excess.sum() / max(np.sqrt((excess**2).sum()), 1e-12))


@dataclass(frozen=True)
class _Problem:
    """Standardised columns and rows sorted by customer."""

    z: np.ndarray  # (n, columns)
    rows: Rows
    link: Link
    penalty: np.ndarray  # (columns,)
    of: np.ndarray  # (n,) int64, position of the customer

    def sums(self, values: np.ndarray) -> np.ndarray:  # (customers, ...)
        return by_customer(values, self.of)


@dataclass(frozen=True)
class _Posterior:
    """What the data say of each customer's u, at nodes around its mode."""

    height: float  # log-likelihood less the penalty
    modes: np.ndarray  # (customers,)
    nodes: np.ndarray  # (NODES, customers)
    share: np.ndarray  # (NODES, customers), posterior weight


def fit_mixed(
    x: np.ndarray, rows: Rows, link: Link, penalty: np.ndarray, start: np.ndarray, sigma: float = START
) -> Mixed:
    """Maximise the marginal log-likelihood - 1/2 sum(penalty * standardised coefficient^2) by Newton's method.

    x: (n, columns); start: (columns,) coefficients without the effect; rows.weight counts how often a row was seen
    """
    order = np.argsort(rows.customer, kind="stable")
    x, rows = x[order], rows.take(order)
    of = np.cumsum(np.r_[0, rows.customer[1:] != rows.customer[:-1]])
    scale = scaling(x, rows.weight)
    problem, back = _Problem(scale.apply(x), rows, link, penalty, of), scale.back()
    theta = np.r_[np.linalg.solve(back, start), sigma]
    alone = theta[:-1] @ (penalty * theta[:-1]) / 2
    none = float(rows.weight @ log_likelihood(link, x @ start, rows) - alone)
    now, converged = _posterior(problem, theta, None), False
    for _ in range(ITERATIONS):
        scores, inner = _scores_and_information(problem, theta, now)
        theta, after, size = _step(problem, theta, now, scores, inner)
        now = after
        if size < TOLERANCE:
            converged = True
            break
    return _mixed(problem, theta, now, none, back, converged)


def _mixed(
    problem: _Problem, theta: np.ndarray, now: _Posterior, none: float, back: np.ndarray, converged: bool
) -> Mixed:
    """On the original scale, sigma positive."""
    if theta[-1] < 0:
        theta = np.r_[theta[:-1], -theta[-1]]
        now = _posterior(problem, theta, -now.modes)
    scores, inner = _scores_and_information(problem, theta, now)
    wide = np.eye(len(theta))
    wide[:-1, :-1] = back
    influence = np.linalg.lstsq(inner, scores.T, rcond=None)[0].T @ wide.T
    few = len(scores) / max(len(scores) - 1, 1)
    covariance = few * influence.T @ influence
    return Mixed(
        back @ theta[:-1], float(theta[-1]), covariance, 2 * (now.height - none), now.modes, influence, converged
    )


def _step(
    problem: _Problem, theta: np.ndarray, now: _Posterior, scores: np.ndarray, inner: np.ndarray
) -> tuple[np.ndarray, _Posterior, float]:
    """A Newton step, halved until it climbs; where the information is not positive, that of the scores stands in."""
    gradient = scores.sum(axis=0) - np.r_[problem.penalty * theta[:-1], 0.0]
    try:
        step = cho_solve(cho_factor(inner), gradient)
    except LinAlgError:
        outer = scores.T @ scores + np.diag(np.r_[problem.penalty, 0.0] + 1e-8)
        step = cho_solve(cho_factor(outer), gradient)
    for _ in range(20):
        after = _posterior(problem, theta + step, now.modes)
        if after.height >= now.height:
            return theta + step, after, float(np.abs(step).max())
        step = step / 2
    return theta, now, 0.0


def _posterior(problem: _Problem, theta: np.ndarray, modes: np.ndarray | None) -> _Posterior:
    """The integrals over u, and the weight of each node in them."""
    b, sigma, rows, of = theta[:-1], theta[-1], problem.rows, problem.of
    eta = problem.z @ b
    u = np.zeros(of[-1] + 1) if modes is None else modes
    for _ in range(MODES):
        gradient, curvature = derivatives(problem.link, eta + sigma * u[of], rows)
        slope = sigma * problem.sums(rows.weight * gradient) - u
        bend = sigma**2 * problem.sums(rows.weight * curvature) + 1
        u = u + np.clip(slope / bend, -2, 2)
    width = 1 / np.sqrt(bend)
    nodes = u + POINTS[:, None] * width
    logs = np.empty_like(nodes)
    for q in range(NODES):
        each = log_likelihood(problem.link, eta + sigma * nodes[q][of], rows)
        logs[q] = problem.sums(rows.weight * each) - nodes[q] ** 2 / 2 + POINTS[q] ** 2 / 2 + np.log(WEIGHTS[q])
    top = logs.max(axis=0)
    share = np.exp(logs - top)
    total = share.sum(axis=0)
    height = float((top + np.log(total * width) - np.log(2 * np.pi) / 2).sum() - b @ (problem.penalty * b) / 2)
    return _Posterior(height, u, nodes, share / total)


def _scores_and_information(problem: _Problem, theta: np.ndarray, now: _Posterior) -> tuple[np.ndarray, np.ndarray]:
    """Score of each customer (customers, columns + 1) and the observed information with the penalty, by Louis."""
    rows, of, z = problem.rows, problem.of, problem.z
    eta, size = z @ theta[:-1], len(theta)
    scores = np.zeros((of[-1] + 1, size))
    inner = np.diag(np.r_[problem.penalty, 0.0])
    bend, cross, last = np.zeros(len(eta)), np.zeros(len(eta)), 0.0
    for u, share in zip(now.nodes, now.share, strict=True):
        gradient, curvature = _exact(problem.link, eta + theta[-1] * u[of], rows)
        gradient, curvature, weight, at = rows.weight * gradient, rows.weight * curvature, share[of], u[of]
        one = np.column_stack([problem.sums(z * gradient[:, None]), problem.sums(gradient) * u])
        scores += share[:, None] * one
        inner -= one.T @ (share[:, None] * one)
        bend += weight * curvature
        cross += weight * curvature * at
        last += float(weight @ (curvature * at**2))
    inner += scores.T @ scores
    inner[:-1, :-1] += (z * bend[:, None]).T @ z
    inner[:-1, -1] += z.T @ cross
    inner[-1, :-1] += z.T @ cross
    inner[-1, -1] += last
    return scores, inner


def _exact(link: Link, eta: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and observed curvature, - d2 log L / d eta2, of each row. Each (n,)."""
    gradient, curvature = derivatives(link, eta, rows)
    if link == "rate":
        mu = rows.days * np.exp(np.clip(eta, -CLIP, CLIP))
        p = np.maximum(-np.expm1(-mu), 1e-300)
        curvature = -gradient + rows.y * mu**2 * (1 - p) / p**2
    return gradient, curvature


def marginal(link: Link, eta: np.ndarray, sigma: float, days: np.ndarray) -> np.ndarray:
    """The linear predictor whose probability is the mean over u ~ N(0, 1) of that of eta + sigma u. -> (n,)."""
    mean = np.zeros(len(eta))
    for point, weight in zip(POINTS, WEIGHTS / WEIGHTS.sum(), strict=True):
        each = np.clip(eta + sigma * point, -CLIP, CLIP)
        mean += weight * (1 / (1 + np.exp(-each)) if link == "logit" else -np.expm1(-days * np.exp(each)))
    mean = np.clip(mean, 1e-300, 1 - 1e-16)
    if link == "logit":
        return np.asarray(np.log(mean) - np.log1p(-mean))
    return np.asarray(np.log(-np.log1p(-mean) / days))
