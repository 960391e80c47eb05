"""The estimators by name: what each says, assumes, and how it reads its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from evaluation import onestep, sequential
from evaluation.terms import Terms, mean_of

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


@dataclass(frozen=True)
class Estimator:
    """One estimator as reports show it."""

    name: str
    title: str
    formula: str
    assumes: str
    family: Family
    model_based: bool
    terms: Callable[[Inputs], Terms] = field(repr=False)
    needs: str = ""  # the input without which it is not computed: "path" or "k"


def _given(values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise ValueError("this estimator's model values were not computed")
    return values


def _flat(i: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return i.ratio[:, 0], i.reward[:, 0], i.q[:, 0], i.v[:, 0]


_PROPENSITY = "the propensities are right and nowhere 0 where the policy decides"
_HISTORY = "no customer influences another; the observation holds what the logging policy decided on"
_ALL = (
    Estimator("dm", "Direct method", "mean v(x)", "the reward model is right", "one-step", True,
              lambda i: onestep.dm(_flat(i)[3])),
    Estimator("ips", "Inverse propensity score", "mean w r", _PROPENSITY, "one-step", False,
              lambda i: onestep.ips(*_flat(i)[:2])),
    Estimator("snips", "Self-normalised IPS", "Σ w r / Σ w", _PROPENSITY, "one-step", False,
              lambda i: onestep.snips(*_flat(i)[:2])),
    Estimator("dr", "Doubly robust", "mean [v(x) + w (r − q(x,a))]",
              "the propensities or the reward model are right", "one-step", False, lambda i: onestep.dr(*_flat(i))),
    Estimator("sndr", "Self-normalised doubly robust", "mean v(x) + Σ w (r − q(x,a)) / Σ w",
              "the propensities or the reward model are right", "one-step", False,
              lambda i: onestep.sndr(*_flat(i))),
    Estimator("deviation", "One-decision deviations, self-normalised",
              "Σₜ mean γᵗ wₜ rₜ / mean wₜ  (mean over all steps in a continuing task)",
              f"{_PROPENSITY}; {_HISTORY}; what a treatment does after the next decision is not counted",
              "sequential", False, lambda i: sequential.deviation(i.ratio, i.reward, i.discount, i.alive, i.pooled)),
    Estimator("deviation_dr", "One-decision deviations, doubly robust",
              "Σₜ mean γᵗ [vₜ + wₜ (rₜ − qₜ) / mean wₜ]  (mean over all steps in a continuing task)",
              f"the propensities or the reward model are right; {_HISTORY}; what a treatment does after the next "
              "decision is not counted", "sequential", False,
              lambda i: sequential.deviation_dr(i.ratio, i.reward, i.q, i.v, i.discount, i.alive, i.pooled)),
    Estimator("kstep", "k-step value, self-normalised", "Σₜ mean γᵗ ρₜ rₜ / mean ρₜ,  ρₜ = Π_{s ≤ min(t, k−1)} wₛ",
              f"{_PROPENSITY}; {_HISTORY}; after k decisions the logging policy goes on", "sequential", False,
              lambda i: sequential.kstep(i.ratio, i.reward, i.discount, i.k), "k"),
    Estimator("kstep_dr", "k-step value, doubly robust",
              "Σₜ γᵗ [mean ρₜ (rₜ − qₜ) / mean ρₜ + mean ρₜ₋₁ vₜ / mean ρₜ₋₁]",
              f"the propensities or the fitted Q are right; {_HISTORY}; after k decisions the logging policy goes on",
              "sequential", False,
              lambda i: sequential.kstep_dr(i.ratio, i.reward, _given(i.k_q), _given(i.k_v), i.discount, i.k), "k"),
    Estimator("pdis", "Per-decision importance sampling", "mean Σₜ γᵗ ρₜ rₜ", f"{_PROPENSITY}; {_HISTORY}",
              "sequential", False, lambda i: sequential.pdis(i.ratio, i.reward, i.discount)),
    Estimator("snpdis", "Per-decision importance sampling, self-normalised", "Σₜ mean γᵗ ρₜ rₜ / mean ρₜ",
              f"{_PROPENSITY}; {_HISTORY}", "sequential", False,
              lambda i: sequential.snpdis(i.ratio, i.reward, i.discount)),
    Estimator("pddr", "Per-decision doubly robust", "mean Σₜ γᵗ [ρₜ (rₜ − Qₜ) + ρₜ₋₁ Vₜ]",
              f"the propensities or the fitted Q are right; {_HISTORY}", "sequential", False,
              lambda i: sequential.pddr(i.ratio, i.reward, _given(i.path_q), _given(i.path_v), i.discount), "path"),
    Estimator("fqe", "Fitted Q evaluation, full horizon", "mean V₀(x₀),  Q ← r + γ V(x′)",
              "the model of Q is right: its own error is not in the interval", "sequential", True,
              lambda i: mean_of(_given(i.path_v)[:, 0]), "path"),
)  # fmt: skip

ESTIMATORS: dict[str, Estimator] = {estimator.name: estimator for estimator in _ALL}


def estimators_for(horizon: int, k: int, path: bool) -> tuple[Estimator, ...]:
    """The estimators that apply to a log; k: decisions of the k-step value, 0 for none; path: fitted Q is there."""
    family = "one-step" if horizon == 1 else "sequential"
    given = {"": True, "k": k >= 2, "path": path}
    return tuple(e for e in _ALL if e.family == family and given[e.needs])


def terms_of(estimator: Estimator, inputs: Inputs, logging: bool) -> Terms:
    """The estimate of one policy, customer by customer.

    logging: the policy is the logging policy itself: without weights every sampled estimate is its mean
    return; a model-based one keeps the model, so that differences compare like with like.
    """
    if not logging or estimator.name == "fqe":
        return estimator.terms(inputs)
    if estimator.name == "dm":
        return mean_of(inputs.q[:, 0])
    return sequential.on_policy(inputs.reward, inputs.discount)
