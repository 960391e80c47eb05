"""Levers in the bank: does a higher price lower what it prices, and does it pay to be told a wrong one?

The policies that `benchmarks.agent` trained, every seed, told one price after the other while all others stay at their
usual values: the same test customers, the same luck, one decision a day. What came of it are expected amounts, hidden
states known (`training/foreseen.py`), so that luck does not hide the answer.

    sweep(price)  = annoyance, or minutes of the pool, per customer, told so high a price
    cross(a, b)   = value at a, told b, less value at a, told a: told the price that it is judged at it should be best

Value is discounted and linear in prices, so that one run of what is told answers for every price that is judged at.
Policies of several seeds use very different amounts, each at its own prices: steps are asked of every policy by itself,
paired by customer; pairs of prices of all of them, with intervals over customers and seeds. Those that a target reads
hold together (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from agents.baselines import parameters
from benchmarks.kit import Options, Result, main, show, within
from benchmarks.lever import Lever, asked_levers
from benchmarks.levers_picture import levers_figure
from benchmarks.trained import trained
from envs.frozen import check_frozen
from envs.prices import prices_from
from envs.world import BUILT_IN, load_world
from evaluation.intervals import mean_interval, pooled_ratio, pooled_seeds
from training.evaluate import FIRST_COMPARED
from training.foreseen import Foreseen, foresee, silent

DAYS, CUSTOMERS, SEEDS = 91, 2000, 5
CONFIDENCE = 0.95


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


def _swept(asked: Sequence[Lever], result: Result) -> None:
    """Consumption by price, and from step to step: the mean of the policies, and each of them by itself."""
    rows: list[dict[str, object]] = []
    for lever in asked:
        for k, level in enumerate(lever.levels):
            row: dict[str, object] = {"price": lever.name, "told": level}
            row |= pooled_seeds(lever.consumption(k), CONFIDENCE).named("used")
            row |= pooled_seeds(lever.step(k), CONFIDENCE).named("step") if k else {}
            rows.append(row)
    table = [{"price": r["price"], "told": r["told"], "per customer": within(r, "used", 3),
              "beyond the step before": within(r, "step", 3)} for r in rows]  # fmt: skip
    show("Opt-outs and minutes per customer by the price told, the others as usual; steps paired", pl.DataFrame(table))
    steps = _steps(asked)
    result.figures |= {"sweep": rows, "steps": steps}
    raised, rises, lowered = (sum(bool(row[said]) for row in steps) for said in ("surely more", "more", "surely less"))
    largest = max(float(str(row["share"])) for row in steps)
    words = f"no policy surely uses more of what gets dearer ({raised} of {len(steps)} steps, together at 95 %;"
    words += f" {lowered} surely use less, {rises} more by any amount, at most {largest:+.1%} of what is used unpriced)"
    result.target("monotone", words, raised == 0)


def _steps(asked: Sequence[Lever]) -> list[dict[str, object]]:
    """Every step of every policy, paired by customer; intervals hold together."""
    every = [(lever, k, seed) for lever in asked for k in range(1, len(lever.told)) for seed in range(lever.seeds)]
    rows: list[dict[str, object]] = []
    for lever, k, seed in every:
        step, first = lever.step(k)[seed], float(lever.consumption(0)[seed].mean())
        found = mean_interval(step, 1 - (1 - CONFIDENCE) / len(every))
        said = {"more": found.value > 0, "surely more": found.lo > 0, "surely less": found.hi < 0}
        where = {"price": lever.name, "told": lever.levels[k], "seed": seed}
        rows.append(where | found.named("step") | {"share": found.value / first if first else 0.0} | said)
    return rows


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
        confidence = 1 - (1 - CONFIDENCE) / (len(pairs) * lever.seeds)
        row["policies"] = sum(mean_interval(one, confidence).lo > 0 for one in brought)
        rows.append(row)
    wide = [{"judged at": level} | _cells(rows, level, lever.levels) for level in lever.levels]
    title = f"Told a wrong price of {lever.name}: value less that of being told the right one, CNY per customer, 95 %"
    show(title, pl.DataFrame(wide))
    result.figures[f"cross {lever.name}"] = rows
    surely = sum(float(str(row["together_lo"])) > 0 for row in rows)
    alone = sum(float(str(row["pays_lo"])) > 0 for row in rows)
    best = max(rows, key=lambda row: float(str(row["share"])))
    single = sum(int(str(row["policies"])) for row in rows)
    words = f"no wrong price of {lever.name} surely pays ({surely} of {len(rows)} pairs, together at 95 %; {alone} each"
    words += (
        f" by itself; {single} of {len(rows) * lever.seeds} of a single policy; most {within(best, 'pays', 1)} CNY,"
    )
    words += f" {float(str(best['share'])):+.1%} of the gain, at {best['judged']:g} told {best['told']:g})"
    result.target(f"cross-price {lever.name}", words, surely == 0)


def _cells(rows: Sequence[Mapping[str, object]], judged: float, levels: Sequence[float]) -> dict[str, str]:
    own = {row["told"]: within(row, "pays", 1) for row in rows if row["judged"] == judged}
    return {f"told {level:g}": own.get(level, "0") for level in levels}


if __name__ == "__main__":
    main("levers", levers)
