"""The rule book: nanoseconds per customer for the bank's mask, by number of treatments and of rules."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import polars as pl

from benchmarks.grown import grown
from benchmarks.kit import Options, Result, main, show
from envs.catalogue import Catalogue
from envs.history import History
from envs.rules import RuleBook, Rules, Situation, load_rules
from envs.schema import Schema
from envs.world import BUILT_IN, load_world

BATCH = 8192
TREATMENTS = (70, 200, 1000)  # silence included; the first is the bank as it is
TARGET = 150  # ns per customer of the bank as it is
EVENTS = {
    "engaged": 0.05,
    "declined": 0.03,
    "opted_out": 0.002,
    "complained": 0.005,
    "applied": 0.01,
    "abandoned": 0.02,
}


def rules(options: Options, result: Result) -> None:
    """Time masks of a batch of bank customers with forty days of contacts behind them, at the best of some repeats."""
    world, seconds = load_world("bank"), 0.2 if options.quick else 2.0
    silos = load_rules(BUILT_IN / "bank" / "silo_rules.yaml")
    customers = world.population.start(np.arange(BATCH), options.seed, world.catalogue.product_ids).profile
    rows = []
    for name, book, catalogue in _cases(world.rules, silos, world.catalogue):
        made = RuleBook(book, catalogue, world.schema)
        at = Situation(customers, _lived(catalogue, world.schema, options.seed), _triggers(world.schema, options.seed))
        mask, one = made.mask(at), Situation(at.profile[:1], at.history.part(0, 1), at.trigger[:1])
        batch_time, one_time = _best(made, at, seconds) / BATCH, _best(made, one, seconds)
        rows.append((name, len(catalogue.treatment_ids), batch_time * 1e9, one_time * 1e6, float(mask.mean())))
    frame = pl.DataFrame(rows, orient="row", schema=["rules", "treatments", "ns per customer", "us alone", "allowed"])
    show(f"Masks of {BATCH} customers, one thread", frame, 2)
    result.figures["masks"] = frame.to_dicts()
    result.target("speed", f"the bank's mask in at most {TARGET} ns per customer", rows[0][2] <= TARGET)


def _cases(coordinated: Rules, silos: Rules, catalogue: Catalogue) -> Iterator[tuple[str, Rules, Catalogue]]:
    for size in TREATMENTS:
        yield "coordinated", coordinated, grown(catalogue, size)
    yield "silos", silos, catalogue
    yield "none", Rules(), catalogue


def _lived(catalogue: Catalogue, schema: Schema, seed: int) -> History:
    """Forty days in which a quarter of the customers are contacted a day, at random."""
    rng, history = np.random.default_rng(seed), History.fresh(catalogue, schema, np.full(BATCH, 20_000))
    for _ in range(40):
        rows = np.flatnonzero(rng.random(BATCH) < 0.25)
        treatment = rng.integers(1, len(catalogue.treatment_ids), len(rows))
        where = {"channel": catalogue.channel_of[treatment], "product": catalogue.product_of[treatment]}
        history.record("contacted", rows, **where, treatment=treatment)
        for event, share in EVENTS.items():
            some = rng.random(len(rows)) < share
            history.record(event, rows[some], **{name: values[some] for name, values in where.items()})
        history.advance(1)
    return history


def _triggers(schema: Schema, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, len(schema.triggers), BATCH)


def _best(book: RuleBook, at: Situation, seconds: float) -> float:
    """Seconds of the fastest call."""
    book.mask(at)
    best, until = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        book.mask(at)
        best = min(best, time.perf_counter() - began)
    return best


if __name__ == "__main__":
    main("rules", rules)
