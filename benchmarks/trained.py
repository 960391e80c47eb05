"""Policies that benchmarks train, by the trainer's defaults, whatever these are; what stands in a folder is taken.

It is taken only if it is what would be trained now: the artifact's lineage must name the world by its digest and the
seed, the checkpoint beside it the same configuration, catalogue and packages. Code is not compared: whoever changed
what a training does starts with an empty folder.
"""

from __future__ import annotations

from pathlib import Path

from agents.artifact import ArtifactPolicy, load_policy
from agents.checkpoint import read_checkpoint
from envs.errors import InputError
from envs.prices import Prices
from envs.world import load_world
from evaluation.frontier import Frontier
from evaluation.trial import Dialled, Trial
from training.configs import TrainConfig
from training.course import CHECKPOINT
from training.resuming import check_same
from training.train import train

ANNOYANCE_PRICES = (1.0, 5.0, 20.0, 60.0, 150.0, 400.0, 1000.0)  # CNY per opt-out
SMALL = {"steps": 30_000, "imitation_steps": 20_000, "validations": 1, "tuning_customers": 50,
         "foresight_customers": 500}  # fmt: skip


def trained(out: Path, world: str, seed: int, days: int, *, quick: bool) -> ArtifactPolicy:
    """The policy of one training. days: of an episode; quick: a small part of the budget."""
    said = {"horizon": days, **(SMALL if quick else {})}
    return learned(TrainConfig(world=world, seed=seed, out=out, track=False, register_policy=False, **said))


def learned(config: TrainConfig) -> ArtifactPolicy:
    """The policy of a training in `config.out`: what stands there, or a new one.

    InputError that names the first thing in which what stands there is not of this configuration or this world.
    """
    assert config.out is not None
    if not (config.out / "policy" / "manifest.json").is_file():
        print(train(config))
        return load_policy(config.out)
    found, world = load_policy(config.out), load_world(config.world)
    for name, own in {"world_digest": world.digest, "seed": config.seed}.items():
        if found.manifest.lineage.get(name) != own:
            need = f"must be {own!r}, as now: take another folder, or move away what stands in this one"
            raise InputError(need, file=config.out, field=f"lineage.{name}", value=found.manifest.lineage.get(name))
    check_same(read_checkpoint(config.out / CHECKPOINT), config, world, config.out / CHECKPOINT)
    return found


def price_frontier(policy: ArtifactPolicy, trial: Trial) -> Frontier:
    """Of one policy, which is told one price of annoyance after the other, chosen on these customers."""
    pools = (0.0,) * len(policy.catalogue.pools)
    dialled = [Dialled(f"price {price:g}", policy, Prices(price, pools)) for price in ANNOYANCE_PRICES]
    return Frontier.chosen(f"ppo {policy.digest[:6]}", dialled, [trial.run(d) for d in dialled], trial.silence)


def customer_days(config: TrainConfig) -> int:
    """What a training in the bank simulates: learning, imitation, the teacher and who it watches, validations."""
    judged = (config.validations + 1) * 4 * config.validation_customers * config.horizon
    taught = (16 * config.tuning_customers + config.foresight_customers) * config.horizon
    return config.steps + config.imitation_steps + taught + judged
