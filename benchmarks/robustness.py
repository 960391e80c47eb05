"""Stress worlds: what silos and coordinated rules gain in each of them, at equal annoyance."""

from __future__ import annotations

import numpy as np

from agents.baselines import CoordinatedRules, SiloedCampaigns
from benchmarks.kit import Options, Result, main, show
from envs.world import load_world
from evaluation.robustness import Setting, robustness
from training.simulate import under_silos

DAYS, FIRST = 91, 2_000_000  # days; number of the first customer, apart from those of logs and training


def stress(options: Options, result: Result) -> None:
    """The built-in bank and its stresses; the same customers and luck everywhere."""
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
    result.conditions |= {"customers": len(customers), "days": DAYS}


if __name__ == "__main__":
    main("robustness", stress)
