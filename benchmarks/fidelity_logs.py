"""The public logs, calibrated and judged: customers divided at random, and the earlier part against the later one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl

from benchmarks.kit import data
from envs.tables import Tables, read_tables, write_tables
from envs.world import load_world
from training.calibrate import calibrate
from training.configs import CalibrateConfig, FidelityConfig, ImportConfig
from training.fidelity import fidelity
from training.fidelity_judge import HeadFidelity, Judge
from training.fidelity_rows import HeadSample, log_rows
from training.fidelity_verdict import head_verdict
from training.import_log import import_log

LOGS = {"hillstrom": "hillstrom", "starbucks": "starbucks", "bank_calls": "bank_marketing"}  # import -> folder
WITHIN = 1.03  # the aim: log-loss over LightGBM's


@dataclass(frozen=True)
class Line:
    """One head on one split of one log."""

    log: str
    split: str  # at random, by time
    head: str
    events: int
    base: float
    own: float
    lightgbm: float | None
    ratio: float | None
    lo: float | None
    hi: float | None
    why: str  # where it is not within the aim: what the form lacks
    verdict: str

    @property
    def within(self) -> bool | None:
        """None: too few events to tell."""
        return None if self.ratio is None else self.ratio <= WITHIN


def known_logs() -> list[str]:
    """The logs that there are importers for."""
    kinds = get_args(ImportConfig.model_fields["kind"].annotation)
    return [name for name in LOGS if name in kinds]


def lines_of(name: str, work: Path, seed: int, rows: int) -> Iterator[Line]:
    """A log's event heads on both splits."""
    path = work / name
    import_log(ImportConfig(kind=name, source=data(LOGS[name]), out=path / "tables"))  # type: ignore[arg-type]
    calibrate(CalibrateConfig(tables=path / "tables", out=path / "world", replicates=0, seed=seed))
    config = FidelityConfig(
        tables=path / "tables", world=str(path / "world"), out=path / "fidelity", rows=rows, replay_logs=0, seed=seed
    )
    report = fidelity(config)
    verdicts = {v.head: v.text for v in report.verdicts}
    yield from (
        _line(name, "at random", head, verdicts[head.name]) for head in report.heads if head.score == "log-loss"
    )
    yield from _by_time(name, path, config)


def _by_time(name: str, path: Path, config: FidelityConfig) -> Iterator[Line]:
    """Calibrated on the earlier part alone; judged on the later one, on customers that nothing was learned from."""
    tables = read_tables(path / "tables")
    parted = earlier(tables, config.late_share)
    if parted is None:
        return
    early, cut = parted
    write_tables(early, path / "early")
    calibrate(CalibrateConfig(tables=path / "early", out=path / "early-world", replicates=0, seed=config.seed))
    # Its observations were encoded for the whole task, whose end they count down to: so are those that it reads here.
    world = replace(load_world(path / "early-world"), schema=tables.schema)
    log = log_rows(world, tables, config.rows, config.seed)
    judge = Judge(log, config.thresholds, None, config.resamples, config.seed)
    for sample in log.heads():
        if isinstance(sample, HeadSample) and not sample.test.is_amount:
            train = sample.train.take(np.flatnonzero(sample.train.at <= cut))
            test = sample.test.take(np.flatnonzero(sample.test.at > cut))
            if len(train.eta) and len(test.eta):
                found = judge(HeadSample(sample.name, train, test))
                yield _line(name, "by time", found, head_verdict(found, config.thresholds, 4.0).text)


def earlier(tables: Tables, late_share: float) -> tuple[Tables, int] | None:
    """The part of a log before its latest decisions, with what followed until the next; and the instant that parts it.

    None where all decisions are taken at one time. A finite task ends with its earlier days.
    """
    at = np.sort(tables.decisions["at"].dt.epoch("us").to_numpy())
    cut = int(at[int((1 - late_share) * (len(at) - 1))])
    if not at[0] <= cut < at[-1]:
        return None
    instant = pl.lit(cut).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    decisions = tables.decisions.filter(pl.col("at") <= instant)
    following = (
        tables.decisions.filter(pl.col("at") > instant).group_by("customer_id").agg(pl.col("at").min().alias("end"))
    )
    events = tables.events.join(following, "customer_id", "left")
    events = events.filter(pl.col("end").is_null() | (pl.col("at") <= pl.col("end"))).drop("end")
    seen = events["customer_id"].is_in(decisions["customer_id"].unique().implode())
    task = tables.schema.task
    if task.kind == "finite" and len(task.days) > 1:
        count = decisions.group_by("customer_id").len()["len"].max()
        assert isinstance(count, int)
        last = task.days[count] if count < len(task.days) else task.end_day
        task = task.model_copy(update={"days": task.days[:count], "end_day": last})
    schema = tables.schema.model_copy(update={"task": task})
    return replace(tables, schema=schema, decisions=decisions, events=events.filter(seen), path=None), cut


def _line(log: str, split: str, found: HeadFidelity, verdict: str) -> Line:
    ratio = found.ratio
    far = ratio is not None and ratio.value > WITHIN
    return Line(
        log=log,
        split=split,
        head=found.name,
        events=found.events,
        base=found.base,
        own=found.head,
        lightgbm=found.lightgbm,
        ratio=None if ratio is None else ratio.value,
        lo=None if ratio is None else ratio.lo,
        hi=None if ratio is None else ratio.hi,
        why=found.why.sentence if far and found.why is not None else "",
        verdict=verdict,
    )
