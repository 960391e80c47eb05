"""All estimates of one head's coefficients: penalised and not, their errors, the customer's effect, the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from training.calibration_choice import Model
from training.calibration_effects import FRAILTY, Effect, Sample, with_effect
from training.calibration_rows import HeadRows
from training.calibration_support import UNIT, unshrunk
from training.glm import Errors, Fit, fit, solve

Use = Literal["penalised", "debiased"]
Z = 1.959964  # of a 95 % interval
STEPS = 3  # scoring steps of a bootstrap replicate, from the estimate


@dataclass(frozen=True)
class Estimate:
    """One coefficient in both estimates."""

    feature: str
    penalised: float
    penalised_se: float
    debiased: float
    debiased_se: float
    held: bool  # by its prior: the data do not determine it, and no interval is claimed

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 %, around the debiased estimate."""
        half = Z * self.debiased_se
        return None if self.held else (self.debiased - half, self.debiased + half)


@dataclass(frozen=True)
class Numbers:
    """Of every feature, in order; the spread of the customer's effect comes last where there is one."""

    names: tuple[str, ...]
    penalised: np.ndarray  # (names,) float64
    penalised_se: np.ndarray
    debiased: np.ndarray
    debiased_se: np.ndarray
    held: np.ndarray  # (names,) bool
    sigma: float | None  # spread of the logarithm, for lognormal
    replicates: np.ndarray  # (replicates, names) float64, of the estimate that is used
    effect: Effect | None = None
    modes: tuple[np.ndarray, np.ndarray] | None = None  # customers, and the likeliest values of their effects

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """A record per feature."""
        columns = (self.penalised, self.penalised_se, self.debiased, self.debiased_se)
        rows = zip(self.names, *(c.tolist() for c in columns), self.held.tolist(), strict=True)
        return tuple(Estimate(*row) for row in rows)


@dataclass(frozen=True)
class Estimator:
    """How coefficients are estimated."""

    use: Use  # the estimate that the world has
    errors: Errors
    luck: np.ndarray  # (replicates, customers) float64, weights of a Bayesian bootstrap over customers (Rubin 1981)

    def plain(self, model: Model, x: np.ndarray, head: HeadRows) -> Numbers:
        """Without an effect of the customer. x: (n, features)."""
        rows, link = head.rows, head.link
        shrunk = fit(x, rows, link, model.penalty, model.solution.beta, self.errors)
        free = unshrunk(x, rows, link, shrunk.beta, self.errors)
        used, penalty = self._used(shrunk, free.fit), self._penalty(model, free.held)
        again = [replace(rows, weight=rows.weight * weights[rows.customer]) for weights in self.luck]
        drawn = [solve(x, rows, link, penalty, used.beta, STEPS).beta for rows in again]
        return Numbers(
            model.names, shrunk.beta, shrunk.se, free.fit.beta, free.fit.se, free.held, used.sigma,
            np.array(drawn).reshape(len(self.luck), len(model.names)),
        )  # fmt: skip

    def mixed(
        self, model: Model, plain: Numbers, x: np.ndarray, sample: Sample, sigma: float | None = None
    ) -> Numbers | None:
        """With an effect of the customer: if the data ask for one, or with `sigma` to start from where they did.

        x: (n, features), rows of the sample
        """
        rows = sample.head.rows
        ways = [(model.penalty * sample.share, plain.penalised, plain.penalised_se)]
        ways.append((UNIT * plain.held, plain.debiased, plain.debiased_se))
        first = 0 if self.use == "penalised" else 1
        used = with_effect(x, sample, *ways[first], sigma, self.errors)
        if used is None:
            return None
        other = with_effect(x, sample, *ways[1 - first], used.sigma, self.errors) or used
        shrunk, free = (used, other) if first == 0 else (other, used)
        customers = np.unique(rows.customer)
        return Numbers(
            (*model.names, FRAILTY),
            shrunk.theta, shrunk.se, free.theta, free.se, np.r_[plain.held, False], None,
            used.theta + (self.luck[:, customers] - 1) @ used.influence,
            Effect(used.sigma, float(used.se[-1]), used.ratio, used.p, len(customers), None),
            (customers, used.modes),
        )  # fmt: skip

    def point(self, model: Model, x: np.ndarray, head: HeadRows) -> np.ndarray:
        """The estimate that is used, and no more. -> (features,)."""
        if self.use == "penalised":
            return model.solution.beta
        return unshrunk(x, head.rows, head.link, model.solution.beta, self.errors).fit.beta

    def used(self, numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """The estimate that the world has, and its standard error. Each (names,)."""
        if self.use == "penalised":
            return numbers.penalised, numbers.penalised_se
        return numbers.debiased, numbers.debiased_se

    def _used(self, shrunk: Fit, free: Fit) -> Fit:
        return shrunk if self.use == "penalised" else free

    def _penalty(self, model: Model, held: np.ndarray) -> np.ndarray:
        return model.penalty if self.use == "penalised" else UNIT * held.astype(np.float64)
