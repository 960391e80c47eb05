"""The lead estimate alone, as `evaluation.evaluate` makes it, without all that a report says beside it.

The same functions in the same order with the same seeds: `tests/test_benchmark_witness.py` compares them to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.policy import Policy
from envs.prices import Prices
from evaluation.adapt import LOGGED, adapted, on_log
from evaluation.asking import Asked, Comparing, drawn, estimates_of, together_of
from evaluation.beside import powers
from evaluation.diagnostics import Support, support
from evaluation.estimators import ESTIMATORS
from evaluation.intervals import Interval
from evaluation.lead import Lead, choose_lead, single_size
from evaluation.log import Log
from evaluation.regression import TreatmentFeatures
from evaluation.resampling import resample
from evaluation.settings import EvaluationSettings
from evaluation.study import REWARD, Study


@dataclass(frozen=True)
class Estimated:
    """What the lead estimate says of one policy."""

    value: Interval
    difference: Interval  # to the logging policy, paired
    together: float  # lower bound of the difference that holds for all policies of the comparison
    ess: float  # customers
    positives: float  # effective number of those that earned anything


@dataclass(frozen=True)
class Leading:
    """A log, what policies would do on it, and which estimate it supports: chosen before any reward is read."""

    log: Log
    names: tuple[str, ...]
    probabilities: tuple[np.ndarray, ...]  # per policy (n, treatments)
    supports: tuple[Support, ...]
    lead: Lead

    @classmethod
    def of(cls, log: Log, policies: Mapping[str, Policy], prices: Prices, settings: EvaluationSettings) -> Leading:
        chosen = adapted(policies)
        probabilities = tuple(on_log(policy, log, prices) for policy in chosen)
        supports = tuple(support(policy.name, log, p) for policy, p in zip(chosen, probabilities, strict=True))
        lead = choose_lead(supports, log.customers, len(log) // 2, settings)
        return cls(log, tuple(policy.name for policy in chosen), probabilities, supports, lead)

    def estimates(self, prices: Prices, settings: EvaluationSettings, seed: int) -> dict[str, Estimated]:
        """What the lead estimate says of each policy, by name."""
        log, lead = self.log, self.lead
        features = TreatmentFeatures(np.zeros((log.width, 0)))
        study = Study(log, None, self.probabilities, (), prices, features, settings, seed)
        resamples = resample(log.customers, settings.resamples, np.random.default_rng([seed, 0]))
        asked = (_asked(study, self.names, lead),)
        draws = drawn(asked, resamples)
        estimates = tuple(estimates_of(asked, draws, LOGGED, settings.confidence))
        comparing = Comparing({LOGGED, *self.names}, LOGGED)
        together = together_of(estimates, asked, draws, lead, comparing, settings.confidence)
        bounds = {one.policy: one.lower for one in together}
        sizes = {one.policy: _size(one, lead, log.customers) for one in self.supports}
        earned = {one.policy: one.positives for one in powers(study, self.names, lead)}
        return {
            name: Estimated(one.interval, one.difference, bounds[name], sizes[name], earned[name])
            for one in estimates
            for name in (one.policy,)
            if one.difference is not None
        }


def _asked(study: Study, names: tuple[str, ...], lead: Lead) -> Asked:
    """The lead estimator of the reward, for every policy and the logging one."""
    k = lead.decisions if lead.kind == "k-step" else 0
    path = study.log.horizon > 1 and lead.model_based
    inputs = {name: study.inputs(policy, REWARD, k, path=path) for policy, name in enumerate(names)}
    return Asked.of(ESTIMATORS[lead.estimator], REWARD, {LOGGED: study.inputs(None, REWARD, k, path=path)} | inputs)


def _size(found: Support, lead: Lead, customers: int) -> float:
    """Effective sample size behind the lead estimate, see `Report.support`."""
    if lead.kind in ("one-step", "k-step"):
        return float(found.ess_cumulative[lead.decisions - 1])
    return single_size(found, customers, pooled=False)
