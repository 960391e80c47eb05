"""What the witness knows: worlds of one to many decisions, policies of graded quality, and their true values.

The exact preset with its task made shorter or longer. Every true value is that of the estimand, summed over all states
and not simulated:

k-step       the policy for k decisions, then the logging policy; with k = all decisions, the policy's own value
deviation    at each decision of a history made by the logging policy, the reward of one decision of the policy
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from agents.baselines import CoordinatedRules, Softened, fixed_treatment
from agents.exact import Choice, Optimum, Schedule, choices, evaluate, solve
from agents.policy import Policy
from envs.exact import ExactModel
from envs.prices import Prices
from envs.randomness import Luck
from envs.schema import Task
from envs.simulator import Simulator
from envs.world import World
from evaluation.lead import Kind
from evaluation.log import Log, log_from_arrays
from evaluation.simulation import choose
from training.simulate import TEMPERATURE

PRICES = Prices(20.0, (0.0,))  # the preset's defaults
BAD = "human_call-card"  # a call for a card to whoever may be called: the dearest contact for the smaller product
# Candidate -> its shares of (logging policy, optimum, BAD); the one that is as good as the logging policy is found.
SHARES = {
    "better": (0.5, 0.5, 0.0),
    "little better": (0.8, 0.2, 0.0),
    "little worse": (0.8, 0.0, 0.2),
    "worse": (0.5, 0.0, 0.5),
}
AS_GOOD, OTHERS = "as good", 0.5  # its share of what is not the logging policy
CANDIDATES = ("better", "little better", AS_GOOD, "little worse", "worse")


Shares = tuple[float, ...]  # of the logging policy, the optimum and BAD


class Estimand(NamedTuple):
    """What a lead estimate estimates."""

    kind: Kind
    decisions: int


def lengthened(world: World, decisions: int) -> World:
    """The exact preset with another number of decisions, one every four days; rules reach over the whole task."""
    whole = world.schema.task
    days = tuple(whole.gaps[0] * step for step in range(decisions))
    end = whole.gaps[0] * decisions
    task = Task.model_validate({**whole.model_dump(), "days": days, "end_day": end})
    span = max(end, world.rules.refusal_days)
    caps = tuple(cap.model_copy(update={"days": span}) for cap in world.rules.caps)
    rules = world.rules.model_copy(update={"caps": caps, "refusal_days": span})
    return replace(world, schema=world.schema.model_copy(update={"task": task}), rules=rules)


@dataclass(frozen=True)
class Mixed:
    """A policy that draws, for every decision anew, which of several policies decides it."""

    name: str
    parts: tuple[Policy, ...]
    shares: Shares  # one per part, sum 1

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        found = [p.probabilities(observation, mask) for p, share in zip(self.parts, self.shares, strict=True) if share]
        shares = [share for share in self.shares if share]
        return np.asarray(sum(share * one for share, one in zip(shares, found, strict=True)))


@dataclass(frozen=True)
class Known:
    """One world and one logging policy, of which everything is known."""

    model: ExactModel
    floor: float  # share of the logging policy's decisions that are uniformly random
    _truths: dict[tuple[Shares, Estimand], float] = field(default_factory=dict, compare=False, repr=False)
    _balanced: dict[Estimand, Shares] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def logging(self) -> Policy:
        """The stochastic coordinated policy, as `nextbest simulate` logs with, at this floor."""
        world = self.model.world
        return Softened(CoordinatedRules(world.catalogue, world.encoder), TEMPERATURE, self.floor, name="logging")

    @cached_property
    def parts(self) -> tuple[Policy, ...]:
        """Of which candidates are mixed: the logging policy, the optimum, a bad one."""
        bad = fixed_treatment(self.model.world.catalogue, BAD, "bad")
        return self.logging, Optimum(self.model, solve(self.model, PRICES)), bad

    @cached_property
    def _choices(self) -> tuple[Choice, ...]:
        return tuple(choices(self.model, part, PRICES) for part in self.parts)

    def truth(self, shares: Shares, estimand: Estimand) -> float:
        """The true value of a mixture of the parts, in currency per customer."""
        if (shares, estimand) not in self._truths:
            self._truths[shares, estimand] = self._truth(shares, estimand)
        return self._truths[shares, estimand]

    def logged(self, estimand: Estimand) -> float:
        """The true value of the logging policy."""
        return self.truth((1.0, 0.0, 0.0), estimand)

    def _truth(self, shares: Shares, estimand: Estimand) -> float:
        steps, logging = zip(*self._choices, strict=True), self._choices[0]
        policy = [np.asarray(sum(s * c for s, c in zip(shares, step, strict=True))) for step in steps]
        if estimand.kind == "deviation":
            return deviations(self.model, policy, logging)
        k = estimand.decisions
        return float(self.model.shares @ evaluate(self.model, [*policy[:k], *logging[k:]], PRICES).value)

    def candidates(self, estimand: Estimand) -> dict[str, Mixed]:
        """By name, in the order of their quality; one of them exactly as good as the logging policy."""
        shares = SHARES | {AS_GOOD: self.as_good(estimand)}
        return {name: Mixed(name, self.parts, shares[name]) for name in CANDIDATES}

    def as_good(self, estimand: Estimand) -> Shares:
        """As much of the optimum and of the bad policy as outweigh each other."""
        if estimand not in self._balanced:

            def apart(good: float) -> float:
                return self._truth(_balance(good), estimand) - self.logged(estimand)

            self._balanced[estimand] = _balance(float(brentq(apart, 0.0, 1.0, xtol=1e-14)))
        return self._balanced[estimand]

    def log(self, customers: int, seed: int) -> Log:
        """The log of new customers under the logging policy, all distributions known."""
        world = self.model.world
        simulator = Simulator(world, seed)
        simulator.reset(np.arange(customers), prices=PRICES)
        parts = [_decided(simulator, self.logging) for _ in world.schema.task.days]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return log_from_arrays(
            **joined,
            treatments=world.catalogue.treatment_ids,
            gamma=world.schema.task.gamma,
            pools=world.catalogue.pool_ids,
            price_columns=world.encoder.price_columns,
            price_scales=dict(zip(world.encoder.price_names, world.encoder.price_highs.tolist(), strict=True)),
            currency=world.catalogue.currency,
        )


def _balance(good: float) -> Shares:
    return 1 - OTHERS, OTHERS * good, OTHERS * (1 - good)


def deviations(model: ExactModel, policy: Choice, logging: Choice) -> float:
    """sum_t gamma^days sum_s P_t(s) sum_a pi(a|s) r_t(s, a), with P_t how the logging policy's customers stand."""
    present, value, elapsed, gamma = model.shares, 0.0, 0, model.world.schema.task.gamma
    schedule = Schedule.constant(PRICES, len(model.layers))
    for step, layer in enumerate(model.layers):
        here = present[layer.state]
        value += gamma**elapsed * float((here * policy[step]) @ schedule.reward(layer, step))
        present = np.asarray((here * logging[step]) @ layer.chances)[:-1]
        elapsed += layer.days
    return value


def _decided(simulator: Simulator, policy: Policy) -> dict[str, np.ndarray]:
    """One decision of every customer who is still there, carried out: columns of a log."""
    view, alive = simulator.view(), simulator.state.alive.copy()
    luck = Luck(simulator.seed, simulator.state.customer, simulator.state.history.day)
    behaviour, treatment = (each[:, 0] for each in choose(policy, view.observation, view.mask, luck))
    seen = {
        "customer": simulator.state.customer.copy(), "observation": view.observation.copy(), "mask": view.mask.copy(),
        "treatment": treatment, "behaviour": behaviour,
        "propensity": np.take_along_axis(behaviour, treatment[:, None], axis=1)[:, 0],
    }  # fmt: skip
    outcome = simulator.step(treatment)
    seen |= {name: getattr(outcome.tally, name) for name in ("margin", "cost", "annoyance", "effort")}
    seen["gap_days"] = np.full(len(treatment), float(outcome.days))
    return {name: values[alive] for name, values in seen.items()}
