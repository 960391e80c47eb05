"""Policies that benchmarks train, by the trainer's defaults, whatever these are; what stands in a folder is taken."""

from __future__ import annotations

from pathlib import Path

from agents.artifact import ArtifactPolicy, load_policy
from training.configs import TrainConfig
from training.train import train

SMALL = {"steps": 30_000, "imitation_steps": 20_000, "validations": 1, "tuning_customers": 50}


def trained(out: Path, world: str, seed: int, days: int, *, quick: bool) -> ArtifactPolicy:
    """The policy of one training. days: of an episode; quick: a small part of the budget."""
    said = {"horizon": days, **(SMALL if quick else {})}
    if not (out / "policy" / "manifest.json").is_file():
        print(train(TrainConfig(world=world, seed=seed, out=out, track=False, register_policy=False, **said)))
    return load_policy(out)


def customer_days(config: TrainConfig) -> int:
    """What a training in the bank simulates: learning, imitation, the teacher's settings, validations."""
    judged = (config.validations + 1) * 4 * config.validation_customers * config.horizon
    return config.steps + config.imitation_steps + 13 * config.tuning_customers * config.horizon + judged
