"""Spaces: what a world lets a policy see and do, as two tables, printed or put into a guide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from envs.errors import InputError
from envs.spaces import action_table, markdown, observation_table
from envs.world import load_world
from training.configs import SpacesConfig
from training.runs import atomic_write

BEGIN, END = "<!-- spaces of {world}: begin -->", "<!-- spaces of {world}: end -->"


@dataclass(frozen=True)
class Spaces:
    """The spaces of a world."""

    world: str
    observation: pl.DataFrame  # one row per field
    action: pl.DataFrame  # one row per treatment

    def __str__(self) -> str:
        return (
            f"Observation: {self.observation.height} fields, float32\n\n{markdown(self.observation)}\n\n"
            f"Action: {self.action.height} treatments\n\n{markdown(self.action)}"
        )

    def _repr_html_(self) -> str:
        return f"{self.observation._repr_html_()}\n{self.action._repr_html_()}"


def spaces(config: SpacesConfig) -> Spaces:
    """The tables of a world; with `into`, they take the place of the ones that stand in that file."""
    world = load_world(config.world)
    found = Spaces(config.world, observation_table(world.encoder), action_table(world.catalogue))
    if config.into is not None:
        atomic_write(config.into, with_section(config.into, found))
    return found


def with_section(file: Path, found: Spaces) -> str:
    """The text of a file with its section about the world renewed."""
    begin, end = (mark.format(world=found.world) for mark in (BEGIN, END))
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as fault:
        raise InputError(f"cannot be read ({fault.strerror})", file=file) from None
    before, one, rest = text.partition(begin)
    _, other, after = rest.partition(end)
    if not (one and other):
        raise InputError(f"must hold the lines {begin} and {end}, between which the tables go", file=file)
    return f"{before}{begin}\n\n{found}\n\n{end}{after}"
