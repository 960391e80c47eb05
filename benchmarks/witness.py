"""Simulation as a witness: do estimates, intervals and the gate tell the truth where the truth is known exactly?

Policies of graded quality in worlds of one, four and twelve decisions (the exact preset with its task made shorter or
longer), whose true values are summed over all states (`benchmarks/witness_world.py`). Every replication simulates a new
log of 1,000, 3,000 or 10,000 customers under the stochastic coordinated policy, of whose decisions a tenth, three in
ten or all are uniformly random, evaluates all candidates at once, and asks the gate of mlflow/promotion.yaml. In the
manner of SCOPE-RL (Kiyohara, Kishimoto, Kawakami, Kobayashi, Nakata & Saito 2023, "SCOPE-RL: A Python library for
offline reinforcement learning and off-policy evaluation"): error, rank correlation, regret at 1, type-I and type-II
error; and how often intervals hold the truth. Truths are those of what the lead estimate of that very log estimates.

The gate's lines here are the ones that a log alone decides: lower bound, effective sample, estimator, measured and not
modelled. The candidate that is as good as the logging policy is so to the last digit: as much of the optimum as of a
bad policy, in the amounts that outweigh each other for what the log's own lead estimates, which weights alone decide.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from benchmarks.kit import Options, Result, main, show
from benchmarks.witness_every import every_estimator
from benchmarks.witness_logs import SETTINGS, Cell, number_of, replications
from benchmarks.witness_picture import draw
from benchmarks.witness_table import (
    GUIDE,
    Replications,
    covered,
    error,
    estimator_rows,
    false_alarm,
    rows,
    write,
)
from benchmarks.witness_world import Known, lengthened
from envs.exact import build
from envs.world import load_world
from training.gate import read_gate

DECISIONS, FLOORS = (1, 4, 12), (0.1, 0.3, 1.0)
LOGS = {1_000: 80, 3_000: 64, 10_000: 64}  # customers -> logs of each kind
EVERY = Cell(0, 0.3, 3_000)  # of all numbers of decisions: where every estimator is looked at
EVERY_LOGS, QUICK_LOGS, QUICK_SIZE = 20, 2, 1_000
WITHIN, MOST_WRONG, LARGE = (0.93, 0.97), 0.05, 3_000


def witness(options: Options, result: Result) -> None:
    """Simulate logs of every kind, estimate, ask the gate; then every estimator on logs of one kind."""
    gate, logs = read_gate(), {QUICK_SIZE: QUICK_LOGS} if options.quick else LOGS
    cells: dict[Cell, Replications] = {}
    every: dict[int, dict[str, dict[str, float]]] = {}
    for decisions in DECISIONS:
        model = build(lengthened(load_world("exact"), decisions))
        for floor in FLOORS:
            known = Known(model, floor)
            for customers, count in logs.items():
                cell = Cell(decisions, floor, customers)
                cells[cell] = tuple(replications(known, cell, count, options.seed, gate))
        one = EVERY._replace(decisions=decisions, customers=QUICK_SIZE if options.quick else EVERY.customers)
        several = range(QUICK_LOGS if options.quick else EVERY_LOGS)
        seeds = [number_of(options.seed + 1, one, number) for number in several]
        every[decisions] = every_estimator(Known(model, one.floor), one.customers, seeds, SETTINGS)
    tables = {"candidates": rows(cells), "estimators": estimator_rows(every)}
    for name, table in tables.items():
        show(f"The witness: {name}", pl.DataFrame(table))
    result.figures |= {"cells": [c._asdict() | _figures(found) for c, found in cells.items()], "estimators": every}
    result.conditions |= {"logs": logs, "logs of every estimator": len(several)}
    result.conditions |= {"settings": SETTINGS.model_dump(exclude_defaults=True)}
    _targets(cells, result)
    draw(cells).savefig(options.work / "witness.png", dpi=120)
    if options.write:
        write(tables)


def _figures(found: Replications) -> dict[str, object]:
    """The numbers of a row, for the last line."""
    several = {"covered": covered(found), "no_better": false_alarm(found)}
    return {
        "logs": len(found), "error": error(found), "same": sum(r.same for r in found),
        "leads": pl.Series("lead", [r.lead.estimator for r in found]).value_counts().to_dicts(),
        **{name: None if one is None else vars(one) for name, one in several.items()},
    }  # fmt: skip


def _targets(cells: Mapping[Cell, Replications], result: Result) -> None:
    """Coverage of the lead where there are customers enough; how often what is no better is admitted, everywhere."""
    for cell, found in cells.items():
        if cell.customers >= LARGE:
            _covered(", ".join(cell.named().values()), found, result)
    large = [r for cell, found in cells.items() if cell.customers >= LARGE for r in found]
    if large:
        _covered("all of 3,000 and more", large, result)
        _no_better("all of 3,000 and more", large, result)
    for customers in sorted({cell.customers for cell in cells}):
        some = [r for cell, found in cells.items() if cell.customers == customers for r in found]
        _no_better(f"{customers:,} customers", some, result)


def _covered(which: str, found: Replications, result: Result) -> None:
    one = covered(found)
    words = f"the lead's intervals hold the truth {one.shown()} % of the time (aimed at 93 to 97)"
    result.target(f"covered, {which}", words, one.meets(*WITHIN))


def _no_better(which: str, found: Replications, result: Result) -> None:
    one = false_alarm(found)
    if one is not None:
        words = f"a policy that is no better is admitted {one.shown()} % of the time (at most 5)"
        result.target(f"no better, {which}", words, one.meets(0.0, MOST_WRONG))


if __name__ == "__main__":
    main("witness", witness, guide=str(GUIDE.relative_to(GUIDE.parents[1])))
