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

from agents.artifact import ArtifactPolicy, check_compatible, load_policy
from agents.myopic import Levers
from agents.policy import Policy
from agents.price_range import told_prices
from envs.attributes import descriptive
from envs.errors import InputError
from envs.prices import Prices, prices_from
from envs.schema import load_schema
from envs.table_parts import assignments_in, decisions_in, lay_down
from envs.tables import Tables, read_tables
from envs.world import World, load_world
from evaluation.adapt import LOGGED
from evaluation.demand import Resources
from evaluation.evaluate import evaluate as estimate
from evaluation.live import FEWEST, Live, live
from evaluation.log import Log
from evaluation.names import Names
from evaluation.offered import offered_products
from evaluation.portrait import portraits, product_channel
from evaluation.protected import protected_columns, protected_of
from evaluation.reading import customer_labels, read_log
from evaluation.remask import Own, remasked
from evaluation.report import Report
from evaluation.report_schema import write_schema
from evaluation.shares import shares_of
from evaluation.simulation import Comparison, compare
from evaluation.streaming import StreamedLog, stream_log
from training import registry, tracking
from training.baselines import NAMES as BASELINES
from training.baselines import baseline
from training.configs import EvaluateConfig
from training.evidence import read_report
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
    decisions, named = decisions_in(config.tables), config.settings.protected
    protected_columns(load_schema(config.tables / "schema.yaml"), named)  # refuses a name that is none
    if decisions <= config.whole_decisions:
        return _evaluated(config, _whole(config))
    if config.live is not None:
        need = f"must be of at most {config.whole_decisions} decisions for --live, see whole_decisions"
        raise InputError(need, field="tables", value=str(config.tables))
    with TemporaryDirectory(prefix="nextbest-") as folder:
        return _evaluated(config, _in_parts(config, Path(folder)))


@dataclass(frozen=True)
class _Read:
    """A log as it is evaluated: whole, or in shards."""

    tables: Tables  # all, or those of the training customers that were drawn
    log: Log | StreamedLog
    training_log: Log


def _whole(config: EvaluateConfig) -> _Read:
    tables = read_tables(config.tables)
    assignment = config.assignment or _learnable(tables)
    with progress("reading the log"):
        return _Read(tables, read_log(tables, "test", assignment), read_log(tables, "train", assignment))


def _in_parts(config: EvaluateConfig, folder: Path) -> _Read:
    with progress("laying the log down in parts"):
        parts = lay_down(config.tables, folder, config.part_decisions)
    assignment = config.assignment or _learnable_of(assignments_in(config.tables))
    with progress("checking the log (parts)", total=len(parts)) as advance:
        found = stream_log(parts, assignment, config.settings.model_rows, advance)
    return _Read(found.training_tables, found.log, found.training_log)


def _evaluated(config: EvaluateConfig, read: _Read) -> Evaluated:
    tables, training_log = read.tables, read.training_log
    world = None if config.world is None else _world(config.world, tables)
    artifacts = _artifacts(config, tables)
    prices = _prices(config, tables, artifacts)
    launched = _launched(config, tables, prices)
    policies = artifacts | _baselines(config, artifacts, world, training_log, prices)
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
            reference=_reference(config, policies),
            candidates=_candidates(config, policies),
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


def _launched(config: EvaluateConfig, tables: Tables, prices: Prices) -> tuple[Live, ...]:
    """What came of the policies of an earlier report, in all customers of these tables."""
    if config.live is None:
        return ()
    file, said = read_report(config.live)
    log = read_log(tables, "all")
    took = pl.DataFrame({"decision_id": log.decision_id}).join(
        tables.decisions.select("decision_id", "policy_digest"), "decision_id", "left", maintain_order="left"
    )
    found = live(log, took["policy_digest"].to_list(), said, prices)
    if not found:
        need = f"must name a policy that alone decided {FEWEST} customers of these tables"
        raise InputError(need, file=file, field="policies")
    return found


def policies_of(config: EvaluateConfig) -> dict[str, Policy]:
    """The policies that an evaluation compares, by name: artifacts, the champion, baselines."""
    tables = read_tables(config.tables)
    world = None if config.world is None else _world(config.world, tables)
    artifacts = _artifacts(config, tables)
    training_log = read_log(tables, "train", config.assignment or _learnable(tables))
    prices = _prices(config, tables, artifacts)
    return artifacts | _baselines(config, artifacts, world, training_log, prices)


def _prices(config: EvaluateConfig, tables: Tables, artifacts: Mapping[str, Policy]) -> Prices:
    """At which everything is evaluated: inside of every artifact's range."""
    return told_prices(artifacts.values(), _asked(config, tables), tables.catalogue.pool_ids, config.prices_outside)


def _asked(config: EvaluateConfig, tables: Tables) -> Prices:
    annoyance = {} if config.annoyance_price is None else {"annoyance": config.annoyance_price}
    return prices_from({**config.pool_prices, **annoyance}, tables.catalogue, tables.schema)


def _artifacts(config: EvaluateConfig, tables: Tables) -> dict[str, Policy]:
    """The artifacts that are compared, by name, the champion among them."""
    compared = [Path(one) for one in config.compare if one not in BASELINES]
    artifacts = [load_policy(path) for path in (*config.policy, *compared)]
    for artifact in artifacts:
        check_compatible(artifact.manifest, tables.catalogue, tables.encoder.digest)
    policies: dict[str, Policy] = {_unique(a.name, i, artifacts): a for i, a in enumerate(artifacts)}
    champion = _champion(config, tables, artifacts) if config.reference in ("auto", CHAMPION) else None
    if champion is not None:
        policies[CHAMPION] = champion
    return policies


def _baselines(
    config: EvaluateConfig, artifacts: Mapping[str, Policy], world: World | None, training_log: Log, prices: Prices
) -> dict[str, Policy]:
    levers = _levers([one for name, one in artifacts.items() if isinstance(one, ArtifactPolicy) and name != CHAMPION])
    return {name: baseline(name, world, training_log, prices, levers) for name in baselines_of(config)}


def _reference(config: EvaluateConfig, policies: dict[str, Policy]) -> str:
    if config.reference == "auto":
        return CHAMPION if CHAMPION in policies else LOGGED
    return config.reference


def _candidates(config: EvaluateConfig, policies: dict[str, Policy]) -> list[str] | None:
    """The artifacts, and whatever they are compared to; the baselines where there is no artifact."""
    return [name for name in policies if name not in baselines_of(config) or name in config.compare] or None


def baselines_of(config: EvaluateConfig) -> list[str]:
    """The baselines asked for; by default those that can be had."""
    compared = [one for one in config.compare if one in BASELINES]
    usual = ["silence", "best_fixed", *(["myopic"] if config.world is not None else [])]
    return list(dict.fromkeys([*compared, *(usual if config.baselines is None else config.baselines)]))


def _world(name: str, tables: Tables) -> World:
    world = load_world(name)
    if world.catalogue.digest != tables.catalogue.digest or world.encoder.digest != tables.encoder.digest:
        need = "must have the catalogue and the observation of the tables"
        raise InputError(need, field="world", value=name)
    task = world.schema.task.model_copy(update={"cadence_days": tables.schema.task.cadence_days})
    return replace(world, schema=world.schema.model_copy(update={"task": task}))


def _learnable(tables: Tables) -> str | None:
    """The randomised customers, where the log tells them apart."""
    return _learnable_of(tables.decisions["assignment"].unique())


def _learnable_of(found: pl.Series) -> str | None:
    """found: the assignments of a log"""
    return "randomised" if "randomised" in found and len(found) > 1 else None


def _unique(name: str, index: int, artifacts: list[ArtifactPolicy]) -> str:
    names = [artifact.name for artifact in artifacts]
    return name if names.count(name) == 1 and name != CHAMPION else f"{name}-{index + 1}"


def _levers(artifacts: list[ArtifactPolicy]) -> Levers:
    """The levers that training tuned for the myopic rule, from the first policy's lineage; else all at 1."""
    for artifact in artifacts:
        found = artifact.manifest.lineage.get("levers")
        if isinstance(found, dict):
            return Levers(**{name: float(str(value)) for name, value in found.items()})
    return Levers()


def _champion(config: EvaluateConfig, tables: Tables, artifacts: list[ArtifactPolicy]) -> ArtifactPolicy | None:
    """The registered champion, if it decides over this catalogue and is not itself under evaluation."""
    if config.reference == "auto" and not config.track:
        return None
    found = registry.find_alias(CHAMPION)
    if found is None:
        if config.reference == CHAMPION:
            raise InputError("must be registered: there is no champion yet", field="reference", value=CHAMPION)
        return None
    with TemporaryDirectory() as folder:
        champion = load_policy(registry.fetch(found, Path(folder)))
    if champion.digest in [artifact.digest for artifact in artifacts]:
        return None
    if config.reference == "auto" and champion.manifest.catalogue_digest != tables.catalogue.digest:
        return None
    check_compatible(champion.manifest, tables.catalogue, tables.encoder.digest)
    if config.reference == "auto" and config.prices_outside == "refuse":
        try:
            told_prices([champion], _asked(config, tables), tables.catalogue.pool_ids)
        except InputError as fault:
            logger.warning("the champion is not compared: %s", fault)
            return None
    return champion


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
