"""The published pilot's figures: a policy over silos, as they are and tuned, with cost and annoyance no higher.

Part of `benchmarks.agent`; by itself it takes the trainings that `benchmarks.agent` left in the folder (`--keep`). The
tuned silos had the budget of a training, see `benchmarks.silos.tuned_silos`. Prices are chosen on selection customers,
anew for either kind of silos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from agents.artifact import ArtifactPolicy
from agents.baselines import parameters
from benchmarks.kit import Options, Result, main, show
from benchmarks.measured_baselines import CUSTOMERS, DAYS, SEEDS
from benchmarks.silos import PILOT, SPENT, Silos, as_they_are, offered, tuned_silos
from benchmarks.trained import customer_days, trained
from envs.frozen import check_frozen
from envs.world import BUILT_IN, World, load_world
from evaluation.trial import Trial
from training.configs import TrainConfig
from training.evaluate import FIRST_COMPARED

SELECTION = 15_000_000  # number of the first customer on whom prices are chosen
NEEDED = {"conversions per customer": 1.74, "volume per human hour": 2.0}  # times the silos'


def alone(options: Options, result: Result) -> None:
    """The figures of every seed, without the other baselines."""
    world, quick = load_world("bank"), options.quick
    result.conditions["bank"] = str(check_frozen(BUILT_IN / "bank", parameters()))
    seeds, days, count = (1, 28, 300) if quick else (SEEDS, DAYS, CUSTOMERS)
    policies = [
        trained(options.work / f"training-{options.seed + k}", "bank", options.seed + k, days, quick=quick)
        for k in range(seeds)
    ]
    pilot(policies, *trials(world, count, days, options.seed), options, result)
    result.conditions |= {"customers": count, "days": days, "seeds": seeds}


def trials(world: World, customers: int, days: int, seed: int) -> tuple[Trial, Trial]:
    """Selection customers, half as many, and test customers."""
    chosen = Trial(world, SELECTION + np.arange(customers // 2), days, seed)
    return chosen, Trial(world, FIRST_COMPARED + np.arange(customers), days, seed)


def pilot(policies: Sequence[ArtifactPolicy], chosen: Trial, tested: Trial, options: Options, result: Result) -> None:
    """Every policy at the prices that selection customers chose for it, on test customers."""
    budget = 250_000 if options.quick else customer_days(TrainConfig(world="bank"))
    kinds = {"today": as_they_are(tested.world), "tuned": tuned_silos(budget, chosen, options.seed)}
    at_prices = [offered(policy, chosen) for policy in policies]
    silos = {kind: Silos(tested, dialled) for kind, dialled in kinds.items()}
    for kind, dialled in kinds.items():
        selection, there = Silos(chosen, dialled), silos[kind]
        own = [there.beside(p, selection.affordable(at)) for p, at in zip(policies, at_prices, strict=True)]
        named = {"coordinated rules": there.designed()}
        named |= {"tuned silos": there.others(silos["tuned"])} if kind == "today" else {}
        named |= {f"ppo, seed {k}": row for k, row in enumerate(own)}
        _show(named, f"silos, {kind} ({dialled.name})")
        result.figures["over_silos" if kind == "today" else "over_tuned_silos"] = [
            {"policy": name, **row} for name, row in named.items()
        ]
        _aims(own, f"the silos', {kind}", "" if kind == "today" else ", tuned silos", result)


def _aims(own: Sequence[Mapping[str, float]], whose: str, key: str, result: Result) -> None:
    for figure, need in NEEDED.items():
        worst = min(row[figure] for row in own)
        result.target(figure + key, f"at least {need} x {whose} (least of the seeds {worst:.2f})", worst >= need)
    bounds = max(row[f"{name}, upper"] for row in own for name in SPENT)
    words = f"upper bounds of cost and annoyance at most {whose} (highest {bounds:.2f})"
    result.target("no dearer" + key, words, bounds <= 0)


def _show(named: Mapping[str, Mapping[str, float]], whose: str) -> None:
    """One line per figure, one column per policy."""
    names = [*PILOT, "human hours", "annoyance price", "pool price", *(f"{name}, upper" for name in SPENT)]
    table = {"figure": names} | {policy: [_said(row, name) for name in names] for policy, row in named.items()}
    show(f"Over the {whose}, same customers and luck (ratios, 95 %; prices; upper bounds)", pl.DataFrame(table))


def _said(row: Mapping[str, float], name: str) -> str:
    if name not in row:
        return ""
    ends = f" [{row[f'{name} lo']:.2f}, {row[f'{name} hi']:.2f}]" if f"{name} lo" in row else ""
    return f"{row[name]:.2f}{ends}"


if __name__ == "__main__":
    main("pilot", alone)
