"""Train: tune the teacher's levers, imitate it, learn by MaskablePPO, export, track, register."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl

from agents.artifact import ArtifactPolicy, load_policy, write_artifact
from agents.baselines import Softened
from agents.expiry import VALID_DAYS
from agents.manifest import Manifest
from agents.myopic import Levers, Myopic
from envs.errors import InputError
from envs.tables import read_tables
from envs.vector import BankVectorEnv
from envs.world import World, load_world
from training.baselines import lever_grid, tune_levers
from training.calibration_ensemble import ensemble
from training.configs import TrainConfig
from training.runs import progress, run_directory
from training.stores import ui_command
from training.track_training import Recorded, begin, record_run, register_run
from training.tracking import Registered, connect, track

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from agents.sb3_env import SimulatorVecEnv

FIRST_TRAINING = 10_000_000  # number of the first customer that learning sees, apart from tuning and comparison


@dataclass(frozen=True)
class TrainingRun:
    """A finished training run."""

    directory: Path
    artifact: Path
    manifest: Manifest
    curves: pl.DataFrame  # decisions, return (currency), approx_kl, entropy_loss, explained_variance ...
    levers: Levers  # of the teacher
    seconds: float
    registered: Registered | None
    ui: str  # the command that opens the MLflow UI

    @cached_property
    def policy(self) -> ArtifactPolicy:
        """The trained policy, as it will be served."""
        return load_policy(self.artifact)

    @property
    def frame(self) -> pl.DataFrame:
        return self.curves

    def figure(self) -> Figure:
        """Return, entropy and explained variance over decisions."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 2.6), layout="constrained")
        for axis, name in zip(figure.subplots(1, 3), ("return", "entropy_loss", "explained_variance"), strict=True):
            if name in self.curves.columns:
                axis.plot(self.curves["decisions"], self.curves[name], marker=".")
            axis.ticklabel_format(useOffset=False)
            axis.locator_params(axis="x", nbins=4)
            axis.set_title(name.replace("_", " "))
            axis.set_xlabel("decisions")
        return figure

    def __str__(self) -> str:
        where = f"contact-policy version {self.registered.version}" if self.registered else "not registered"
        return (
            f"policy {self.manifest.policy_digest[:12]} in {self.artifact} ({self.seconds:.0f} s; {where})\n"
            f"MLflow: {self.ui}"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{self}</pre>{self.curves.tail(5)._repr_html_()}"


Watch = Callable[[int, float], bool]  # decisions so far, gain -> whether to go on


def train(config: TrainConfig, watch: Watch | None = None) -> TrainingRun:
    """Train a policy; the artifact stands in `policy/` of the run's directory.

    watch: told, at the end, the decisions learned and the mean return of the last customers
    """
    world = load_world(config.world)
    lineage = _lineage(config, world)
    if config.track or config.register_policy:
        connect()  # an unreachable registry is found now, not after the training
    meter, directory = begin(config, world), run_directory("train", config.out)
    with track(config.experiment, f"train-{directory.name}", enabled=config.track) as tracker:
        tracker.params(config.model_dump(mode="json") | lineage)
        levers = _tuned(config, world)
        with _one_thread():
            onnx, curves = _learn(config, world, levers)
        artifact = directory / "policy"
        manifest = write_artifact(
            artifact,
            name="ppo",
            catalogue=world.catalogue,
            schema=world.schema,
            rules=world.rules,
            onnx=onnx,
            temperature=config.temperature,
            floor=config.floor,
            price_range=_price_range(config, world),
            lineage={**lineage, "levers": asdict(levers)},
        )
        curves.write_parquet(directory / "curves.parquet")
        kept = record_run(tracker, Recorded(config, world, manifest, artifact, directory, curves, meter))
    if watch is not None and "return" in curves.columns:
        watch(config.steps, float(curves["return"].drop_nans()[-1]))
    registered = register_run(tracker, kept) if config.register_policy else None
    seconds = meter.read().seconds
    return TrainingRun(directory, artifact, manifest, curves, levers, seconds, registered, ui_command())


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


def _price_range(config: TrainConfig, world: World) -> dict[str, tuple[float, float]]:
    encoder = world.encoder
    highs = dict(zip(encoder.price_names, encoder.price_highs.tolist(), strict=True))
    if config.random_prices:
        return {name: (0.0, high) for name, high in highs.items()}
    defaults = {name: world.schema.prices[name].default if name in world.schema.prices else 0.0 for name in highs}
    return {name: (level, level) for name, level in defaults.items()}


def _tuned(config: TrainConfig, world: World) -> Levers:
    with progress("tuning the teacher's levers", total=len(lever_grid(world))) as advance:
        return tune_levers(world, config.tuning_customers, config.horizon, seed=config.seed, advance=advance)


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread: two threads on two busy cores can collapse."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _learn(config: TrainConfig, world: World, levers: Levers) -> tuple[bytes, pl.DataFrame]:
    from agents.learning import Curves, Learning, Shape, demonstrate, imitate, new_learner
    from agents.network import ScoringPolicy
    from agents.onnx_export import export_onnx
    from agents.sb3_env import SimulatorVecEnv

    random = np.random.default_rng(config.seed)
    environment = SimulatorVecEnv(_batches(config, world))
    environment.seed(config.seed)
    teacher = softened_teacher(config, world, levers, environment)
    gamma = environment.gamma
    shape = Shape(config.width, config.layers, config.embedding)
    learning = Learning(
        config.learning_rate,
        config.rollout,
        config.batch,
        config.epochs,
        config.clip,
        config.entropy,
        config.gae_lambda,
        gamma,
    )
    with progress("imitating the teacher"):
        shown = demonstrate(environment, teacher, max(config.imitation_steps, environment.num_envs), gamma, random)
        environment.reward_scale = max(float(shown.to_go.std()), 1e-6)
        learner = new_learner(environment, shape, learning, config.seed)
        policy = cast(ScoringPolicy, learner.policy)
        if config.imitation_steps:
            imitate(
                policy,
                shown.scaled(environment.reward_scale),
                epochs=config.imitation_epochs,
                batch=512,
                learning_rate=1e-3,
                seed=config.seed,
            )
    if not config.steps:
        return export_onnx(policy, config.temperature, config.floor), pl.DataFrame({"decisions": [0.0]})
    with progress("learning (decisions)", total=config.steps) as advance:
        curves = Curves(environment, advance)
        learner.learn(config.steps, callback=curves)
    onnx = export_onnx(policy, config.temperature, config.floor)
    return onnx, pl.DataFrame(curves.rows)


def _batches(config: TrainConfig, world: World) -> list[BankVectorEnv]:
    """One batch of customers for each world: the members of the ensemble, or the world alone."""
    members = ensemble(world, Path(config.world))[: config.ensemble] or (world,)
    envs = max(1, config.envs // len(members))
    return [
        BankVectorEnv(
            envs,
            member,
            horizon=config.horizon,
            random_prices=config.random_prices,
            stagger=True,
            first_customer=FIRST_TRAINING + 1_000_000 * k,
        )
        for k, member in enumerate(members)
    ]


def softened_teacher(config: TrainConfig, world: World, levers: Levers, environment: SimulatorVecEnv) -> Softened:
    """The myopic rule as a softmax whose temperature is stated in standard deviations of its best advantage."""
    rule = Myopic(world, levers)
    scores, mask = rule.scores(environment.reset()), environment.action_masks()
    advantage = np.where(mask, scores, -np.inf).max(axis=1) - scores[:, 0]
    spread = max(float(np.std(advantage)), 1e-6 * float(np.abs(scores).max()), 1e-12)
    return Softened(rule, config.teacher_temperature * spread, config.teacher_floor, name="teacher")
