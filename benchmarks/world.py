"""The simulator: customer-days per second beside CartPole, steps of one customer, growth, memory of a million."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from gymnasium.vector import AutoresetMode

from agents.baselines import CoordinatedRules
from benchmarks.grown import grown
from benchmarks.kit import Options, Result, main, show
from envs.randomness import Luck
from envs.simulator import Simulator
from envs.world import World, load_world
from evaluation.simulation import choose

BATCH, ENVS = 8192, 256  # customers of a step; CartPoles of a step
FASTER, ALONE, GIBIBYTES = 8.0, 8_000.0, 1.5  # targets
BATCHES = (1, 16, 128, 1024, 8192, 65536)
TREATMENTS = (50, 200, 1000)
MILLION = 1_000_000


def world(options: Options, result: Result) -> None:
    """Speed beside Gymnasium's CartPole in the same run; growth with batch and treatments; memory."""
    _speed(options, result)
    _alone(options, result)
    _growth(options, result)
    _memory(options, result)


def _speed(options: Options, result: Result) -> None:
    """Rounds of CartPole and of the bank in turn: the median ratio, with quartiles."""
    bank, cartpole = _Days(load_world("bank"), BATCH, options.seed), _CartPole(options.seed)
    rounds = 5 if options.quick else 40
    seconds = {name: np.empty(rounds) for name in ("cartpole", "silence", "rules", "random")}
    for number in range(rounds):
        seconds["cartpole"][number] = cartpole.step() / ENVS
        for name in ("silence", "rules", "random"):
            seconds[name][number] = bank.step(name) / BATCH
    rows = []
    for name, each in seconds.items():
        ratio = seconds["cartpole"] / each
        rows.append((name, 1 / np.median(each), float(np.median(ratio)), *np.quantile(ratio, [0.25, 0.75]).tolist()))
    frame = pl.DataFrame(rows, orient="row", schema=["steps", "per second", "x cartpole", "lower quartile", "upper"])
    show(f"Customer-days (batch {BATCH}, mask and observation) beside CartPole ({ENVS}), one thread", frame)
    result.figures["speed"] = frame.to_dicts()
    found = frame.row(by_predicate=pl.col("steps") == "rules", named=True)
    words = f"at least {FASTER:g} x CartPole under the coordinated rules: {found['x cartpole']:.2f}"
    result.target("speed", words, found["x cartpole"] >= FASTER)


class _Days:
    """Customers who live from day to day; what is asked for is chosen outside the clock."""

    def __init__(self, bank: World, batch: int, seed: int) -> None:
        self._simulator = Simulator(bank, seed, cadence_days=1)
        self._simulator.reset(np.arange(batch))
        self._rules, self._seed = CoordinatedRules(bank.catalogue, bank.encoder), seed
        self._rng = np.random.default_rng(seed)
        for _ in range(5):
            self.step("rules")

    def step(self, chosen: str) -> float:
        """Seconds of a day under these treatments."""
        treatment = self._treatment(chosen)
        began = time.perf_counter()
        self._simulator.step(treatment)
        return time.perf_counter() - began

    def _treatment(self, chosen: str) -> np.ndarray:
        state, view = self._simulator.state, self._simulator.view()
        if chosen == "silence":
            return np.zeros(state.batch, np.int64)
        if chosen == "random":
            return np.asarray((view.mask * self._rng.random(view.mask.shape)).argmax(axis=1))
        luck = Luck(self._seed, state.customer, state.history.day)
        return choose(self._rules, view.observation, view.mask, luck)[1]


class _CartPole:
    """Gymnasium's SyncVectorEnv of CartPole."""

    STEPS = 50  # timed at once

    def __init__(self, seed: int) -> None:
        made = [lambda: gymnasium.make("CartPole-v1")] * ENVS
        self._envs = gymnasium.vector.SyncVectorEnv(made, autoreset_mode=AutoresetMode.NEXT_STEP)
        self._envs.reset(seed=seed)
        self._actions = np.random.default_rng(seed).integers(0, 2, (self.STEPS, ENVS))
        self.step()

    def step(self) -> float:
        """Seconds of a step of all."""
        began = time.perf_counter()
        for actions in self._actions:
            self._envs.step(actions)
        return (time.perf_counter() - began) / self.STEPS


def _alone(options: Options, result: Result) -> None:
    """One customer in the environment that `gymnasium.make` gives, random allowed treatments."""
    env = gymnasium.make("nextbest/Bank-v0").unwrapped  # envs registers it
    rng, steps = np.random.default_rng(options.seed), 500 if options.quick else 5000
    mask, best = env.reset(seed=options.seed)[1]["action_mask"], 0.0
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(steps):
            _, _, terminated, truncated, info = env.step(int(rng.choice(np.flatnonzero(mask))))
            mask = (env.reset()[1] if terminated or truncated else info)["action_mask"]
        best = max(best, steps / (time.perf_counter() - began))
    print(f"One customer in the environment: {best:,.0f} steps per second, choices and resets among them\n")
    result.figures["alone"] = best
    result.target("alone", f"at least {ALONE:,.0f} steps per second of one customer: {best:,.0f}", best >= ALONE)


def _growth(options: Options, result: Result) -> None:
    """Nanoseconds per customer-day by batch and by number of treatments, the best of some steps."""
    bank, repeats = load_world("bank"), 3 if options.quick else 20
    by_batch = [(size, _best(_Days(bank, size, options.seed), size, repeats)) for size in BATCHES]
    sizes = [replace(bank, catalogue=grown(bank.catalogue, size)) for size in TREATMENTS]
    by_size = [
        (n, _best(_Days(made, BATCH, options.seed), BATCH, repeats)) for n, made in zip(TREATMENTS, sizes, strict=True)
    ]
    for title, found, column in (
        ("Growth with the batch", by_batch, "customers"),
        (f"Growth with the treatments, batch {BATCH}", by_size, "treatments"),
    ):
        frame = pl.DataFrame(found, orient="row", schema=[column, "ns per customer-day"])
        show(title, frame, 0)
        result.figures[column] = frame.to_dicts()
    file = options.work / "world-growth.svg"
    _draw(by_batch, by_size).savefig(file)
    print(f"plot: {file}" if file.is_file() else "")


def _best(days: _Days, batch: int, repeats: int) -> float:
    return min(days.step("rules") for _ in range(max(repeats, min(2000, repeats * 1024 // batch)))) / batch * 1e9


def _draw(by_batch: list[tuple[int, float]], by_size: list[tuple[int, float]]) -> plt.Figure:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for ax, found, label in zip(axes, (by_batch, by_size), ("customers in a batch", "treatments"), strict=True):
        ax.loglog(*zip(*found, strict=True), marker="o", color="#1f5f8b")
        ax.set_xlabel(label)
        ax.grid(alpha=0.3)
        for x, y in found:
            ax.annotate(f"{y:,.0f}", (x, y), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
        ax.set_xticks([x for x, _ in found], [f"{x:,}" for x, _ in found])
        ax.minorticks_off()
        ax.margins(x=0.12, y=0.2)
    axes[0].set_ylabel("ns per customer-day")
    return figure


def _memory(options: Options, result: Result) -> None:
    """Customers of a process of their own, stepped one day in parts: the most memory that it held."""
    customers = MILLION // 20 if options.quick else MILLION
    held = ["-m", "benchmarks.held", str(customers), str(options.seed)]
    done = subprocess.run([sys.executable, *held], capture_output=True, text=True, check=True)
    peak, state = (float(word) for word in done.stdout.split()[-2:])
    print(f"{customers:,} customers: {peak / 2**30:.2f} GiB at most, {state / customers:,.0f} bytes of state each")
    result.figures["memory"] = {"customers": customers, "gibibytes": peak / 2**30, "state_bytes": state / customers}
    words = f"{MILLION:,} customers in at most {GIBIBYTES:g} GiB: {peak / 2**30:.2f} with {customers:,}"
    result.target("memory", words, not options.quick and peak <= GIBIBYTES * 2**30)


if __name__ == "__main__":
    main("world", world)
