"""Checks of one head on customers that calibration never read: is it right on average, in groups, between customers?

Every check gives an estimate, a 95 % interval and z, its distance from what an adequate head would show, in standard
errors that respect customers (rows of one customer are not independent).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

from training.fidelity_rows import Sample
from training.glm import Link, Rows, by_customer, derivatives, fit

Fault = Literal["too stiff", "miscalibrated", "drifts"]
NORMAL = 1.959964  # the 97.5 % point of the standard normal
BINS = 10
MISSING = "differences between rows that LightGBM sees and the head does not"
OVERALL = "differences between customers that the head does not know"
ON_CHANNEL, FOR_PRODUCT = (f"{OVERALL}, {where}" for where in ("on each channel", "for each product"))


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    kind: str  # which check, in the words of the thresholds
    fault: Fault  # what the head is called if it fails
    what: str  # in plain words
    value: float  # the estimate
    lo: float  # 95 % interval
    hi: float
    z: float  # distance from an adequate head, in standard errors
    off: bool  # outside the bounds of the thresholds

    def failed(self, certain: float) -> bool:
        """True if it is both large and certain. certain: |z| that luck reaches nowhere in the report."""
        return self.off and abs(self.z) > certain


@dataclass(frozen=True)
class Group:
    """Some rows of a head: what it says of them, and what happened."""

    by: str  # what the rows are grouped by
    label: str
    rows: int
    expected: float  # mean, by the head
    observed: float  # mean, in the log
    se: float  # of observed - expected, clustered by customer
    judged: bool  # enough events to be judged

    @property
    def error(self) -> float:
        """observed - expected as a share of what is expected, of the rarer of event and no event."""
        return (self.observed - self.expected) / self.scale

    @property
    def scale(self) -> float:
        return min(self.expected, 1 - self.expected) if 0 < self.expected < 1 else self.expected

    def check(self, kind: str, fault: Fault, bound: float) -> Check:
        """Is the head right in these rows?"""
        half = NORMAL * self.se / self.scale
        z = (self.observed - self.expected) / self.se if self.se > 0 else 0.0
        what = self.by if not self.label else f"{self.by} {self.label}"
        return Check(kind, fault, what, self.error, self.error - half, self.error + half, z, abs(self.error) > bound)


def grouped(sample: Sample, by: str, code: np.ndarray, labels: Sequence[str], least: float) -> list[Group]:
    """The head in groups of rows. code: (n,) int, position in labels, -1: in no group."""
    groups: list[Group] = []
    if len(np.unique(code[code >= 0])) < 2:  # one group says what all rows say
        return groups
    for number, label in enumerate(labels):
        rows = np.flatnonzero(code == number)
        if len(rows):
            groups.append(group(sample.take(rows), by, label, least))
    return groups


def group(sample: Sample, by: str, label: str, least: float) -> Group:
    """The head in these rows, taken together."""
    rows, mean = sample.rows, sample.mean
    total = rows.weight.sum()
    residual = rows.weight * (rows.y - mean)
    clustered = (by_customer(residual, rows.customer) ** 2).sum()
    # If the head is right, rows vary by this much, whatever the few rows at hand show.
    if sample.is_amount:
        each, enough = mean**2 * np.expm1((sample.head.head.sigma or 0.0) ** 2), len(rows.y) >= least
    else:
        each, enough = mean * (1 - mean), min(mean.sum(), (1 - mean).sum()) >= least
    likely = rows.weight @ (sample.thin * each)
    se = float(np.sqrt(max(clustered, likely)) / total)
    expected, observed = (float(rows.weight @ values / total) for values in (mean, rows.y))
    return Group(by, label, len(rows.y), expected, observed, se, bool(enough and se > 0))


def quantile_groups(sample: Sample, least: float) -> list[Group]:
    """Of amounts: how many fall into each tenth of their predicted distribution, which should be a tenth of them.

    Dawid (1984), JRSS A 147; Gneiting, Balabdaoui and Raftery (2007), JRSS B 69: probability integral transform.
    """
    if not sample.is_amount:
        return []
    rows, sigma = sample.rows, sample.head.head.sigma or 1.0
    place = ndtr((np.log(rows.y) - sample.eta + sigma**2 / 2) / sigma)
    tenth = np.minimum((BINS * place).astype(np.int64), BINS - 1)
    total, groups = rows.weight.sum(), []
    for number in range(BINS):
        off = rows.weight * ((tenth == number) - 1 / BINS)
        se = float(np.sqrt((by_customer(off, rows.customer) ** 2).sum()) / total)
        label, observed = f"{number + 1} of 10", float(rows.weight @ (tenth == number) / total)
        enough = len(tenth) / BINS >= least
        groups.append(Group("tenth of the predicted distribution", label, len(tenth), 1 / BINS, observed, se, enough))
    return groups


def tenths(prediction: np.ndarray, weight: np.ndarray) -> np.ndarray:  # (n,) int
    """The tenth of the rows, by prediction and weight, that each row lies in; equal predictions stay together."""
    order = np.argsort(prediction, kind="stable")
    place = np.cumsum(weight[order]) / weight.sum()
    edges = np.unique(prediction[order][np.searchsorted(place, np.arange(1, BINS) / BINS)])
    return np.asarray(np.searchsorted(edges, prediction, side="right"))


def recalibration(sample: Sample, slope_bound: float, bend_bound: float) -> list[Check]:
    """Slope and curvature of the calibration curve on the scale of the linear predictor.

    Slope: Cox (1958), Biometrika 45; below 1 the head's differences between rows are too large. Curvature: the link
    test of Pregibon (1980), Applied Statistics 29: the squared predictor adds nothing if the form is right.
    """
    eta, weight = sample.eta, sample.rows.weight
    mean = weight @ eta / weight.sum()
    spread = float(np.sqrt(weight @ (eta - mean) ** 2 / weight.sum()))
    if spread < 0.05:  # a head that says nearly the same of everybody has no curve
        return []
    x = (eta - mean) / spread
    line = fit(np.stack([np.ones_like(x), x], axis=1), sample.rows, sample.data.link, np.zeros(2))
    curve = fit(np.stack([np.ones_like(x), x, x**2], axis=1), sample.rows, sample.data.link, np.zeros(3))
    slope, slope_se = line.beta[1] / spread, line.se[1] / spread
    off = abs(np.log(max(slope, 1e-9))) > slope_bound
    checks = [_normal("slope", "miscalibrated", "slope of the calibration curve", slope, slope_se, 1.0, bool(off))]
    bend, bend_se = curve.beta[2], curve.se[2]
    text = "curvature of the calibration curve"
    return [*checks, _normal("bend", "miscalibrated", text, bend, bend_se, 0.0, abs(bend) > bend_bound)]


def missing(sample: Sample, other: np.ndarray, bound: float) -> Check:
    """How far another model sees differences that the head does not: an encompassing test.

    other: (n,) the other model's linear predictor. Fits 1, eta and other - eta; the value is the coefficient of the
    last times its spread. Chong and Hendry (1986), Review of Economic Studies 53; Clements and Harvey (2010) for
    probabilities.
    """
    gap, weight = other - sample.eta, sample.rows.weight
    gap = gap - weight @ gap / weight.sum()
    spread = float(np.sqrt(weight @ gap**2 / weight.sum()))
    if spread < 1e-6:
        return Check("missing", "too stiff", MISSING, 0.0, 0.0, 0.0, 0.0, False)
    x = np.stack([np.ones_like(gap), sample.eta, gap / spread], axis=1)
    found = fit(x, sample.rows, sample.data.link, np.zeros(3))
    value, se = found.beta[2], found.se[2]
    lo, best, hi = (max(value + side * NORMAL * se, 0.0) for side in (-1, 0, 1))
    z = best / se if se > 0 else 0.0
    return Check("missing", "too stiff", MISSING, float(best), float(lo), float(hi), float(z), bool(value > bound))


def between_customers(sample: Sample, what: str, unit: np.ndarray, bound: float) -> Check:
    """Do rows of one customer turn out alike, beyond what the head says?

    If the head's probabilities given the history are right, residuals of two rows of a customer are uncorrelated,
    whatever the customer is like. A random effect of variance v makes the mean product about v g_i g_j, with g the
    slope of the mean in the linear predictor: the score test of a variance (Liang 1987, Biometrika 74).

    what: in words; unit: (n,) int, rows that an effect would share (all of the customer's, or those on one channel)
    """
    rows, r, g = sample.rows, *_residual_and_slope(sample)
    count = rows.weight / sample.thin
    inside = sample.thin * count * (count - 1)  # pairs of days that one row stands for
    key = rows.customer * (int(unit.max(initial=0)) + 2) + unit
    sums = np.stack([rows.weight * r, (rows.weight * r) ** 2 - inside * r**2], axis=1)
    slopes = np.stack([rows.weight * g, (rows.weight * g) ** 2 - inside * g**2], axis=1)
    by_unit, slope_by_unit = by_customer(sums, key), by_customer(slopes, key)
    customer = by_customer(rows.customer[:, None], key)[:, 0] // by_customer(np.ones((len(key), 1)), key)[:, 0]
    pairs = by_customer(by_unit[:, 0] ** 2 - by_unit[:, 1], customer.astype(np.int64))
    scale = by_customer(slope_by_unit[:, 0] ** 2 - slope_by_unit[:, 1], customer.astype(np.int64))
    total = scale.sum()
    if total < 1e-9:  # one row a customer: nothing to compare
        return Check("customers", "too stiff", what, np.nan, np.nan, np.nan, 0.0, False)
    variance = pairs.sum() / total
    se = np.sqrt(((pairs - variance * scale) ** 2).sum()) / total
    z = pairs.sum() / max(np.sqrt((pairs**2).sum()), 1e-12)
    lo, value, hi = (float(np.sqrt(max(v, 0.0))) for v in (variance - NORMAL * se, variance, variance + NORMAL * se))
    return Check("customers", "too stiff", what, value, lo, hi, float(max(z, 0.0)), bool(value > bound))


def _residual_and_slope(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Each row's residual, and how fast its mean rises with the linear predictor. Each (n,)."""
    rows = sample.rows
    if sample.is_amount:
        residual = np.log(rows.y) - sample.eta
        return residual - rows.weight @ residual / rows.weight.sum(), np.ones_like(residual)
    p = sample.mean
    if sample.data.link == "logit":
        return rows.y - p, p * (1 - p)
    mu = rows.days * np.exp(sample.eta)
    return rows.y - p, mu * np.exp(-mu)


def shift(link: Link, eta: np.ndarray, rows: Rows) -> float:
    """What has to be added to a linear predictor, (n,), so that it is right on average: Newton's method."""
    a = 0.0
    for _ in range(100):
        gradient, curvature = derivatives(link, eta + a, rows)
        step = float(np.clip(rows.weight @ gradient / max(rows.weight @ curvature, 1e-12), -1, 1))
        a += step
        if abs(step) < 1e-8:
            break
    return a


def _normal(kind: str, fault: Fault, what: str, value: float, se: float, neutral: float, off: bool) -> Check:
    z = float((value - neutral) / se) if se > 0 else 0.0
    return Check(kind, fault, what, float(value), float(value - NORMAL * se), float(value + NORMAL * se), z, bool(off))
