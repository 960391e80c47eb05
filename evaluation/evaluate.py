"""What are these policies worth? Log in, report out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.prices import Prices
from evaluation.adapt import LOGGED, Adapted, adapted, on_log
from evaluation.asking import Comparing, answers, ask, estimates_of, misspecifications_of, together_of
from evaluation.bearing import bearings
from evaluation.beside import demanded, fair, guarantees, powers, returns_of, sensitivities, sliced, untried_of
from evaluation.booking import Booked, book
from evaluation.changes import Example, Kinds, Portraits, changed_by, examples_of
from evaluation.data_card import DataCard
from evaluation.demand import Days, Resources
from evaluation.door import check_training, check_treatments, features_of, kinds_of, labelled, one_of
from evaluation.estimators import ESTIMATORS
from evaluation.lead import choose_lead
from evaluation.log import Log
from evaluation.looking import Advance, Seen, decided, logging_support, look
from evaluation.offered import Offered
from evaluation.part import Needs
from evaluation.part_store import PartStore
from evaluation.propensity_check import PropensityCheck, checked_propensities
from evaluation.protected import Protected, check_protected
from evaluation.regression import TreatmentFeatures
from evaluation.reliability import bins_of, judged
from evaluation.remask import Own
from evaluation.report import Report
from evaluation.resampling import resample
from evaluation.settings import EvaluationSettings
from evaluation.shards import Held, Shard, Shards
from evaluation.spread import Spread
from evaluation.study import Study


def evaluate(
    log: Log | Shards,
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
    protected: Mapping[str, Protected] | None = None,
    products: Sequence[str] | None = None,
    portraits: Portraits | None = None,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    simulation: pl.DataFrame | None = None,
    scratch: Path | None = None,
    advance: Advance | None = None,
) -> Report:
    """Estimate the value of policies from a log, with intervals, paired differences and their support.

    log:          decisions of customers that nothing in training saw; in shards, it need not be held at once, and what
                  is said of it is the same
    policies:     Policy objects, stable-baselines3 models or callables (observation, mask) -> probabilities;
                  a mapping names them. The logging policy is always the first row.
    training_log: other customers, on whom reward models and Q are fitted; None: cross-fitting on `log`, which must then
                  be in one part
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
    labels:       groups of customers to report by themselves, (customers,) str by dimension; see `customer_labels`.
                  Shards carry their own
    protected:    columns by which customers must not be treated unlike, see `protected_of`; shards carry their own
    products:     (treatments,) what each offers, empty: no product; None: every treatment but silence is one
    portraits:    who is at a row of the log, for examples; None: they are told by their ids alone. Of a log in several
                  parts no examples are picked
    simulation:   a frame with a `policy` column, shown beside the estimates
    scratch:      folder for the files of a log in several parts; None: the system's for temporary ones
    advance:      told the customers that were just gone through; everybody is gone through twice
    """
    settings, own, told = settings or EvaluationSettings(), rules or {}, advance or (lambda customers: None)
    given = policies if isinstance(policies, Mapping) else list(policies)
    chosen = adapted(given)
    names = tuple(policy.name for policy in chosen)
    reference = one_of(reference or LOGGED, chosen)
    deciding = {one_of(name, chosen) for name in candidates or names} | {reference}
    for name in own:
        one_of(name, chosen, "rules")
    shards = _shards(log, labels, own, protected or {})
    first, guarded = _opened(shards[0], settings)
    offered = Offered.named(products, first)
    alike = kinds_of(kinds, first)
    features = features_of(attributes, None if kinds is None else alike.of, first)
    deciders = list(given.values() if isinstance(given, Mapping) else given)
    check_treatments(deciders, first)
    check_training(first, training_log)
    if training_log is None and len(shards) > 1:
        raise InputError("must be given: models are not fitted across shards", field="training_log")
    seen = look(shards, chosen, deciders, prices, list(own), training_log, told)
    pooled = first.kind == "continuing"
    supports = seen.supports(names, pooled)
    model_rows = len(training_log) if training_log is not None else seen.decisions // 2
    lead = choose_lead(
        [s for s in supports if s.policy in deciding], seen.customers, model_rows, settings, pooled=pooled
    )  # before any reward is read
    needs = Needs.of(lead, ESTIMATORS[lead.estimator].needs, first.horizon, settings)
    study = _study(shards, first.horizon, training_log, chosen, own, prices, features, settings, seed, needs, seen)
    with TemporaryDirectory(dir=scratch) as folder:
        parts = PartStore(Path(folder) if len(shards) > 1 else None)
        days = Days.of(seen.first, seen.last)
        bins = None if seen.cells is None else bins_of(seen.cells)
        booked, flows, digest = book(study, shards, chosen, needs, resources, days, alike, offered, bins, parts, told)
        asked = tuple(ask(parts, names, lead, first.gamma, booked.open_windows))
        found = answers(asked, parts, resample(seen.customers, settings.resamples, _randomness(seed)), reference)
        estimates = tuple(estimates_of(asked, found, reference, settings.confidence))
        returns = returns_of(parts)
        return Report(
            policies=(LOGGED, *names),
            digests=(None, *(p.digest for p in chosen)),
            reference=reference,
            served=seen.served(own),
            lead=lead,
            estimates=estimates,
            supports=(logging_support(LOGGED, seen.tried[0], seen.customers), *supports),
            choices=study.choices,
            mix=booked.given / seen.decisions,
            treatments=first.treatments,
            data=_card(first, training_log, seen, booked, digest, returns),
            prices=None if prices is None else tuple(prices.vector().tolist()),
            price_names=("annoyance", *first.pools),
            settings=settings,
            seed=seed,
            simulation=simulation,
            together=together_of(estimates, asked, found, lead, Comparing(deciding, reference), settings.confidence),
            powers=tuple(powers(parts, names, lead, returns, settings)),
            check=_check(first, booked),
            reliability=None if booked.binned is None else judged(booked.binned[0], first.treatments),
            sensitivities=tuple(sensitivities(parts, names, lead, returns.mean)),
            guaranteed=tuple(guarantees(parts, names, booked, settings)),
            untried=tuple(untried_of(booked, seen.customers, supports, estimates, lead)),
            bearings=tuple(bearings(parts, names, lead, settings.confidence)),
            demands=tuple(demanded(booked, seen.customers, names, resources)),
            slices=tuple(sliced(parts, names, asked, lead, reference, deciding, settings.confidence)),
            fairness=tuple(fair(parts, names, asked, lead, guarded, offered.products, deciding, settings.confidence)),
            misspecifications=tuple(misspecifications_of(asked, found, parts, lead, reference, settings.confidence)),
            changed=tuple(
                changed_by(p.name, flow, alike, _examples(shards, p, prices, alike, settings, portraits))
                for p, flow in zip(chosen, flows, strict=True)
                if p.name in deciding
            ),
            parts=len(shards),
            learned_from=shards.training,
        )


def _randomness(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 0])


def _shards(
    log: Log | Shards,
    labels: Mapping[str, np.ndarray] | None,
    own: Mapping[str, Own],
    protected: Mapping[str, Protected],
) -> Shards:
    """A log that is held, as one part."""
    if not isinstance(log, Log):
        return log
    masks = {name: one.mask for name, one in own.items() if one.mask is not None}
    return Held([Shard(log, labelled(labels, log), masks, protected)])


def _opened(shard: Shard, settings: EvaluationSettings) -> tuple[Log, dict[str, Protected]]:
    """What all parts of a log have in common, as a log of one customer of a part and what is protected: the part itself
    is let go."""
    log = shard.log
    check_protected(settings.protected, shard.protected, log.customers)
    guarded = {name: column.empty for name, column in shard.protected.items()}
    return replace(log.select(np.arange(log.customers) == 0), steps=log.horizon), guarded


def _study(
    shards: Shards,
    horizon: int,
    training: Log | None,
    chosen: tuple[Adapted, ...],
    own: Mapping[str, Own],
    prices: Prices | None,
    features: TreatmentFeatures,
    settings: EvaluationSettings,
    seed: int,
    needs: Needs,
    seen: Seen,
) -> Study:
    """Models of the training customers, or of either half of the evaluated ones."""
    if training is None:
        only = shards[0]
        source, on_source = only.log, decided(chosen, only, prices)
    else:
        source, on_source = training, ()
        if horizon == 1 or needs.path or needs.k or needs.ratios:
            masks = [own[p.name].training if p.name in own else None for p in chosen]
            on_source = tuple(on_log(p, training, prices, mask) for p, mask in zip(chosen, masks, strict=True))
    pairs = max((w.pairs for w in seen.weighted), default=0)
    return Study(source, training is None, on_source, horizon, pairs, prices, features, settings, seed)


def _check(log: Log, booked: Booked) -> PropensityCheck | None:
    """Of logged propensities; of estimated ones see `evaluation.reliability`."""
    if log.propensity_source != "logged":
        return None
    return checked_propensities(booked.counted[0], log.treatments, log.behaviour is not None)


def _card(log: Log, training: Log | None, seen: Seen, booked: Booked, digest: str, returns: Spread) -> DataCard:
    """log: any part; returns: of its customers"""
    return DataCard(
        seen.customers, seen.decisions, log.horizon, 0 if training is None else training.customers, log.kind, log.gamma,
        log.currency, str(seen.first), str(seen.last), digest, None if training is None else training.digest,
        log.propensity_source, log.propensity_note, tuple(log.annoyance_missing),
        booked.discounted / seen.customers, booked.open_windows / seen.decisions, seen.only(log.treatments),
        seen.certain / seen.decisions, seen.same_instant / seen.decisions, returns.mean if returns.alike else None,
    )  # fmt: skip


def _examples(
    shards: Shards,
    policy: Adapted,
    prices: Prices | None,
    kinds: Kinds,
    settings: EvaluationSettings,
    portraits: Portraits | None,
) -> tuple[Example, ...]:
    """Decisions that a policy would take otherwise; none of a log in several parts, whose middle nobody has seen."""
    if len(shards) > 1:
        return ()
    shard = shards[0]
    return examples_of(shard.log, decided([policy], shard, prices)[0], kinds, settings.examples, portraits)
