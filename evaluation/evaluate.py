"""What are these policies worth? Log in, report out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.prices import Prices
from evaluation.adapt import LOGGED, Adapted, adapted, on_log
from evaluation.confounding import Sensitivity, sensitivity, weighed
from evaluation.diagnostics import Support, support, weights
from evaluation.estimators import ESTIMATORS, Estimated, Estimator, Inputs, estimated, estimators_for
from evaluation.guaranteed import Guaranteed, guaranteed
from evaluation.intervals import interval
from evaluation.lead import Lead, choose_lead
from evaluation.log import Log
from evaluation.power import Power, power
from evaluation.propensity_check import check_propensities
from evaluation.regression import TreatmentFeatures
from evaluation.report import DataCard, Estimate, Report
from evaluation.resampling import Resamples, resample
from evaluation.settings import EvaluationSettings
from evaluation.slices import Slice, Sliced, slices
from evaluation.study import COMPONENTS, REWARD, Study, amounts
from evaluation.untried import Untried, untried

UNDISCOUNTED = "undiscounted"


def evaluate(
    log: Log,
    policies: Iterable[object] | Mapping[str, object],
    *,
    training_log: Log | None = None,
    prices: Prices | None = None,
    attributes: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    reference: str | None = None,
    candidates: Sequence[str] | None = None,
    labels: Mapping[str, np.ndarray] | None = None,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    simulation: pl.DataFrame | None = None,
) -> Report:
    """Estimate the value of policies from a log, with intervals, paired differences and their support.

    log:          decisions of customers that nothing in training saw
    policies:     Policy objects, stable-baselines3 models or callables (observation, mask) -> probabilities;
                  a mapping names them. The logging policy is always the first row.
    training_log: other customers, on whom reward models and Q are fitted; None: cross-fitting on `log`
    prices:       shown to the policies and used to recompute logged rewards; None: as logged
    attributes:   (treatments, attributes), how models tell treatments apart; None: by name alone
    groups:       (treatments,) int, which of them marginalised IPS takes to be alike; None: it is not computed
    reference:    the policy that differences are taken to; None: the logging policy
    candidates:   names of the policies that the evaluation is about: their support picks the lead estimate, and the
                  reference's; None: all. A baseline that the log supports less is shown and marked, not believed
    labels:       groups of customers to report by themselves, (customers,) str by dimension; see `customer_labels`
    simulation:   a frame with a `policy` column, shown beside the estimates
    """
    settings = settings or EvaluationSettings()
    chosen = adapted(policies)
    reference = _known(reference or LOGGED, chosen)
    deciding = {_known(name, chosen) for name in candidates or [p.name for p in chosen]} | {reference}
    features = _features(attributes, groups, log)
    _check_training(log, training_log)
    probabilities = tuple(on_log(policy, log, prices) for policy in chosen)
    supports = tuple(support(p.name, log, x) for p, x in zip(chosen, probabilities, strict=True))
    model_rows = len(training_log) if training_log is not None else len(log) // 2
    counted = [s for s in supports if s.policy in deciding]
    lead = choose_lead(
        counted, log.customers, model_rows, settings, pooled=log.kind == "continuing"
    )  # before any reward is read
    on_training = _on_training(chosen, training_log, prices, settings, lead, log)
    study = Study(log, training_log, probabilities, on_training, prices, features, settings, seed)
    resamples = resample(log.customers, settings.resamples, np.random.default_rng([seed, 0]))
    asked = tuple(_asked(study, chosen, lead))
    estimates = tuple(_estimates(asked, reference, resamples, settings.confidence))
    return Report(
        policies=(LOGGED, *(p.name for p in chosen)),
        digests=(None, *(p.digest for p in chosen)),
        reference=reference,
        lead=lead,
        estimates=estimates,
        supports=(_logging_support(log), *supports),
        choices=study.choices,
        mix=_mix(log, probabilities),
        treatments=log.treatments,
        data=DataCard.of(log, training_log),
        prices=None if prices is None else tuple(prices.vector().tolist()),
        price_names=("annoyance", *log.pools),
        settings=settings,
        seed=seed,
        simulation=simulation,
        powers=tuple(_powers(study, chosen, lead)),
        check=check_propensities(log) if log.propensity_source == "logged" else None,
        sensitivities=tuple(_sensitivities(study, chosen, lead)),
        guaranteed=tuple(_guaranteed(study, chosen)),
        untried=tuple(_untried(study, supports, estimates, lead)),
        slices=tuple(_slices(study, chosen, asked, lead, reference, labels or {}, deciding)),
    )


def _powers(study: Study, chosen: tuple[Adapted, ...], lead: Lead) -> Iterator[Power]:
    """What the log can show of each policy; the effect in question is a share of what was booked."""
    log, settings, reward = study.log, study.settings, amounts(study.log, study.prices)[REWARD]
    effect = settings.effect * abs(float(log.by_customer(log.discount * reward).mean()))
    for policy, p in zip(chosen, study.probabilities, strict=True):
        ratio = log.padded(weights(log, p), fill=1.0)
        yield power(policy.name, log, ratio, reward, lead, effect, settings.confidence)


def _sensitivities(study: Study, chosen: tuple[Adapted, ...], lead: Lead) -> Iterator[Sensitivity]:
    """How each policy's difference to the logging policy bears confounding; nothing where only a model answers."""
    log, reward = study.log, amounts(study.log, study.prices)[REWARD]
    booked = float(log.by_customer(log.discount * reward).mean())
    for policy, p in zip(chosen, study.probabilities, strict=True):
        if not lead.model_based and p[np.arange(len(log)), log.treatment].any():
            mean = weighed(log, p[np.arange(len(log)), log.treatment], reward, lead)
            yield sensitivity(policy.name, mean, booked)


def _untried(
    study: Study, supports: tuple[Support, ...], estimates: tuple[Estimate, ...], lead: Lead
) -> Iterator[Untried]:
    """Where a policy would do what the log never tried, the value at either end of what that may be worth."""
    reward = amounts(study.log, study.prices)[REWARD]
    values = {e.policy: e.interval.value for e in estimates if (e.estimator, e.amount) == (lead.estimator, REWARD)}
    for found in supports:
        if found.untried > 0:
            yield untried(found.policy, found.untried, values[found.policy], study.log, reward)


def _guaranteed(study: Study, chosen: tuple[Adapted, ...]) -> Iterator[Guaranteed]:
    """Bounds at any size of log, where a range was stated."""
    stated, reward = study.settings.reward_range, amounts(study.log, study.prices)[REWARD]
    if stated is None:
        return
    for policy, p in zip(chosen, study.probabilities, strict=True):
        found = guaranteed(policy.name, study.log, p, reward, stated, study.settings.confidence)
        if found is not None:
            yield found


@dataclass(frozen=True)
class _Asked:
    """One estimator of one amount, for every policy."""

    estimator: Estimator
    amount: str
    found: dict[str, Estimated]

    @classmethod
    def of(cls, estimator: Estimator, amount: str, inputs: dict[str, Inputs]) -> _Asked:
        found = {name: estimated(estimator, given, logging=name == LOGGED) for name, given in inputs.items()}
        return cls(estimator, amount, found)


def _estimates(
    asked: tuple[_Asked, ...], reference: str, resamples: Resamples, confidence: float
) -> Iterator[Estimate]:
    """Everything that is asked, with intervals from one pass over the customers."""
    draws = iter(resamples.of_all([one.terms for ask in asked for one in ask.found.values()]))
    for ask in asked:
        yield from _compared(ask, {name: next(draws) for name in ask.found}, reference, confidence)


def _slices(
    study: Study,
    chosen: tuple[Adapted, ...],
    asked: tuple[_Asked, ...],
    lead: Lead,
    reference: str,
    labels: Mapping[str, np.ndarray],
    deciding: set[str],
) -> Iterator[Slice]:
    """The lead estimate by groups of customers, of the policies that the evaluation is about."""
    log, by = study.log, {(ask.estimator.name, ask.amount): ask.found for ask in asked}
    for name, of in labels.items():
        if np.shape(of) != (log.customers,):
            raise InputError(
                f"must label each of {log.customers} customers", field=f"labels[{name}]", value=np.shape(of)
            )
    reward, annoyance = by[lead.estimator, REWARD], by[lead.estimator, "annoyance"]
    before, decisions = log.by_customer((log.treatment > 0).astype(np.float64)), log.by_customer(np.ones(len(log)))
    for policy, p in zip(chosen, study.probabilities, strict=True):
        if policy.name in deciding - {reference} and labels:
            name = policy.name
            gained, annoyed = ((found[name].terms, found[reference].terms) for found in (reward, annoyance))
            one = Sliced(name, gained, annoyed, log.by_customer(1 - p[:, 0]), before, decisions)
            yield from slices(one, labels, study.settings.confidence)


def _asked(study: Study, chosen: tuple[Adapted, ...], lead: Lead) -> Iterator[_Asked]:
    """Every estimator of the reward, then the lead estimator of each part of it."""
    names = (LOGGED, *(p.name for p in chosen))
    k = lead.decisions if lead.kind == "k-step" else 0
    path = study.log.horizon > 1 and (study.settings.full_horizon or lead.model_based)
    ratios = 1 < study.log.horizon <= study.settings.ratio_decisions
    every = {name: study.inputs(i, REWARD, k, path=path, ratios=ratios) for name, i in _numbered(names)}
    there = {"path": path, "k": k >= 2, "ratios": ratios, "one step": study.log.horizon == 1, "groups": study.grouped}
    for estimator in estimators_for(study.log.horizon, frozenset(name for name, known in there.items() if known)):
        yield _Asked.of(estimator, REWARD, every)
    leading = ESTIMATORS[lead.estimator]
    needs_k = k if "k" in leading.needs else 0
    for amount in COMPONENTS:
        parts = {n: study.inputs(i, amount, needs_k, path="path" in leading.needs) for n, i in _numbered(names)}
        yield _Asked.of(leading, amount, parts)
    if study.log.gamma < 1 and study.log.horizon > 1 and not leading.model_based:
        # Any q with v its expectation leaves the weighted form consistent, so the models may stay discounted.
        plain = {name: replace(i, discount=i.alive.astype(np.float64)) for name, i in every.items()}
        yield _Asked.of(leading, UNDISCOUNTED, plain)


def _numbered(names: tuple[str, ...]) -> Iterator[tuple[str, int | None]]:
    return ((name, index - 1 if index else None) for index, name in enumerate(names))


def _compared(ask: _Asked, draws: dict[str, np.ndarray], reference: str, confidence: float) -> Iterator[Estimate]:
    """One estimator of one amount for every policy, and its paired difference to the reference."""
    base = ask.found[reference].terms
    for name, one in ask.found.items():
        value, moved = one.terms.estimate(), one.terms.influence()
        apart, moved_apart = value - base.estimate(), moved - base.influence()
        difference = interval(apart, draws[name] - draws[reference], confidence, moved_apart)
        own = interval(value, draws[name], confidence, moved)
        other = None if name == reference else difference
        yield Estimate(name, ask.estimator.name, ask.amount, own, other, one.weighting)


def _known(reference: str, chosen: tuple[Adapted, ...]) -> str:
    names = [LOGGED, *(p.name for p in chosen)]
    if reference not in names:
        raise InputError(f"must be one of: {', '.join(names)}", field="reference", value=reference)
    return reference


def _features(attributes: np.ndarray | None, groups: np.ndarray | None, log: Log) -> TreatmentFeatures:
    width = len(log.treatments)
    values = np.zeros((width, 0)) if attributes is None else np.asarray(attributes, dtype=np.float64)
    if values.ndim != 2 or len(values) != width:
        raise InputError(f"must have a row for each of {width} treatments", field="attributes", value=values.shape)
    if groups is not None and np.shape(groups) != (width,):
        raise InputError(f"must name a group for each of {width} treatments", field="groups", value=np.shape(groups))
    return TreatmentFeatures(values, groups)


def _check_training(log: Log, training: Log | None) -> None:
    """The training log must speak of the same treatments and fields, and of other customers."""
    if training is None:
        return
    if training.treatments != log.treatments:
        raise InputError("must list the same treatments as the log", field="training_log")
    if training.observation.shape[1] != log.observation.shape[1]:
        raise InputError(
            f"must have {log.observation.shape[1]} fields, as the log",
            field="training_log.observation",
            value=training.observation.shape[1],
        )
    both = np.intersect1d(training.customer_id, log.customer_id)
    if len(both):
        raise InputError("must not be a customer of the evaluated log", field="training_log", value=str(both[0]))


def _on_training(
    chosen: tuple[Adapted, ...],
    training: Log | None,
    prices: Prices | None,
    settings: EvaluationSettings,
    lead: Lead,
    log: Log,
) -> tuple[np.ndarray, ...]:
    fits_q = log.horizon > 1 and (settings.full_horizon or lead.kind in ("k-step", "model"))
    fits = fits_q or log.horizon <= settings.ratio_decisions
    return tuple(on_log(p, training, prices) for p in chosen) if training is not None and fits else ()


def _mix(log: Log, probabilities: tuple[np.ndarray, ...]) -> np.ndarray:  # (1 + policies, A)
    """Share of decisions that each policy gives to each treatment; the logging policy's as counted."""
    counted = np.bincount(log.treatment, minlength=len(log.treatments)) / len(log)
    return np.stack([counted, *(p.mean(axis=0) for p in probabilities)])


def _logging_support(log: Log) -> Support:
    alive = log.alive.sum(axis=0)
    ones = np.ones(log.horizon)
    everyone = np.full(log.horizon, float(log.customers))
    return Support(LOGGED, alive.astype(np.float64), everyone, alive, ones, ones, 0.0, float(log.customers))
