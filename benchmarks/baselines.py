"""The baselines a sceptic would ask for, each tuned with the same budget: what they gain at equal annoyance.

The built-in bank, one decision a day, 91 days. Models are learned and dials chosen on customers of the bank, frontiers
are tested on others; with several seeds everything is learned and chosen anew, and intervals hold seeds and customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from benchmarks.kit import Options, Result, main, show
from envs.world import World, load_world
from evaluation.frontier import Measured, equal_annoyance
from evaluation.frontier_figure import frontier_figure
from evaluation.intervals import pooled_seeds
from evaluation.trial import Trial
from training.evaluate import FIRST_COMPARED
from training.tuned import NAMES, BaselinesConfig, TunedBaselines, tuned_baselines

DAYS = 91
SEEDS = 1  # a quarter of an hour each; with several, intervals hold what they differ by
LEVELS = (0.05, 0.15, 0.5, 1.0, 1.5, 4.5)  # opt-outs per customer in the quarter; silos cause 4.5
QUICK = ("silos_tuned", "coordinated_tuned", "propensity_margin", "clairvoyant")
REFERENCE = "propensity_margin"  # what others are held against: the commercial practice
SHOWN = 2.5  # annoyance up to which the picture reaches
Found = Mapping[str, Sequence[Measured]]  # by baseline, one per seed


def baselines(options: Options, result: Result) -> None:
    """Tune all of them, test all of them."""
    world, customers = load_world("bank"), 300 if options.quick else 2500
    names, budget, days = (QUICK, 250_000, 28) if options.quick else (NAMES, 2_000_000, DAYS)
    tuned = [
        tuned_baselines(BaselinesConfig(names=names, customer_days=budget, days=days, seed=options.seed + k))
        for k in range(SEEDS)
    ]
    trial = Trial(world, FIRST_COMPARED + np.arange(customers), days, options.seed)
    found = measured(tuned, trial)
    _spending(tuned[0], result)
    _table(found, result, world)
    _differences(found, result)
    picture = frontier_figure([per_seed[0] for per_seed in found.values()], world.catalogue.currency, most=SHOWN)
    picture.savefig(options.work / "baselines.png", dpi=150)
    result.conditions |= {"customers": customers, "days": days, "budget_customer_days": budget, "seeds": SEEDS}


def measured(tuned: Sequence[TunedBaselines], trial: Trial) -> Found:
    """Every frontier of every seed on the same test customers; a baseline without chance in it has one."""
    found: dict[str, list[Measured]] = {}
    for one in tuned:
        for name, frontier in one.frontiers.items():
            found.setdefault(name, []).append(frontier.measured(trial))
    return found


def _spending(tuned: TunedBaselines, result: Result) -> None:
    show(
        "What tuning took (customer-days), and where each frontier ended on the customers it was chosen on", tuned.frame
    )
    result.figures["spending"] = tuned.frame.to_dicts()
    result.figures["models"] = [str(one) for one in tuned.chosen]


def _table(found: Found, result: Result, world: World) -> None:
    rows: list[dict[str, object]] = []
    for name, per_seed in found.items():
        for level in LEVELS:
            gain = pooled_seeds(np.stack([one.gain(level) for one in per_seed]))
            annoyed = float(np.mean([one.annoyance(level).mean() for one in per_seed]))
            reached = all(one.at(level).reached for one in per_seed)
            rows.append(
                {"baseline": name, "level": level, "gain": gain.value, "lo": gain.lo, "hi": gain.hi,
                 "annoyance": annoyed, "reached": reached}
            )  # fmt: skip
    result.figures["gain_at_level"] = rows
    wide = [
        {"baseline": name}
        | {f"{r['level']:g}": _said(r) for r in rows if r["baseline"] == name}
        | {"end": float(np.mean([one.frontier.reach for one in found[name]]))}
        for name in found
    ]
    currency = world.catalogue.currency
    show(
        f"Gain over silence per customer at a level of annoyance ({currency}; * beyond its end)", pl.DataFrame(wide), 2
    )


def _said(row: Mapping[str, object]) -> str:
    mark = "" if row["reached"] else "*"
    return f"{row['gain']:.0f} [{row['lo']:.0f}, {row['hi']:.0f}]{mark}"


def _differences(found: Found, result: Result) -> None:
    rows = [
        {"baseline": name} | equal_annoyance(per_seed, found[REFERENCE], level).row
        for name, per_seed in found.items()
        if name != REFERENCE
        for level in LEVELS
    ]
    frame = pl.DataFrame(rows)
    narrow = ("baseline", "level", "difference", "difference_lo", "difference_hi", "annoyance_mine", "annoyance_theirs")
    show(f"Gain less that of {REFERENCE} at equal annoyance, paired by customer", frame[narrow], 2)
    result.figures["over_propensity"] = rows


if __name__ == "__main__":
    main("baselines", baselines)
