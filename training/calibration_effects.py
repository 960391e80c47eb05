"""Customers differ for good: a random intercept for a head, kept where the likelihood ratio asks for it.

Each head is fitted by itself, on whole customers, as many as can be afforded. The simulator draws one number per
customer (`latent.frailty`), which every head scales by its own sigma: which heads move together is read off the
likeliest values of the customers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from envs.response import Hidden
from training.calibration_rows import HeadRows
from training.glm import Errors, Fit, Link, fit
from training.random_effects import START, Mixed, fit_mixed, overdispersion

FRAILTY = "latent.frailty"
ALPHA = 0.01  # of the likelihood-ratio test against no effect; assumed: one false effect in a hundred heads
WORTH_FITTING = 1.645  # z of the score test below which the integral is not computed
CELLS = 8_000_000  # rows x features of whole customers on which an effect is fitted
ROWS = (20_000, 400_000)  # fewest and most of these rows
ATTENUATION = (16 * 3**0.5 / (15 * np.pi)) ** 2  # of logit coefficients, per sigma^2
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


@dataclass(frozen=True)
class Sample:
    """All rows of some customers."""

    head: HeadRows
    share: float  # of the head's rows


def whole_customers(head: HeadRows, features: int, rng: np.random.Generator) -> Sample:
    """All rows of as many customers, drawn at random, as can be afforded with so many features."""
    most = int(np.clip(CELLS // max(features, 1), *ROWS))
    ids, position = np.unique(head.rows.customer, return_inverse=True)
    order = rng.permutation(len(ids))
    size = np.bincount(position)[order]
    drawn = np.zeros(len(ids), bool)
    drawn[order[: max(int(np.searchsorted(np.cumsum(size), most, side="right")), 1)]] = True
    some = head.take(np.flatnonzero(drawn[position]))
    return Sample(some, len(some.look) / max(len(head.look), 1))


def repeats(head: HeadRows) -> bool:
    """Can an effect be seen: several rows per customer, and a response that has one?"""
    customers = max(len(np.unique(head.rows.customer)), 1)
    return head.link != "lognormal" and len(head.look) >= REPEATED * customers


def with_effect(
    x: np.ndarray,
    sample: Sample,
    penalty: np.ndarray,
    whole: np.ndarray,
    whole_se: np.ndarray,
    sigma: float | None,
    errors: Errors,
) -> Mixed | None:
    """The sample's head with an effect, pooled with the fit without one on the rows of the whole log.

    x: (n, features); penalty, whole, whole_se: (features,). sigma: where to start; None: first ask whether there is one
    """
    rows, link = sample.head.rows, sample.head.link
    if not (sample.head.events and (rows.y == 0).any()):
        return None
    alone = fit(x, rows, link, penalty, whole, errors)
    if sigma is None and overdispersion(x @ alone.beta, rows, link) < WORTH_FITTING:
        return None
    mixed = fit_mixed(x, rows, link, penalty, alone.beta, START if sigma is None else sigma)
    if sigma is None and not (mixed.converged and mixed.p < ALPHA):
        return None
    return mixed if sample.share == 1.0 else pooled(mixed, alone, whole, whole_se, link)


def pooled(mixed: Mixed, alone: Fit, whole: np.ndarray, whole_se: np.ndarray, link: Link) -> Mixed:
    """Coefficients with an effect, moved as far as those without one move from the sample to the whole log.

    Two estimates of one coefficient without an effect, the sample's and the whole's, pool by inverse variance; the
    coefficient with an effect follows, larger by what averaging over customers takes away from a logit (Zeger, Liang
    and Albert 1988, Biometrics 44). The variance that the pooling saves is taken off.
    """
    factor = np.sqrt(1 + ATTENUATION * mixed.sigma**2) if link == "logit" else 1.0
    variance, before = alone.se**2, mixed.se[:-1] ** 2
    weight = variance / np.maximum(variance + whole_se**2, 1e-300)
    left = np.maximum(before - factor**2 * weight * variance, (1 - weight) * before)
    scale = np.append(np.sqrt(left / np.maximum(before, 1e-300)), 1.0)
    beta = mixed.beta + factor * weight * (whole - alone.beta)
    covariance, influence = mixed.covariance * np.outer(scale, scale), mixed.influence * scale
    return replace(mixed, beta=beta, covariance=covariance, influence=influence)


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
