"""The study: models of what customers bring, learned once, and what they say of any part of a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from envs.prices import Prices
from evaluation.density_ratio import DensityRatios, fit_density_ratios
from evaluation.diagnostics import weights
from evaluation.fqe import POINTS, FittedQ, PathValues, Side, fit_q, thinned
from evaluation.log import Log
from evaluation.more_robust import fit_more_robust
from evaluation.regression import Model, TreatmentFeatures
from evaluation.reward_model import (
    HELD_OUT,
    RIDGES,
    Choice,
    Modelled,
    RewardModel,
    Rows,
    at_most,
    candidates,
    choose_recipe,
    fit_reward_model,
    other_customers,
)
from evaluation.settings import EvaluationSettings

REWARD = "reward"
COMPONENTS = ("margin", "cost", "annoyance")
MODELS, FOLDS, SEEDS, WEIGHTED, RATIOS = 1, 2, 3, 4, 5  # streams of randomness, beside the resamples' 0
Learned = TypeVar("Learned")
Folds = list[tuple[Learned, Rows]]  # what was learned, and of which rows of the evaluated log it may speak


@dataclass(frozen=True)
class Study:
    """Whom models learn from, how, and about how many decisions they will be asked.

    A policy is known by its position; None stands for the logging policy.
    """

    source: Log = field(repr=False)  # customers of a training log; or the evaluated log itself, in two folds
    crossed: bool  # the latter
    on_source: tuple[np.ndarray, ...] = field(repr=False)  # per policy (source rows, A); empty where nothing needs it
    horizon: int  # of the evaluated log
    pairs: int  # of its decisions and treatments to which the widest policy gives any probability
    prices: Prices | None
    features: TreatmentFeatures
    settings: EvaluationSettings
    seed: int
    _known: dict[tuple[object, ...], Folds[object]] = field(default_factory=dict, repr=False)

    def modelled(self, log: Log, probabilities: Sequence[np.ndarray]) -> dict[str, Modelled]:
        """Every part of the reward on a part of a log; probabilities: per policy (n, A)."""
        out: dict[str, Modelled] = {}
        for model, here in self._components:
            found = model.on(log.rows(here), [p[here] for p in probabilities])
            for name, one in found.items():
                whole = out.setdefault(name, Modelled(np.zeros(len(log)), np.zeros((len(probabilities), len(log)))))
                whole.logged[here], whole.policy[:, here] = one.logged, one.policy
        return out

    def path(self, log: Log, on: np.ndarray | None, policy: int | None, amount: str, k: int | None) -> PathValues:
        """Q and V of an amount on a part of a log.

        on: (n, A) what the policy does there; k: it is followed for so many decisions, then the logging policy;
        None: to the end
        """
        out = PathValues(np.zeros(len(log)), np.zeros(len(log)))
        for q, here in self._fitted(("path", policy, amount, k), FOLDS, lambda *a: self._fit_q(policy, amount, k, *a)):
            if q is not None:
                values = q.on(Side(log.rows(here), None if on is None else on[here]))
                out.q[here], out.v[here] = values.q, values.v
        return out

    def weighted(self, log: Log, on: np.ndarray, policy: int) -> Modelled:
        """The reward model that is fitted for one policy, on a part of a log."""
        out = Modelled(np.zeros(len(log)), np.zeros((1, len(log))))
        for model, here in self._fitted(("weighted", policy), WEIGHTED, lambda *a: self._fit_weighted(policy, *a)):
            out.logged[here] = model.values(log.state[here], log.treatment[here])
            out.policy[0, here] = model.expected(log.state[here], on[here])
        return out

    def state_ratio(self, log: Log, policy: int | None) -> np.ndarray:  # (n,) float64
        """The density ratio of the state at every decision of a part of a log; of the logging policy 1."""
        out = np.ones(len(log))
        if policy is not None:
            for ratios, here in self._fitted(("ratios", policy), RATIOS, lambda *a: self._fit_ratios(policy, *a)):
                out[here] = ratios.on(log.rows(here))
        return out

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Which regressions were chosen, and by what."""
        return (*self._components[0][0].choices, self._path_choice)

    def _fitted(
        self, key: tuple[object, ...], stream: int, learn: Callable[[np.ndarray, np.random.Generator], Learned]
    ) -> Folds[Learned]:
        """What is learned, once for all parts. learn: (rows of the source that may be used, randomness) -> a model"""
        if key not in self._known:
            rng = np.random.default_rng([self.seed, stream])
            folds = other_customers(self.source, self.crossed, rng)
            self._known[key] = [(learn(usable, rng), here) for usable, here in folds]
        return self._known[key]  # type: ignore[return-value]

    @property
    def _components(self) -> Folds[RewardModel]:
        def learn(usable: np.ndarray, rng: np.random.Generator) -> RewardModel:
            return fit_reward_model(self.source.rows(usable), self.features, self.settings, rng)

        return self._fitted(("components",), MODELS, learn)

    def _fit_q(
        self, policy: int | None, amount: str, k: int | None, usable: np.ndarray, rng: np.random.Generator
    ) -> FittedQ | None:
        """None where nothing was ever earned: Q is 0."""
        stationary = self.source.kind == "continuing" and k is None
        keep = self._at_most(usable, self.settings.path_rows if stationary else self.settings.model_rows, rng)
        fit = Side(self.source.rows(keep), None if policy is None else thinned(self.on_source[policy][keep]))
        reward = amounts(fit.log, self.prices)[amount]
        if not reward.any():
            return None
        return fit_q(fit, reward, self.features, self._path_choice.recipe, self.seed, self.horizon, k)

    def _fit_weighted(self, policy: int, usable: np.ndarray, rng: np.random.Generator) -> Model:
        keep = self._at_most(usable, self.settings.model_rows, rng)
        fit, recipe = self.source.rows(keep), self._path_choice.recipe
        target = amounts(fit, self.prices)[REWARD]
        return fit_more_robust(fit, self.on_source[policy][keep], target, self.features, recipe, self.seed)

    def _fit_ratios(self, policy: int, usable: np.ndarray, rng: np.random.Generator) -> DensityRatios:
        fit = self.source.rows(usable)
        held_out = (rng.random(fit.customers) < HELD_OUT)[fit.customer]
        ratio = weights(fit, self.on_source[policy][usable])
        return fit_density_ratios(fit, ratio, held_out, candidates(self.settings, REWARD), self.seed)

    @property
    def _path_choice(self) -> Choice:
        """The regression of fitted Q: the best on the reward; linear where trees would take too long."""
        key = ("path choice",)
        if key not in self._known:
            self._known[key] = [(self._choose_path(), slice(None))]
        return self._known[key][0][0]  # type: ignore[return-value]

    def _choose_path(self) -> Choice:
        rng = np.random.default_rng([self.seed, SEEDS])
        source = self.source.rows(at_most(self.source, self.settings.model_rows, rng))
        held_out = (rng.random(source.customers) < HELD_OUT)[source.customer]
        recipes = candidates(self.settings, REWARD) if self._tree_work <= self.settings.tree_predictions else RIDGES
        target = amounts(source, self.prices)[REWARD]
        name = "fitted Q" if self.horizon > 1 else "reward, for one policy"
        return choose_recipe(name, source.state, source.treatment, target, held_out, self.features, recipes, self.seed)

    @property
    def _tree_work(self) -> int:
        """(decision, treatment) pairs that fitted Q predicts for the widest policy."""
        continuing = self.source.kind == "continuing"
        fitted = self.settings.path_rows if continuing else self.settings.model_rows
        return self.pairs + POINTS * fitted * (self.horizon if continuing else 1)

    def _at_most(self, usable: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:  # (source rows,) bool
        """As `at_most`, among the usable rows. usable: (source rows,) bool"""
        keep = usable.copy()
        keep[usable] = at_most(self.source.rows(usable), most, rng)
        return keep


def amounts(log: Log, prices: Prices | None) -> dict[str, np.ndarray]:
    """The reward at these prices and its three parts, each (n,)."""
    return {REWARD: log.reward(prices), "margin": log.margin, "cost": log.cost, "annoyance": log.annoyance}
