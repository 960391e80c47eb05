"""Evaluate: read the test customers' log, decide with every policy, estimate, simulate, write the report, track it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from agents.artifact import ArtifactPolicy
from agents.policy import Policy
from envs.attributes import descriptive
from envs.books import read_books
from envs.errors import InputError
from envs.prices import Prices
from envs.table_parts import assignments_in, decisions_in, lay_down
from envs.tables import Tables, read_tables
from envs.world import World
from evaluation.demand import Resources
from evaluation.evaluate import evaluate as estimate
from evaluation.live import FEWEST, Live, live
from evaluation.log import Log
from evaluation.names import Names
from evaluation.offered import offered_products
from evaluation.portrait import portraits, product_channel
from evaluation.protected import protected_of
from evaluation.reading import customer_labels, read_log, read_logs
from evaluation.remask import Own, remasked
from evaluation.report import Report
from evaluation.report_schema import write_schema
from evaluation.shares import shares_of
from evaluation.simulation import Comparison, compare
from evaluation.streaming import StreamedLog, stream_log
from evaluation.whom import SHADOW
from training import tracking
from training.compared import Compared, compared
from training.configs import EvaluateConfig
from training.progress import progress
from training.report_origin import origin_of, uses_of
from training.runs import run_directory
from training.tracking import Tracker

FIRST_COMPARED = 20_000_000  # number of the first simulated customer, apart from those that anything learned from
CHAMPION = "champion"

logger = logging.getLogger("nextbest.evaluate")


@dataclass(frozen=True)
class Evaluated:
    """A report and where it stands."""

    directory: Path
    report: Report

    @property
    def frame(self) -> pl.DataFrame:
        return self.report.frame

    def __str__(self) -> str:
        verdicts = "\n".join(verdict.text for verdict in self.report.verdicts)
        return f"{verdicts}\nreport: {self.directory / 'report.html'}"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def evaluate(config: EvaluateConfig) -> Evaluated:
    """Evaluate policies on customers that nothing in training or calibration has seen.

    A log of more than `whole_decisions` is never held: it is read in parts, and the report is the same.
    """
    asked = compared(config, read_books(config.tables))
    if decisions_in(config.tables) <= config.whole_decisions:
        return _evaluated(config, asked, _whole(config))
    if config.live is not None:
        need = f"must be of at most {config.whole_decisions} decisions for --live, see whole_decisions"
        raise InputError(need, field="tables", value=str(config.tables))
    with TemporaryDirectory(prefix="nextbest-") as folder:
        return _evaluated(config, asked, _in_parts(config, Path(folder)))


@dataclass(frozen=True)
class _Read:
    """A log as it is evaluated: whole, or in shards."""

    tables: Tables  # all, or those of the training customers that were drawn
    log: Log | StreamedLog
    training_log: Log
    assignments: tuple[str, ...]  # of the decisions that were read


def _whole(config: EvaluateConfig) -> _Read:
    tables = read_tables(config.tables)
    found = tables.decisions["assignment"].unique()
    assignment = config.assignment or _learnable_of(found)
    with progress("reading the log"):
        log, training_log = read_logs(tables, ("test", "train"), assignment)
    return _Read(tables, log, training_log, _read_of(found, assignment))


def _in_parts(config: EvaluateConfig, folder: Path) -> _Read:
    with progress("laying the log down in parts"):
        parts = lay_down(config.tables, folder, config.part_decisions)
    there = assignments_in(config.tables)
    assignment = config.assignment or _learnable_of(there)
    with progress("checking the log (parts)", total=len(parts)) as advance:
        found = stream_log(parts, assignment, config.settings.model_rows, advance)
    return _Read(found.training_tables, found.log, found.training_log, _read_of(there, assignment))


def _read_of(found: pl.Series, assignment: str | None) -> tuple[str, ...]:
    """The assignments of the decisions that are read; found: of a log"""
    return (assignment,) if assignment is not None else tuple(sorted(set(found.to_list()) - {SHADOW}))


def _evaluated(config: EvaluateConfig, asked: Compared, read: _Read) -> Evaluated:
    tables, training_log, prices, world = read.tables, read.training_log, asked.prices, asked.world
    launched = _launched(asked, tables)
    policies = asked.policies(training_log)
    simulated = None
    if world is not None and config.simulate_customers:
        simulated = _simulated(config, world, policies, prices)
    rules, log = as_served(policies, tables, read.log, training_log), read.log
    if isinstance(log, StreamedLog):
        served = {name: policy for name, policy in policies.items() if isinstance(policy, ArtifactPolicy)}
        masks = {name: partial(_masks_under, policy) for name, policy in served.items()}
        log = replace(log, masks=masks, protected=config.settings.protected)
    with progress("estimating (customers, twice)", total=2 * log.customers) as advance:
        report = estimate(
            log,
            policies,
            training_log=training_log,
            prices=prices,
            attributes=descriptive(tables.catalogue).values,
            kinds=product_channel(tables.catalogue),
            resources=Resources.of(tables.catalogue),
            rules=rules,
            reference=asked.reference,
            candidates=asked.candidates(config),
            labels=customer_labels(tables, log) if isinstance(log, Log) else None,
            protected=protected_of(tables, log, config.settings.protected) if isinstance(log, Log) else None,
            products=offered_products(tables.catalogue),
            portraits=portraits(tables, log) if isinstance(log, Log) else None,
            settings=config.settings,
            seed=config.seed,
            simulation=None if simulated is None else simulated.frame,
            advance=advance,
        )
    directory = run_directory("evaluate", config.out)
    report = replace(
        report,
        assignments=read.assignments,
        tables=str(config.tables.absolute()),
        names=Names.of(tables.catalogue, tables.schema),
        shares=tuple(shares_of(report.mix, tables.catalogue)),
        burden=None if simulated is None else simulated.burden,
        live=launched,
        uses=tuple(uses_of(policies)),
        origin=origin_of(config, tables, world),
    )
    report.write(directory, config.lang)
    write_schema(directory)
    with tracking.track("nextbest", f"evaluate-{directory.name}", enabled=config.track) as tracker:
        tracker.metrics(_metrics(report))
        _keep(tracker, report, directory)
    return Evaluated(directory, report)


def _keep(tracker: Tracker, report: Report, directory: Path) -> None:
    """The report goes with its own run, and with the training of every policy that it is about."""
    if not tracker.keeps:
        return
    trainings = [run for digest in report.digests if digest for run in tracking.runs_of(digest)]
    for place, folder in [(tracker, None), *((tracker.beside(r), f"evaluation/{directory.name}") for r in trainings)]:
        for name in ("report.html", "report.json"):
            place.artifact(directory / name, folder)


def as_served(
    policies: Mapping[str, Policy], tables: Tables, log: Log | StreamedLog, training_log: Log
) -> dict[str, Own]:
    """How artifacts are run, and what their rules would have allowed, where these are not the log's."""
    found = {}
    for name, policy in policies.items():
        if isinstance(policy, ArtifactPolicy):
            mask = _masks_under(policy, tables, log) if isinstance(log, Log) else None  # shards carry their own
            said, training = policy.manifest, _masks_under(policy, tables, training_log)
            found[name] = Own(said.temperature, said.floor, policy.rule_book.digest, mask, training)
    return found


def _masks_under(policy: ArtifactPolicy, tables: Tables, log: Log) -> np.ndarray:  # (n, treatments) bool
    """By the policy's rules; those of the log, where all of its decisions were taken under them."""
    own = pl.DataFrame({"decision_id": log.decision_id})
    logged = tables.decisions.join(own, "decision_id", "semi")["rules_digest"].unique().to_list()
    return log.mask if logged == [policy.rule_book.digest] else remasked(tables, policy.rules, log)


def _launched(asked: Compared, tables: Tables) -> tuple[Live, ...]:
    """What came of the policies of an earlier report, in all customers of these tables."""
    if asked.launched is None:
        return ()
    file, said = asked.launched
    log = read_log(tables, "all")
    took = pl.DataFrame({"decision_id": log.decision_id}).join(
        tables.decisions.select("decision_id", "policy_digest"), "decision_id", "left", maintain_order="left"
    )
    found = live(log, took["policy_digest"].to_list(), said, asked.prices)
    if not found:
        need = f"must name a policy that alone decided {FEWEST} customers of these tables"
        raise InputError(need, file=file, field="policies")
    return found


def policies_of(config: EvaluateConfig) -> dict[str, Policy]:
    """The policies that an evaluation compares, by name: artifacts, the champion, baselines."""
    asked, tables = compared(config, read_books(config.tables)), read_tables(config.tables)
    return asked.policies(read_log(tables, "train", config.assignment or _learnable_of(tables.decisions["assignment"])))


def _learnable_of(found: pl.Series) -> str | None:
    """The randomised customers, where the log tells them apart. found: its assignments"""
    return "randomised" if "randomised" in found and found.n_unique() > 1 else None


def _simulated(config: EvaluateConfig, world: World, policies: dict[str, Policy], prices: Prices) -> Comparison:
    customers = FIRST_COMPARED + np.arange(config.simulate_customers)
    with progress("simulating (customers)", total=len(customers) * len(policies)) as advance:
        return compare(
            world, policies, customers, config.simulate_days, seed=config.seed, prices=prices, progress=advance
        )


def _metrics(report: Report) -> dict[str, float]:
    """The lead estimate and its paired difference, per policy."""
    out: dict[str, float] = {}
    for policy in report.policies:
        found = report.estimate(policy)
        out |= {f"{policy}/value": found.interval.value, f"{policy}/value_lower": found.interval.lower}
        if found.difference is not None:
            out |= {f"{policy}/difference_lower": found.difference.lower}
    return {name: value for name, value in out.items() if np.isfinite(value)}
