"""What are these policies worth? Log in, report out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from envs.prices import Prices
from evaluation.adapt import LOGGED, Adapted, adapted, on_log
from evaluation.asking import Comparing, ask, drawn, estimates_of, misspecifications_of, together_of
from evaluation.beside import changed_of, demands_of, guaranteed_of, powers, sensitivities, slices_of, untried_of
from evaluation.changes import Portraits
from evaluation.data_card import DataCard
from evaluation.demand import Resources
from evaluation.diagnostics import Support, support
from evaluation.door import check_prices, check_training, features_of, kinds_of, labelled, one_of
from evaluation.lead import Lead, choose_lead
from evaluation.log import Log
from evaluation.propensity_check import check_propensities
from evaluation.remask import Own
from evaluation.report import Report
from evaluation.resampling import resample
from evaluation.settings import EvaluationSettings
from evaluation.study import Study


def evaluate(
    log: Log,
    policies: Iterable[object] | Mapping[str, object],
    *,
    training_log: Log | None = None,
    prices: Prices | None = None,
    attributes: np.ndarray | None = None,
    kinds: Sequence[str] | None = None,
    resources: Resources | None = None,
    rules: Mapping[str, Own] | None = None,
    reference: str | None = None,
    candidates: Sequence[str] | None = None,
    labels: Mapping[str, np.ndarray] | None = None,
    portraits: Portraits | None = None,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    simulation: pl.DataFrame | None = None,
) -> Report:
    """Estimate the value of policies from a log, with intervals, paired differences and their support.

    log:          decisions of customers that nothing in training saw
    policies:     Policy objects, stable-baselines3 models or callables (observation, mask) -> probabilities;
                  a mapping names them. The logging policy is always the first row.
    training_log: other customers, on whom reward models and Q are fitted; None: cross-fitting on `log`
    prices:       shown to the policies and used to recompute logged rewards, inside of every artifact's range; None:
                  as logged
    attributes:   (treatments, attributes), how models tell treatments apart; None: by name alone
    kinds:        (treatments,) names of kinds: treatments of one kind are no change to each other, and marginalised IPS
                  takes them to be alike; None: every treatment is a kind, and marginalised IPS is not computed
    resources:    what treatments draw from pools and what there is; None: capacity is not looked at
    rules:        how policies are served, by name, and what their own rules would have allowed; the others decide
                  under the log's
    reference:    the policy that differences are taken to; None: the logging policy
    candidates:   names of the policies that the evaluation is about: their support picks the lead estimate, and the
                  reference's; None: all. A baseline that the log supports less is shown and marked, not believed
    labels:       groups of customers to report by themselves, (customers,) str by dimension; see `customer_labels`
    portraits:    who is at a row of the log, for examples; None: they are told by their ids alone
    simulation:   a frame with a `policy` column, shown beside the estimates
    """
    settings = settings or EvaluationSettings()
    given = policies if isinstance(policies, Mapping) else list(policies)
    chosen = adapted(given)
    check_prices(given.values() if isinstance(given, Mapping) else given, log, prices)
    reference = one_of(reference or LOGGED, chosen)
    deciding = {one_of(name, chosen) for name in candidates or [p.name for p in chosen]} | {reference}
    alike = kinds_of(kinds, log)
    features = features_of(attributes, None if kinds is None else alike.of, log)
    named = labelled(labels, log)
    check_training(log, training_log)
    own = rules or {}
    for name in own:
        one_of(name, chosen, "rules")
    probabilities = tuple(on_log(p, log, prices, own[p.name].mask if p.name in own else None) for p in chosen)
    supports = tuple(support(p.name, log, x) for p, x in zip(chosen, probabilities, strict=True))
    model_rows = len(training_log) if training_log is not None else len(log) // 2
    counted = [s for s in supports if s.policy in deciding]
    lead = choose_lead(
        counted, log.customers, model_rows, settings, pooled=log.kind == "continuing"
    )  # before any reward is read
    on_training = _on_training(chosen, training_log, prices, settings, lead, log, own)
    study = Study(log, training_log, probabilities, on_training, prices, features, settings, seed)
    resamples = resample(log.customers, settings.resamples, np.random.default_rng([seed, 0]))
    asked = tuple(ask(study, chosen, lead))
    draws = drawn(asked, resamples)
    estimates = tuple(estimates_of(asked, draws, reference, settings.confidence))
    return Report(
        policies=(LOGGED, *(p.name for p in chosen)),
        digests=(None, *(p.digest for p in chosen)),
        reference=reference,
        served=tuple(one.served for one in own.values()),
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
        together=together_of(estimates, asked, draws, lead, Comparing(deciding, reference), settings.confidence),
        powers=tuple(powers(study, [p.name for p in chosen], lead)),
        check=check_propensities(log) if log.propensity_source == "logged" else None,
        sensitivities=tuple(sensitivities(study, chosen, lead)),
        guaranteed=tuple(guaranteed_of(study, chosen)),
        untried=tuple(untried_of(study, supports, estimates, lead)),
        demands=tuple(demands_of(study, chosen, resources)),
        slices=tuple(slices_of(study, chosen, asked, lead, reference, named, deciding)),
        misspecifications=tuple(misspecifications_of(asked, draws, lead, reference, settings.confidence)),
        changed=tuple(changed_of(study, chosen, deciding, alike, named, portraits)),
    )


def _on_training(
    chosen: tuple[Adapted, ...],
    training: Log | None,
    prices: Prices | None,
    settings: EvaluationSettings,
    lead: Lead,
    log: Log,
    own: Mapping[str, Own],
) -> tuple[np.ndarray, ...]:
    fits_q = log.horizon > 1 and (settings.full_horizon or lead.kind in ("k-step", "model"))
    fits = fits_q or log.horizon == 1 or log.horizon <= settings.ratio_decisions
    if training is None or not fits:
        return ()
    return tuple(on_log(p, training, prices, own[p.name].training if p.name in own else None) for p in chosen)


def _mix(log: Log, probabilities: tuple[np.ndarray, ...]) -> np.ndarray:  # (1 + policies, A)
    """Share of decisions that each policy gives to each treatment; the logging policy's as counted."""
    counted = np.bincount(log.treatment, minlength=len(log.treatments)) / len(log)
    return np.stack([counted, *(p.mean(axis=0) for p in probabilities)])


def _logging_support(log: Log) -> Support:
    alive = log.alive.sum(axis=0)
    ones = np.ones(log.horizon)
    everyone = np.full(log.horizon, float(log.customers))
    return Support(LOGGED, alive.astype(np.float64), everyone, alive, ones, ones, 0.0, float(log.customers))
