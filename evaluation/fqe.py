"""Fitted Q evaluation: a policy's value over several decisions, from a model alone.

Le, Voloshin & Yue (2019), "Batch policy learning under constraints". Q is fitted on other customers than those
evaluated; its own error is not in any interval drawn over the evaluated customers.

Two forms:
- by step (finite tasks, and the first k decisions of any task): a regression per step, backwards,
    Q_t(x, a) = E[r_t + gamma^days * V_{t+1}(x')], V_t(x) = sum_a pi(a|x) Q_t(x, a);
  from step k on, V is the logged return of the logging policy;
- stationary (continuing tasks): one Q for all steps, applied as often as decisions remain,
    Q_j(x, a) = E[r + gamma^days * V_{j-1}(x')], V_0 = 0, on decisions whose successor is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.log import Log
from evaluation.regression import Constant, Model, Recipe, TreatmentFeatures

POINTS = 6  # treatments per row of the regression's targets; assumed: a policy has few favourites
FEWEST = 50  # rows below which a step's Q is a constant; assumed


@dataclass(frozen=True)
class Side:
    """A log with what a policy would do on it; None stands for the logging policy itself."""

    log: Log
    probabilities: np.ndarray | None  # (n, A) float64

    def value(self, model: Model, rows: np.ndarray) -> np.ndarray:  # (rows,) float64
        """V(x) at some rows; of the logging policy, Q of what it did."""
        state = self.log.state[rows]
        if self.probabilities is None:
            return model.values(state, self.log.treatment[rows])
        return model.expected(state, self.probabilities[rows])


def thinned(probabilities: np.ndarray) -> np.ndarray:
    """A distribution over treatments with at most POINTS of them: evenly spaced quantiles of a wider one.

    Systematic sampling (Madow 1949) without its random start; rows with few treatments stay as they are. Good enough
    for what Q is regressed on, never for what is reported. (n, A) -> (n, A).
    """
    wide = np.flatnonzero((probabilities > 0).sum(axis=1) > POINTS)
    out = probabilities.copy()
    out[wide] = 0.0
    cumulative = probabilities[wide].cumsum(axis=1)
    total = cumulative[:, -1]
    for point in (np.arange(POINTS) + 0.5) / POINTS:
        chosen = (cumulative <= (point * total)[:, None]).sum(axis=1)
        np.add.at(out, (wide, chosen), total / POINTS)
    return out


@dataclass(frozen=True)
class PathValues:
    """Discounted values from each decision on, counted from that decision; 0 from step k on."""

    q: np.ndarray  # (n,) of the logged treatment
    v: np.ndarray  # (n,) of the policy


@dataclass(frozen=True)
class FittedQ:
    """A model of Q for each step, or for each number of decisions that are left; where there is none, Q is 0."""

    models: Mapping[int, Model]
    by_step: bool

    def on(self, target: Side) -> PathValues:
        """On the rows of a log, or a part of one."""
        log = target.log
        out, key = PathValues(np.zeros(len(log)), np.zeros(len(log))), log.step if self.by_step else decisions_left(log)
        for number, model in self.models.items():
            rows = np.flatnonzero(key == number)
            if len(rows):
                out.q[rows] = model.values(log.state[rows], log.treatment[rows])
                out.v[rows] = target.value(model, rows)
        return out


def fitted_q(
    fit: Side,
    reward: np.ndarray,
    target: Side,
    features: TreatmentFeatures,
    recipe: Recipe,
    seed: int,
    decisions: int | None = None,
) -> PathValues:
    """Values of a policy on `target`'s rows, fitted on `fit`'s rows, see `fit_q`."""
    return fit_q(fit, reward, features, recipe, seed, target.log.horizon, decisions).on(target)


def fit_q(
    fit: Side,
    reward: np.ndarray,
    features: TreatmentFeatures,
    recipe: Recipe,
    seed: int,
    horizon: int,
    decisions: int | None = None,
) -> FittedQ:
    """Q of a policy.

    reward: (rows of fit,); horizon: the most decisions of the customers that it will be asked about
    decisions: follow the policy for so many decisions, then the logging policy; None: to the end
    """
    if decisions is None and fit.log.kind == "continuing":
        return _stationary(fit, reward, features, recipe, seed, horizon)
    return _by_step(fit, reward, features, recipe, seed, decisions or fit.log.horizon)


def _by_step(
    fit: Side, reward: np.ndarray, features: TreatmentFeatures, recipe: Recipe, seed: int, decisions: int
) -> FittedQ:
    log, models = fit.log, dict[int, Model]()
    follows, discount = has_next(log), log.gamma**log.gap_days
    ahead = returns_to_go(log, reward)  # V of the next step, at each row; the logged return from step k on
    for step in reversed(range(min(decisions, log.horizon))):
        rows = np.flatnonzero(log.step == step)
        later = np.minimum(rows + 1, len(log) - 1)
        goal = reward[rows] + np.where(follows[rows], discount[rows] * ahead[later], 0.0)
        models[step] = _fit(log, rows, goal, features, recipe, seed)
        ahead[rows] = fit.value(models[step], rows)
    return FittedQ(models, by_step=True)


def _stationary(
    fit: Side, reward: np.ndarray, features: TreatmentFeatures, recipe: Recipe, seed: int, horizon: int
) -> FittedQ:
    log, models = fit.log, dict[int, Model]()
    follows = has_next(log)
    rows = np.flatnonzero(follows | log.terminated)  # the last decision of a window has no known successor
    if len(rows) < FEWEST:
        rows = np.arange(len(log))
    discount = np.where(follows, log.gamma**log.gap_days, 0.0)[rows]
    later = np.minimum(rows + 1, len(log) - 1)
    pilot = np.stack([reward, returns_to_go(log, reward)], axis=1)[rows]
    fitter = recipe.fitter(log.state[rows], log.treatment[rows], features, pilot, seed)
    ahead = np.zeros(len(rows))
    for remaining in range(1, horizon + 1):
        models[remaining] = fitter.fit(reward[rows] + discount * ahead)
        ahead = fit.value(models[remaining], later)
    return FittedQ(models, by_step=False)


def has_next(log: Log) -> np.ndarray:  # (n,) bool
    """True where the customer has another decision, in the next row."""
    return np.asarray(np.r_[log.customer[1:] == log.customer[:-1], False] & ~log.terminated)


def returns_to_go(log: Log, reward: np.ndarray) -> np.ndarray:  # (n,) float64
    """Logged return from each decision to the customer's last, discounted to that decision."""
    gain = log.padded(log.discount * reward)
    ahead = np.cumsum(gain[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(ahead[log.customer, log.step] / log.discount)


def decisions_left(log: Log) -> np.ndarray:  # (n,) int64
    """Decisions from this one to the end of the window; a customer who left early had the whole horizon."""
    count = np.bincount(log.customer)
    left_early = np.bincount(log.customer, weights=log.terminated) > 0
    return np.asarray(np.where(left_early, log.horizon, count)[log.customer] - log.step)


def _fit(log: Log, rows: np.ndarray, goal: np.ndarray, features: TreatmentFeatures, recipe: Recipe, seed: int) -> Model:
    if len(rows) < FEWEST:
        return Constant(float(goal.mean()) if len(rows) else 0.0)
    return recipe.fitter(log.state[rows], log.treatment[rows], features, goal[:, None], seed).fit(goal)
