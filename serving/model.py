"""What decides: the policy of an artifact, of the registry's champion, or the coordinated rules while there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import envs
from agents.artifact import ArtifactPolicy, load_policy, rules_policy
from agents.manifest import Manifest
from envs.catalogue import Catalogue, load_catalogue
from envs.errors import InputError
from envs.observation import Encoder
from envs.rules import RuleBook, load_rules
from envs.schema import Schema, load_schema
from envs.tables import ASSIGNMENTS
from serving.registry import fetch
from serving.settings import ServeConfig

COORDINATED = "coordinated_rules"


@dataclass(frozen=True)
class Model:
    """A policy with the books it decides by, and where they came from; fixed for the life of the process."""

    policy: ArtifactPolicy
    origin: str  # for people: a directory, or "contact-policy version 3 (champion)"
    assignment: str  # role under which customers are decided
    fallback: bool = False  # True if the rules decide because nothing has the alias

    @property
    def manifest(self) -> Manifest:
        return self.policy.manifest

    @property
    def catalogue(self) -> Catalogue:
        return self.policy.catalogue

    @property
    def schema(self) -> Schema:
        return self.policy.schema

    @property
    def encoder(self) -> Encoder:
        return self.policy.encoder

    @property
    def rule_book(self) -> RuleBook:
        return self.policy.rule_book


def load_model(config: ServeConfig) -> Model:
    """The model that a configuration names, verified; InputError for what is wrong or cannot be reached."""
    if config.policy is not None:
        return Model(load_policy(config.policy), str(config.policy), "champion")
    found = fetch(config)
    if found is not None:
        assignment = config.alias if config.alias in ASSIGNMENTS else "champion"
        return Model(found.policy, f"{config.registered_model} version {found.version} ({config.alias})", assignment)
    if not config.fallback:
        need = f"must be an alias of {config.registered_model}; promote a version first, or allow the fallback"
        raise InputError(need, field="alias", value=config.alias)
    return fallback_model(config.fallback_rules)


def fallback_model(directory: Path | None = None) -> Model:
    """The coordinated rules. directory: catalogue.yaml, schema.yaml and rules.yaml; by default the built-in bank."""
    books = directory or Path(envs.__file__).parent / "worlds" / "bank"
    catalogue = load_catalogue(books / "catalogue.yaml")
    schema, rules = load_schema(books / "schema.yaml"), load_rules(books / "rules.yaml")
    return Model(rules_policy(COORDINATED, catalogue, schema, rules), str(books), "champion", fallback=True)
