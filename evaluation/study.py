"""The study: a log, the policies and the models, laid out as the estimators read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from envs.prices import Prices
from evaluation.density_ratio import density_ratios
from evaluation.diagnostics import group_weights, weights
from evaluation.estimators import Inputs
from evaluation.fqe import POINTS, PathValues, Side, fitted_q, thinned
from evaluation.log import Log
from evaluation.more_robust import fit_more_robust
from evaluation.regression import Recipe, TreatmentFeatures
from evaluation.reward_model import (
    HELD_OUT,
    RIDGES,
    Choice,
    Modelled,
    at_most,
    candidates,
    choose_recipe,
    modelled_components,
    other_customers,
    priced,
)
from evaluation.settings import EvaluationSettings

REWARD = "reward"
COMPONENTS = ("margin", "cost", "annoyance")
MODELS, FOLDS, SEEDS, WEIGHTED, RATIOS = 1, 2, 3, 4, 5  # streams of randomness, beside the resamples' 0


@dataclass(frozen=True)
class Study:
    """What policies would have done on a log, and what models of other customers expect of it."""

    log: Log
    training: Log | None
    probabilities: tuple[np.ndarray, ...]  # per policy (n, A)
    on_training: tuple[np.ndarray, ...]  # per policy (training rows, A); empty where nothing is fitted
    prices: Prices | None
    features: TreatmentFeatures
    settings: EvaluationSettings
    seed: int

    def inputs(
        self, policy: int | None, amount: str = REWARD, k: int = 0, path: bool = False, ratios: bool = False
    ) -> Inputs:
        """Inputs for one policy (None: the logging policy) and one amount.

        k: also fit Q for so many decisions, then the logging policy; path: also fit Q to the end;
        ratios: also density ratios of states
        """
        log, lay = self.log, self.log.padded
        ratio = np.ones(len(log)) if policy is None else weights(log, self.probabilities[policy])
        modelled = self.modelled(amount)
        to_end = self._path(policy, amount, None) if path else None
        to_k = self._path(policy, amount, k) if k >= 2 and policy is not None else None
        alone = policy if log.horizon == 1 and amount == REWARD else None  # what is made for one policy
        weighted = None if alone is None else self._weighted(alone)
        grouped = None if alone is None else self._group_ratio(alone)
        return Inputs(
            ratio=lay(ratio, fill=1.0),
            reward=lay(amounts(log, self.prices)[amount]),
            discount=lay(log.discount),
            alive=log.alive,
            pooled=log.kind == "continuing",
            q=lay(modelled.logged),
            v=lay(modelled.logged if policy is None else modelled.policy[policy]),
            path_q=None if to_end is None else lay(to_end.q),
            path_v=None if to_end is None else lay(to_end.v),
            k=k,
            k_q=None if to_k is None else lay(to_k.q),
            k_v=None if to_k is None else lay(to_k.v),
            state_ratio=lay(self._state_ratio(policy), fill=1.0) if ratios else None,
            weighted_q=None if weighted is None else lay(weighted.logged),
            weighted_v=None if weighted is None else lay(weighted.policy[0]),
            group_ratio=None if grouped is None else lay(grouped, fill=1.0),
        )

    def _group_ratio(self, policy: int) -> np.ndarray | None:
        """Weights of groups of treatments, where the groups and the logged distribution are known."""
        if self.features.groups is None or self.log.behaviour is None:
            return None
        return group_weights(self.log, self.probabilities[policy], self.features.groups)

    def _state_ratio(self, policy: int | None) -> np.ndarray:
        """The density ratio of the state at every decision; of the logging policy 1."""
        log, rng = self.log, np.random.default_rng([self.seed, RATIOS])
        out = np.ones(len(log))
        if policy is None:
            return out
        for source, usable, here in other_customers(log, self.training, rng):
            there_on = self.probabilities[policy] if source is log else self.on_training[policy]
            fit = source.rows(usable)
            held_out = (rng.random(fit.customers) < HELD_OUT)[fit.customer]
            ratio = weights(fit, there_on[usable])
            recipes = candidates(self.settings, REWARD)
            out[here] = density_ratios(fit, ratio, log.rows(here), held_out, recipes, self.seed)
        return out

    def _weighted(self, policy: int) -> Modelled:
        """The reward model that is fitted for one policy."""
        log, rng = self.log, np.random.default_rng([self.seed, WEIGHTED])
        here_on = self.probabilities[policy]
        out = Modelled(np.zeros(len(log)), np.zeros((1, len(log))))
        for source, usable, here in other_customers(log, self.training, rng):
            there_on = here_on if source is log else self.on_training[policy]
            keep = _at_most(source, usable, self.settings.model_rows, rng)
            fit = source.rows(keep)
            target = amounts(fit, self.prices)[REWARD]
            model = fit_more_robust(fit, there_on[keep], target, self.features, self._recipe, self.seed)
            out.logged[here] = model.values(log.state[here], log.treatment[here])
            out.policy[0, here] = model.expected(log.state[here], here_on[here])
        return out

    def modelled(self, amount: str) -> Modelled:
        """The reward model on the log, for the reward or one of its parts."""
        parts = self._components[0]
        return priced(parts, self.log, self.prices) if amount == REWARD else parts[amount]

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Which regressions were chosen, and by what."""
        return (*self._components[1], self._path_choice)

    @cached_property
    def _components(self) -> tuple[dict[str, Modelled], tuple[Choice, ...]]:
        rng = np.random.default_rng([self.seed, MODELS])
        return modelled_components(self.log, self.training, self.probabilities, self.features, self.settings, rng)

    @cached_property
    def _path_choice(self) -> Choice:
        """The regression of fitted Q: the best on the reward; linear where trees would take too long."""
        rng = np.random.default_rng([self.seed, SEEDS])
        source = self.training or self.log
        source = source.rows(at_most(source, self.settings.model_rows, rng))
        held_out = (rng.random(source.customers) < HELD_OUT)[source.customer]
        recipes = candidates(self.settings, REWARD) if self._tree_work <= self.settings.tree_predictions else RIDGES
        target = amounts(source, self.prices)[REWARD]
        name = "fitted Q" if self.log.horizon > 1 else "reward, for one policy"
        return choose_recipe(name, source.state, source.treatment, target, held_out, self.features, recipes, self.seed)

    @property
    def _tree_work(self) -> int:
        """(decision, treatment) pairs that fitted Q predicts for the widest policy."""
        reported = max((int((p > 0).sum()) for p in self.probabilities), default=0)
        rounds = self.log.horizon if self.log.kind == "continuing" else 1
        fitted = self.settings.path_rows if self.log.kind == "continuing" else self.settings.model_rows
        return reported + POINTS * fitted * rounds

    def _path(self, policy: int | None, amount: str, decisions: int | None) -> PathValues:
        log, rng = self.log, np.random.default_rng([self.seed, FOLDS])
        out = PathValues(np.zeros(len(log)), np.zeros(len(log)))
        here_on = None if policy is None else self.probabilities[policy]
        for source, usable, here in other_customers(log, self.training, rng):
            there_on = here_on if source is log else None if policy is None else self.on_training[policy]
            stationary = log.kind == "continuing" and decisions is None
            most = self.settings.path_rows if stationary else self.settings.model_rows
            keep = _at_most(source, usable, most, rng)
            fit = Side(source.rows(keep), None if there_on is None else thinned(there_on[keep]))
            reward = amounts(fit.log, self.prices)[amount]
            if not reward.any():
                continue
            target = Side(log.rows(here), None if here_on is None else here_on[here])
            values = fitted_q(fit, reward, target, self.features, self._recipe, self.seed, decisions)
            out.q[here], out.v[here] = values.q, values.v
        return out

    @property
    def _recipe(self) -> Recipe:
        return self._path_choice.recipe


def amounts(log: Log, prices: Prices | None) -> dict[str, np.ndarray]:
    """The reward at these prices and its three parts, each (n,)."""
    return {REWARD: log.reward(prices), "margin": log.margin, "cost": log.cost, "annoyance": log.annoyance}


def _at_most(source: Log, usable: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:  # (n,) bool
    """As `at_most`, among the usable rows. usable: (n,) bool"""
    keep = usable.copy()
    keep[usable] = at_most(source.rows(usable), most, rng)
    return keep
