"""What is kept of a training: curves, figures, digests, code, machine, reports, a model card; and its registration."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from agents.expiry import last_day
from agents.manifest import Manifest
from envs.errors import InputError
from envs.world import World
from training.configs import TrainConfig
from training.meter import Meter, Used
from training.model_card import NO_RESULTS, ModelCard, Result
from training.provenance import Code, all_packages, code, login_name, main_packages
from training.registry import Registered, register
from training.runs import atomic_write, write_picture
from training.stores import shown, tracking_uri
from training.tracking import Tracker, has_run, track

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUN = "mlflow_run"  # file beside the checkpoint: the id of the training's run
SIMULATED = "It learned in a simulated world, not from customers: what it is worth, an evaluation on a real log says."
ONE_WORLD = "It learned in one best estimate of the world; how sure that estimate is played no part."
FIXED_PRICES = "Prices stood still in training: it does not answer to levers."

log = logging.getLogger("nextbest.train")


@dataclass(frozen=True)
class Recorded:
    """What a finished training hands over to be kept."""

    config: TrainConfig
    world: World
    manifest: Manifest
    artifact: Path  # the artifact's directory
    directory: Path  # of the run; the card is written here
    curves: pl.DataFrame  # seed, decisions, and a column per curve
    meter: Meter  # started when the training started
    figures: Mapping[str, Figure] = field(default_factory=dict)  # name -> picture: the frontier, the curves ...
    results: tuple[Result, ...] = ()  # figures with intervals, for the card
    validations: pl.DataFrame | None = None  # seed, decisions, and a column per curve


@dataclass(frozen=True)
class Kept:
    """What was kept, ready to be registered."""

    artifact: Path
    card: ModelCard
    files: tuple[Path, ...]  # of the card
    tags: dict[str, str]  # of the run and of the registered version
    used: Used


def begin(config: TrainConfig, world: World) -> Meter:
    """Start the meter of a training whose model card can be made; InputError if it cannot."""
    fidelity_of(config, world)
    return Meter()


@contextmanager
def own_run(config: TrainConfig, directory: Path) -> Iterator[Tracker]:
    """The training's run. Its id stands in the directory, so that a training that goes on does so in its own run."""
    file = directory / RUN
    run_id = file.read_text(encoding="utf-8").strip() if config.resume is not None and file.is_file() else None
    if config.track and run_id is not None and not has_run(run_id):
        log.warning(
            "the training's run %s is not in %s any more: it goes on in a new one", run_id, shown(tracking_uri())
        )
        run_id = None
    with track(config.experiment, f"train-{directory.name}", enabled=config.track, run_id=run_id) as tracker:
        if tracker.keeps:
            atomic_write(file, tracker.run_id + "\n")
        yield tracker


def record_run(tracker: Tracker, recorded: Recorded) -> Kept:
    """Write the model card and keep everything that tells where a policy comes from with the run."""
    state, packages, used = code(), main_packages(), recorded.meter.read()
    card = card_of(recorded, state, packages)
    files = card.write(recorded.directory)
    tags = _tags(recorded, card, state)
    tracker.params({f"package/{name}": found for name, found in packages.items()})
    tracker.tags({**tags, "mlflow.user": card.trained_by, "mlflow.source.git.commit": state.commit or ""})
    _keep_curves(tracker, recorded)
    tracker.metrics({f"system/{name}": float(value) for name, value in vars(used).items()})
    tracker.metrics({f"result/{r.name}": r.value for r in recorded.results if r.value is not None})
    for what, name, digest, source in _inputs(recorded):
        tracker.data(what, name, digest, source)
    _keep_files(tracker, recorded)
    tracker.model(recorded.artifact, files)
    return Kept(recorded.artifact, card, files, tags, used)


def register_run(tracker: Tracker, kept: Kept, alias: str = "challenger") -> Registered:
    """Register the policy of a recorded run, its card as the version's description."""
    return register(
        kept.artifact,
        run_id=tracker.run_id or None,
        alias=alias,
        tags=kept.tags,
        beside=kept.files,
        description=kept.card.markdown(),
    )


def card_of(recorded: Recorded, state: Code, packages: Mapping[str, str]) -> ModelCard:
    """The model card of a training."""
    config, manifest, world = recorded.config, recorded.manifest, recorded.world
    ends = last_day(manifest)
    fidelity, adequate = fidelity_of(config, world)
    return ModelCard(
        policy=manifest.name,
        policy_digest=manifest.policy_digest,
        created=manifest.created,
        trained_by=trainer(config),
        expires=None if ends is None else ends.isoformat(),
        expires_because=_because(config),
        limits=_limits(recorded, fidelity),
        data=str(config.tables) if config.tables is not None else "tables that were not named",
        data_digest=_text(manifest.lineage.get("tables_digest")),
        world=f"{world.coefficients.name} ({config.world}), {config.ensemble} members of its ensemble",
        world_digest=world.digest,
        fidelity=fidelity,
        world_adequate=adequate,
        price_range=manifest.price_range,
        treatments=len(manifest.treatments),
        catalogue_digest=manifest.catalogue_digest,
        observation_digest=manifest.observation_digest,
        rules_digest=manifest.rules_digest,
        results=recorded.results,
        seed=config.seed,
        code=str(state),
        packages=dict(packages),
    )


def trainer(config: TrainConfig) -> str:
    """Who trains: the name that was given, else the login name."""
    return " ".join((config.trained_by or "").split()) or login_name()


def fidelity_of(config: TrainConfig, world: World) -> tuple[str | None, bool | None]:
    """The verdict of the world's fidelity report, and whether it finds the world adequate; None where there is none.

    InputError for another world's report.
    """
    file = config.fidelity or Path(config.world) / "fidelity.json"
    file = file / "fidelity.json" if file.is_dir() else file
    if config.fidelity is None and not file.is_file():
        return None, None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        digest, verdict, adequate = str(content["world_digest"]), str(content["verdict"]), content["adequate"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError("must be the fidelity.json of `nextbest fidelity`", file=file, field="fidelity") from None
    if digest != world.digest:
        raise InputError(
            f"must be {world.digest}, the world to train in", file=file, field="world_digest", value=digest
        )
    return verdict, adequate if isinstance(adequate, bool) else None


def _limits(recorded: Recorded, fidelity: str | None) -> tuple[str, ...]:
    config = recorded.config
    said = [SIMULATED]
    if fidelity is None:
        said.append("How far the world may be trusted is not known: no fidelity report was named.")
    if config.ensemble == 0:
        said.append(ONE_WORLD)
    if not config.random_prices:
        said.append(FIXED_PRICES)
    if not recorded.results:
        said.append(NO_RESULTS)
    return tuple(said)


def _because(config: TrainConfig) -> str:
    field = TrainConfig.model_fields["valid_days"]
    said = " ".join((field.description or "").split())
    chosen = "the default" if config.valid_days == field.default else "chosen in the configuration"
    return f"{config.valid_days} days, {chosen}. {said}"


def _tags(recorded: Recorded, card: ModelCard, state: Code) -> dict[str, str]:
    lineage = {name: value for name, value in recorded.manifest.lineage.items() if not isinstance(value, dict | list)}
    return {
        **{name: str(value) for name, value in lineage.items()},
        "policy_digest": card.policy_digest,
        "catalogue_digest": card.catalogue_digest,
        "rules_digest": card.rules_digest,
        "observation_digest": card.observation_digest,
        "trained_by": card.trained_by,
        "git_commit": state.commit or str(state),
        "git_dirty": "unknown" if state.dirty is None else str(state.dirty).lower(),
        "fidelity": card.fidelity or "not known",
    }


def _inputs(recorded: Recorded) -> list[tuple[str, str, str, str]]:
    """Context, name, digest and place of what the training read."""
    found = [("world", recorded.world.coefficients.name, recorded.world.digest, recorded.config.world)]
    digest = recorded.manifest.lineage.get("tables_digest")
    if recorded.config.tables is not None and digest is not None:
        tables = recorded.config.tables
        found.append(("training", tables.name or "tables", str(digest), str(tables.absolute())))
    return found


def _keep_curves(tracker: Tracker, recorded: Recorded) -> None:
    """Of the seed that leaves under their own names, of each other one below `seed-<number>/`."""
    for frame, kind in ((recorded.curves, ""), (recorded.validations, "validation/")):
        if frame is None:
            continue
        for (seed,), own in frame.group_by("seed", maintain_order=True):
            start = ("" if seed == recorded.config.seed else f"seed-{seed}/") + kind
            tracker.curves(own.drop("seed").select(pl.all().name.prefix(start)), step=f"{start}decisions")


def _keep_files(tracker: Tracker, recorded: Recorded) -> None:
    if not tracker.keeps:
        return
    folder = recorded.directory / "figures"
    for name, figure in recorded.figures.items():
        tracker.artifact(write_picture(folder / f"{name}.png", figure), "figures")
    tracker.artifact(atomic_write(recorded.directory / "requirements.txt", all_packages()))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
