"""From the Starbucks log to a policy: PPO, the myopic rule and the best fixed offer on held-out customers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from benchmarks.kit import Options, Result, data, main, show
from evaluation.intervals import Interval
from evaluation.lead_words import lead_reason
from evaluation.report import Report
from evaluation.settings import EvaluationSettings
from training.calibrate import calibrate
from training.configs import CalibrateConfig, EvaluateConfig, ImportConfig, TrainConfig
from training.evaluate import evaluate
from training.import_log import import_log
from training.train import train

AIM = 1.25  # the lower bound of PPO, as a multiple of the logged value
T = TypeVar("T")


def starbucks(options: Options, result: Result) -> None:
    """Import, calibrate, train and evaluate on the Starbucks log, customers split 70/30."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        started = time.monotonic()
        out = work()
        seconds[name] = time.monotonic() - started
        return out

    tables, world = options.work / "tables", options.work / "world"
    steps = 20_000 if options.quick else TrainConfig(world="").steps
    timed("import", lambda: import_log(ImportConfig(kind="starbucks", source=data("starbucks"), out=tables)))
    timed("calibrate", lambda: calibrate(CalibrateConfig(
        tables=tables, out=world, seed=options.seed, replicates=0 if options.quick else 10,
    )))  # fmt: skip
    run = timed("train", lambda: train(TrainConfig(
        tables=tables, world=str(world), steps=steps, seed=options.seed, out=options.work / "training",
        tuning_customers=300 if options.quick else 1000,
    )))  # fmt: skip
    report = timed("evaluate", lambda: evaluate(EvaluateConfig(
        tables=tables, policy=[run.artifact], baselines=["best_fixed", "myopic"], world=str(world), seed=options.seed,
        simulate_customers=300 if options.quick else 2000, out=options.work / "report",
    ))).report  # fmt: skip
    against = evaluate(EvaluateConfig(
        tables=tables, policy=[run.artifact], baselines=["best_fixed"], reference="best_fixed", seed=options.seed,
        settings=EvaluationSettings(full_horizon=False), track=False, out=options.work / "report-best-fixed",
    )).report.estimate("ppo").difference  # fmt: skip
    assert against is not None  # only the reference has none
    _tell(report, against, result)
    result.figures["seconds"] = seconds


def _tell(report: Report, against: Interval, result: Result) -> None:
    wanted = ["policy", "value", "lo", "hi", "difference", "difference_lo", "difference_hi", "ess", "max_weight"]
    wanted += ["fqe", "fqe_lo", "fqe_hi"]
    frame = report.frame
    show(
        f"Starbucks, USD per customer over six waves, {report.data.customers} held-out customers; "
        f"lead: {report.lead.estimator} ({lead_reason(report)}); fqe: full horizon, model-based",
        frame.select([name for name in wanted if name in frame.columns]),
        digits=2,
    )
    logged, ppo, fixed = (report.estimate(name).interval for name in ("logged", "ppo", "best_fixed"))
    result.figures |= {
        "lead": report.lead.estimator,
        "policies": {
            name: {"value": i.value, "lo": i.lo, "hi": i.hi, "lower_one_sided": i.lower, "ess": report.support(name)[0]}
            for name in report.policies
            for i in [report.estimate(name).interval]
        },
        "ppo_lower_over_logged": ppo.lo / logged.value,
        "ppo_minus_best_fixed": {"value": against.value, "lo": against.lo, "hi": against.hi},
    }
    result.target("gain", f"lower bound of PPO at least {AIM} x the logged value", ppo.lo >= AIM * logged.value)
    result.target("best_fixed", "PPO not below the best fixed offer by more than the paired interval", against.hi >= 0)
    result.conditions |= {
        "lead": lead_reason(report),
        "best_fixed": fixed.value,
        "test_customers": report.data.customers,
    }


if __name__ == "__main__":
    main("starbucks", starbucks)
