"""Propensities of a log that did not record them: estimated on training customers, cross-fitted, scaled, and marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from evaluation.language import mark
from evaluation.propensity_models import (
    MOST_TREED,
    Chosen,
    Distribution,
    fit_frequencies,
    fit_logistic,
    fit_trees,
    log_losses,
)
from evaluation.scaling import Scaling, fit_scaling

NOTE = mark(
    "estimated by {name} on the training customers (log-loss on customers left out: {tried}; no scaling lowered it)"
)
SCALED = mark(
    "estimated by {name} on the training customers (log-loss on customers left out: {tried}) and calibrated there, "
    "which lowered it from {plain}: a temperature of {temperature} and a shift for each treatment"
)
FOLDS = 5  # parts of the training customers, each judged by a model that learned from the others; assumed usual
Fitter = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Distribution]


@dataclass(frozen=True)
class PropensityModel:
    """The chosen model of who was treated how.

    distribution(observation (n, F), mask (n, A), step (n,)) -> (n, A) float64, rows sum to 1, 0 where masked
    """

    name: str
    distribution: Distribution  # of all training customers, for others
    losses: tuple[tuple[str, float], ...]  # of each candidate on customers left out, nats; scaled where that lowers it
    scaling: Scaling | None = None  # None: none lowered the loss
    plain_loss: float = float("nan")  # without scaling
    crossed: tuple[Distribution, ...] = field(default=(), repr=False)  # per fold, of the others
    folds: Mapping[object, int] = field(default_factory=dict, repr=False)  # of each training customer

    @property
    def note(self) -> str:
        """One phrase for reports."""
        tried = ", ".join(f"{name} {loss:.4f}" for name, loss in self.losses)
        if self.scaling is None:
            return NOTE.format(name=self.name, tried=tried)
        plain, temperature = f"{self.plain_loss:.4f}", f"{self.scaling.temperature:.2f}"
        return SCALED.format(name=self.name, tried=tried, plain=plain, temperature=temperature)

    def of(
        self, customer: np.ndarray, observation: np.ndarray, mask: np.ndarray, step: np.ndarray
    ) -> np.ndarray:  # (n, A) float64
        """What would be chosen, by a model that did not learn from the customer.

        customer: (n,) labels, a training customer's as `estimate_propensity` had it
        """
        fold = np.array([self.folds.get(label, -1) for label in customer.tolist()], dtype=np.int64)
        out = np.zeros(mask.shape)
        for number, distribution in enumerate((*self.crossed, self.distribution)):
            rows = fold == (number if number < len(self.crossed) else -1)
            if rows.any():
                out[rows] = distribution(observation[rows], mask[rows], step[rows])
        return out


def estimate_propensity(
    observation: np.ndarray,
    mask: np.ndarray,
    treatment: np.ndarray,
    step: np.ndarray,
    customer: np.ndarray,
    rng: np.random.Generator,
) -> PropensityModel:
    """Choose a model, scaled or not, by the log-loss of customers that it did not learn from, and refit it on all.

    observation: (n, F); mask: (n, A) bool; treatment, step: (n,) int; customer: (n,) labels.
    Frequencies per step, a multinomial logistic model, trees: a later one must win by more than one standard error,
    by customer (Breiman et al. 1984): that assignment ignores the customer is the simpler reading. So must a scaling,
    each fold under one that was fitted on the others.
    """
    names, index = np.unique(customer, return_inverse=True)
    data, parts = Chosen(observation, mask, treatment, step), min(FOLDS, len(names))
    if parts < 2:
        return PropensityModel("frequencies per step", fit_frequencies(*data), ())
    own = rng.permutation(len(names)) % parts
    split = Split(data, index, own[index], parts)
    fitters = _fitters(treatment)
    tried = [split.tried(name, fitter) for name, fitter in fitters.items()]
    best = tried[0]
    for one in tried[1:]:
        best = one if lower(best.losses, one.losses, index) else best
    whole = fitters[best.name](*data)
    return PropensityModel(
        name=best.name,
        distribution=_scaled(whole, best.scaling),
        losses=tuple((one.name, float(one.losses.mean())) for one in tried),
        scaling=best.scaling,
        plain_loss=best.plain_loss,
        crossed=best.crossed,
        folds=dict(zip(names.tolist(), own.tolist(), strict=True)),
    )


def lower(before: np.ndarray, after: np.ndarray, customer: np.ndarray) -> bool:
    """Whether the second loss is lower by more than one standard error, by customer. Each (n,)"""
    gain = before - after
    by_customer = np.bincount(customer, weights=gain - gain.mean())
    return bool(gain.sum() > np.sqrt((by_customer**2).sum()))


@dataclass(frozen=True)
class Tried:
    """A candidate, as far as customers tell that it did not learn from."""

    name: str
    losses: np.ndarray  # (n,) float64
    plain_loss: float
    scaling: Scaling | None
    crossed: tuple[Distribution, ...]


@dataclass(frozen=True)
class Split:
    """Decisions in folds of whole customers."""

    data: Chosen
    customer: np.ndarray  # (n,) int64, from 0
    fold: np.ndarray  # (n,) int64
    folds: int

    def tried(self, name: str, fitter: Fitter) -> Tried:
        """Fit a candidate to all folds but one, each in turn, and a scaling to what it says of those left out."""
        data, rows = self.data, [self.fold == part for part in range(self.folds)]
        models = [fitter(*data.at(~here)) for here in rows]
        p = np.zeros(data.mask.shape)
        for here, model in zip(rows, models, strict=True):
            p[here] = model(data.observation[here], data.mask[here], data.step[here])
        scalings = [fit_scaling(p[~here], data.treatment[~here]) for here in rows]
        plain, scaled = log_losses(p, data.treatment), np.zeros(len(p))
        for here, scaling in zip(rows, scalings, strict=True):
            scaled[here] = log_losses(scaling.of(p[here]), data.treatment[here])
        if not lower(plain, scaled, self.customer):
            return Tried(name, plain, float(plain.mean()), None, tuple(models))
        crossed = tuple(_scaled(model, by) for model, by in zip(models, scalings, strict=True))
        return Tried(name, scaled, float(plain.mean()), fit_scaling(p, data.treatment), crossed)


def _fitters(treatment: np.ndarray) -> dict[str, Fitter]:
    """The simplest first."""
    found: dict[str, Fitter] = {"frequencies per step": fit_frequencies, "multinomial logistic": fit_logistic}
    return found | ({"trees": fit_trees} if len(np.unique(treatment)) <= MOST_TREED else {})


def _scaled(distribution: Distribution, scaling: Scaling | None) -> Distribution:
    if scaling is None:
        return distribution

    def scaled(observation: np.ndarray, mask: np.ndarray, step: np.ndarray) -> np.ndarray:
        return scaling.of(distribution(observation, mask, step))

    return scaled
