"""The ensemble: bootstrap replicates of a calibrated world's coefficients, one file each, beside the world."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import yaml

from envs.response import Coefficients, load_coefficients
from envs.world import World
from training.calibration_heads import FittedHead
from training.runs import atomic_write

FOLDER = "ensemble"


def write_ensemble(directory: Path, point: Coefficients, heads: Iterable[FittedHead]) -> None:
    """Write replicate k of every head into ensemble/k.yaml."""
    heads = tuple(heads)
    drawn = [{head.name: head.replicates[k] for head in heads} for k in range(len(heads[0].replicates))]
    named = ({"name": f"{point.name}-{k:02d}", "heads": own} for k, own in enumerate(drawn))
    write_members(directory, (point.model_copy(update=said) for said in named))


def write_members(directory: Path, members: Iterable[Coefficients]) -> None:
    """Write member k of an ensemble into ensemble/k.yaml, beside the world; files of an earlier one vanish."""
    folder = directory / FOLDER
    for old in folder.glob("*.yaml"):
        old.unlink()
    for k, member in enumerate(members):
        text = yaml.safe_dump(member.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        atomic_write(folder / f"{k:02d}.yaml", text)


def ensemble(world: World, directory: Path) -> tuple[World, ...]:
    """The same world under each replicate of its coefficients; empty if there are none.

    Training that draws from them does not exploit one lucky estimate.
    """
    files = sorted((directory / FOLDER).glob("*.yaml"))
    return tuple(replace(world, coefficients=load_coefficients(file)) for file in files)
