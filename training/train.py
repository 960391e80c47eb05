"""Train: every seed's training, then export, track and register; or go on with one that was stopped."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agents.artifact import ArtifactPolicy, load_policy, write_artifact
from agents.expiry import VALID_DAYS
from agents.manifest import Manifest
from agents.myopic import Levers
from agents.onnx_export import STATES, export_onnx
from agents.random_states import random_states
from agents.teacher import Teacher
from envs.config import load_config
from envs.errors import InputError
from envs.prices import prices_from
from envs.tables import read_tables
from envs.world import World, load_world
from evaluation.trial import Trial
from training.configs import TrainConfig
from training.course import CHECKPOINT, Training, Watch
from training.learning_figures import learning_figure, spread_of
from training.meter import Meter
from training.model_card import Result
from training.price_frontier import SHOWN, dialled, drawn
from training.registry import Registered
from training.runs import atomic_write, run_directory, unused_directory, write_frame
from training.stopping import interruptible, learned
from training.stores import ui_command
from training.track_training import Kept, Recorded, begin, own_run, record_run, register_run
from training.tracking import Tracker, connect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIG = "config.yaml"  # in the run's directory: JSON, which is YAML


@dataclass(frozen=True)
class TrainingRun:
    """A finished training run."""

    directory: Path
    artifact: Path
    manifest: Manifest
    curves: pl.DataFrame  # seed, decisions, return (currency), approx_kl, entropy_loss, explained_variance ...
    validations: pl.DataFrame  # seed, decisions, gain, lo, hi, kept: on validation customers, see training.validation
    teacher: Teacher
    seconds: float
    registered: Registered | None
    ui: str  # the command that opens the MLflow UI
    stopped: str  # why it ended before its last decision; empty: it did not

    @property
    def levers(self) -> Levers:
        """Of the myopic rule at the usual prices, as they were tuned for the teacher."""
        return levers_of(self.teacher)

    @cached_property
    def policy(self) -> ArtifactPolicy:
        """The trained policy, as it will be served."""
        return load_policy(self.artifact)

    @property
    def frame(self) -> pl.DataFrame:
        return self.curves

    def figure(self) -> Figure:
        """Validation gain of every seed, and return, annoyance, entropy and explained variance, over decisions."""
        return learning_figure(self.curves, self.validations)

    @property
    def spread(self) -> pl.DataFrame:
        """Per seed the validation gain of what leaves, with its interval over customers, and its decisions."""
        return spread_of(self.validations)

    def __str__(self) -> str:
        where = f"contact-policy version {self.registered.version}" if self.registered else "not registered"
        lines = [f"policy {self.manifest.policy_digest[:12]} in {self.artifact} ({self.seconds:.0f} s; {where})"]
        lines += [
            f"seed {seed}: validation gain {gain:.1f} [{lo:.1f}, {hi:.1f}] after {int(decisions)} decisions"
            for seed, decisions, gain, lo, hi in self.spread.iter_rows()
        ]
        if self.stopped:
            lines.append(f"stopped early: {self.stopped}")
        return "\n".join([*lines, f"MLflow: {self.ui}"])

    def _repr_html_(self) -> str:
        return f"<pre>{self}</pre>{self.curves.tail(5)._repr_html_()}"


def train(config: TrainConfig, watch: Watch | None = None) -> TrainingRun:
    """Train a policy; the artifact stands in `policy/` of the run's directory.

    watch: told decisions and validation gain (currency per customer) at every validation; False stops the training
    """
    config = resumed(config)
    directory = config.out or unused_directory("train")
    with interruptible(directory / CONFIG):
        world = load_world(config.world)
        lineage = _lineage(config, world)
        _check_prices(config, world)
        if config.track or config.register_policy:
            connect()  # an unreachable registry is found now, not after the training
        meter, config = begin(config, world), config.model_copy(update={"out": run_directory("train", directory)})
        if config.resume is None:
            _begin_anew(config, directory)
        with own_run(config, directory) as tracker:
            tracker.params(config.model_dump(mode="json", exclude={"resume"}) | lineage)
            trained = [_one(config, world, directory, k, watch if k == 0 else None) for k in range(config.seeds)]
            with learned(directory):
                run, kept = _kept(directory, config, world, lineage, trained, meter, tracker)
        with learned(directory):
            registered = register_run(tracker, kept) if config.register_policy else None
        return replace(run, seconds=meter.read().seconds, registered=registered)


def _kept(
    directory: Path, config: TrainConfig, world: World, lineage: dict[str, object], trained: list[Training],
    meter: Meter, tracker: Tracker,
) -> tuple[TrainingRun, Kept]:  # fmt: skip
    """Export what was learned, write curves and card, record the run."""
    first, artifact = trained[0], directory / "policy"
    manifest = write_artifact(
        artifact,
        name="ppo",
        catalogue=world.catalogue,
        schema=world.schema,
        rules=world.rules,
        onnx=export_onnx(first.policy, config.temperature, config.floor, random_states(world, STATES, config.seed)),
        temperature=config.temperature,
        floor=config.floor,
        price_range=price_range(config, world),
        lineage={**lineage, "levers": asdict(levers_of(first.teacher))},
    )
    frames = [_frames(training, config.seed + k) for k, training in enumerate(trained)]
    curves, validations = (pl.concat(parts, how="diagonal") for parts in zip(*frames, strict=True))
    for name, frame in {"curves": curves, "validations": validations}.items():
        write_frame(directory / f"{name}.parquet", frame)
    figures = {"learning": learning_figure(curves, validations)} | _frontier(config, world, artifact)
    results = _results(validations, world)
    kept = record_run(
        tracker,
        Recorded(config, world, manifest, artifact, directory, curves, meter, figures, results, validations),
    )
    seconds, stopped = kept.used.seconds, first.so_far.stopped
    run = TrainingRun(
        directory, artifact, manifest, curves, validations, first.teacher, seconds, None, ui_command(), stopped
    )
    return run, kept


def _frontier(config: TrainConfig, world: World, artifact: Path) -> dict[str, Figure]:
    """The picture of what the artifact does as its price is dialled, on customers of its own; none at fixed prices."""
    if not config.random_prices:
        return {}
    policy, usual = load_policy(artifact), prices_from(None, world.catalogue, world.schema)
    trial = Trial(world, SHOWN + np.arange(config.validation_customers), config.horizon, config.seed)
    return {"frontier": drawn(policy, trial, dialled(policy, world), usual.pools).figure()}


def levers_of(teacher: Teacher) -> Levers:
    """The levers of the teacher's best setting at the usual prices, as multipliers of these."""
    world = teacher.world
    usual = prices_from(None, world.catalogue, world.schema)
    setting = teacher.tried[int(teacher.best(usual.vector()[None])[0])].setting
    annoyance = setting.annoyance / usual.annoyance if usual.annoyance > 0 else 1.0
    return Levers(annoyance, setting.cost, setting.contact)


def resumed(config: TrainConfig) -> TrainConfig:
    """The configuration of the training that is to be gone on with; `config` itself if none is."""
    if config.resume is None:
        if not config.world:
            raise InputError("must be given: the directory of a world, or the name of a built-in one", field="world")
        return config
    kept = load_config(TrainConfig, config.resume / CONFIG)
    return kept.model_copy(update={"out": config.resume, "resume": config.resume})


def _begin_anew(config: TrainConfig, directory: Path) -> None:
    """The configuration stands in the directory, and no checkpoint of an earlier training does."""
    for k in range(config.seeds):
        (_place(config, directory, k) / CHECKPOINT).unlink(missing_ok=True)
    atomic_write(directory / CONFIG, config.model_dump_json(indent=2) + "\n")


def _place(config: TrainConfig, directory: Path, k: int) -> Path:
    """Of one seed's training: the run's directory or, of several, a folder of its own."""
    return directory if config.seeds == 1 else directory / f"seed-{config.seed + k}"


def _one(config: TrainConfig, world: World, directory: Path, k: int, watch: Watch | None) -> Training:
    """The training of one seed."""
    where = _place(config, directory, k)
    where.mkdir(parents=True, exist_ok=True)
    training = Training(config.model_copy(update={"seed": config.seed + k}), world, where, watch)
    training.run()
    return training


def _frames(training: Training, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Curves and validations of one seed."""
    rows = training.so_far.curves or [{"decisions": 0.0}]
    judged = training.so_far.validations or [{"decisions": 0.0}]
    return tuple(pl.DataFrame(r).with_columns(seed=pl.lit(seed)) for r in (rows, judged))  # type: ignore[return-value]


def _results(validations: pl.DataFrame, world: World) -> tuple[Result, ...]:
    """The validation of what leaves, for the card: it had a say in the choice, so that it flatters a little."""
    unit = f"{world.catalogue.currency} per customer, discounted, mean over a few annoyance prices"
    source = "simulated in the training's own world, on customers that decided when to stop"
    return tuple(
        Result(name=f"gain over silence, seed {seed}", value=gain, low=lo, high=hi, unit=unit, source=source)
        for seed, _, gain, lo, hi in spread_of(validations).iter_rows()
    )


def _lineage(config: TrainConfig, world: World) -> dict[str, object]:
    lineage: dict[str, object] = {"world_digest": world.digest, "world": world.coefficients.name, "seed": config.seed}
    lineage[VALID_DAYS] = config.valid_days
    if config.tables is not None:
        tables = read_tables(config.tables)
        if tables.catalogue.digest != world.catalogue.digest or tables.encoder.digest != world.encoder.digest:
            need = "must be calibrated on tables with the same catalogue and observation"
            raise InputError(need, field="world", value=str(config.world))
        lineage["tables_digest"] = tables.digest
    return lineage


def _check_prices(config: TrainConfig, world: World) -> None:
    """Refuse a price beyond the schema's range: the network is told of prices on that scale."""
    usual = prices_from(config.prices, world.catalogue, world.schema).named(world.catalogue)
    for name, high in zip(world.encoder.price_names, world.encoder.price_highs.tolist(), strict=True):
        if not 0 <= usual[name] <= high:
            need = f"must be in [0, {high:g}], the range that the schema declares"
            raise InputError(need, field=f"prices.{name}", value=usual[name])


def price_range(config: TrainConfig, world: World) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every price that a training shows."""
    encoder = world.encoder
    highs = dict(zip(encoder.price_names, encoder.price_highs.tolist(), strict=True))
    if config.random_prices:
        return {name: (0.0, high) for name, high in highs.items()}
    fixed = prices_from(config.prices, world.catalogue, world.schema).named(world.catalogue)
    return {name: (level, level) for name, level in fixed.items()}
