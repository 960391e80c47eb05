"""Capacity: clear the pools by prices, and say with an interval what more of them would be worth."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import polars as pl

from envs.catalogue import Catalogue
from envs.errors import InputError
from evaluation.channel_worth import silent
from evaluation.pooled import PooledRun
from evaluation.population_report import PopulationReport
from evaluation.population_words import one
from evaluation.region import PooledSetting
from evaluation.run_differences import differences
from training.capacity_configs import CapacityConfig
from training.clearing import annoyance_price, cleared_setting, run
from training.progress import progress
from training.runs import atomic_write, run_directory


class Worth(NamedTuple):
    """What one unit that was added is worth, with its interval, currency."""

    value: float
    lo: float
    hi: float


@dataclass(frozen=True)
class WhatIf:
    """What more of the pools is worth."""

    more: Mapping[str, float]  # pool -> units a day (of a stock, in all)
    frame: pl.DataFrame  # per amount and customer: with more, without, difference, lo, hi
    pools: pl.DataFrame  # per pool: price and utilisation, without and with more
    units: float  # all that was added over all days, of every pool
    worth: Worth | None  # value per unit that was added, currency; None where several pools grew
    customers: int

    def said(self, catalogue: Catalogue) -> list[str]:
        """In plain words."""
        rows = {row["amount"]: row for row in self.frame.iter_rows(named=True)}
        gain, currency = rows["gain"], catalogue.currency
        pools = [pool for pool in catalogue.pools if pool.id in self.more]
        more = ", ".join(f"{self.more[p.id]:g} {p.unit} {'' if p.stock else 'a day '}more of {p.id}" for p in pools)
        low, high = (self.customers * gain[end] for end in ("lo", "hi"))
        lines = [
            f"With {more}: gain {self.customers * gain['difference']:+,.0f} {currency} [{low:+,.0f}, {high:+,.0f}] "
            f"in all, {gain['difference']:+.3f} per customer; annoyance "
            f"{self.customers * rows['annoyance']['difference']:+.2f} opt-outs.",
        ]
        if self.worth is None:
            return lines
        unit, row = one(pools[0].unit), self.pools.row(by_predicate=pl.col("pool") == pools[0].id, named=True)
        return [
            *lines,
            f"Each {unit} that was added brought {self.worth.value:.2f} {currency} [{self.worth.lo:.2f}, "
            f"{self.worth.hi:.2f}], annoyance at its price counted; the price of a {unit} was {row['price']:.2f} "
            f"before, {row['price with more']:.2f} after.",
        ]


@dataclass(frozen=True)
class ClearedCapacity:
    """A population under clearing prices, its gain over silence, and what more of the pools would bring."""

    directory: Path
    report: PopulationReport
    gain: pl.DataFrame  # per amount and customer: policy, silence, difference, lo, hi
    what_if: WhatIf | None

    @property
    def frame(self) -> pl.DataFrame:
        """What more of the pools brings; else the gain over silence."""
        return self.gain if self.what_if is None else self.what_if.frame

    @property
    def sentences(self) -> list[str]:
        """Plain words."""
        row = self.gain.row(by_predicate=pl.col("amount") == "gain", named=True)
        catalogue, span = self.report.catalogue, f"[{row['lo']:.2f}, {row['hi']:.2f}]"
        gain = f"Gain over silence: {row['difference']:.2f} {catalogue.currency} per customer {span}."
        lines = [*self.report.sentences, gain]
        if self.what_if is not None:
            lines += self.what_if.said(catalogue)
        return lines

    def __str__(self) -> str:
        return "\n".join([*self.sentences, f"report: {self.directory / 'population.html'}"])

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in self.sentences)
        return f"<ul>{lines}</ul>{self.frame._repr_html_()}"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        told: dict[str, object] = {"gain": self.gain.to_dicts(), "pools": self.report.pools.to_dicts(), "more": None}
        if self.what_if is not None:
            found = self.what_if
            told["more"] = {
                "units": dict(found.more),
                "differences": found.frame.to_dicts(),
                "pools": found.pools.to_dicts(),
                "worth_of_a_unit": None if found.worth is None else found.worth._asdict(),
            }
        return told


def capacity(config: CapacityConfig) -> ClearedCapacity:
    """Simulate under clearing prices, in silence, and with more of the pools; write capacity.json and the report."""
    setting = cleared_setting(config)
    more = units_of(config, setting.world.catalogue)
    runs = 2 + bool(more)
    with progress("clearing the pools", total=runs * config.customers * config.days) as advance:
        silence, base = run(silent(setting), config, advance), run(setting, config, advance)
        price, what_if = annoyance_price(setting), None
        if more:
            added = tuple(more.get(pool, 0.0) for pool in setting.world.catalogue.pool_ids)
            larger = run(replace(setting, more=added), config, advance)
            what_if = compared(larger, base, more, price)
    directory = run_directory("capacity", config.out)
    report = PopulationReport(base, config.world)
    found = ClearedCapacity(directory, report, differences(base, silence, price), what_if)
    texts = {"capacity.json": json.dumps(found.to_dict(), indent=1) + "\n", **report.texts()}
    for name, text in texts.items():
        atomic_write(directory / name, text)
    return found


def units_of(config: CapacityConfig, catalogue: Catalogue) -> dict[str, float]:
    """Pool -> units that are added: as they were given, or people times the minutes of a shift."""
    for name, amount in config.more.items():
        if name not in catalogue.pool_ids:
            raise InputError(f"must be one of: {', '.join(catalogue.pool_ids)}", field="more", value=name)
        if not amount > 0:
            raise InputError("must be above 0", field=f"more.{name}", value=amount)
    if config.shift_minutes is None:
        return dict(config.more)
    for pool in catalogue.pools:
        if pool.id in config.more and pool.unit != "minutes":
            need = f"must be left out: {pool.id} is counted in {pool.unit}, not in minutes"
            raise InputError(need, field="shift_minutes", value=config.shift_minutes)
    return {pool: people * config.shift_minutes for pool, people in config.more.items()}


def compared(larger: PooledRun, base: PooledRun, more: Mapping[str, float], price: float) -> WhatIf:
    """Two runs of the same customers, the first with more of some pools."""
    frame = differences(larger, base, price)
    columns = ["pool", "price", "utilisation"]
    sides = [PopulationReport(side, "").pools.select(columns) for side in (base, larger)]
    pools = sides[0].join(sides[1], on="pool", suffix=" with more")
    customers = sum(block.customers for block in base.counts)
    units = sum(amount * days_of(base.setting, pool) for pool, amount in more.items())
    value = frame.row(by_predicate=pl.col("amount") == "value", named=True)
    each = (customers / units * value[name] for name in ("difference", "lo", "hi"))
    return WhatIf(more, frame, pools, units, Worth(*each) if len(more) == 1 else None, customers)


def days_of(setting: PooledSetting, pool: str) -> int:
    """How often a pool's units come in: every day, those of a stock once."""
    stock = next(p.stock for p in setting.world.catalogue.pools if p.id == pool)
    return 1 if stock else setting.days - setting.cadence_days + 1
