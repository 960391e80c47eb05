"""A million customers who share pools by region, for ninety days: minutes, memory and every figure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import polars as pl
import psutil

from agents.baselines import CoordinatedRules, SiloedCampaigns
from agents.network_file import Network, load_network
from agents.policy import Policy
from benchmarks.kit import Options, Result, main, show
from envs.indicators import indicators_with_intervals
from envs.process import process_figures
from envs.world import World, load_world
from evaluation.pooled import PooledRun, run_pooled
from evaluation.population_report import PopulationReport
from evaluation.region import PooledSetting
from training.simulate import under_silos

CUSTOMERS, DAYS, PROCESSES, REGION = 1_000_000, 90, 2, "region"
MINUTES = {"coordinated_rules": 3.0, "siloed_campaigns": 3.0, "mlp": 8.0}  # targets
GIBIBYTES = 1.5


def population(options: Options, result: Result) -> None:
    """Run the population under rules, silos and networks; the networks have random weights, which cost as much."""
    world = load_world("bank")
    made = [sys.executable, "-m", "benchmarks.population_networks", str(options.work), str(options.seed)]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)  # torch stays out of this process
    policies: dict[str, tuple[World, Policy]] = {
        "coordinated_rules": (world, CoordinatedRules(world.catalogue, world.encoder)),
        "siloed_campaigns": (under_silos(world), SiloedCampaigns(world.catalogue, world.encoder)),
        "mlp": (world, Onnx("mlp", options.work, world)),
        "scorer": (world, Onnx("scorer", options.work, world)),
    }
    customers, days = (10_000, 5) if options.quick else (CUSTOMERS, DAYS)
    if options.quick:
        policies.pop("scorer")
    rows = []
    for name, (under, policy) in policies.items():
        some = customers // 10 if name == "scorer" else customers  # its minutes are told for all
        setting = PooledSetting(
            under, policy, np.arange(some), days, options.seed, REGION, told=name != "siloed_campaigns", assets="assets"
        )
        run_pooled(replace(setting, customers=np.arange(200), days=2))  # kernels are compiled
        with Peak() as peak:
            began = time.perf_counter()
            run = run_pooled(setting, processes=PROCESSES)
            minutes = (time.perf_counter() - began) / 60
        rows.append((name, some, days, minutes, minutes / some / days * 60e6, peak.bytes / 2**30))
        _tell(name, run, result)
        _aims(name, minutes, peak.bytes / 2**30, options.quick, result)
    columns = ["policy", "customers", "days", "minutes", "us per customer-day", "GiB of all processes"]
    frame = pl.DataFrame(rows, orient="row", schema=columns)
    show(f"{PROCESSES} processes, pools by {REGION}", frame)
    result.figures["time"] = frame.to_dicts()


def _aims(name: str, minutes: float, gibibytes: float, quick: bool, result: Result) -> None:
    if name in MINUTES:
        words = f"{CUSTOMERS:,} customers for {DAYS} days in at most {MINUTES[name]:g} minutes: {minutes:.2f}"
        result.target(f"minutes {name}", words, not quick and minutes <= MINUTES[name])
        words = f"in at most {GIBIBYTES:g} GiB, all processes: {gibibytes:.2f}"
        result.target(f"memory {name}", words, not quick and gibibytes <= GIBIBYTES)


def _tell(name: str, run: PooledRun, result: Result) -> None:
    catalogue = run.setting.world.catalogue
    watched = indicators_with_intervals(run.counts, catalogue).select("indicator", "value", "low", "high", "unit")
    process = process_figures(sum(run.counts[1:], run.counts[0]), catalogue).select("figure", "from", "to", "value")
    pools = PopulationReport(run, "bank").frame
    show(f"{name}: pools", pools)
    show(f"{name}: indicators", watched)
    result.figures[name] = {
        "pools": pools.to_dicts(),
        "indicators": watched.to_dicts(),
        "process figures": process.to_dicts(),
    }


class Onnx:
    """A network in ONNX, which other processes load again."""

    def __init__(self, name: str, folder: Path, world: World) -> None:
        self.name, self._file = name, folder / f"{name}.onnx"
        self._widths = len(world.encoder.fields), len(world.catalogue.treatment_ids)

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "_file": self._file, "_widths": self._widths}

    @cached_property
    def _network(self) -> Network:
        return load_network(self._file.read_bytes(), *self._widths, self._file)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self._network(observation, mask)


class Peak:
    """The most memory that this process and its children held at once, looked at twice a second."""

    bytes: int = 0

    def __enter__(self) -> Peak:
        self._over, self._thread = Event(), Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        own = psutil.Process(os.getpid())
        while not self._over.wait(0.5):
            held = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    held += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.bytes = max(self.bytes, held)


if __name__ == "__main__":
    main("population", population)
