"""The rows on which the heads of a world are judged: what a log shows, beside what the heads say of it.

The rows are those that calibration fits on, of training customers and of customers that calibration never reads. A
head whose rows the log shows in another form (engaged given delivered, say, where the world has it given contacted)
is not judged, and the report says why. A head with an effect of the customer predicts each row from the customer's
earlier rows (training/fidelity_frailty.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.features import product_options, treatment_options
from envs.observation import Encoder
from envs.replay import replay
from envs.response import CompiledHead, Head, compile_head
from envs.split import is_test
from envs.tables import Tables
from envs.world import World
from training.calibration_rows import HeadRows, Source, head_rows
from training.fidelity_frailty import filtered
from training.glm import Rows

CERTAIN = 25.0  # |linear predictor| that stands for what cannot happen (products that sell nothing), or must
FRAILTY = "latent.frailty"
CHUNK = 20_000  # rows whose observations are gathered at a time


@dataclass(frozen=True)
class Sample:
    """Rows of one head, with what the head says of them. Arrays of shape (n,)."""

    head: CompiledHead
    data: HeadRows
    thin: np.ndarray  # float64, how many rows of the log each one stands for; `data.rows.weight` has it multiplied in
    eta: np.ndarray  # float64, the head's linear predictor, given the customer's earlier rows
    at: np.ndarray  # int64, microseconds, of the decision

    def take(self, rows: np.ndarray) -> Sample:
        return Sample(self.head, self.data.take(rows), self.thin[rows], self.eta[rows], self.at[rows])

    @property
    def rows(self) -> Rows:
        return self.data.rows

    @property
    def is_amount(self) -> bool:
        return self.head.head.link == "lognormal"

    @cached_property
    def mean(self) -> np.ndarray:  # (n,) float64
        """Probability or mean amount, by the head."""
        return self.head.mean(self.eta, self.rows.days)

    @property
    def events(self) -> int:
        """How often it happened, in the rows at hand; of an amount, how many there are."""
        return int((self.rows.y > 0).sum())

    @property
    def others(self) -> int:
        """How often it did not; of an amount there is no such thing, and the number is that of the amounts."""
        return self.events if self.is_amount else len(self.rows.y) - self.events

    @property
    def customers(self) -> int:
        return len(np.unique(self.rows.customer))


@dataclass(frozen=True)
class HeadSample:
    """One head with its rows: of training customers, and of customers that calibration never reads."""

    name: str
    train: Sample
    test: Sample


@dataclass(frozen=True)
class Unjudged:
    """A head that cannot be judged on this log, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class LogRows:
    """A log and a world, ready to be compared head by head."""

    world: World
    source: Source
    test: np.ndarray  # (customers,) bool, whom calibration never reads
    most: int  # rows kept of each head and part; events first, the others weighted by how many they stand for
    seed: int

    def heads(self) -> Iterator[HeadSample | Unjudged]:
        """Every head of the world, in the world's order."""
        found = {data.name: data for data in head_rows(self.source)}
        for number, (name, head) in enumerate(self.world.coefficients.heads.items()):
            why = _mismatch(head, found.get(name))
            if why:
                yield Unjudged(name, why)
                continue
            rng = np.random.default_rng([self.seed, number])
            held = self.test[found[name].rows.customer]
            train, test = (self.sample(head, found[name].take(np.flatnonzero(part)), rng) for part in (~held, held))
            if len(train.eta) and len(test.eta):
                yield HeadSample(name, train, test)
            else:
                yield Unjudged(name, "the log has no such rows")

    def sample(self, head: Head, data: HeadRows, rng: np.random.Generator) -> Sample:
        """Rows of a head, thinned, with what the head says; rows that can only turn out one way are left out."""
        fixed, sigma = without_frailty(head)
        model = self.compiled(fixed)
        data, thin = thinned(data, self.most, rng) if sigma == 0 else whole_customers(data, self.most, rng)
        at = self.source.decisions["at"].dt.epoch("us").to_numpy()[data.look]
        eta = self.linear(model, data)
        if sigma > 0:
            eta = filtered(data.link, eta, sigma, data.rows, thin, at)
        told = data.rows.y > 0
        open_ended = (np.abs(eta) < CERTAIN) | (data.link == "lognormal")
        return Sample(model, data, thin, eta, at).take(np.flatnonzero(open_ended | (told != (eta > 0))))

    def compiled(self, head: Head) -> CompiledHead:
        """A head resolved for this catalogue."""
        catalogue = self.world.catalogue
        options = treatment_options(catalogue) if head.per == "decision" else product_options(catalogue)
        return compile_head(head, options, self.world.encoder)

    def linear(self, head: CompiledHead, data: HeadRows) -> np.ndarray:  # (n,) float64
        """The head's linear predictor in some rows."""
        parts = [slice(start, start + CHUNK) for start in range(0, len(data.look), CHUNK)]
        eta = [head.linear(self.source.observation[data.look[part]], data.option[part]) for part in parts]
        return np.concatenate([np.zeros(0), *eta])


def without_frailty(head: Head) -> tuple[Head, float]:
    """A head without its effect of the customer, and the spread of that effect: 0 where it has none."""
    terms = tuple(term for term in head.terms if term.feature != FRAILTY)
    sigma = sum(abs(term.value) for term in head.terms if term.feature == FRAILTY)
    return (head.model_copy(update={"terms": terms}), sigma) if sigma else (head, 0.0)


def log_rows(world: World, tables: Tables, most: int, seed: int) -> LogRows:
    """A log beside a world. The observations are the world's: traces fade with the half-lives it was calibrated to."""
    for name, head in world.coefficients.heads.items():
        hidden = [t.feature for t in head.terms if "latent." in t.feature and t.feature != FRAILTY]
        if hidden:
            need = f"must be a calibrated world: head {name} has {hidden[0]}, a hidden state, which no log shows"
            raise InputError(need, field="world", value=world.coefficients.name)
    if world.catalogue.digest != tables.catalogue.digest:
        raise InputError("must have the catalogue of the tables", field="world", value=world.coefficients.name)
    source = Source(as_seen(world, tables))
    ids = source.decisions["customer_id"].unique().sort()
    return LogRows(world, source, np.asarray(is_test(ids, tables.schema.split)), most, seed)


def as_seen(world: World, tables: Tables) -> Tables:
    """The tables with observations as the world encodes them; unchanged where both encode alike."""
    if world.encoder.digest == tables.encoder.digest:
        return tables
    if world.encoder.names != tables.encoder.names:
        raise InputError("must observe the fields of the tables", field="world", value=world.coefficients.name)
    schema = tables.schema.model_copy(update={"fading": world.schema.fading})
    if Encoder(tables.catalogue, schema).digest != world.encoder.digest:
        raise InputError("must scale the fields as the tables do", field="world", value=world.coefficients.name)
    again = replay(tables.catalogue, schema, tables.customers, tables.decisions, tables.events).observation
    column = pl.Series("observation", again).arr.to_list().cast(pl.List(pl.Float32))
    return replace(tables, schema=schema, decisions=tables.decisions.with_columns(column))


def thinned(data: HeadRows, most: int, rng: np.random.Generator) -> tuple[HeadRows, np.ndarray]:
    """At most `most` rows: events and others drawn apart, each weighted by how many rows it stands for."""
    size = len(data.look)
    if size <= most:
        return data, np.ones(size)
    happened = np.flatnonzero(data.rows.y > 0) if data.link != "lognormal" else np.arange(size)
    others = np.setdiff1d(np.arange(size), happened, assume_unique=True)
    room = min(len(happened), max(most // 2, most - len(others)))
    kept, thin = [], []
    for group, share in ((happened, room), (others, min(len(others), most - room))):
        chosen = np.sort(rng.choice(group, share, replace=False)) if share < len(group) else group
        kept.append(chosen)
        thin.append(np.full(len(chosen), len(group) / max(len(chosen), 1)))
    rows, factor = np.concatenate(kept), np.concatenate(thin)
    data = data.take(rows)
    return replace(data, rows=replace(data.rows, weight=data.rows.weight * factor)), factor


def whole_customers(data: HeadRows, most: int, rng: np.random.Generator) -> tuple[HeadRows, np.ndarray]:
    """All rows of so many customers, drawn at random, as have at most `most` rows; each stands for as many."""
    if len(data.look) <= most:
        return data, np.ones(len(data.look))
    ids, position, size = np.unique(data.rows.customer, return_inverse=True, return_counts=True)
    order = rng.permutation(len(ids))
    drawn = np.zeros(len(ids), bool)
    drawn[order[np.cumsum(size[order]) <= most]] = True
    kept = data.take(np.flatnonzero(drawn[position]))
    factor = len(data.look) / len(kept.look)
    return replace(kept, rows=replace(kept.rows, weight=kept.rows.weight * factor)), np.full(len(kept.look), factor)


def _mismatch(head: Head, data: HeadRows | None) -> str:
    """Why the log cannot judge a head; empty if it can."""
    if data is None:
        return "the log records no such event"
    ours, theirs = (head.link, head.given, head.per), (data.link, data.given, data.per)
    words = "the world has it as {} given {} per {}, the log shows it as {} given {} per {}"
    return "" if ours == theirs else words.format(*ours, *theirs)
