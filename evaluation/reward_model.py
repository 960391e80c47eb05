"""The reward model q(x, a): margin, cost, annoyance and effort until the next decision, each by itself.

Fitted on other customers than those evaluated: the training customers, or the other fold. Each component is
modelled alone and priced afterwards, so that one fit serves all prices and the parts add up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from envs.errors import InputError
from envs.prices import Prices
from evaluation.log import Log
from evaluation.regression import PENALTIES, Model, Recipe, TreatmentFeatures
from evaluation.settings import EvaluationSettings

HELD_OUT = 0.25  # share of training customers on which candidate models are compared; assumed
TREES = Recipe("trees")
Rows = np.ndarray | slice  # (n,) bool, or all of them
RIDGES = tuple(Recipe("ridge", penalty) for penalty in PENALTIES)


@dataclass(frozen=True)
class Choice:
    """Which regression was chosen for an amount, and what the candidates lost on held-out customers."""

    amount: str  # margin, cost, annoyance, effort of a pool, or reward
    recipe: Recipe
    losses: tuple[tuple[str, float], ...]  # mean squared error as a share of the variance


@dataclass(frozen=True)
class Modelled:
    """What a model says on a log's rows, for some policies."""

    logged: np.ndarray  # (n,) of the logged treatment
    policy: np.ndarray  # (policies, n) expected under each policy

    def plus(self, factor: np.ndarray | float, other: Modelled) -> Modelled:
        """self + factor * other; factor: (n,) or a number."""
        return Modelled(self.logged + factor * other.logged, self.policy + factor * other.policy)


@dataclass(frozen=True)
class RewardModel:
    """A fitted model per component."""

    components: dict[str, Model]  # margin, cost, annoyance, and effort:<pool>
    choices: tuple[Choice, ...]

    def on(self, log: Log, probabilities: Sequence[np.ndarray]) -> dict[str, Modelled]:
        """Each component on a log, or a part of one; probabilities: per policy (n, A)."""
        return {
            name: Modelled(
                model.values(log.state, log.treatment),
                np.stack([model.expected(log.state, p) for p in probabilities]),
            )
            for name, model in self.components.items()
        }


def priced(parts: dict[str, Modelled], log: Log, prices: Prices | None) -> Modelled:
    """The reward from its components: margin - cost - pool prices . effort - annoyance price * annoyance."""
    if prices is None:
        table = log.logged_prices if log.logged_prices is not None else np.zeros((len(log), 1 + len(log.pools)))
    else:
        table = np.tile(prices.vector(), (len(log), 1))
    reward = parts["margin"].plus(-1.0, parts["cost"]).plus(-table[:, 0], parts["annoyance"])
    for index, pool in enumerate(log.pools):
        reward = reward.plus(-table[:, 1 + index], parts[f"effort:{pool}"])
    return reward


def fit_reward_model(
    log: Log, features: TreatmentFeatures, settings: EvaluationSettings, rng: np.random.Generator
) -> RewardModel:
    """Fit every component on a log, by the regression with the smallest held-out loss."""
    log = log.rows(at_most(log, settings.model_rows, rng))
    amounts = {"margin": log.margin, "cost": log.cost, "annoyance": log.annoyance}
    amounts |= {f"effort:{pool}": log.effort[:, index] for index, pool in enumerate(log.pools)}
    seed = int(rng.integers(2**31))
    held_out = np.isin(log.customer, np.flatnonzero(rng.random(log.customers) < HELD_OUT))
    choices = [
        choose_recipe(name, log.state, log.treatment, amount, held_out, features, candidates(settings, name), seed)
        for name, amount in amounts.items()
    ]
    models = {c.amount: fitted(c.recipe, log.state, log.treatment, features, amounts[c.amount], seed) for c in choices}
    return RewardModel(models, tuple(choices))


def candidates(settings: EvaluationSettings, amount: str) -> tuple[Recipe, ...]:
    """Regressions to choose from; effort follows from the treatment, a linear model holds it exactly."""
    if amount.startswith("effort:") or settings.model == "ridge":
        return RIDGES
    return (TREES,) if settings.model == "trees" else (TREES, *RIDGES)


def choose_recipe(
    amount: str,
    state: np.ndarray,
    treatment: np.ndarray,
    target: np.ndarray,
    held_out: np.ndarray,
    features: TreatmentFeatures,
    recipes: tuple[Recipe, ...],
    seed: int,
) -> Choice:
    """The regression with the smallest mean squared error on held-out rows, (n,) bool; a tie takes the first."""
    variance = float(target.var())
    few = held_out.all() or not held_out.any() or len(target) < 50
    if variance == 0 or few:
        return Choice(amount, Recipe("constant"), ())
    fit, test = ~held_out, held_out
    losses = []
    for recipe in recipes:
        model = fitted(recipe, state[fit], treatment[fit], features, target[fit], seed)
        error = target[test] - model.values(state[test], treatment[test])
        losses.append((recipe.name, float((error**2).mean()) / variance))
    best = int(np.argmin([loss for _, loss in losses]))
    return Choice(amount, recipes[best], tuple(losses))


def fitted(
    recipe: Recipe, state: np.ndarray, treatment: np.ndarray, features: TreatmentFeatures, target: np.ndarray, seed: int
) -> Model:
    """One regression of one target, (m,)."""
    return recipe.fitter(state, treatment, features, target[:, None], seed).fit(target)


def at_most(log: Log, rows: int, rng: np.random.Generator) -> np.ndarray:  # (n,) bool
    """The rows of as many customers, drawn at random, as hold no more than `rows` decisions."""
    if len(log) <= rows:
        return np.ones(len(log), dtype=bool)
    order = rng.permutation(log.customers)
    sizes = np.bincount(log.customer)[order]
    keep = np.zeros(log.customers, dtype=bool)
    keep[order[: max(1, int((np.cumsum(sizes) <= rows).sum()))]] = True
    return np.asarray(keep[log.customer])


def other_customers(source: Log, crossed: bool, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, Rows]]:
    """(rows of `source` to fit on, rows of the evaluated log to predict): never the same customer.

    One pass over a training log, for all rows; crossed: `source` is the evaluated log itself, of which either half
    of the customers is predicted from the other (cross-fitting, Chernozhukov et al. 2018).
    """
    if not crossed:
        yield np.ones(len(source), dtype=bool), slice(None)
        return
    if source.customers < 2:
        raise InputError("must hold two customers or more to fit a model", field="log", value=source.customers)
    fold = rng.permutation(source.customers) % 2
    for part in (0, 1):
        here = fold[source.customer] == part
        yield ~here, here
