"""The built-in bank: gain of each policy at equal annoyance, in the bank itself, which no policy was trained on.

Prices and mixtures are chosen on some customers of the bank and tested on others, by `evaluation/frontier.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from agents.artifact import load_policy
from agents.baselines import CoordinatedRules, SiloedCampaigns
from agents.myopic import Levers, Myopic
from agents.policy import Policy
from benchmarks.kit import Options, Result, main, show
from envs.prices import Prices
from envs.world import load_world
from evaluation.frontier import Frontier, Measured, equal_annoyance
from evaluation.trial import Dialled, Trial
from training.calibrate import calibrate
from training.configs import CalibrateConfig, SimulateConfig, TrainConfig
from training.evaluate import FIRST_COMPARED
from training.simulate import simulate as simulate_log
from training.simulate import under_silos, weekly
from training.train import train

ANNOYANCE_PRICES = (0.0, 20.0, 100.0, 300.0, 1000.0)  # CNY per opt-out; the trained range
DAYS = 91
SELECTION = 15_000_000  # number of the first customer on whom prices are chosen


def bank(options: Options, result: Result) -> None:
    """Log, calibrate, train; then compare on fresh customers of the bank, along each policy's frontier."""
    tables, world = options.work / "tables", options.work / "world"
    size = (1500, 20_000, 300) if options.quick else (20_000, TrainConfig(world="").steps, 8_000)
    simulate_log(SimulateConfig(customers=size[0], days=DAYS, seed=options.seed, out=tables))
    calibrate(CalibrateConfig(tables=tables, out=world, seed=options.seed, replicates=0))
    run = train(TrainConfig(tables=tables, world=str(world), steps=size[1], seed=options.seed, horizon=DAYS,
                            out=options.work / "training"))  # fmt: skip
    truth, fitted = weekly(load_world("bank")), load_world(world)
    silos = under_silos(truth)
    campaigns = SiloedCampaigns(silos.catalogue, silos.encoder)
    offered = {
        "ppo": priced(load_policy(run.artifact), len(truth.catalogue.pools)),
        "siloed_campaigns": [Dialled("siloed_campaigns", campaigns, rules=silos.rules, cadence_days=1)],
        "coordinated_rules": [Dialled("coordinated_rules", CoordinatedRules(truth.catalogue, truth.encoder))],
        "myopic_tuned": priced(Myopic(fitted, run.levers), len(truth.catalogue.pools)),
        "myopic": priced(Myopic(fitted, Levers()), len(truth.catalogue.pools)),
    }
    chosen, tested = (
        Trial(truth, first + np.arange(size[2]), DAYS, options.seed) for first in (SELECTION, FIRST_COMPARED)
    )
    frontiers = {
        name: Frontier.chosen(name, dialled, [chosen.run(d) for d in dialled], chosen.silence).measured(tested)
        for name, dialled in offered.items()
    }
    _tell(result, frontiers)
    result.figures["levers"] = vars(run.levers)
    result.conditions |= {"customers": size[2], "days": DAYS, "steps": size[1], "log_customers": size[0]}


def priced(policy: Policy, pools: int) -> list[Dialled]:
    """A policy told each price of annoyance, pools at no price."""
    return [Dialled(f"price {price:g}", policy, Prices(price, (0.0,) * pools)) for price in ANNOYANCE_PRICES]


def _tell(result: Result, frontiers: dict[str, Measured]) -> None:
    frame = pl.concat([found.frame for found in frontiers.values()])
    show(f"The corners of each frontier on the test customers, per customer over {DAYS} days (CNY, opt-outs)", frame)
    result.figures["frontier"] = frame.to_dicts()
    rows: list[dict[str, object]] = []
    for name, theirs in frontiers.items():
        if name != "ppo":
            rows += [{"baseline": name} | row for row in _along(frontiers["ppo"], theirs)]
    table = pl.DataFrame(rows)
    narrow = ("baseline", "level", "theirs", "difference", "difference_lo", "difference_hi", "annoyance_mine")
    show("Gain of PPO less the baseline's at equal annoyance (or less, where PPO never annoys as much)", table[narrow])
    result.figures["equal_annoyance"] = rows
    for name, found in table.group_by("baseline", maintain_order=True):
        least = found.sort("difference_lo").row(0, named=True)
        said = "{difference:.1f} [{difference_lo:.1f}, {difference_hi:.1f}] at {level:.2f}".format(**least)
        words = f"paired difference of gain at equal annoyance above 0, at its worst {said}"
        result.target(f"over {name[0]}", words, least["difference_lo"] > 0)


def _along(mine: Measured, theirs: Measured) -> Sequence[dict[str, object]]:
    levels = [float(level) for level in theirs.frontier.annoyance if level > 0]
    return [equal_annoyance(mine, theirs, level).row for level in levels]


if __name__ == "__main__":
    main("bank", bank)
