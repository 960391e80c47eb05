"""The lead estimate alone, as `evaluation.evaluate` makes it, without all that a report says beside it.

The same functions in the same order with the same seeds: `tests/test_benchmark_witness.py` compares them to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from agents.policy import Policy
from envs.prices import Prices
from evaluation.adapt import LOGGED, adapted, on_log
from evaluation.asking import Asked, Comparing, answers, estimates_of, together_of
from evaluation.beside import powers, returns_of
from evaluation.diagnostics import Support, Weighted, support
from evaluation.estimators import ESTIMATORS
from evaluation.intervals import Interval
from evaluation.lead import Lead, choose_lead, single_size
from evaluation.log import Log
from evaluation.part import Needs, Part, laid_out
from evaluation.part_store import PartStore
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
        parts = self._laid_out(prices, settings, seed)
        resamples = resample(log.customers, settings.resamples, np.random.default_rng([seed, 0]))
        asked = (Asked.of(ESTIMATORS[lead.estimator], REWARD, parts, (LOGGED, *self.names)),)
        found = answers(asked, parts, resamples, LOGGED)
        estimates = tuple(estimates_of(asked, found, LOGGED, settings.confidence))
        comparing = Comparing({LOGGED, *self.names}, LOGGED)
        together = together_of(estimates, asked, found, lead, comparing, settings.confidence)
        bounds = {one.policy: one.lower for one in together}
        sizes = {one.policy: _size(one, lead, log.customers) for one in self.supports}
        earned = {one.policy: one.positives for one in powers(parts, self.names, lead, returns_of(parts), settings)}
        return {
            name: Estimated(one.interval, one.difference, bounds[name], sizes[name], earned[name])
            for one in estimates
            for name in (one.policy,)
            if one.difference is not None
        }

    def _laid_out(self, prices: Prices, settings: EvaluationSettings, seed: int) -> PartStore:
        """The log as estimators read it, with the models that the lead asks for."""
        log, lead = self.log, self.lead
        needs = Needs.of(lead, ESTIMATORS[lead.estimator].needs, log.horizon, settings)
        needs = replace(needs, path=needs.path and lead.model_based, ratios=False, k_of_parts=0, path_of_parts=False)
        pairs = max(Weighted.of(log, p).pairs for p in self.probabilities)
        features = TreatmentFeatures(np.zeros((log.width, 0)))
        study = Study(log, True, self.probabilities, log.horizon, pairs, prices, features, settings, seed)
        arrays = laid_out(study, log, self.probabilities, needs, {})
        parts = PartStore(None)
        parts.add(Part(0, log.customers, log.kind == "continuing", needs.k, arrays))
        return parts


def _size(found: Support, lead: Lead, customers: int) -> float:
    """Effective sample size behind the lead estimate, see `Report.support`."""
    if lead.kind in ("one-step", "k-step"):
        return float(found.ess_cumulative[lead.decisions - 1])
    return single_size(found, customers, pooled=False)
