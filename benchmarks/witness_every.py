"""Every estimator of a report beside the truth of what it estimates, on logs of one kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.witness_rates import rate
from benchmarks.witness_world import PRICES, Estimand, Known
from evaluation.evaluate import evaluate
from evaluation.lead import Lead
from evaluation.settings import EvaluationSettings

CANDIDATE = "little better"


def every_estimator(
    known: Known, customers: int, seeds: Sequence[int], settings: EvaluationSettings
) -> dict[str, dict[str, float]]:
    """By estimator, of one candidate: error as a share of the logging policy's value, coverage with its interval."""
    policy = known.candidates(Estimand("deviation", 1))[CANDIDATE]
    wrong: dict[str, list[float]] = {}
    held: dict[str, list[bool]] = {}
    for seed in seeds:
        log = known.log(customers, seed)
        report = evaluate(log, {policy.name: policy}, prices=PRICES, settings=settings, seed=seed)
        for name in report.estimators:
            estimand = estimand_of(name, report.lead, log.horizon)
            truth, logged = (known.truth(shares, estimand) for shares in (policy.shares, (1.0, 0.0, 0.0)))
            found = report.estimate(policy.name, name).interval
            wrong.setdefault(name, []).append((found.value - truth) / logged)
            held.setdefault(name, []).append(found.lo <= truth <= found.hi)
    return {
        name: {"error": float(np.sqrt(np.mean(np.square(errors)))), "bias": float(np.mean(errors))}
        | _covered(held[name])
        for name, errors in wrong.items()
    }


def estimand_of(estimator: str, lead: Lead, horizon: int) -> Estimand:
    """What an estimator estimates, of a report with this lead."""
    if estimator.startswith("deviation"):
        return Estimand("deviation", 1)
    return Estimand("k-step", lead.decisions if estimator.startswith("kstep") else horizon)


def _covered(held: list[bool]) -> dict[str, float]:
    found = rate(np.array(held))
    return {"covered": found.share, "lo": found.lo, "hi": found.hi, "logs": float(len(held))}
