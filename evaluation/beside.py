"""What stands beside the estimates: what the log can show, how they bear confounding, whom a policy changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial

import numpy as np

from evaluation.adapt import LOGGED
from evaluation.adding import added
from evaluation.asking import Asked, leading
from evaluation.booking import Booked
from evaluation.confounding import Said, Sensitivity, sensitivity, weighed_by
from evaluation.data_card import Estimate
from evaluation.demand import Demand, Resources, demands_of
from evaluation.diagnostics import Support
from evaluation.fairness import Compared, Fairness, Measure, Offers, fairness_of
from evaluation.guaranteed import Guaranteed, guaranteed_by
from evaluation.lead import Lead
from evaluation.part import LOGGING, Part, Parts
from evaluation.power import Behind, Power, power_of, rewards_of
from evaluation.protected import Groups, Protected, all_of
from evaluation.settings import EvaluationSettings
from evaluation.slices import Labelled, Slice, Sliced, slices_of
from evaluation.spread import Spread
from evaluation.study import REWARD
from evaluation.untried import Untried, untried


def returns_of(parts: Parts) -> Spread:
    """What the customers of the log brought, discounted."""
    return sum((Spread.of(part.returns) for part in parts()), Spread())


def powers(
    parts: Parts, names: Sequence[str], lead: Lead, returns: Spread, settings: EvaluationSettings
) -> Iterator[Power]:
    """What the log can show of each policy; the effect in question is a share of what was booked."""
    pooled = next(parts()).pooled
    rewards = rewards_of(lambda: ((part.gain, part.arrays["alive"]) for part in parts()), pooled=pooled)
    effect = settings.effect * abs(returns.mean)
    for i, name in enumerate(names):
        behind = added(
            Behind.of(part.ratio(i), part.arrays["alive"], part.arrays["positive"], lead) for part in parts()
        )
        found = power_of(name, behind, rewards, lead, effect, settings.confidence, pooled=pooled)
        yield found if returns.varied else replace(found, detectable=np.inf, needed=np.inf)  # nobody knows the luck


def sensitivities(parts: Parts, names: Sequence[str], lead: Lead, booked: float) -> Iterator[Sensitivity]:
    """How each policy's difference to the logging policy bears confounding; nothing where only a model answers."""
    if lead.model_based:
        return
    pooled = next(parts()).pooled
    for i, name in enumerate(names):
        mean = weighed_by((_said(part, i) for part in parts()), lead, pooled=pooled)
        if mean.probability.any() and np.isfinite(mean.bounds(1.0)).all():
            yield sensitivity(name, mean, booked)


def _said(part: Part, policy: int) -> Said:
    arrays = part.arrays
    return Said(arrays[f"chosen {policy}"], arrays["propensity"], part.gain, arrays["alive"])


def untried_of(
    booked: Booked, customers: int, supports: Sequence[Support], estimates: Sequence[Estimate], lead: Lead
) -> Iterator[Untried]:
    """Where a policy would do what the log never tried, the value at either end of what that may be worth."""
    values = {e.policy: e.interval.value for e in estimates if (e.estimator, e.amount) == (lead.estimator, REWARD)}
    for found in supports:
        if found.untried > 0:
            decisions = booked.discounted / customers
            yield untried(found.policy, found.untried, values[found.policy], booked.earned[0], decisions)


def demanded(booked: Booked, customers: int, names: Sequence[str], resources: Resources | None) -> Iterator[Demand]:
    """What every policy asks of the pools, the log's own first; nothing where no pools are told."""
    if resources is not None and booked.used is not None:
        for name, used in zip((LOGGED, *names), booked.used, strict=True):
            yield from demands_of(name, used, booked.used[0], customers, resources)


def guarantees(
    parts: Parts, names: Sequence[str], booked: Booked, settings: EvaluationSettings
) -> Iterator[Guaranteed]:
    """Bounds at any size of log, where a range was stated."""
    if settings.reward_range is None or booked.possible is None:
        return
    for i, name in enumerate(names):
        values = np.concatenate([(part.ratio(i)[:, 0] - 1) * part.arrays[f"amount {REWARD}"][:, 0] for part in parts()])
        yield guaranteed_by(name, values, float(booked.possible[i]), settings.reward_range, settings.confidence)


def sliced(
    parts: Parts,
    names: Sequence[str],
    asked: Sequence[Asked],
    lead: Lead,
    reference: str,
    deciding: Set[str],
    confidence: float,
) -> Iterator[Slice]:
    """The lead estimate by groups of customers, of the policies that the evaluation is about."""
    reward, annoyance = (asked[leading(asked, lead, amount)] for amount in (REWARD, "annoyance"))

    def of(policy: int) -> Iterator[Labelled]:
        name = names[policy]
        for part in parts():
            gained, annoyed = (one.terms(part) for one in (reward, annoyance))
            contacts, decisions = part.arrays["contacts"], part.arrays["alive"].sum(axis=1).astype(np.float64)
            gain, cost = (gained[name], gained[reference]), (annoyed[name], annoyed[reference])
            yield Sliced(name, gain, cost, contacts[:, policy + 1], contacts[:, 0], decisions), part.labels

    for i, name in enumerate(names):
        if name in deciding and name != reference and next(parts()).labels:
            yield from slices_of(partial(of, i), confidence)


def fair(
    parts: Parts,
    names: Sequence[str],
    asked: Sequence[Asked],
    lead: Lead,
    protected: Mapping[str, Protected],
    products: tuple[str, ...],
    deciding: Set[str],
    confidence: float,
) -> Iterator[Fairness]:
    """How unlike protected groups are treated by the policies that the evaluation is about, beside the log.

    protected: by name, of any customers
    """
    annoyance = asked[leading(asked, lead, "annoyance")]
    groups = {
        name: Groups.dividing(all_of([part.arrays[f"protected {name}"] for part in parts()], like))
        for name, like in protected.items()
    }

    def of(policy: int) -> Iterator[Compared]:
        for part in parts():
            annoyed, arrays = annoyance.terms(part), part.arrays
            decisions = arrays["alive"].sum(axis=1).astype(np.float64)
            offers = Offers(products, arrays[f"offers {policy}"], arrays[f"offers {LOGGING}"], decisions)
            by = Measure("annoyance", None, (annoyed[names[policy]], annoyed[LOGGED]))
            at = {name: one.of(arrays[f"protected {name}"]) for name, one in groups.items()}
            yield Compared((*offers.measures(), by), at)

    for i, name in enumerate(names):
        if name in deciding and groups:
            yield from fairness_of(name, partial(of, i), groups, confidence)
