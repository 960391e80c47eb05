"""What a checkpoint of a training says besides the learner: how far it came, and what it belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.checkpoint import Arrays, Checkpoint
from agents.foresight import Foresight
from agents.network import TreatmentScorer
from agents.teacher import Setting, Tried
from envs.errors import InputError
from envs.world import World
from training.configs import TrainConfig

PACKAGES = ("torch", "numpy", "stable-baselines3", "sb3-contrib")
BESIDE = ("out", "resume", "tables", "track", "register_policy", "experiment", "world", "seeds")  # change no number
Row = dict[str, float]
FORESIGHT = "foresight/"  # what the names of its arrays begin with


@dataclass
class Progressed:
    """What has come of a training so far: kept in its checkpoints."""

    curves: list[Row] = field(default_factory=list)
    validations: list[Row] = field(default_factory=list)  # decisions, gain, lo, hi, kept
    best: Arrays = field(default_factory=dict)  # weights of the last state that was not surely worse than the best
    best_gain: np.ndarray | None = None  # (customers, prices)
    worse: int = 0  # validations in a row that were surely worse than the best
    seconds: float = 0.0  # of learning, all sessions together
    stopped: str = ""  # why it ended before its last decision

    def said(self) -> dict[str, Any]:
        """What a checkpoint says of it."""
        return {name: getattr(self, name) for name in ("curves", "validations", "worse", "seconds", "stopped")}

    def arrays(self) -> Arrays:
        """The arrays that a checkpoint keeps of it."""
        found = {f"best/{name}": array for name, array in self.best.items()}
        return found if self.best_gain is None else found | {"best_gain": self.best_gain}

    @classmethod
    def of(cls, kept: Checkpoint) -> Progressed:
        """What a checkpoint told."""
        best = {name.removeprefix("best/"): a for name, a in kept.arrays.items() if name.startswith("best/")}
        said = {name: kept.said[name] for name in ("curves", "validations", "worse", "seconds", "stopped")}
        return cls(best=best, best_gain=kept.arrays.get("best_gain"), **said)


def identity(config: TrainConfig, world: World) -> dict[str, Any]:
    """What a checkpoint must share with the training that goes on from it."""
    own = json.loads(config.model_dump_json(exclude=set(BESIDE)))
    return {
        "config": own,
        "world_digest": world.digest,
        "catalogue_digest": world.catalogue.digest,
        "versions": {name: version(name) for name in PACKAGES},
    }


def check_same(kept: Checkpoint, config: TrainConfig, world: World, file: Path) -> None:
    """InputError that names the first thing in which a checkpoint differs."""
    for name, own in identity(config, world).items():
        found = kept.said.get(name)
        if found == own:
            continue
        if isinstance(own, dict) and isinstance(found, dict):
            key = next(k for k in sorted(own.keys() | found.keys()) if own.get(k) != found.get(k))
            what = f"{name}.{key}"
            raise InputError(f"must be {own.get(key)!r}, as now", file=file, field=what, value=found.get(key))
        raise InputError(f"must be {own}, that of the world", file=file, field=name, value=found)


def tried_of(said: dict[str, Any]) -> Tried:
    """A setting of the teacher's levers and what came of it, as a checkpoint tells it."""
    return Tried(Setting(**said["setting"]), said["gain"], said["annoyance"], tuple(said["effort"]))


def foresight_arrays(foresight: Foresight) -> Arrays:
    """The weights of the teacher's network, if it has one."""
    if foresight.network is None:
        return {}
    return {f"{FORESIGHT}{name}": value.numpy() for name, value in foresight.network.state_dict().items()}


def foresight_of(kept: Checkpoint, world: World, fresh: Callable[[], TreatmentScorer]) -> Foresight:
    """The teacher's foresight, as a checkpoint keeps it. fresh: makes a network of the same sizes"""
    own = {n.removeprefix(FORESIGHT): torch.as_tensor(a) for n, a in kept.arrays.items() if n.startswith(FORESIGHT)}
    if not own:
        return Foresight(world)
    network = fresh()
    network.load_state_dict(own)
    return Foresight(world, network)
