"""A world: catalogue, schema, rules, response model and population, in one directory.

catalogue.yaml  schema.yaml  rules.yaml  coefficients.yaml  and population.yaml or customers.parquet
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import polars as pl
import yaml

from envs.catalogue import Catalogue, load_catalogue
from envs.config import Config, load_config
from envs.digest import digest_of
from envs.errors import InputError
from envs.features import product_options, treatment_options
from envs.mechanics import Mechanics, compile_world
from envs.observation import Encoder
from envs.population import DescribedPopulation, Population, PopulationSpec, TablePopulation
from envs.profile import profile_fields
from envs.response import (
    STAGE,
    TRIGGER,
    Coefficients,
    CompiledHead,
    coefficients_digest,
    compile_head,
    load_coefficients,
)
from envs.rules import RuleBook, Rules, load_rules
from envs.schema import Schema, load_schema

BUILT_IN = Path(__file__).parent / "worlds"


@dataclass(frozen=True)
class World:
    """Everything that a simulation needs."""

    catalogue: Catalogue
    schema: Schema
    rules: Rules
    coefficients: Coefficients
    population: Population

    def __getstate__(self) -> dict[str, object]:
        """For other processes: what defines it. What kernels see is compiled there, addresses and all."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @cached_property
    def encoder(self) -> Encoder:
        return Encoder(self.catalogue, self.schema)

    @cached_property
    def rule_book(self) -> RuleBook:
        return RuleBook(self.rules, self.catalogue, self.schema)

    @cached_property
    def heads(self) -> dict[str, CompiledHead]:
        """The heads, resolved."""
        options = {"decision": treatment_options(self.catalogue), "product": product_options(self.catalogue)}
        return {
            name: compile_head(head, options[head.per], self.encoder) for name, head in self.coefficients.heads.items()
        }

    @cached_property
    def mechanics(self) -> Mechanics:
        """As kernels see it."""
        return compile_world(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of catalogue, schema, rules and coefficients (the population apart)."""
        parts = [self.catalogue.digest, self.encoder.digest, self.rule_book.digest]
        return digest_of([*parts, coefficients_digest(self.coefficients), self.schema.model_dump(mode="json")])


def load_world(name: str | Path) -> World:
    """A world by the name of a built-in one (`bank`) or the path of its directory; `bank+STRESS`: a stressed one."""
    path = BUILT_IN / name if (BUILT_IN / name / "catalogue.yaml").is_file() else Path(name)
    if not path.is_dir() and "+" in path.name:
        from envs.stress import stressed

        plain, *stresses = path.name.split("+")
        return stressed(
            load_world(path.with_name(plain) if isinstance(name, Path) or "/" in name else plain), *stresses
        )
    if not path.is_dir():
        built_in = ", ".join(sorted(p.parent.name for p in BUILT_IN.glob("*/catalogue.yaml")))
        raise InputError(f"must be a directory, or one of: {built_in}", field="world", value=str(name))
    schema = load_schema(path / "schema.yaml")
    world = World(
        load_catalogue(path / "catalogue.yaml"),
        schema,
        load_rules(path / "rules.yaml"),
        load_coefficients(path / "coefficients.yaml"),
        _population(path, schema),
    )
    world.heads, world.rule_book  # noqa: B018  resolves every name now, so that a typo is found at the door
    _check_names(world)
    return world


def _check_names(world: World) -> None:
    """What population and coefficients name must exist; an InputError names the first stranger."""
    catalogue, hidden, population = world.catalogue, world.coefficients.hidden, world.population
    used: list[tuple[str, str, Iterable[str], tuple[str, ...]]] = []
    if isinstance(population, DescribedPopulation):
        used.append(("population", "holds", population.spec.holds, catalogue.product_ids))
    triggers = [name.removeprefix(TRIGGER) for name in world.heads if name.startswith(TRIGGER)]
    used.append(("coefficients", "heads.trigger", triggers, world.schema.triggers))
    moves = [name.removeprefix(STAGE).split(">") for name in world.heads if name.startswith(STAGE)]
    used.append(("coefficients", "heads.stage", [end for move in moves for end in move], world.schema.stages))
    if hidden is not None:
        profile = tuple(profile_fields(world.schema, lambda name, *_: name))
        used.append(("coefficients", "hidden.factor_profile", hidden.factor_profile, profile))
        used.append(("coefficients", "hidden.taste", hidden.taste, catalogue.product_ids))
        used.append(("coefficients", "hidden.reach", hidden.reach, catalogue.channel_ids))
    for file, field, names, known in used:
        for name in names:
            if name not in known:
                raise InputError(f"must be one of: {', '.join(known)}", file=f"{file}.yaml", field=field, value=name)


def _population(path: Path, schema: Schema) -> Population:
    if (path / "population.yaml").is_file():
        return DescribedPopulation(load_config(PopulationSpec, path / "population.yaml"), schema)
    if (path / "customers.parquet").is_file():
        return TablePopulation(pl.read_parquet(path / "customers.parquet"), schema)
    raise InputError("must hold population.yaml or customers.parquet", file=str(path))


def save_world(world: World, path: Path) -> None:
    """Write a world into a directory: each file whole or not at all."""
    path.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Config] = {
        "catalogue": world.catalogue,
        "schema": world.schema,
        "rules": world.rules,
        "coefficients": world.coefficients,
    }
    if isinstance(world.population, DescribedPopulation):
        parts["population"] = world.population.spec
    for name, model in parts.items():
        temporary = path / f".{name}.yaml"
        text = yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path / f"{name}.yaml")
    if isinstance(world.population, TablePopulation):
        temporary = path / ".customers.parquet"
        world.population.customers.write_parquet(temporary)
        os.replace(temporary, path / "customers.parquet")
