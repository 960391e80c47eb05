"""What an evaluation asks of a study: every estimator of the reward, the lead's of its parts, intervals in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from evaluation.adapt import LOGGED, Adapted
from evaluation.data_card import Estimate
from evaluation.estimators import ESTIMATORS, Estimated, Estimator, Inputs, estimated, estimators_for
from evaluation.intervals import interval
from evaluation.late import caught_up, open_share
from evaluation.lead import Lead
from evaluation.misspecification import LINES, Difference, Misspecification, lines
from evaluation.resampling import Resamples
from evaluation.study import COMPONENTS, REWARD, Study, amounts
from evaluation.together import Together, together

UNDISCOUNTED, CAUGHT_UP = "undiscounted", "caught_up"


@dataclass(frozen=True)
class Comparing:
    """Who is compared to whom."""

    policies: Set[str]
    reference: str


@dataclass(frozen=True)
class Asked:
    """One estimator of one amount, for every policy."""

    estimator: Estimator
    amount: str
    found: dict[str, Estimated]

    @classmethod
    def of(cls, estimator: Estimator, amount: str, inputs: dict[str, Inputs]) -> Asked:
        found = {name: estimated(estimator, given, logging=name == LOGGED) for name, given in inputs.items()}
        return cls(estimator, amount, found)


Draws = Sequence[Mapping[str, np.ndarray]]  # per asked: by policy, (resamples,)


def drawn(asked: Sequence[Asked], resamples: Resamples) -> Draws:
    """Everything that is asked in every resample, from one pass over the customers."""
    draws = iter(resamples.of_all([one.terms for ask in asked for one in ask.found.values()]))
    return [{name: next(draws) for name in ask.found} for ask in asked]


def estimates_of(asked: Sequence[Asked], draws: Draws, reference: str, confidence: float) -> Iterator[Estimate]:
    """Everything that is asked, with intervals."""
    for ask, own in zip(asked, draws, strict=True):
        yield from _compared(ask, own, reference, confidence)


def together_of(
    estimates: Sequence[Estimate], asked: Sequence[Asked], draws: Draws, lead: Lead, of: Comparing, confidence: float
) -> tuple[Together, ...]:
    """The lead's differences of the policies that the evaluation is about, where these are several."""
    leading = [(ask.estimator.name, ask.amount) for ask in asked].index((lead.estimator, REWARD))
    alone = {
        e.policy: e.difference
        for e in estimates
        if (e.estimator, e.amount) == (lead.estimator, REWARD) and e.difference is not None and e.policy in of.policies
    }
    if len(alone) < 2:
        return ()
    own = draws[leading]
    return together(alone, {name: own[name] - own[of.reference] for name in alone}, confidence)


def misspecifications_of(
    asked: Sequence[Asked], draws: Draws, lead: Lead, reference: str, confidence: float
) -> Iterator[Misspecification]:
    """How the lead estimate bears a wrong model, and the model-based figure that stands beside it."""
    found = {
        ask.estimator.name: _differences(ask, own, reference)
        for ask, own in zip(asked, draws, strict=True)
        if ask.amount == REWARD
    }
    for name in dict.fromkeys([lead.estimator, "dm", "fqe"]):
        if name in LINES and name in found:
            yield from lines(name, ESTIMATORS[name].model_based, found, confidence)


def _differences(ask: Asked, draws: Mapping[str, np.ndarray], reference: str) -> dict[str, Difference]:
    """Of one estimator, for every policy but the reference."""
    base = ask.found[reference].terms
    value, moved = base.estimate(), base.influence()
    return {
        name: Difference(one.terms.estimate() - value, draws[name] - draws[reference], one.terms.influence() - moved)
        for name, one in ask.found.items()
        if name != reference
    }


def ask(study: Study, chosen: tuple[Adapted, ...], lead: Lead) -> Iterator[Asked]:
    """Every estimator of the reward, then the lead estimator of each part of it."""
    names = (LOGGED, *(p.name for p in chosen))
    k = lead.decisions if lead.kind == "k-step" else 0
    path = study.log.horizon > 1 and (study.settings.full_horizon or lead.model_based)
    ratios = 1 < study.log.horizon <= study.settings.ratio_decisions
    every = {name: study.inputs(i, REWARD, k, path=path, ratios=ratios) for name, i in _numbered(names)}
    for estimator in estimators_for(study.log.horizon, every[names[-1]].given):
        yield Asked.of(estimator, REWARD, every)
    leading = ESTIMATORS[lead.estimator]
    needs_k = k if "k" in leading.needs else 0
    for amount in COMPONENTS:
        parts = {n: study.inputs(i, amount, needs_k, path="path" in leading.needs) for n, i in _numbered(names)}
        yield Asked.of(leading, amount, parts)
    if open_share(study.log) > 0 and not leading.model_based:
        lay, reward = study.log.padded, amounts(study.log, study.prices)[REWARD]
        later = lay(caught_up(study.log, reward))
        yield Asked.of(leading, CAUGHT_UP, {name: replace(i, reward=later) for name, i in every.items()})
    if study.log.gamma < 1 and study.log.horizon > 1 and not leading.model_based:
        # Any q with v its expectation leaves the weighted form consistent, so the models may stay discounted.
        plain = {name: replace(i, discount=i.alive.astype(np.float64)) for name, i in every.items()}
        yield Asked.of(leading, UNDISCOUNTED, plain)


def _numbered(names: tuple[str, ...]) -> Iterator[tuple[str, int | None]]:
    return ((name, index - 1 if index else None) for index, name in enumerate(names))


def _compared(ask: Asked, draws: Mapping[str, np.ndarray], reference: str, confidence: float) -> Iterator[Estimate]:
    """One estimator of one amount for every policy, and its paired difference to the reference."""
    base = ask.found[reference].terms
    for name, one in ask.found.items():
        value, moved = one.terms.estimate(), one.terms.influence()
        apart, moved_apart = value - base.estimate(), moved - base.influence()
        difference = interval(apart, draws[name] - draws[reference], confidence, moved_apart)
        own = interval(value, draws[name], confidence, moved)
        other = None if name == reference else difference
        yield Estimate(name, ask.estimator.name, ask.amount, own, other, one.weighting)
