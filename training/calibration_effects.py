"""Customers differ for good: a random intercept for a head, kept where the likelihood ratio asks for it.

Each head is fitted by itself, on whole customers. The simulator draws one number per customer (`latent.frailty`), which
every head scales by its own sigma: which heads move together is read off the likeliest values of the customers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from envs.response import Hidden
from training.calibration_findings import Finding
from training.calibration_rows import HeadRows
from training.glm import solve
from training.random_effects import Mixed, fit_mixed, overdispersion

FRAILTY = "latent.frailty"
ALPHA = 0.01  # of the likelihood-ratio test against no effect; assumed: one false effect in a hundred heads
WORTH_FITTING = 1.645  # z of the score test below which the integral is not computed
CELLS = 8_000_000  # rows x features of whole customers on which an effect is fitted
ROWS = (20_000, 400_000)  # fewest and most of these rows
SHARE = 0.5  # share of a head's rows that can be afforded, below which an effect would cost more than it explains
REPEATED = 1.5  # rows per customer below which an effect cannot be told from noise; assumed

HIDDEN = Hidden(
    care_heals=0.0, factors=1, own_taste=0.0, own_reach=0.0, source="of hidden states, only the frailty was estimated"
)  # what a calibrated world hides


@dataclass(frozen=True)
class Effect:
    """The effect of a customer on one head."""

    sigma: float  # its spread on the scale of the linear predictor
    se: float
    ratio: float  # likelihood-ratio statistic against none
    p: float
    customers: int
    correlation: float | None  # of the customers' likeliest values with those of the strongest head; it gives the sign


def whole_customers(head: HeadRows, features: int, rng: np.random.Generator) -> HeadRows:
    """All rows of as many customers, drawn at random, as can be afforded with so many features."""
    most = affordable(features)
    ids, position = np.unique(head.rows.customer, return_inverse=True)
    order = rng.permutation(len(ids))
    size = np.bincount(position)[order]
    drawn = np.zeros(len(ids), bool)
    drawn[order[: max(int(np.searchsorted(np.cumsum(size), most, side="right")), 1)]] = True
    return head.take(np.flatnonzero(drawn[position]))


def affordable(features: int) -> int:
    """Rows on which an effect can be fitted beside so many features."""
    return int(np.clip(CELLS // max(features, 1), *ROWS))


def repeats(head: HeadRows) -> bool:
    """Can an effect be seen: several rows per customer, and a response that has one?"""
    customers = max(len(np.unique(head.rows.customer)), 1)
    return head.link != "lognormal" and len(head.look) >= REPEATED * customers


def too_large(head: HeadRows, features: int) -> tuple[Finding, ...]:
    """Said of a head whose effect cannot be afforded."""
    rows, most = len(head.look), affordable(features)
    if most >= SHARE * rows:
        return ()
    evidence = f"{rows:,} rows of {features} features, where {most:,} can be afforded"
    return (Finding(f"head {head.name}", "whether customers differ for good", evidence, "they do not"),)


def tested(x: np.ndarray, head: HeadRows, penalty: np.ndarray, start: np.ndarray) -> Mixed | None:
    """The head with an effect, if the data ask for one. x: (n, features) on whole customers."""
    alone = solve(x, head.rows, head.link, penalty, start).beta
    if overdispersion(x @ alone, head.rows, head.link) < WORTH_FITTING:
        return None
    mixed = fit_mixed(x, head.rows, head.link, penalty, alone)
    return mixed if mixed.converged and mixed.p < ALPHA else None


def correlations(modes: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[float]:
    """Correlation of each head's likeliest values with the first's, over the customers that both have.

    modes: of each head, customers (n,) int, ascending, and values (n,) float
    """
    first: tuple[np.ndarray, np.ndarray] | None = None
    for customers, values in modes:
        first = first or (customers, values)
        _, here, there = np.intersect1d(customers, first[0], return_indices=True)
        mine, theirs = values[here], first[1][there]
        spread = mine.std() * theirs.std() if len(here) > 2 else 0.0
        yield float(((mine - mine.mean()) * (theirs - theirs.mean())).mean() / spread) if spread > 0 else 0.0
