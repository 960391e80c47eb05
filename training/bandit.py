"""Let the bandit learn: rounds of customers, each decided by the posterior of all rounds before.

    A = sum x x' / s^2 + I / p^2,   mean = A^-1 sum x r / s^2,   sample = mean + A^-1/2 z

with s^2 the variance of what the mean leaves unexplained and p^2 = s^2 / penalty; the penalty of each round is the one
of a few with the most evidence (MacKay 1992, "Bayesian interpolation"). The first round is the exploring policy's, so
that the posterior starts from every treatment; in the others every customer has a price of annoyance of its own: the
bandit explores wherever it may be steered to.
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
from training.experience import drawn_prices, explored
from training.progress import Advance

SAMPLES = 8  # of the posterior
ROUNDS = 4
PENALTIES = (3.0, 30.0, 300.0, 3000.0)  # in contacts
BLOCK = 20_000  # contacts whose columns are written at a time: bounds memory


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

    def mean(self) -> np.ndarray:  # (width, 2) float64
        """Ridge estimate of both targets; the intercept is free."""
        return np.asarray(cho_solve(self._factor(self.penalty), self.moment))

    def samples(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, width, 2) float64, drawn from the posterior."""
        factor, _ = self._factor(self.penalty)
        noise = np.sqrt(self._unexplained(self.penalty) / max(self.count, 1))
        mean = self.mean()
        spread = solve_triangular(np.tril(factor), rng.normal(size=(len(mean), count * 2)), lower=True, trans="T")
        return np.asarray(mean + noise * spread.reshape(len(mean), count, 2).transpose(1, 0, 2))

    @property
    def penalty(self) -> float:
        """The one with the most evidence for what contacts brought."""
        return max(PENALTIES, key=self.evidence)

    def evidence(self, penalty: float) -> float:
        """Logarithm of the marginal likelihood of the first target, up to a constant, its noise at the best value.

        log p = d/2 log penalty - 1/2 log |X'X + penalty| - n/2 log((y'y - y'X (X'X + penalty)^-1 X'y) / n)
        """
        factor, _ = self._factor(penalty)
        volume = 2 * float(np.log(np.diag(factor)).sum())
        left = max(float(self._unexplained(penalty)[0]), 1e-12)
        return float(0.5 * ((len(self.gram) - 1) * np.log(penalty) - volume - self.count * np.log(left / self.count)))

    def _unexplained(self, penalty: float) -> np.ndarray:  # (2,) float64
        """y'y - y'X (X'X + penalty)^-1 X'y of both targets: squares left over, and the squares of the weights."""
        mean = cho_solve(self._factor(penalty), self.moment)
        return np.asarray(np.maximum(self.square - (mean * self.moment).sum(axis=0), 0.0))

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
    posterior = Posterior(design)
    posterior.add(first, rows)
    for group in groups:
        if len(group):
            policy, prices = _policy(posterior, rng), drawn_prices(world.encoder, len(group), rng)
            found = explored(world, group, days, seed=seed, policy=policy, annoyance=prices, advance=advance)
            posterior.add(found, found.contacts)
            spent += found.customer_days
    return _policy(posterior, rng), spent


def _policy(posterior: Posterior, rng: np.random.Generator) -> LinearThompson:
    samples, design = posterior.samples(SAMPLES, rng), posterior.design
    brings, upsets = (design.linear(samples[:, :-1, k], samples[:, -1, k]) for k in range(2))
    return LinearThompson(design.pairs, brings, upsets)
