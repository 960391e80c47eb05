"""The demo: the whole loop on the built-in bank, which knows the truth, so that every estimate can be checked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from agents.baselines import Silence, SiloedCampaigns
from agents.policy import Policy
from envs.prices import Prices, prices_from
from envs.tables import read_tables
from envs.world import World, load_world
from evaluation.intervals import Interval
from evaluation.report import Report
from evaluation.simulation import Comparison, compare
from evaluation.truth import Study, true_value
from training.calibrate import calibrate
from training.configs import CalibrateConfig, DemoConfig, EvaluateConfig, PromoteConfig, SimulateConfig, TrainConfig
from training.demo_service import Served, serve_decisions
from training.evaluate import FIRST_COMPARED, evaluate, policies_of
from training.progress import progress
from training.promote import Promotion, promote
from training.runs import run_directory
from training.simulate import WEEK, logging_policy, simulate, under_silos, weekly
from training.train import TrainingRun, train

T = TypeVar("T")
BASELINES = ["best_fixed", "coordinated_rules", "myopic"]
DECISIONS = 10  # asked of the service
RANDOMISED = 0.45  # share of customers; assumed: as many as leave the silos in the majority
REPLICATES = 4  # members of the ensemble to learn in
FLOOR = 0.02  # exploration of the served policy; assumed: a bank that has agreed to learn
TRUTH = 40_000_000  # number of the first customer on whom true values are computed


@dataclass(frozen=True)
class Demo:
    """Everything that the demo made."""

    directory: Path
    training: TrainingRun
    report: Report
    comparison: Comparison  # in the built-in bank itself
    truth: pl.DataFrame  # policy, quantity, estimate, lo, hi, true value, its interval, covered
    promotion: Promotion
    served: Served
    seconds: dict[str, float]

    @property
    def frame(self) -> pl.DataFrame:
        """Each policy in the built-in bank, beside its estimate from the log."""
        return self.comparison.frame

    def __str__(self) -> str:
        from training.demo_page import page

        return page(self)

    def _repr_html_(self) -> str:
        return f"{self.frame._repr_html_()}{self.truth._repr_html_()}"


@dataclass(frozen=True)
class Size:
    """How much work the demo does."""

    customers: int
    days: int
    steps: int
    compared: int  # customers in the comparison in the bank
    truth: int  # customers behind each true value
    tuning: int
    imitation: int


def size_of(config: DemoConfig) -> Size:
    """The full demo, or a tenth of it."""
    if config.quick:
        return Size(max(config.customers // 10, 1000), config.days, config.steps // 10, 500, 500, 200, 5_000)
    return Size(config.customers, config.days, config.steps, 4000, 5000, 1000, 200_000)


def demo(config: DemoConfig) -> Demo:
    """Simulate, calibrate, train, evaluate, ask the gate, serve; print each estimate beside the truth."""
    directory, size, clock = run_directory("demo", config.out), size_of(config), _Clock()
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{directory.absolute() / 'mlflow.db'}")
    seed = config.seed
    tables, world = directory / "tables", directory / "world"
    log = clock.time("simulate", lambda: simulate(
        SimulateConfig(
            customers=size.customers, days=size.days, randomised_share=RANDOMISED, seed=seed, out=tables,
        )
    ))  # fmt: skip
    clock.time(
        "calibrate", lambda: calibrate(CalibrateConfig(tables=tables, seed=seed, replicates=REPLICATES, out=world))
    )
    training = clock.time("train", lambda: train(TrainConfig(
        tables=tables, world=str(world), steps=size.steps, seed=seed, horizon=size.days,
        tuning_customers=size.tuning, imitation_steps=size.imitation, floor=FLOOR, out=directory / "training",
    )))  # fmt: skip
    question = EvaluateConfig(
        tables=tables, policy=[training.artifact], baselines=BASELINES, world=str(world),
        simulate_customers=size.compared // 2, simulate_days=size.days, seed=seed, out=directory / "report",
    )  # fmt: skip
    report = clock.time("evaluate", lambda: evaluate(question)).report
    policies = policies_of(question)
    bank, prices = weekly(load_world("bank")), prices_from(None, log.tables.catalogue, log.tables.schema)
    comparison = clock.time("compare", lambda: in_the_bank(bank, policies, size, seed, prices))
    truth = clock.time("truth", lambda: beside_the_truth(report, bank, policies, size, seed, prices))
    promotion = clock.time("promote", lambda: promote(PromoteConfig(
        report=directory / "report", tables=tables, reason="demo", out=directory / "promotion",
    ), datetime.fromisoformat(report.data.last).replace(tzinfo=UTC)))  # fmt: skip
    served = clock.time("serve", lambda: serve_decisions(read_tables(tables), directory, DECISIONS, seed))
    return Demo(directory, training, report, comparison, truth, promotion, served, clock.seconds)


def in_the_bank(bank: World, policies: dict[str, Policy], size: Size, seed: int, prices: Prices) -> Comparison:
    """All policies, and the silos of today, on the same customers of the built-in bank."""
    everyone: dict[str, Policy] = {"siloed_campaigns": SiloedCampaigns(bank.catalogue, bank.encoder), **policies}
    everyone = {"silence": Silence(), **everyone}
    customers = FIRST_COMPARED + np.arange(size.compared)
    with progress("comparing in the bank (customers)", total=size.compared * len(everyone)) as advance:
        return compare(
            bank,
            everyone,
            customers,
            size.days,
            seed=seed,
            prices=prices,
            cadence_days={"siloed_campaigns": 1},
            worlds={"siloed_campaigns": under_silos(bank)},
            progress=advance,
        )


def beside_the_truth(
    report: Report, bank: World, policies: dict[str, Policy], size: Size, seed: int, prices: Prices
) -> pl.DataFrame:
    """Each estimate from the log beside the true value of the same quantity."""
    logging = logging_policy(bank)
    study = Study(bank, logging, size.days // WEEK, seed, prices, TRUTH + np.arange(size.truth))
    everyone: dict[str, Policy] = {"logged": logging, **policies}
    lead = (report.lead.estimator, report.lead.kind, report.lead.decisions)
    others = (("deviation_dr", "deviation", 1), ("fqe", "model", study.decisions))
    quantities = [lead, *(o for o in others if o[0] in report.estimators and o[0] != lead[0])]
    rows = []
    with progress("true values (customers)", total=size.truth * len(everyone) * len(quantities)) as advance:
        for estimator, kind, decisions in quantities:
            for name, policy in everyone.items():
                estimate = report.estimate(name, estimator).interval
                truth = true_value(study, policy, kind, decisions, progress=advance)
                rows.append(_row(name, quantity(kind, decisions), estimate, truth))
    return pl.DataFrame(rows)


def quantity(kind: str, decisions: int) -> str:
    """What is estimated, in words."""
    if kind == "deviation":
        return "one decision at a time"
    return "full horizon (model-based)" if kind == "model" else f"{decisions} decisions, then as logged"


def _row(name: str, what: str, estimate: Interval, truth: Interval) -> dict[str, object]:
    return {
        "policy": name,
        "quantity": what,
        "estimate": estimate.value,
        "lo": estimate.lo,
        "hi": estimate.hi,
        "truth": truth.value,
        "truth_lo": truth.lo,
        "truth_hi": truth.hi,
        "overlap": bool(estimate.lo <= truth.hi and truth.lo <= estimate.hi),
    }


class _Clock:
    """Seconds of each part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Do the work and note how long it took."""
        started = time.monotonic()
        result = work()
        self.seconds[name] = time.monotonic() - started
        return result
