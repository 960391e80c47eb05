"""What an evaluation's report says of where it comes from, and of what its policies may be used for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agents.artifact import ArtifactPolicy
from agents.expiry import last_day
from agents.policy import Policy
from envs.command_words import command_of
from envs.tables import Tables
from envs.world import World
from evaluation.origin import Origin, Source
from evaluation.use import Use
from training.configs import EvaluateConfig
from training.model_card import card_beside
from training.provenance import code


def origin_of(config: EvaluateConfig, tables: Tables, world: World | None) -> Origin:
    """The command, the code, and the digests of what was read; those of log and policies stand in the report."""
    told = str(config.tables)
    sources = [
        Source("tables", told, tables.digest),
        Source("catalogue", told, tables.catalogue.digest),
    ]
    if world is not None:
        sources.append(Source("world", str(config.world), world.digest))
    command = command_of("evaluate", config, positional=("tables",), without=("out",))
    return Origin(command, str(code()), tuple(sources))


def uses_of(policies: Mapping[str, Policy]) -> Iterator[Use]:
    """By the model card beside an artifact; without one, by the term in its manifest."""
    for name, policy in policies.items():
        yield _use(name, policy) if isinstance(policy, ArtifactPolicy) else Use(name, None)


def _use(name: str, policy: ArtifactPolicy) -> Use:
    card = None if policy.path is None else card_beside(policy.path, policy.digest)
    if card is not None:
        return Use(name, card.intended_use, card.not_for, card.limits, card.expires, card.expires_because)
    ends = last_day(policy.manifest)
    return Use(name, None, expires=None if ends is None else ends.isoformat())
