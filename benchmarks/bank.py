"""The built-in bank as a user meets it: all that a policy may know is a log; the bank itself only judges.

For each seed one log (20,000 customers, silos and a randomised part, one decision a week). A world is calibrated on
it. PPO learns in that world; propensity x margin and budgeted assignment learn from the log's randomised customers; the
myopic rule takes the calibrated heads. Levers are tuned and dials are chosen in the calibrated world, everybody with
the customer-days that a training simulates. Then every frontier is measured on customers of the bank: none of them, and
nothing else of the bank, was seen before.

Logs, calibrations, trainings and searches of all seeds count: intervals hold their chance and the customers'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from agents.baselines import parameters
from benchmarks.kit import Options, Result, main, show
from benchmarks.trained import customer_days, price_frontier, trained
from envs.frozen import check_frozen
from envs.world import BUILT_IN, load_world
from evaluation.frontier import Frontier, Measured, equal_annoyance
from evaluation.frontier_figure import frontier_figure
from evaluation.trial import Trial
from training.calibrate import calibrate
from training.configs import CalibrateConfig, SimulateConfig, TrainConfig
from training.evaluate import FIRST_COMPARED
from training.simulate import WEEK, weekly
from training.simulate import simulate as simulate_log
from training.tuned import BaselinesConfig, Name, tuned_baselines

DAYS, CUSTOMERS, SEEDS, LOGGED = 91, 4000, 3, 20_000
LEVELS = (0.05, 0.15, 0.3, 0.6)  # opt-outs per customer in the quarter
SELECTION = 15_000_000  # number of the first customer on whom prices are chosen
NAMES: tuple[Name, ...] = ("siloed_campaigns", "coordinated_rules", "coordinated_tuned", "best_fixed",
                           "propensity_margin", "assignment", "true_heads")  # fmt: skip
QUICK: tuple[Name, ...] = ("coordinated_rules", "true_heads")
CALLED = {"true_heads": "calibrated_heads"}  # of the world that they were tuned in, which here is the calibrated one


def bank(options: Options, result: Result) -> None:
    """Every seed's log, world, policy and baselines; then all of them on the same customers of the bank."""
    truth = weekly(load_world("bank"))
    result.conditions["bank"] = str(check_frozen(BUILT_IN / "bank", parameters()))
    seeds, count = (1, 300) if options.quick else (SEEDS, CUSTOMERS)
    tested = Trial(truth, FIRST_COMPARED + np.arange(count), DAYS, options.seed)
    mine: list[Measured] = []
    theirs: dict[str, list[Measured]] = {}
    for seed in range(options.seed, options.seed + seeds):
        own, others = _learned(options, seed, count // 2)
        mine.append(own.measured(tested))
        for name, found in others.items():
            called = CALLED.get(name, name)
            theirs.setdefault(called, []).append(replace(found, name=called).measured(tested))
    _tell(mine, theirs, result)
    drawn = [mine[0], *(found[0] for found in theirs.values())]
    picture = frontier_figure(drawn, truth.catalogue.currency, most=1.0)
    picture.savefig(options.work / "bank.png", dpi=150)
    result.conditions |= {"customers": count, "days": DAYS, "seeds": seeds, "log_customers": _logged(options)}


def _logged(options: Options) -> int:
    return 1500 if options.quick else LOGGED


def _learned(options: Options, seed: int, chosen_on: int) -> tuple[Frontier, Mapping[str, Frontier]]:
    """Frontiers of the policy and of the baselines that one log leads to, chosen in the world calibrated on it."""
    place = options.work / f"seed-{seed}"
    tables, world = place / "tables", place / "world"
    simulate_log(SimulateConfig(customers=_logged(options), days=DAYS, seed=seed, out=tables))
    calibrate(CalibrateConfig(tables=tables, out=world, seed=seed, replicates=TrainConfig().ensemble))
    policy = trained(place / "training", str(world), seed, DAYS, quick=options.quick)
    chosen = Trial(load_world(world), SELECTION + np.arange(chosen_on), DAYS, seed)
    config = TrainConfig(world=str(world), horizon=DAYS)
    weeks = (WEEK - 1) * (config.steps + config.imitation_steps)  # a step of the learner takes a week here
    budget = 400_000 if options.quick else customer_days(config) + weeks
    names = QUICK if options.quick else NAMES
    learning = BaselinesConfig(world=str(world), tables=tables, names=names, customer_days=budget, days=DAYS, seed=seed)
    return price_frontier(policy, chosen), tuned_baselines(learning).frontiers


def _tell(mine: Sequence[Measured], theirs: Mapping[str, Sequence[Measured]], result: Result) -> None:
    """Corners of every frontier; PPO's gain less each baseline's at equal annoyance."""
    every = {"ppo": mine, **theirs}
    corners = pl.concat(
        [one.frame.with_columns(policy=pl.lit(name), seed=pl.lit(k)) for name, found in every.items()
         for k, one in enumerate(found)]
    )  # fmt: skip
    show(f"PPO's corners on customers of the bank, over {DAYS} days (CNY, opt-outs)", corners.filter(policy="ppo"))
    rows = [
        {"baseline": name} | equal_annoyance(mine, found, level).row
        for name, found in theirs.items()
        for level in LEVELS
    ]
    result.figures |= {"frontier": corners.to_dicts(), "equal_annoyance": rows}
    table = pl.DataFrame(rows)
    narrow = ("baseline", "level", "mine", "theirs", "difference", "difference_lo", "difference_hi", "reached_theirs")
    show("Gain of PPO beside each baseline's at equal annoyance, CNY per customer, paired", table[narrow], 2)
    for name, found in table.group_by("baseline", maintain_order=True):
        least = found.sort("difference_lo").row(0, named=True)
        said = "{difference:.1f} [{difference_lo:.1f}, {difference_hi:.1f}] at {level:.2f}".format(**least)
        words = f"paired difference of gain at equal annoyance above 0, at its worst {said}"
        result.target(f"over {name[0]}", words, least["difference_lo"] > 0)


if __name__ == "__main__":
    main("bank", bank)
