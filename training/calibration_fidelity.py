"""Fidelity: how well a fitted head predicts customers that it has not seen, against a model of base rates alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.glm import Link, Rows, by_customer, fit, log_likelihood

BINS = 10


@dataclass(frozen=True)
class Bin:
    """A tenth of the held-out rows, by prediction."""

    predicted: float
    observed: float
    se: float
    rows: int


@dataclass(frozen=True)
class Fidelity:
    """How well a head fits customers that it has not seen; NaN where there are none."""

    rows: int
    log_likelihood: float  # per row
    base: float  # per row, of a model that knows only the base rate
    gain: float  # log_likelihood - base
    gain_se: float  # over customers
    bins: tuple[Bin, ...]


def fidelity(link: Link, eta: np.ndarray, sigma: float | None, inside: Rows, outside: Rows) -> Fidelity:
    """eta: (n,) linear predictor in the rows held out; inside: the rows fitted on, for the base rate."""
    if not len(outside.y):
        return Fidelity(0, np.nan, np.nan, np.nan, np.nan, ())
    base = fit(np.ones((len(inside.y), 1)), inside, link, np.zeros(1))
    ours = log_likelihood(link, eta, outside, sigma)
    theirs = log_likelihood(link, np.full(len(eta), base.beta[0]), outside, base.sigma)
    weight, total = outside.weight, outside.weight.sum()
    difference = by_customer(weight * (ours - theirs), outside.customer)
    return Fidelity(
        rows=len(outside.y),
        log_likelihood=float(weight @ ours / total),
        base=float(weight @ theirs / total),
        gain=float(difference.sum() / total),
        gain_se=float(difference.std() * np.sqrt(len(difference)) / total),
        bins=tuple(bins(predicted(link, eta, outside), outside)),
    )


def predicted(link: Link, eta: np.ndarray, rows: Rows) -> np.ndarray:  # (n,) float64
    """Probability, or mean amount."""
    if link == "logit":
        return np.asarray(1 / (1 + np.exp(-eta)))
    return np.asarray(-np.expm1(-rows.days * np.exp(eta)) if link == "rate" else np.exp(eta))


def bins(prediction: np.ndarray, rows: Rows) -> list[Bin]:
    """Tenths of the rows by prediction, by weight; equal predictions stay together."""
    order = np.argsort(prediction, kind="stable")
    place = np.cumsum(rows.weight[order]) / rows.weight.sum()
    edges = np.unique(prediction[order][np.searchsorted(place, np.arange(1, BINS) / BINS)])
    group = np.searchsorted(edges, prediction, side="right")
    out = []
    for number in np.unique(group):
        which = np.flatnonzero(group == number)
        w = rows.weight[which]
        observed = float(np.average(rows.y[which], weights=w))
        variance = float((w**2 @ (rows.y[which] - observed) ** 2) / w.sum() ** 2)
        out.append(Bin(float(np.average(prediction[which], weights=w)), observed, variance**0.5, len(which)))
    return out
