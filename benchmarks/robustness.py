"""Stress worlds: what silos and coordinated rules gain in each of them, at equal annoyance."""

from __future__ import annotations

import numpy as np
import polars as pl

from agents.baselines import CoordinatedRules, SiloedCampaigns
from benchmarks.kit import Options, Result, main, show
from envs.indicators import indicators_with_intervals
from envs.world import load_world
from evaluation.pooled import run_pooled
from evaluation.region import PooledSetting
from evaluation.robustness import Setting, robustness
from training.simulate import under_silos

DAYS, FIRST = 91, 2_000_000  # days; number of the first customer, apart from those of logs and training


def stress(options: Options, result: Result) -> None:
    """The built-in bank and its stresses, the same customers and luck; then half the capacity of shared pools."""
    bank = load_world("bank")
    policies = {
        "siloed_campaigns": SiloedCampaigns(bank.catalogue, bank.encoder),
        "coordinated_rules": CoordinatedRules(bank.catalogue, bank.encoder),
    }
    customers = FIRST + np.arange(1000 if options.quick else 20_000)
    setting = Setting(customers, DAYS, options.seed, rules={"siloed_campaigns": under_silos(bank).rules})
    frame = robustness(policies, bank, setting=setting)
    show(f"Gain over silence per customer in {DAYS} days, CNY; annoyance in opt-outs", frame)
    result.figures["robustness"] = frame.to_dicts()
    _pools(customers, options, result)
    result.conditions |= {"customers": len(customers), "days": DAYS}


def _pools(customers: np.ndarray, options: Options, result: Result) -> None:
    """The same customers sharing pools by region: what half the capacity costs."""
    rows = []
    for name, world in (("all of it", load_world("bank")), ("half_capacity", load_world("bank+half_capacity"))):
        silos = under_silos(world)
        for under, policy, told in (
            (silos, SiloedCampaigns(silos.catalogue, silos.encoder), False),
            (world, CoordinatedRules(world.catalogue, world.encoder), True),
        ):
            run = run_pooled(PooledSetting(under, policy, customers, DAYS, options.seed, "region", told=told))
            asked = run.days["granted"].sum() + run.days["refused"].sum()
            frame = indicators_with_intervals(run.counts, world.catalogue)
            found = frame.row(by_predicate=pl.col("indicator") == "customer_contribution", named=True)
            shares = [pool["granted"].sum() / pool["capacity"].sum() for _, pool in run.days.group_by("pool")]
            refused = run.days["refused"].sum() / asked
            rows.append((name, policy.name, found["value"], found["low"], found["high"], max(shares), refused))
    columns = ["capacity", "policy", "contribution", "low", "high", "fullest pool", "effort refused"]
    frame = pl.DataFrame(rows, orient="row", schema=columns)
    show(f"Customers who share pools by region: margin - cost per customer in {DAYS} days, CNY", frame)
    result.figures["pools"] = frame.to_dicts()


if __name__ == "__main__":
    main("robustness", stress)
