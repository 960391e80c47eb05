"""Support: what the log says by itself about each coefficient of a head, and where only the prior keeps it finite.

A penalised estimate predicts better than its intervals promise, because it is shrunk. So intervals come from a second
fit, in which every coefficient that the data determine goes without penalty and only the others keep a prior of unit
variance: the ridge goes to 0 where it is not needed, and the estimate is maximum likelihood up to a bias of smaller
order (Le Cam 1956; for the ridge, Buehlmann 2013, Bernoulli 19). Held by the prior are

    a separated column   one value divides what happened from what did not (Albert and Anderson 1984, Biometrika 71)
    a runaway column     less than one unit of information per standard deviation: aliased, or separated with others

The features themselves are taken as given: intervals do not pay for having chosen them on the same data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.glm import Errors, Fit, Link, Rows, fit, has_constant, information, scaling, solve

UNIT = 1.0  # precision of the prior of a coefficient of a standardised column
ROUNDS = 5  # rounds in which runaway columns are found
JITTER = 1e-6  # added to an information that may be singular


@dataclass(frozen=True)
class Separation:
    """One column that separates what happened from what did not."""

    column: int
    level: str  # "= 1", "> 0.25", "< 3": beyond which one class alone is seen
    rows: float  # rows of the log at that level, by weight
    always: bool  # whether it always happened there, or never


def separations(x: np.ndarray, rows: Rows) -> list[Separation]:
    """The columns of x that separate rows with y > 0 from those with y == 0, completely or nearly."""
    happened = rows.y > 0
    if not happened.any() or happened.all():
        return []
    low, high = x[happened].min(axis=0), x[happened].max(axis=0)
    low_not, high_not = x[~happened].min(axis=0), x[~happened].max(axis=0)
    varies = np.minimum(low, low_not) < np.maximum(high, high_not)
    found = np.flatnonzero(varies & ((high <= low_not) | (low >= high_not)))
    return [_described(int(j), x[:, j], happened, rows.weight) for j in found]


def _described(column: int, values: np.ndarray, happened: np.ndarray, weight: np.ndarray) -> Separation:
    """The larger of the regions in which only one class is seen."""
    regions = []
    for inside, always in ((values[happened], False), (values[~happened], True)):
        regions += [(values > inside.max(), f"> {inside.max():g}", always)]
        regions += [(values < inside.min(), f"< {inside.min():g}", always)]
    which, level, always = max(regions, key=lambda region: float(weight[region[0]].sum()))
    kinds = np.unique(values[which])
    level = f"= {kinds[0]:g}" if len(kinds) == 1 else level
    return Separation(column, level, float(weight[which].sum()), always)


def floor(x: np.ndarray, rows: Rows, penalty: np.ndarray) -> np.ndarray:
    """The penalty, at least that of the unit prior on separated columns. -> (columns,)."""
    if (penalty[1:] >= UNIT).all():
        return penalty
    out = penalty.astype(np.float64)
    columns = [s.column for s in separations(x, rows)]
    out[columns] = np.maximum(out[columns], UNIT)
    return out


@dataclass(frozen=True)
class Unshrunk:
    """A fit in which only what the data cannot determine is shrunk."""

    fit: Fit
    held: np.ndarray  # (columns,) bool, under the unit prior: no interval is claimed


def unshrunk(x: np.ndarray, rows: Rows, link: Link, start: np.ndarray, errors: Errors = "customer") -> Unshrunk:
    """Maximum likelihood for the coefficients that the data determine. start: (columns,), e.g. the penalised ones."""
    held = np.zeros(x.shape[1], bool)
    if link != "lognormal":
        held[[s.column for s in separations(x, rows)]] = True
    held |= runaway(x, rows, link, start, held)
    for _ in range(ROUNDS):
        beta = solve(x, rows, link, UNIT * held, start).beta
        more = runaway(x, rows, link, beta, held) & ~held
        if not more.any():
            break
        held |= more
    return Unshrunk(fit(x, rows, link, UNIT * held, start, errors), held)


def runaway(x: np.ndarray, rows: Rows, link: Link, beta: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Columns about which the data, given the others, hold less information than the unit prior. -> (columns,) bool."""
    z = scaling(x, rows.weight).apply(x)
    inner = information(z, rows, link, x @ beta) + np.diag(UNIT * held + JITTER)
    out = np.diag(np.linalg.inv(inner)) > 1 / UNIT
    if has_constant(x):
        out[0] = False
    return np.asarray(out)
