"""What an evaluation asks of a study: every estimator of the reward, the lead's of its parts, intervals in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from evaluation.adapt import LOGGED
from evaluation.data_card import Estimate
from evaluation.estimators import ESTIMATORS, Estimator, Settled, estimators_for, settled
from evaluation.intervals import interval, without_rounding
from evaluation.lead import Lead
from evaluation.misspecification import LINES, Difference, Misspecification, lines
from evaluation.moments import Moments
from evaluation.part import CAUGHT_UP, LOGGING, UNDISCOUNTED, Part, Parts
from evaluation.resampling import Resamples
from evaluation.study import COMPONENTS, REWARD
from evaluation.terms import Means, Terms
from evaluation.together import Together, together


@dataclass(frozen=True)
class Comparing:
    """Who is compared to whom."""

    policies: Set[str]
    reference: str


@dataclass(frozen=True)
class Asked:
    """One estimator of one amount, for every policy, the logging policy first."""

    estimator: Estimator
    amount: str
    found: dict[str, Settled] = field(repr=False)

    @classmethod
    def of(cls, estimator: Estimator, amount: str, parts: Parts, names: Sequence[str]) -> Asked:
        def of(policy: int) -> Settled:
            return settled(estimator, lambda: (p.inputs(policy, amount) for p in parts()), logging=policy == LOGGING)

        return cls(estimator, amount, {name: of(i) for i, name in enumerate(names, LOGGING)})

    def terms(self, part: Part) -> dict[str, Terms]:
        """What it says of the customers of a part, by policy."""
        return {
            name: one.terms(part.inputs(i, self.amount)) for i, (name, one) in enumerate(self.found.items(), LOGGING)
        }


@dataclass(frozen=True)
class Answer:
    """What is asked of one policy, from all customers."""

    means: Means
    draws: np.ndarray  # (resamples,)
    moments: Moments  # of its influence
    moments_apart: Moments  # of the difference to the reference

    @property
    def value(self) -> float:
        return self.means.estimate()

    def less(self, other: Answer) -> tuple[float, np.ndarray]:  # value, (resamples,)
        """By how much it is more than another, on the same resamples."""
        value = without_rounding(self.value - other.value, abs(self.value) + abs(other.value))
        return float(value), without_rounding(self.draws - other.draws, np.abs(self.draws) + np.abs(other.draws))


Answers = Sequence[dict[str, Answer]]  # per asked, by policy


def answers(asked: Sequence[Asked], parts: Parts, resamples: Resamples, reference: str) -> Answers:
    """Everything that is asked, by policy: from a pass over the customers each for means, resamples and moments."""

    def everything() -> Iterator[list[Terms]]:
        for part in parts():
            yield [terms for one in asked for terms in one.terms(part).values()]

    means, draws = iter(Means.of_all(everything())), iter(resamples.of_parts(everything()))
    mean = [{name: next(means) for name in one.found} for one in asked]
    moments = [{name: (Moments(), Moments()) for name in one.found} for one in asked]
    for part in parts():
        for one, own, of in zip(asked, mean, moments, strict=True):
            moved = {name: own[name].influence(terms) for name, terms in one.terms(part).items()}
            for name, by in moved.items():
                alone, apart = of[name]
                of[name] = alone + Moments.of(by), apart + Moments.of(by - moved[reference])
    return [
        {name: Answer(own[name], next(draws), *of[name]) for name in one.found}
        for one, own, of in zip(asked, mean, moments, strict=True)
    ]


def estimates_of(asked: Sequence[Asked], found: Answers, reference: str, confidence: float) -> Iterator[Estimate]:
    """Everything that is asked, with intervals, and paired differences to the reference."""
    for ask, own in zip(asked, found, strict=True):
        base = own[reference]
        for name, one in own.items():
            alone = interval(one.value, one.draws, confidence, one.moments)
            apart = interval(*one.less(base), confidence, one.moments_apart)
            other = None if name == reference else apart
            yield Estimate(name, ask.estimator.name, ask.amount, alone, other, ask.found[name].weighting)


def together_of(
    estimates: Sequence[Estimate], asked: Sequence[Asked], found: Answers, lead: Lead, of: Comparing, confidence: float
) -> tuple[Together, ...]:
    """The lead's differences of the policies that the evaluation is about, where these are several."""
    alone = {
        e.policy: e.difference
        for e in estimates
        if (e.estimator, e.amount) == (lead.estimator, REWARD) and e.difference is not None and e.policy in of.policies
    }
    if len(alone) < 2:
        return ()
    own = found[leading(asked, lead, REWARD)]
    return together(alone, {name: own[name].less(own[of.reference])[1] for name in alone}, confidence)


def misspecifications_of(
    asked: Sequence[Asked], found: Answers, parts: Parts, lead: Lead, reference: str, confidence: float
) -> Iterator[Misspecification]:
    """How the lead estimate bears a wrong model, and the model-based figure that stands beside it."""
    by = {one.estimator.name: k for k, one in enumerate(asked) if one.amount == REWARD}
    for name in dict.fromkeys([lead.estimator, "dm", "fqe"]):
        if name in LINES and name in by:
            ends = {
                end: _differences(asked[by[end]], found[by[end]], parts, reference) for end in LINES[name] if end in by
            }
            yield from lines(name, ESTIMATORS[name].model_based, ends, confidence)


def _differences(one: Asked, found: dict[str, Answer], parts: Parts, reference: str) -> dict[str, Difference]:
    """Of one estimator, for every policy but the reference; a number per customer of each is held."""
    moved: dict[str, list[np.ndarray]] = {name: [] for name in one.found if name != reference}
    for part in parts():
        own = {name: found[name].means.influence(terms) for name, terms in one.terms(part).items()}
        for name, by in moved.items():
            by.append(own[name] - own[reference])
    base = found[reference]
    return {name: Difference(*found[name].less(base), np.concatenate(by)) for name, by in moved.items()}


def leading(asked: Sequence[Asked], lead: Lead, amount: str) -> int:
    """Where the lead estimate of an amount stands."""
    return [(ask.estimator.name, ask.amount) for ask in asked].index((lead.estimator, amount))


def ask(parts: Parts, names: Sequence[str], lead: Lead, gamma: float, open_windows: float) -> Iterator[Asked]:
    """Every estimator of the reward, then the lead estimator of each part of it.

    names: of the policies; gamma: discount per day; open_windows: share of the decisions whose outcomes may still come
    """
    every, first = (LOGGED, *names), next(parts())
    given, horizon = first.inputs(len(names) - 1, REWARD), first.arrays["alive"].shape[1]
    for estimator in estimators_for(horizon, given.given):
        yield Asked.of(estimator, REWARD, parts, every)
    lead_estimator = ESTIMATORS[lead.estimator]
    for amount in COMPONENTS:
        yield Asked.of(lead_estimator, amount, parts, every)
    if open_windows > 0 and not lead_estimator.model_based:
        yield Asked.of(lead_estimator, CAUGHT_UP, parts, every)
    if gamma < 1 and horizon > 1 and not lead_estimator.model_based:
        yield Asked.of(lead_estimator, UNDISCOUNTED, parts, every)
