"""Streaming: a log in shards, read from canonical tables that need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from envs.table_parts import TableParts
from envs.tables import Tables
from evaluation.came_in import CHANNEL, came_in, met_on
from evaluation.language import mark
from evaluation.log import Log
from evaluation.propensity import PropensityModel
from evaluation.protected import protected_of
from evaluation.reading import SEED, customer_labels, known_propensities, log_of, propensity_model
from evaluation.shards import Shard
from evaluation.whom import assigned, in_test, nobody, nothing

DRAWN = mark(
    "Models were fitted on {fitted} of the {all} decisions of training customers, whole customers drawn by lot."
)
Masks = Callable[[Tables, Log], np.ndarray]  # what a policy's own rules allow at the decisions of a log, (n, A) bool


@dataclass
class Found:
    """What is known of a log once every part of its tables has been checked."""

    assignment: str | None
    test: dict[int, int] = field(default_factory=dict)  # part -> its test customers, where it has any
    steps: int = 0  # the most decisions of a test customer
    training: list[pl.DataFrame] = field(default_factory=list)  # customer_id, decisions, part
    propensities: bool = True  # every decision has one
    distributions: bool = True  # every decision of a test customer has one
    channels: set[str] = field(default_factory=set)  # on which test customers were met first

    def note(self, part: int, tables: Tables) -> None:
        """What a part holds."""
        decisions = assigned(tables.decisions, self.assignment)
        self.propensities &= known_propensities(decisions, tables).null_count() == 0
        here = in_test(decisions["customer_id"], tables)
        test, rest = decisions.filter(here), decisions.filter(~here)
        if test.height:
            counts = test.group_by("customer_id").len()["len"]
            self.test[part], self.steps = len(counts), max(self.steps, int(counts.to_numpy().max()))
            self.distributions &= test["probabilities"].null_count() == 0
            firsts = test.filter(pl.col("customer_id").is_first_distinct())
            self.channels |= set(met_on(firsts["trigger"], tables.catalogue))
        counted = rest.group_by("customer_id", maintain_order=True).agg(decisions=pl.len())
        self.training.append(counted.with_columns(part=pl.lit(part)))


@dataclass(frozen=True)
class StreamedLog:
    """The test customers of tables in parts; every shard is read anew."""

    tables: TableParts
    assignment: str | None
    found: Found
    model: PropensityModel | None
    training: str
    masks: Mapping[str, Masks] = field(default_factory=dict)  # by policy
    protected: tuple[str, ...] = ()  # columns, besides those that the schema guards

    @property
    def customers(self) -> int:
        """Of the whole log."""
        return sum(self.found.test.values())

    def __len__(self) -> int:
        return len(self.found.test)

    def __getitem__(self, part: int) -> Shard:
        tables = self.tables.read(list(self.found.test)[part])
        decisions = assigned(tables.decisions, self.assignment)
        decisions = decisions.filter(in_test(decisions["customer_id"], tables))
        log = log_of(tables, decisions, self.model, self.tables.last)
        log = replace(log, steps=self.found.steps, behaviour=log.behaviour if self.found.distributions else None)
        masks = {name: mask(tables, log) for name, mask in self.masks.items()}
        return Shard(log, self._labels(tables, log), masks, protected_of(tables, log, self.protected))

    def _labels(self, tables: Tables, log: Log) -> dict[str, np.ndarray]:
        """As of the whole log: a part may hold but one channel."""
        labels = customer_labels(tables, log)
        return labels | ({CHANNEL: came_in(tables, log)} if len(self.found.channels) > 1 else {})


@dataclass(frozen=True)
class Streamed:
    """A log in shards, and as many of its training customers as models are fitted on."""

    log: StreamedLog
    training_log: Log
    training_tables: Tables  # of those customers


def stream_log(
    tables: TableParts, assignment: str | None, model_rows: int, advance: Callable[[float], None] | None = None
) -> Streamed:
    """Check every part, then draw training customers with about `model_rows` decisions by lot, whole customers each.

    assignment: as in `read_log`; advance: told each part that was checked. Missing propensities are estimated on the
    training customers that were drawn.
    """
    found = Found(assignment)

    def visit(part: int, some: Tables) -> None:
        found.note(part, some)
        if advance is not None:
            advance(1)

    tables.check(visit)
    everyone = pl.concat(found.training)
    if not everyone.height and not found.test:
        raise nothing(tables.path, assignment)
    if not found.test:
        raise nobody(tables, "test", everyone.height)
    if not everyone.height:
        raise nobody(tables, "train", sum(found.test.values()))
    drawn = everyone.sample(fraction=1.0, shuffle=True, seed=SEED)
    drawn = drawn.filter((pl.col("decisions").cum_sum() <= model_rows) | (pl.int_range(pl.len()) == 0))
    learned = _of(tables, drawn)
    decisions = assigned(learned.decisions, assignment)
    model = None if found.propensities else propensity_model(learned, decisions, np.ones(decisions.height, dtype=bool))
    training = log_of(learned, decisions, model, tables.last)
    said = ""
    if drawn.height < everyone.height:
        said = DRAWN.format(fitted=f"{len(training):,}", all=f"{everyone['decisions'].sum():,}")
    return Streamed(StreamedLog(tables, assignment, found, model, said), training, learned)


def _of(tables: TableParts, drawn: pl.DataFrame) -> Tables:
    """The tables of some customers. drawn: customer_id, part"""
    parts = [tables.read(part, drawn.filter(pl.col("part") == part)["customer_id"]) for part in
             sorted(drawn["part"].unique().to_list())]  # fmt: skip
    customers, decisions, events = (
        pl.concat([getattr(part, name) for part in parts]) for name in ("customers", "decisions", "events")
    )
    return Tables(tables.catalogue, tables.schema, customers, decisions, events, tables.path)
