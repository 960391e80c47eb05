"""Levers in the bank: does a higher price lower what it prices, and does it pay to be told a wrong one?

The policies that `benchmarks.agent` trained, every seed, told one price after the other while all others stay at their
usual values: the same test customers, the same luck, one decision a day. What came of it are expected amounts, hidden
states known (`training/foreseen.py`), so that luck does not hide the answer.

    sweep(price)  = annoyance, or minutes of the pool, per customer, told so high a price
    cross(a, b)   = value at a, told b, less value at a, told a: told the price that it is judged at it should be best

Value is discounted and linear in prices, so that one run of what is told answers for every price that is judged at.
Intervals hold customers and seeds; those of steps and of pairs hold together (Bonferroni). Levels were written down
before anything was measured: the ends of the range that was trained, the usual price, and what lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from agents.baselines import parameters
from agents.policy import Policy
from benchmarks.judged import decided
from benchmarks.kit import Options, Result, main, show, within
from benchmarks.levers_picture import levers_figure
from benchmarks.trained import trained
from envs.frozen import check_frozen
from envs.prices import Prices, prices_from
from envs.world import BUILT_IN, World, load_world
from evaluation.intervals import pooled_ratio, pooled_seeds
from training.evaluate import FIRST_COMPARED
from training.foreseen import Foreseen, foresee, silent

DAYS, CUSTOMERS, SEEDS = 91, 2000, 5
ANNOYANCE = (0.0, 20.0, 100.0, 300.0, 1000.0)  # CNY per opt-out
POOL = (0.0, 0.25, 1.0, 2.5, 5.0)  # CNY per minute
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Lever:
    """One price, told at rising levels, and what came of each."""

    name: str
    place: int  # 0: annoyance, else 1 + that of the pool
    told: tuple[Prices, ...]
    found: tuple[tuple[Foreseen, ...], ...] = field(repr=False)  # by level, one per seed

    @property
    def levels(self) -> list[float]:
        return [float(prices.vector()[self.place]) for prices in self.told]

    def consumption(self, level: int) -> np.ndarray:  # (seeds, customers) float64, opt-outs or units of the pool
        """What the price is asked for."""
        return np.stack([f.annoyance if self.place == 0 else f.effort[:, self.place - 1] for f in self.found[level]])

    def value(self, judged: int, told: int) -> np.ndarray:  # (seeds, customers) float64, currency, discounted
        """At one level, told another."""
        return np.stack([found.value_at(self.told[judged]) for found in self.found[told]])

    def pays(self, judged: int, told: int) -> np.ndarray:  # (seeds, customers) float64, currency
        """What it brings to be told another level than the one that is judged at."""
        return self.value(judged, told) - self.value(judged, judged)


def levers(options: Options, result: Result) -> None:
    """Tell every policy every price, then compare."""
    world, quick = load_world("bank"), options.quick
    result.conditions["bank"] = str(check_frozen(BUILT_IN / "bank", parameters()))
    seeds, days, customers = (1, 28, 200) if quick else (SEEDS, DAYS, CUSTOMERS)
    policies = [
        trained(options.work / f"training-{options.seed + k}", "bank", options.seed + k, days, quick=quick)
        for k in range(seeds)
    ]
    numbers = FIRST_COMPARED + np.arange(customers)
    asked = asked_levers(world, policies, numbers, days, options.seed)
    usual = prices_from(None, world.catalogue, world.schema)
    silence = foresee(world, silent, numbers, np.tile(usual.vector(), (customers, 1)), days, options.seed)
    _swept(asked, result)
    most = max(asked[1:], key=lambda lever: float(lever.consumption(0).mean()))
    for lever in (asked[0], most):
        _crossed(lever, silence, result)
    levers_figure(asked).savefig(options.work / "levers.png", dpi=150)
    result.conditions |= {"seeds": seeds, "customers": customers, "days": days, "usual": usual.named(world.catalogue)}


def asked_levers(
    world: World, policies: Sequence[Policy], numbers: np.ndarray, days: int, seed: int
) -> tuple[Lever, ...]:
    """Annoyance first, then every pool; what several levers are told in common is run once. numbers: (customers,)"""
    usual, known = prices_from(None, world.catalogue, world.schema), {}
    found = []
    for place, name in enumerate(world.encoder.price_names):
        told = tuple(_with(usual, place, level) for level in (POOL if place else ANNOYANCE))
        for prices in told:
            if prices not in known:
                vectors = np.tile(prices.vector(), (len(numbers), 1))
                known[prices] = tuple(
                    foresee(world, decided(policy, seed), numbers, vectors, days, seed) for policy in policies
                )
        found.append(Lever(name, place, told, tuple(known[prices] for prices in told)))
    return tuple(found)


def _with(usual: Prices, place: int, level: float) -> Prices:
    if place == 0:
        return replace(usual, annoyance=level)
    return replace(usual, pools=tuple(level if k == place - 1 else p for k, p in enumerate(usual.pools)))


def _swept(asked: Sequence[Lever], result: Result) -> None:
    """Consumption by price, and from step to step."""
    steps = [(lever, k) for lever in asked for k in range(1, len(lever.told))]
    rows: list[dict[str, object]] = []
    for lever in asked:
        for k, level in enumerate(lever.levels):
            row = {"price": lever.name, "told": level} | pooled_seeds(lever.consumption(k), CONFIDENCE).named("used")
            if k:
                step = lever.consumption(k) - lever.consumption(k - 1)
                row |= pooled_seeds(step, 1 - (1 - CONFIDENCE) / len(steps)).named("step")
                row["share"] = float(step.mean() / lever.consumption(0).mean())  # of what is used at the lowest level
            rows.append(row)
    table = [{"price": r["price"], "told": r["told"], "per customer": within(r, "used", 3),
              "beyond the step before": within(r, "step", 3)} for r in rows]  # fmt: skip
    show("Opt-outs and minutes per customer by the price told, the others as usual; steps paired", pl.DataFrame(table))
    result.figures["sweep"] = rows
    stepped = [row for row in rows if "step" in row]
    raised = sum(float(str(row["step_lo"])) > 0 for row in stepped)
    lowered = sum(float(str(row["step_hi"])) < 0 for row in stepped)
    largest = max(float(str(row["share"])) for row in stepped)
    words = f"no higher price surely raises what it prices ({raised} of {len(stepped)} steps, together at 95 %;"
    words += f" {lowered} surely lower it; largest rise {largest:+.1%} of what is used at the lowest price)"
    result.target("monotone", words, raised == 0)


def _crossed(lever: Lever, silence: Foreseen, result: Result) -> None:
    """What it brings to be told a wrong price, at each price judged at."""
    every = range(len(lever.told))
    pairs = [(a, b) for a in every for b in every if a != b]
    rows: list[dict[str, object]] = []
    for a, b in pairs:
        brought, gain = lever.pays(a, b), lever.value(a, a) - silence.value_at(lever.told[a])
        row: dict[str, object] = {"judged": lever.levels[a], "told": lever.levels[b]}
        row |= pooled_seeds(brought, CONFIDENCE).named("pays") | pooled_ratio(brought, gain, CONFIDENCE).named("share")
        row["together_lo"] = pooled_seeds(brought, 1 - (1 - CONFIDENCE) / len(pairs)).lo
        rows.append(row)
    wide = [{"judged at": level} | _cells(rows, level, lever.levels) for level in lever.levels]
    title = f"Told a wrong price of {lever.name}: value less that of being told the right one, CNY per customer, 95 %"
    show(title, pl.DataFrame(wide))
    result.figures[f"cross {lever.name}"] = rows
    surely = sum(float(str(row["together_lo"])) > 0 for row in rows)
    alone = sum(float(str(row["pays_lo"])) > 0 for row in rows)
    best = max(rows, key=lambda row: float(str(row["share"])))
    words = f"no wrong price of {lever.name} surely pays ({surely} of {len(rows)} pairs, together at 95 %; {alone} each"
    words += f" by itself; most {within(best, 'pays', 1)} CNY, {float(str(best['share'])):+.1%} of the gain,"
    words += f" at {best['judged']:g} told {best['told']:g})"
    result.target(f"cross-price {lever.name}", words, surely == 0)


def _cells(rows: Sequence[Mapping[str, object]], judged: float, levels: Sequence[float]) -> dict[str, str]:
    own = {row["told"]: within(row, "pays", 1) for row in rows if row["judged"] == judged}
    return {f"told {level:g}": own.get(level, "0") for level in levels}


if __name__ == "__main__":
    main("levers", levers)
