"""What stands beside the estimates: what the log can show, how they bear confounding, whom a policy changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from evaluation.adapt import LOGGED, Adapted
from evaluation.asking import Asked
from evaluation.changes import Changed, Kinds, Portraits, changed
from evaluation.confounding import Sensitivity, sensitivity, weighed
from evaluation.data_card import Estimate
from evaluation.demand import Demand, Resources, demands
from evaluation.diagnostics import Support, weights
from evaluation.guaranteed import Guaranteed, guaranteed
from evaluation.lead import Lead
from evaluation.power import Power, power
from evaluation.slices import Slice, Sliced, slices
from evaluation.study import REWARD, Study, amounts
from evaluation.untried import Untried, untried


def powers(study: Study, names: Iterable[str], lead: Lead) -> Iterator[Power]:
    """What the log can show of each policy; the effect in question is a share of what was booked. names: in order"""
    log, settings, reward = study.log, study.settings, amounts(study.log, study.prices)[REWARD]
    effect = settings.effect * abs(float(log.by_customer(log.discount * reward).mean()))
    for policy, p in zip(names, study.probabilities, strict=True):
        ratio = log.padded(weights(log, p), fill=1.0)
        yield power(policy, log, ratio, reward, lead, effect, settings.confidence)


def sensitivities(study: Study, chosen: tuple[Adapted, ...], lead: Lead) -> Iterator[Sensitivity]:
    """How each policy's difference to the logging policy bears confounding; nothing where only a model answers."""
    log, reward = study.log, amounts(study.log, study.prices)[REWARD]
    booked = float(log.by_customer(log.discount * reward).mean())
    for policy, p in zip(chosen, study.probabilities, strict=True):
        if not lead.model_based and p[np.arange(len(log)), log.treatment].any():
            mean = weighed(log, p[np.arange(len(log)), log.treatment], reward, lead)
            if np.isfinite(mean.bounds(1.0)).all():
                yield sensitivity(policy.name, mean, booked)


def untried_of(
    study: Study, supports: tuple[Support, ...], estimates: tuple[Estimate, ...], lead: Lead
) -> Iterator[Untried]:
    """Where a policy would do what the log never tried, the value at either end of what that may be worth."""
    reward = amounts(study.log, study.prices)[REWARD]
    values = {e.policy: e.interval.value for e in estimates if (e.estimator, e.amount) == (lead.estimator, REWARD)}
    for found in supports:
        if found.untried > 0:
            yield untried(found.policy, found.untried, values[found.policy], study.log, reward)


def demands_of(study: Study, chosen: tuple[Adapted, ...], resources: Resources | None) -> Iterator[Demand]:
    """What every policy asks of the pools, the log's own first; nothing where no pools are told."""
    if resources is None:
        return
    log = study.log
    yield from demands(LOGGED, log, np.eye(log.width)[log.treatment], resources)
    for policy, p in zip(chosen, study.probabilities, strict=True):
        yield from demands(policy.name, log, p, resources)


def guaranteed_of(study: Study, chosen: tuple[Adapted, ...]) -> Iterator[Guaranteed]:
    """Bounds at any size of log, where a range was stated."""
    stated, reward = study.settings.reward_range, amounts(study.log, study.prices)[REWARD]
    if stated is None:
        return
    for policy, p in zip(chosen, study.probabilities, strict=True):
        found = guaranteed(policy.name, study.log, p, reward, stated, study.settings.confidence)
        if found is not None:
            yield found


def changed_of(
    study: Study,
    chosen: tuple[Adapted, ...],
    deciding: set[str],
    kinds: Kinds,
    labels: Mapping[str, np.ndarray],
    portraits: Portraits | None,
) -> Iterator[Changed]:
    """What the policies that the evaluation is about would do otherwise than the log did."""
    for policy, p in zip(chosen, study.probabilities, strict=True):
        if policy.name in deciding:
            yield changed(policy.name, study.log, p, kinds, labels, study.settings.examples, portraits)


def slices_of(
    study: Study,
    chosen: tuple[Adapted, ...],
    asked: tuple[Asked, ...],
    lead: Lead,
    reference: str,
    labels: Mapping[str, np.ndarray],
    deciding: set[str],
) -> Iterator[Slice]:
    """The lead estimate by groups of customers, of the policies that the evaluation is about."""
    log, by = study.log, {(ask.estimator.name, ask.amount): ask.found for ask in asked}
    reward, annoyance = by[lead.estimator, REWARD], by[lead.estimator, "annoyance"]
    before, decisions = log.by_customer((log.treatment > 0).astype(np.float64)), log.by_customer(np.ones(len(log)))
    for policy, p in zip(chosen, study.probabilities, strict=True):
        if policy.name in deciding - {reference} and labels:
            name = policy.name
            gained, annoyed = ((found[name].terms, found[reference].terms) for found in (reward, annoyance))
            one = Sliced(name, gained, annoyed, log.by_customer(1 - p[:, 0]), before, decisions)
            yield from slices(one, labels, study.settings.confidence)
