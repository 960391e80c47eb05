"""Let the bandit learn: rounds of customers, each decided by the posterior of all rounds before.

    A = sum x x' / s^2 + I / p^2,   mean = A^-1 sum x r / s^2,   sample = mean + A^-1/2 z

with s^2 the variance of what the mean leaves unexplained and p^2 = s^2 / penalty; the penalty is the best of a few on
customers of the first round that were kept out. The first round is the exploring policy's, so that the posterior starts
from every treatment.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from agents.bandit import LinearThompson
from agents.experience import Experience
from agents.linear import Design
from agents.pairs import Pairs
from envs.world import World
from training.experience import explored
from training.runs import Advance

SAMPLES = 8  # of the posterior
ROUNDS = 4
PENALTIES = (30.0, 300.0, 3000.0, 30_000.0)  # in contacts
BLOCK = 20_000  # contacts whose columns are written at a time: bounds memory
HELD_OUT = 0.3  # of the first round's customers


class Posterior:
    """Sums of a linear regression with two targets: what a contact brought, and how it upset."""

    def __init__(self, design: Design) -> None:
        width = design.width + 1  # and an intercept
        self.design, self.gram = design, np.zeros((width, width))
        self.moment, self.square, self.count = np.zeros((width, 2)), np.zeros(2), 0

    def add(self, experience: Experience, rows: np.ndarray) -> None:
        """More contacts. rows: (m,) int, of the experience."""
        for x, y in blocks(self.design, experience, rows):
            self.gram += x.T @ x
            self.moment += x.T @ y
            self.square += (y**2).sum(axis=0)
            self.count += len(x)

    def mean(self, penalty: float) -> np.ndarray:  # (width, 2) float64
        """Ridge estimate of both targets; the intercept is free."""
        return np.asarray(cho_solve(self._factor(penalty), self.moment))

    def samples(self, penalty: float, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, width, 2) float64, drawn from the posterior."""
        mean, (factor, _) = self.mean(penalty), self._factor(penalty)
        rest = self.square - 2 * (mean * self.moment).sum(axis=0) + ((self.gram @ mean) * mean).sum(axis=0)
        noise = np.sqrt(np.maximum(rest, 0.0) / max(self.count, 1))
        spread = solve_triangular(np.tril(factor), rng.normal(size=(len(mean), count * 2)), lower=True, trans="T")
        return np.asarray(mean + noise * spread.reshape(len(mean), count, 2).transpose(1, 0, 2))

    def _factor(self, penalty: float) -> tuple[np.ndarray, bool]:
        ridge = np.full(len(self.gram), penalty)
        ridge[-1] = 1e-6 * max(self.count, 1)
        factor, lower = cho_factor(self.gram + np.diag(ridge), lower=True)
        return factor, bool(lower)


def blocks(design: Design, experience: Experience, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Columns with an intercept, and the two targets, a block at a time."""
    cost = design.pairs.catalogue.cost
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        treatment = experience.treatment[some]
        x = design.columns(experience.observation, some, treatment)
        benefits = np.where(experience.signed[some], np.maximum(experience.cost[some] - cost[treatment], 0.0), 0.0)
        y = np.stack([experience.value[some] - benefits, experience.upset[some]], axis=1)
        yield np.append(x, np.ones((len(x), 1)), axis=1), y


def learn_bandit(
    world: World,
    customers: np.ndarray,
    days: int,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
    first: Experience | None = None,
    advance: Advance | None = None,
) -> tuple[LinearThompson, int]:
    """The bandit after some rounds, and the customer-days they took.

    customers: (n,) int, divided among the rounds; first: experience to start from, instead of a round of exploring
    """
    rng, pairs = np.random.default_rng(seed), Pairs(world.encoder)
    groups = np.array_split(customers, rounds)
    if first is None:
        first, groups = explored(world, groups[0], days, seed=seed, advance=advance), groups[1:]
    spent, rows = first.customer_days, first.contacts
    design = Design.of(pairs, first.observation, rows, first.treatment[rows])
    penalty = _penalty(design, first, rng)
    posterior = Posterior(design)
    posterior.add(first, rows)
    for group in groups:
        if len(group):
            found = explored(world, group, days, seed=seed, policy=_policy(posterior, penalty, rng), advance=advance)
            posterior.add(found, found.contacts)
            spent += found.customer_days
    return _policy(posterior, penalty, rng), spent


def _policy(posterior: Posterior, penalty: float, rng: np.random.Generator) -> LinearThompson:
    samples, design = posterior.samples(penalty, SAMPLES, rng), posterior.design
    brings, upsets = (design.linear(samples[:, :-1, k], samples[:, -1, k]) for k in range(2))
    return LinearThompson(design.pairs, brings, upsets)


def _penalty(design: Design, experience: Experience, rng: np.random.Generator) -> float:
    """The penalty with the least squared error of what contacts brought, on customers kept out."""
    fit, held = (
        np.intersect1d(np.flatnonzero(group), experience.contacts)
        for group in experience.parts((1 - HELD_OUT, HELD_OUT), rng)
    )
    posterior = Posterior(design)
    posterior.add(experience, fit)
    errors = [
        sum(float(((y - x @ posterior.mean(penalty))[:, 0] ** 2).sum()) for x, y in blocks(design, experience, held))
        for penalty in PENALTIES
    ]
    return PENALTIES[int(np.argmin(errors))]
