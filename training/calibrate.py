"""Calibrate: estimate a world from the training customers of a log, and say how far it can be trusted.

Customers of the test part are dropped before anything is read off. A share of the others is held out: heads are fitted
without them, measured on them, then fitted once more on all. The world that is written has the log's catalogue, schema
and rules, the fitted heads, and the training customers' profiles as its population.
"""

from __future__ import annotations

import html
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from envs.errors import InputError
from envs.population import TablePopulation
from envs.response import Coefficients
from envs.rules import Rules, load_rules
from envs.split import is_test
from envs.tables import Tables, read_tables
from envs.world import World, save_world
from training.calibration_ensemble import write_ensemble
from training.calibration_figures import calibration_figure
from training.calibration_heads import FittedHead, HeadFitter
from training.calibration_reward import reward_by_treatment
from training.calibration_rows import Source, head_rows
from training.calibration_terms import Words
from training.configs import CalibrateConfig
from training.runs import atomic_write, progress, run_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH = 50  # training customers below which nothing is fitted; assumed: ten of them would be held out


@dataclass(frozen=True)
class Calibration:
    """A calibrated world and what is known about it."""

    path: Path  # directory of the world, with ensemble/, calibration.json and calibration.svg
    world: World
    heads: tuple[FittedHead, ...]
    customers: int  # all training customers; the coefficients use them
    heldout_customers: int
    reward: pl.DataFrame | None  # predicted and logged reward by treatment, customers held out
    tables_digest: str
    seconds: float

    @property
    def frame(self) -> pl.DataFrame:
        """A row per head: form, size, and the held-out log-likelihood against a model of base rates alone."""
        rows = [
            {
                "head": h.name,
                "link": h.head.link,
                "given": h.head.given,
                "per": h.head.per,
                "rows": h.rows,
                "events": h.events,
                "terms": len(h.head.terms),
                "log_likelihood": h.fidelity.log_likelihood,
                "base_rates": h.fidelity.base,
                "gain": h.fidelity.gain,
                "gain_se": h.fidelity.gain_se,
            }
            for h in self.heads
        ]
        return pl.DataFrame(rows)

    @property
    def coefficients(self) -> pl.DataFrame:
        """A row per coefficient: head, feature, value, se."""
        rows = [(h.name, t.feature, t.value, t.se) for h in self.heads for t in h.head.terms]
        schema = {"head": pl.String, "feature": pl.String, "value": pl.Float64, "se": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def figure(self) -> Figure:
        """Calibration plots: predicted against observed, in tenths of the held-out rows."""
        return calibration_figure(self.heads)

    def __str__(self) -> str:
        lines = [
            f"calibrated on {self.customers:,} training customers, measured on {self.heldout_customers:,} of them "
            f"held out, {self.seconds:.0f} s",
            f"{'head':24} {'rows':>7} {'events':>7} {'terms':>5}  held-out log-likelihood per row, over base rates",
        ]
        for h in self.heads:
            f = h.fidelity
            gain = f"{f.log_likelihood:9.4f}  {f.gain:+.4f} (se {f.gain_se:.4f})" if f.rows else "too rare to measure"
            lines.append(f"{h.name:24} {h.rows:7,} {h.events:7,} {len(h.head.terms):5}  {gain}")
        return "\n".join([*lines, f"world: {self.path}"])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def calibrate(config: CalibrateConfig) -> Calibration:
    """Fit every head that the log can tell something about, and write the world."""
    started = time.monotonic()
    tables = read_tables(config.tables)
    rng, dice = np.random.default_rng(config.seed).spawn(2)
    ids = tables.customers["customer_id"].unique().sort()
    mine = tables.of_customers(ids.filter(pl.Series(~is_test(ids, tables.schema.split))))
    source = Source(mine)
    count = int(source.customer.max(initial=-1)) + 1
    if count < ENOUGH:
        raise InputError(f"must have at least {ENOUGH} training customers with decisions", file=config.tables)
    heldout = rng.permutation(count) < round(config.heldout_share * count)
    luck = dice.exponential(size=(config.replicates, count))
    note = f"calibrated on {tables.catalogue.name}, tables {tables.digest[:12]}"
    fitter = HeadFitter(Words(tables.encoder), source.observation, config.ridge, luck, rng, note)
    heads = []
    with progress("calibrating (heads)") as advance:
        for rows in head_rows(source):
            heads.append(fitter(rows, heldout))
            advance(1)
    if not heads:
        need = "must hold answers to contacts, purchases or other events to calibrate on"
        raise InputError(need, file=config.tables / "events.parquet")
    world = world_of(mine, _rules(config.tables), {h.name: h for h in heads})
    inside = {h.name: h.inside for h in heads}
    reward = reward_by_treatment(source, world, inside, heldout)
    result = Calibration(
        run_directory("calibrate", config.out),
        world,
        tuple(heads),
        count,
        int(heldout.sum()),
        reward,
        tables.digest,
        time.monotonic() - started,
    )
    _write(result)
    return result


def world_of(tables: Tables, rules: Rules, heads: Mapping[str, FittedHead]) -> World:
    """The world of fitted heads; its customers are drawn from the tables', without their ids."""
    coefficients = Coefficients(name=f"calibrated-{tables.catalogue.name}", heads={n: h.head for n, h in heads.items()})
    names = [column.name for column in tables.schema.columns]
    holds = [f"holds_{product}" for product in tables.catalogue.product_ids]
    first = tables.customers.sort("customer_id", "valid_from").unique("customer_id", keep="first", maintain_order=True)
    people = first.select("valid_from", *names, *(name for name in holds if name in first.columns))
    return World(tables.catalogue, tables.schema, rules, coefficients, TablePopulation(people, tables.schema))


def _rules(tables: Path) -> Rules:
    """The rules that stand beside the tables; consent alone where there are none."""
    file = tables / "rules.yaml"
    return load_rules(file) if file.is_file() else Rules()


def _write(result: Calibration) -> None:
    save_world(result.world, result.path)
    write_ensemble(result.path, result.world.coefficients, result.heads)
    report = {
        "tables_digest": result.tables_digest,
        "world_digest": result.world.digest,
        "customers": result.customers,
        "heldout_customers": result.heldout_customers,
        "seconds": result.seconds,
        "heads": {
            h.name: {
                "rows": h.rows,
                "events": h.events,
                "shape": asdict(h.shape),
                "fidelity": _known(asdict(h.fidelity)),
            }
            for h in result.heads
        },
        "reward_by_treatment": None if result.reward is None else result.reward.to_dicts(),
    }
    atomic_write(result.path / "calibration.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    temporary = result.path / ".calibration.svg"
    result.figure().savefig(temporary, format="svg")
    os.replace(temporary, result.path / "calibration.svg")


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """NaN, where nothing was held out, as null: JSON has no NaN."""
    return {name: None if value != value else value for name, value in values.items()}
