"""Weights made smaller: a little bias for much less variance. How much is chosen by an estimate of both.

`weight` = pi(a|x) / propensity of the logged treatment, (n,) >= 0. Each form has one parameter; at one end of its range
it leaves the weights as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from evaluation.spread import Spread

Said = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]  # weights (n,); weights (n,) -> what rounds say (n,)

QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)  # of the weights, where a form begins to bite; assumed: a wide grid
MIXED = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.9)  # parameters of `subgaussian`; assumed: half decades


def clipped(weight: np.ndarray, most: float) -> np.ndarray:  # (n,)
    """min(w, most).

    Ionides (2008), "Truncated importance sampling"; Bottou et al. (2013), "Counterfactual reasoning and learning
    systems".
    """
    return np.asarray(np.minimum(weight, most))


def switched(weight: np.ndarray, most: float) -> np.ndarray:  # (n,)
    """w where w <= most, else 0: beyond it the reward model alone speaks.

    Wang, Agarwal & Dudik (2017), "Optimal and adaptive off-policy evaluation in contextual bandits", SWITCH.
    """
    return np.where(weight <= most, weight, 0.0)


def shrunk(weight: np.ndarray, strength: float) -> np.ndarray:  # (n,)
    """strength w / (w^2 + strength): optimistic shrinkage, largest at w = sqrt(strength).

    Su, Dimakopoulou, Krishnamurthy & Dudik (2020), "Doubly robust off-policy evaluation with shrinkage".
    """
    return np.asarray(weight if np.isinf(strength) else strength * weight / (weight**2 + strength))


def subgaussian(weight: np.ndarray, mixed: float) -> np.ndarray:  # (n,)
    """w / (1 - mixed + mixed w): a power mean of w and 1, below 1 / mixed; mixed in [0, 1).

    Metelli, Russo & Restelli (2021), "Subgaussian and differentiable importance sampling".
    """
    return np.asarray(weight / (1 - mixed + mixed * weight))


@dataclass(frozen=True)
class Form:
    """A way to make weights smaller, and the parameters that are tried; the last one changes nothing."""

    name: str
    of: Callable[[np.ndarray, float], np.ndarray]
    grid: Callable[[np.ndarray], np.ndarray]


def _bounds(weight: np.ndarray) -> np.ndarray:
    """Quantiles of the weights that are not 0, then no bound."""
    known = weight[weight > 0]
    return np.unique([*np.quantile(known, QUANTILES), np.inf]) if len(known) else np.array([np.inf])


CLIPPED = Form("clipped", clipped, _bounds)
SWITCHED = Form("switched", switched, _bounds)
SHRUNK = Form("shrunk", shrunk, lambda weight: _bounds(weight) ** 2)
SUBGAUSSIAN = Form("subgaussian", subgaussian, lambda weight: np.array(MIXED[::-1]))


@dataclass(frozen=True)
class Tried:
    """What a parameter would cost."""

    parameter: float
    bias: float  # of the estimate, in units of the reward
    variance: float  # of the estimate

    @property
    def mse(self) -> float:
        """bias^2 + variance, the criterion."""
        return self.bias**2 + self.variance


@dataclass(frozen=True)
class Weighting:
    """The parameter of a form with the least estimated mean squared error, among those tried."""

    form: str
    parameter: float
    tried: tuple[Tried, ...]

    @property
    def chosen(self) -> Tried:
        """What the chosen parameter costs."""
        return next(one for one in self.tried if one.parameter == self.parameter)

    @property
    def plain(self) -> Tried:
        """What the weights as they are cost: the last of a form's grid."""
        return self.tried[-1]


def choose(form: Form, weight: np.ndarray, estimate: Callable[[np.ndarray], np.ndarray]) -> Weighting:
    """As `choose_over`, of rounds that are all at hand."""
    return choose_over(form, lambda: iter([(weight, estimate)]))


def choose_over(form: Form, parts: Callable[[], Iterator[Said]]) -> Weighting:
    """The parameter at which bias^2 + variance of an estimate is least; a tie takes the mildest.

    parts: of an estimate that is a mean over rounds, part by part of the rounds; gone through twice

        bias = mean (estimate(w') - estimate(w))        variance = var(estimate(w')) / n

    The bias is measured against the weights as they are, which have none; its own luck counts as bias, so that the
    choice errs towards them. Su, Dimakopoulou, Krishnamurthy & Dudik (2020), section 5, with the bias estimated and not
    bounded.
    """
    grid = [float(parameter) for parameter in form.grid(np.concatenate([weight for weight, _ in parts()]))]
    moved, spread = [0.0] * len(grid), [Spread()] * len(grid)
    for weight, estimate in parts():
        plain = estimate(weight)
        for k, parameter in enumerate(grid):
            said = estimate(form.of(weight, parameter))
            moved[k] += float((said - plain).sum())
            spread[k] += Spread.of(said)
    tried = [Tried(p, by / s.count, s.variance / s.count) for p, by, s in zip(grid, moved, spread, strict=True)]
    best = min(reversed(tried), key=lambda one: one.mse)
    return Weighting(form.name, best.parameter, tuple(tried))
