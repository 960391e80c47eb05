"""The estimators by name: what each says, assumes, and how it reads its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from evaluation import onestep, sequential
from evaluation.blending import blended, least_error
from evaluation.language import mark, say
from evaluation.terms import Terms, mean_of
from evaluation.weighting import CLIPPED, SHRUNK, SUBGAUSSIAN, SWITCHED, Form, Said, Weighting, choose_over

Family = str  # "one-step" or "sequential"


@dataclass(frozen=True)
class Inputs:
    """What estimators need of one policy on one log; C customers, H steps, 0 or ratio 1 where there is no step."""

    ratio: np.ndarray  # (C, H) pi(a|x) / propensity
    reward: np.ndarray  # (C, H) until the next decision
    discount: np.ndarray  # (C, H)
    alive: np.ndarray  # (C, H) bool
    q: np.ndarray  # (C, H) reward model, logged treatment
    v: np.ndarray  # (C, H) reward model, expected under the policy
    pooled: bool = False  # steps are alike (a continuing task): normalise over all of them at once
    path_q: np.ndarray | None = None  # (C, H) fitted Q to the end
    path_v: np.ndarray | None = None
    k: int = 0  # decisions of the k-step value; 0: none is supported
    k_q: np.ndarray | None = None  # (C, H) fitted Q of k decisions, then the logging policy
    k_v: np.ndarray | None = None
    state_ratio: np.ndarray | None = None  # (C, H) density ratio of the state
    weighted_q: np.ndarray | None = None  # (C, H) reward model fitted where this policy's weights are
    weighted_v: np.ndarray | None = None
    group_ratio: np.ndarray | None = None  # (C, H) as ratio, of groups of treatments

    @property
    def given(self) -> frozenset[str]:
        """Which of the inputs there are that not every estimator needs, see `Estimator.needs`."""
        known = {
            "path": self.path_q is not None and self.path_v is not None,
            "k": self.k >= 2,
            "ratios": self.state_ratio is not None,
            "weighted": self.weighted_q is not None and self.weighted_v is not None,
            "groups": self.group_ratio is not None,
        }
        return frozenset(name for name, there in known.items() if there)


Parts = Callable[[], Iterator[Inputs]]  # of one policy, part by part of the customers; gone through as often as needed
Says = Callable[[Inputs], Terms]


@dataclass(frozen=True)
class Estimator:
    """One estimator as reports show it."""

    name: str
    title: str
    formula: str
    assumes: tuple[str, ...]  # all of it
    family: Family
    model_based: bool
    terms: Callable[[Inputs], Terms] = field(repr=False)
    needs: frozenset[str] = frozenset()  # inputs without which it is not computed: path, k, ratios, weighted, groups
    form: Form | None = None  # in which weights are made smaller; its parameter is chosen for each policy
    fit: Callable[[Parts], Says] | None = field(default=None, repr=False)  # what is chosen from all customers at once


def _given(values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise ValueError("this estimator's model values were not computed")
    return values


def _flat(i: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return i.ratio[:, 0], i.reward[:, 0], i.q[:, 0], i.v[:, 0]


def _path(i: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return i.ratio, i.reward, _given(i.path_q), _given(i.path_v), i.discount


def _blend(parts: Parts) -> Says:
    """The blend by its errors over all customers."""
    found = least_error(lambda: (_path(i) for i in parts()))
    return lambda i: sequential.blend(*_path(i), found.sampled(i.ratio.shape[1]))


def _marginal(i: Inputs) -> np.ndarray:
    """Density ratio of state and treatment."""
    return np.asarray(_given(i.state_ratio) * i.ratio)


_PATH = frozenset({"path"})
_PROPENSITY = mark("the propensities are right and nowhere 0 where the policy decides")
_SMALLER = mark("what the weights lose is small beside the noise that they lose")
_EITHER = mark("the propensities or the reward model are right")
_EITHER_Q = mark("the propensities or the fitted Q are right")
_ONE = mark("what a treatment does after the next decision is not counted")
_THEN_LOGGED = mark("after k decisions the logging policy goes on")
_HISTORY = mark("no customer influences another; the observation holds what the logging policy decided on")
_ALL = (
    Estimator("dm", mark("Direct method"), "mean v(x)", (mark("the reward model is right"), _HISTORY), "one-step", True,
              lambda i: onestep.dm(_flat(i)[3])),
    Estimator("ips", mark("Inverse propensity score"), "mean w r", (_PROPENSITY, _HISTORY), "one-step", False,
              lambda i: onestep.ips(*_flat(i)[:2])),
    Estimator("snips", mark("Self-normalised IPS"), "Σ w r / Σ w", (_PROPENSITY, _HISTORY), "one-step", False,
              lambda i: onestep.snips(*_flat(i)[:2])),
    Estimator("dr", mark("Doubly robust"), "mean [v(x) + w (r − q(x,a))]",
              (_EITHER, _HISTORY), "one-step", False, lambda i: onestep.dr(*_flat(i))),
    Estimator("sndr", mark("Self-normalised doubly robust"), "mean v(x) + Σ w (r − q(x,a)) / Σ w",
              (_EITHER, _HISTORY), "one-step", False,
              lambda i: onestep.sndr(*_flat(i))),
    Estimator("mrdr", mark("More robust doubly robust"), "mean [v′(x) + w (r − q′(x,a))]",
              (_EITHER, mark("the model was fitted to leave least variance"), _HISTORY),
              "one-step", False,
              lambda i: onestep.dr(*_flat(i)[:2], _given(i.weighted_q)[:, 0], _given(i.weighted_v)[:, 0]),
              frozenset({"weighted"})),
    Estimator("ips_clipped", mark("IPS, clipped"), "mean w′ r,  w′ = min(w, λ)", (_PROPENSITY, _SMALLER, _HISTORY),
              "one-step", False, lambda i: onestep.ips(*_flat(i)[:2]), form=CLIPPED),
    Estimator("ips_subgaussian", mark("IPS, sub-Gaussian"), "mean w′ r,  w′ = w / (1 − λ + λ w)",
              (_PROPENSITY, _SMALLER, _HISTORY), "one-step", False,
              lambda i: onestep.ips(*_flat(i)[:2]), form=SUBGAUSSIAN),
    Estimator("dr_switched", mark("Doubly robust, switched"),
              mark("mean [v(x) + w′ (r − q(x,a))],  w′ = w where w ≤ λ, else 0"),
              (_EITHER, _SMALLER, _HISTORY), "one-step", False,
              lambda i: onestep.dr(*_flat(i)), form=SWITCHED),
    Estimator("dr_shrunk", mark("Doubly robust, shrunk"), "mean [v(x) + w′ (r − q(x,a))],  w′ = λ w / (w² + λ)",
              (_EITHER, _SMALLER, _HISTORY), "one-step", False,
              lambda i: onestep.dr(*_flat(i)), form=SHRUNK),
    Estimator("dr_subgaussian", mark("Doubly robust, sub-Gaussian"),
              "mean [v(x) + w′ (r − q(x,a))],  w′ = w / (1 − λ + λ w)",
              (_EITHER, _SMALLER, _HISTORY), "one-step", False,
              lambda i: onestep.dr(*_flat(i)), form=SUBGAUSSIAN),
    Estimator("mips", mark("Marginalised IPS"), "mean w(x,g) r,  w(x,g) = Σ_{a in g} π(a|x) / Σ_{a in g} μ(a|x)",
              (_PROPENSITY, mark("within a group treatments are alike: only the group moves the reward"), _HISTORY),
              "one-step", False, lambda i: onestep.ips(_given(i.group_ratio)[:, 0], i.reward[:, 0]),
              frozenset({"groups"})),
    Estimator("deviation", mark("One-decision deviations, self-normalised"),
              mark("Σₜ mean γᵗ wₜ rₜ / mean wₜ  (mean over all steps in a continuing task)"),
              (_PROPENSITY, _HISTORY, _ONE),
              "sequential", False, lambda i: sequential.deviation(i.ratio, i.reward, i.discount, i.alive, i.pooled)),
    Estimator("deviation_dr", mark("One-decision deviations, doubly robust"),
              mark("Σₜ mean γᵗ [vₜ + wₜ (rₜ − qₜ) / mean wₜ]  (mean over all steps in a continuing task)"),
              (_EITHER, _HISTORY, _ONE), "sequential", False,
              lambda i: sequential.deviation_dr(i.ratio, i.reward, i.q, i.v, i.discount, i.alive, i.pooled)),
    Estimator("kstep", mark("k-step value, self-normalised"),
              "Σₜ mean γᵗ ρₜ rₜ / mean ρₜ,  ρₜ = Π_{s ≤ min(t, k−1)} wₛ",
              (_PROPENSITY, _HISTORY, _THEN_LOGGED), "sequential", False,
              lambda i: sequential.kstep(i.ratio, i.reward, i.discount, i.k), frozenset({"k"})),
    Estimator("kstep_dr", mark("k-step value, doubly robust"),
              "Σₜ γᵗ [mean ρₜ (rₜ − qₜ) / mean ρₜ + mean ρₜ₋₁ vₜ / mean ρₜ₋₁]",
              (_EITHER_Q, _HISTORY, _THEN_LOGGED),
              "sequential", False,
              lambda i: sequential.kstep_dr(i.ratio, i.reward, _given(i.k_q), _given(i.k_v), i.discount, i.k),
              frozenset({"k"})),
    Estimator("tis", mark("Trajectory importance sampling"), "mean ρ_{H−1} Σₜ γᵗ rₜ", (_PROPENSITY, _HISTORY),
              "sequential", False, lambda i: sequential.tis(i.ratio, i.reward, i.discount)),
    Estimator("sntis", mark("Trajectory importance sampling, self-normalised"), "Σ ρ_{H−1} Σₜ γᵗ rₜ / Σ ρ_{H−1}",
              (_PROPENSITY, _HISTORY), "sequential", False,
              lambda i: sequential.sntis(i.ratio, i.reward, i.discount)),
    Estimator("pdis", mark("Per-decision importance sampling"), "mean Σₜ γᵗ ρₜ rₜ", (_PROPENSITY, _HISTORY),
              "sequential", False, lambda i: sequential.pdis(i.ratio, i.reward, i.discount)),
    Estimator("snpdis", mark("Per-decision importance sampling, self-normalised"), "Σₜ mean γᵗ ρₜ rₜ / mean ρₜ",
              (_PROPENSITY, _HISTORY), "sequential", False,
              lambda i: sequential.snpdis(i.ratio, i.reward, i.discount)),
    Estimator("pddr", mark("Per-decision doubly robust"), "mean Σₜ γᵗ [ρₜ (rₜ − Qₜ) + ρₜ₋₁ Vₜ]",
              (_EITHER_Q, _HISTORY), "sequential", False,
              lambda i: sequential.pddr(i.ratio, i.reward, _given(i.path_q), _given(i.path_v), i.discount), _PATH),
    Estimator("snpddr", mark("Weighted doubly robust"),
              "Σₜ γᵗ [mean ρₜ (rₜ − Qₜ) / mean ρₜ + mean ρₜ₋₁ Vₜ / mean ρₜ₋₁]",
              (_EITHER_Q, _HISTORY), "sequential", False,
              lambda i: sequential.snpddr(i.ratio, i.reward, _given(i.path_q), _given(i.path_v), i.discount), _PATH),
    Estimator("blend", mark("Weighted doubly robust, blended with the model"),
              mark("Σⱼ xⱼ (j decisions by weighted doubly robust, then V),  x by least estimated error"),
              (_EITHER_Q, _HISTORY, mark("the estimated errors of both are about right")),
              "sequential", True,
              lambda i: blended(*_path(i))[0], _PATH, fit=_blend),
    Estimator("marginal", mark("Marginalised importance sampling"), "Σₜ mean γᵗ dₜ wₜ rₜ / mean dₜ wₜ",
              (_PROPENSITY, mark("the density ratios d of states are right"), _HISTORY), "sequential", True,
              lambda i: sequential.marginal(_marginal(i), i.reward, i.discount), frozenset({"ratios"})),
    Estimator("marginal_dr", mark("Marginalised doubly robust"),
              "Σₜ γᵗ [mean dₜ wₜ (rₜ − Qₜ) / mean dₜ wₜ + mean dₜ₋₁ wₜ₋₁ Vₜ / mean dₜ₋₁ wₜ₋₁]",
              (mark("the density ratios d of states (and the propensities) or the fitted Q are right"), _HISTORY),
              "sequential", True,
              lambda i: sequential.marginal_dr(_marginal(i), sequential.before(_marginal(i)), i.reward,
                                               _given(i.path_q), _given(i.path_v), i.discount),
              frozenset({"path", "ratios"})),
    Estimator("fqe", mark("Fitted Q evaluation, full horizon"), "mean V₀(x₀),  Q ← r + γ V(x′)",
              (mark("the model of Q is right: its own error is not in the interval"), _HISTORY), "sequential", True,
              lambda i: mean_of(_given(i.path_v)[:, 0]), _PATH),
)  # fmt: skip


def assumed(estimator: Estimator) -> str:
    """All that an estimator assumes, in words."""
    return say("; ").join(say(one) for one in estimator.assumes)


def titled(estimator: Estimator, title: str | None = None) -> str:
    """An estimator's title, or the one given, marked where it rests on a model."""
    shown = title or say(estimator.title)
    return say("{title} (model-based)", title=shown) if estimator.model_based else shown


ESTIMATORS: dict[str, Estimator] = {estimator.name: estimator for estimator in _ALL}


def estimators_for(horizon: int, given: frozenset[str]) -> tuple[Estimator, ...]:
    """The estimators that apply to a log; given: see `Inputs.given`."""
    family = "one-step" if horizon == 1 else "sequential"
    return tuple(e for e in _ALL if e.family == family and e.needs <= given)


@dataclass(frozen=True)
class Estimated:
    """What an estimator says of one policy, and how it made its weights smaller."""

    terms: Terms = field(repr=False)
    weighting: Weighting | None = None


@dataclass(frozen=True)
class Settled:
    """An estimator for one policy, with everything chosen that all customers have a say in."""

    terms: Says = field(repr=False)  # of any of the customers
    weighting: Weighting | None = None


def settled(estimator: Estimator, parts: Parts, logging: bool) -> Settled:
    """What an estimator says of one policy.

    logging: the policy is the logging policy itself: without weights every sampled estimate is its mean
    return; a model-based one keeps the model, so that differences compare like with like.
    """
    if logging and estimator.name == "dm":
        return Settled(lambda i: mean_of(i.q[:, 0]))
    if logging and estimator.name != "fqe":
        return Settled(lambda i: sequential.on_policy(i.reward, i.discount))
    if estimator.fit is not None:
        return Settled(estimator.fit(parts))
    form = estimator.form
    if form is None:
        return Settled(estimator.terms)

    def under(inputs: Inputs, weight: np.ndarray) -> Terms:
        return estimator.terms(replace(inputs, ratio=weight[:, None]))

    def said(inputs: Inputs) -> Said:
        return inputs.ratio[:, 0], lambda weight: under(inputs, weight).numerator[:, 0]

    found = choose_over(form, lambda: (said(inputs) for inputs in parts()))
    return Settled(lambda i: under(i, form.of(i.ratio[:, 0], found.parameter)), found)


def estimated(estimator: Estimator, inputs: Inputs, logging: bool) -> Estimated:
    """The estimate of one policy, customer by customer, see `settled`."""
    one = settled(estimator, lambda: iter([inputs]), logging)
    return Estimated(one.terms(inputs), one.weighting)
