"""A population whose customers share pools, per region and day: what they are worth together, and what they lacked.

The customers of a region stand in parts of the same size. Every day the parts that are due take their turns in a random
order, and in each part its customers (`agents.turns`), until the day's pools are exhausted. Regions share nothing, so
that each is simulated by itself: on one processor or several, the result is the same to the last bit.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Protocol

import numpy as np
import polars as pl

from agents.price_range import told_prices
from envs.counts import Counts, total
from envs.errors import InputError
from envs.prices import prices_from
from evaluation.region import MADE, Heard, PooledSetting, Progress, Region

WHOLE = "all"  # the one region of a bank that is not divided


class Listener(Protocol):
    """Who is told what happens in a run, say a recorder."""

    def decided(self, heard: Heard) -> np.ndarray:
        """Told every part's decisions; says their numbers in a log, (batch, desks), -1: not logged."""
        ...

    def happened(self, events: np.ndarray, customer: np.ndarray) -> None:
        """Told every part's events. events: (n,) EVENT; customer: (batch,) int, numbers of the part's customers."""
        ...


@dataclass(frozen=True)
class PooledRun:
    """What came of it."""

    setting: PooledSetting = field(repr=False)
    counts: tuple[Counts, ...]  # of blocks of customers
    days: pl.DataFrame  # one row per region, day and pool, see `Region.days`


def regions_of(setting: PooledSetting) -> dict[str, np.ndarray]:
    """Region -> its customers, in the order of their numbers."""
    if setting.by is None:
        return {WHOLE: setting.customers}
    column = next((c for c in setting.world.schema.columns if c.name == setting.by), None)
    if column is None or column.type != "category":
        known = ", ".join(c.name for c in setting.world.schema.columns if c.type == "category")
        raise InputError(f"must be a column of categories: {known}", field="by", value=setting.by)
    parts = np.array_split(setting.customers, len(setting.customers) // MADE + 1)
    where = np.concatenate(
        [setting.world.population.sample(some, setting.seed)[setting.by].to_numpy() for some in parts]
    )
    strange = ~np.isin(where.astype(str), column.categories)
    if strange.any():
        row = int(strange.argmax())
        need = f"must be one of {', '.join(column.categories)}, for every customer must be in a region"
        raise InputError(need, field=setting.by, value=str(where[row]), row=row)
    found = {str(name): setting.customers[where == name] for name in column.categories}
    return {name: some for name, some in found.items() if len(some)}


def run_pooled(
    setting: PooledSetting,
    *,
    processes: int = 1,
    progress: Progress | None = None,
    listener: Listener | None = None,
) -> PooledRun:
    """Simulate the population.

    processes: at most one per region is of use; listener: is told what is decided and what happens, in one process
    """
    check(setting)
    if listener is not None and processes != 1:
        raise InputError("must be 1 when somebody listens", field="processes", value=processes)
    regions = regions_of(setting)
    jobs = sorted(regions.items(), key=lambda item: -len(item[1]))  # the largest first
    found: dict[str, tuple[list[Counts], pl.DataFrame]] = {}
    if min(processes, len(jobs)) == 1:
        for name, customers in jobs:
            found[name] = _run(setting, name, customers, progress, listener)
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as workers:
            told = {name: workers.submit(_run, setting, name, customers) for name, customers in jobs}
            for name, customers in jobs:
                found[name] = told[name].result()
                if progress is not None:
                    progress(len(customers) * setting.days)
    ordered = [found[name] for name in regions]
    counts = tuple(total(block) for block in zip(*(counts for counts, _ in ordered), strict=True))
    return PooledRun(setting, counts, pl.concat([days for _, days in ordered]))


def _run(
    setting: PooledSetting,
    name: str,
    customers: np.ndarray,
    progress: Progress | None = None,
    listener: Listener | None = None,
) -> tuple[list[Counts], pl.DataFrame]:
    hooks = (None, None) if listener is None else (listener.decided, listener.happened)
    region = Region(setting, name, customers, *hooks)
    region.run(progress)
    return region.counts.counts(), region.days


def check(setting: PooledSetting) -> None:
    """Refuse what cannot be simulated."""
    task, catalogue = setting.world.schema.task, setting.world.catalogue
    prices = setting.prices or prices_from(None, catalogue, setting.world.schema)
    free = () if setting.clearing is None else catalogue.pool_ids
    told_prices([setting.policy], prices, catalogue.pool_ids, free=free)
    if task.kind == "finite":
        raise InputError(
            "must be continuing: customers of a finite task share no days", field="task.kind", value="finite"
        )
    if not catalogue.pools:
        raise InputError("must name a pool for customers to share", field="pools", value=[])
    if setting.days < setting.cadence_days:
        raise InputError(f"must be at least {setting.cadence_days}, the cadence", field="days", value=setting.days)
    if not len(setting.customers):
        raise InputError("must name at least one", field="customers", value="[]")
    numbers = [column.name for column in setting.world.schema.columns if column.type == "number"]
    if setting.assets is not None and setting.assets not in numbers:
        raise InputError(f"must be a column of numbers: {', '.join(numbers)}", field="assets", value=setting.assets)
