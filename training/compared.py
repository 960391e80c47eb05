"""What an evaluation compares, and everything else that can be refused before a row of its log is read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agents.artifact import ArtifactPolicy, check_compatible, load_policy
from agents.myopic import Levers
from agents.policy import Policy
from agents.price_range import told_prices
from envs.books import Books
from envs.errors import InputError
from envs.prices import Prices, prices_from
from envs.tables import ASSIGNMENTS
from envs.world import World, load_world
from evaluation.adapt import LOGGED
from evaluation.log import Log
from evaluation.protected import protected_columns
from training import registry
from training.baselines import NAMES as BASELINES
from training.baselines import baseline, check_baseline
from training.configs import EvaluateConfig
from training.evidence import read_report
from training.report_origin import uses_of
from training.runs import check_writable

CHAMPION = "champion"

logger = logging.getLogger("nextbest.evaluate")


@dataclass(frozen=True)
class Compared:
    """Policies but for what they learn from the log, and at which prices they are compared to whom."""

    artifacts: Mapping[str, Policy]  # by name, the champion among them
    baselines: tuple[str, ...]
    world: World | None
    prices: Prices
    reference: str
    launched: tuple[Path, Mapping[str, Any]] | None  # the report that a policy was launched on, and what it says

    def policies(self, training_log: Log) -> dict[str, Policy]:
        """All of them, the baselines made for the training customers."""
        own = [one for name, one in self.artifacts.items() if isinstance(one, ArtifactPolicy) and name != CHAMPION]
        levers = _levers(own)
        made = {name: baseline(name, self.world, training_log, self.prices, levers) for name in self.baselines}
        return dict(self.artifacts) | made

    def candidates(self, config: EvaluateConfig) -> list[str] | None:
        """The artifacts, and whatever they are compared to; None, for all, where there is neither."""
        return [*self.artifacts, *(name for name in self.baselines if name in config.compare)] or None


def compared(config: EvaluateConfig, books: Books) -> Compared:
    """Read and check all that was asked for; InputError for what is missing or does not fit together."""
    check_writable(config.out)
    protected_columns(books.schema, config.settings.protected)  # refuses a name that is none
    if config.assignment is not None and config.assignment not in ASSIGNMENTS:
        raise InputError(f"must be one of: {', '.join(ASSIGNMENTS)}", field="assignment", value=config.assignment)
    baselines = baselines_of(config)
    for name in baselines:
        check_baseline(name, world=config.world is not None)
    launched = None if config.live is None else read_report(config.live)
    world = None if config.world is None else _world(config.world, books)
    artifacts = _artifacts(config, books)
    tuple(uses_of(artifacts))  # refuses a model card that is another policy's
    prices = told_prices(artifacts.values(), _asked(config, books), books.catalogue.pool_ids, config.prices_outside)
    reference = _reference(config, [*artifacts, *baselines])
    return Compared(artifacts, baselines, world, prices, reference, launched)


def baselines_of(config: EvaluateConfig) -> tuple[str, ...]:
    """The baselines asked for; by default those that can be had."""
    asked = [one for one in config.compare if one in BASELINES]
    usual = ["silence", "best_fixed", *(["myopic"] if config.world is not None else [])]
    return tuple(dict.fromkeys([*asked, *(usual if config.baselines is None else config.baselines)]))


def _asked(config: EvaluateConfig, books: Books) -> Prices:
    annoyance = {} if config.annoyance_price is None else {"annoyance": config.annoyance_price}
    return prices_from({**config.pool_prices, **annoyance}, books.catalogue, books.schema)


def _artifacts(config: EvaluateConfig, books: Books) -> dict[str, Policy]:
    """The artifacts that are compared, by name, the champion among them."""
    artifacts = [load_policy(path) for path in config.policy]
    artifacts += [_named(one) for one in config.compare if one not in BASELINES]
    for artifact in artifacts:
        check_compatible(artifact.manifest, books.catalogue, books.encoder.digest)
    policies: dict[str, Policy] = {_unique(a.name, i, artifacts): a for i, a in enumerate(artifacts)}
    champion = _champion(config, books, artifacts) if config.reference in ("auto", CHAMPION) else None
    if champion is not None:
        policies[CHAMPION] = champion
    return policies


def _named(one: str) -> ArtifactPolicy:
    """An artifact that stands among names of baselines."""
    if not Path(one).is_dir():
        need = f"must be the directory of an artifact, or one of: {', '.join(BASELINES)}"
        raise InputError(need, field="compare", value=one)
    return load_policy(Path(one))


def _unique(name: str, index: int, artifacts: list[ArtifactPolicy]) -> str:
    """A name that no other artifact has, nor a baseline, the champion or the logging policy."""
    names = [artifact.name for artifact in artifacts]
    taken = names.count(name) > 1 or name in (CHAMPION, LOGGED, *BASELINES)
    return f"{name}-{index + 1}" if taken else name


def _reference(config: EvaluateConfig, policies: list[str]) -> str:
    if config.reference == "auto":
        return CHAMPION if CHAMPION in policies else LOGGED
    if config.reference not in (LOGGED, *policies):
        need = f"must be one of: {', '.join(('auto', LOGGED, *policies))}"
        raise InputError(need, field="reference", value=config.reference)
    return config.reference


def _world(name: str, books: Books) -> World:
    world = load_world(name)
    if world.catalogue.digest != books.catalogue.digest or world.encoder.digest != books.encoder.digest:
        need = "must have the catalogue and the observation of the tables"
        raise InputError(need, field="world", value=name)
    task = world.schema.task.model_copy(update={"cadence_days": books.schema.task.cadence_days})
    return replace(world, schema=world.schema.model_copy(update={"task": task}))


def _levers(artifacts: list[ArtifactPolicy]) -> Levers:
    """The levers that training tuned for the myopic rule, from the first policy's lineage; else all at 1."""
    for artifact in artifacts:
        found = artifact.manifest.lineage.get("levers")
        if isinstance(found, dict):
            return Levers(**{name: float(str(value)) for name, value in found.items()})
    return Levers()


def _champion(config: EvaluateConfig, books: Books, artifacts: list[ArtifactPolicy]) -> ArtifactPolicy | None:
    """The registered champion, if it decides over this catalogue and is not itself under evaluation."""
    if config.reference == "auto" and not config.track:
        return None
    found = registry.find_alias(CHAMPION)
    if found is None:
        if config.reference == CHAMPION:
            raise InputError("must be registered: there is no champion yet", field="reference", value=CHAMPION)
        return None
    with TemporaryDirectory() as folder:
        champion = load_policy(registry.fetch(found, Path(folder)))
    if champion.digest in [artifact.digest for artifact in artifacts]:
        return None
    if config.reference == "auto" and champion.manifest.catalogue_digest != books.catalogue.digest:
        return None
    check_compatible(champion.manifest, books.catalogue, books.encoder.digest)
    if config.reference == "auto" and config.prices_outside == "refuse":
        try:
            told_prices([champion], _asked(config, books), books.catalogue.pool_ids)
        except InputError as fault:
            logger.warning("the champion is not compared: %s", fault)
            return None
    return champion
