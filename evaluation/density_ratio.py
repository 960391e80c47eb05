"""Density ratios: how much likelier a policy is than the log to bring a customer into a state, decision by decision.

    w_0 = 1        w_t(x) = E[ w_{t-1}(x_{t-1}) pi(a|x_{t-1}) / propensity | x_t = x, logged ]

The expectation is a regression on the states that the log came to at step t, on other customers than those it is
applied to. It is the product of ratios, averaged over all pasts that lead to the same state: its variance does not
multiply from step to step. Xie, Ma & Wang (2019), "Towards optimal off-policy evaluation for reinforcement learning
with marginalized importance sampling", with a regression in the place of their counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.log import Log
from evaluation.regression import Model, Recipe, TreatmentFeatures
from evaluation.reward_model import choose_recipe
from evaluation.sequential import LARGEST

FEWEST = 50  # customers at a step below which its ratio is a constant; assumed
ALONE = TreatmentFeatures(np.zeros((1, 0)))  # states only: every row has the same, single treatment


@dataclass(frozen=True)
class DensityRatios:
    """A model of the ratio at each decision from the second on; beyond the last one it is 0: nobody came there."""

    models: Mapping[int, Model]

    def on(self, target: Log) -> np.ndarray:  # (target rows,) float64, >= 0
        """w_t at every decision of a log, or a part of one."""
        out = np.where(target.step == 0, 1.0, 0.0)
        for step, model in self.models.items():
            rows = np.flatnonzero(target.step == step)
            out[rows] = _values(model, target.state[rows])
        return out


def density_ratios(
    fit: Log, ratio: np.ndarray, target: Log, held_out: np.ndarray, recipes: tuple[Recipe, ...], seed: int
) -> np.ndarray:  # (target rows,) float64, >= 0
    """w_t at every decision of `target`, see `fit_density_ratios`."""
    return fit_density_ratios(fit, ratio, held_out, recipes, seed).on(target)


def fit_density_ratios(
    fit: Log, ratio: np.ndarray, held_out: np.ndarray, recipes: tuple[Recipe, ...], seed: int
) -> DensityRatios:
    """w_t of one policy.

    ratio: (fit rows,) pi(a|x) / propensity; held_out: (fit rows,) bool, on which the regression is chosen, at the
    second decision for all of them
    """
    here, models, recipe = np.ones(len(fit)), dict[int, Model](), None
    for step in range(1, fit.horizon):
        now = np.flatnonzero(fit.step == step)
        goal = (here * ratio)[now - 1]  # rows of a customer stand one after the other
        if recipe is None:
            nothing = np.zeros(len(now), dtype=np.int64)
            choice = choose_recipe("density ratio", fit.state[now], nothing, goal, held_out[now], ALONE, recipes, seed)
            recipe = choice.recipe
        models[step] = _fitted(recipe if len(now) >= FEWEST else Recipe("constant"), fit.state[now], goal, seed)
        here[now] = _values(models[step], fit.state[now])
    return DensityRatios(models)


def _fitted(recipe: Recipe, state: np.ndarray, goal: np.ndarray, seed: int) -> Model:
    return recipe.fitter(state, np.zeros(len(state), dtype=np.int64), ALONE, goal[:, None], seed).fit(goal)


def _values(model: Model, state: np.ndarray) -> np.ndarray:
    if not len(state):
        return np.zeros(0)
    return np.asarray(np.clip(model.values(state, np.zeros(len(state), dtype=np.int64)), 0.0, LARGEST))
