"""A training as it runs: imitation, then updates, with validations, checkpoints, and an end that comes early if it must."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sb3_contrib import MaskablePPO

from agents.checkpoint import Arrays, Checkpoint, put_weights, read_checkpoint, restore, snapshot, weights
from agents.finite import NotFinite
from agents.imitation import demonstrate, imitate
from agents.learning import Course, Learning, Shape, new_learner
from agents.network import ScoringPolicy
from agents.policy import softened
from agents.sb3_env import SimulatorVecEnv
from agents.teacher import Setting, Teacher, Tried
from envs.errors import InputError
from envs.vector import BankVectorEnv
from envs.world import World
from evaluation.intervals import mean_interval
from training.calibration_ensemble import ensemble
from training.configs import TrainConfig
from training.runs import atomic_write, progress
from training.teaching import settings, teach
from training.validation import Validation

FIRST_TRAINING = 10_000_000  # number of the first customer that learning sees, apart from all others
CHECKPOINT = "checkpoint.npz"
Watch = Callable[[int, float], bool]  # decisions so far, validation gain -> whether to go on
Row = dict[str, float]


@dataclass
class Progressed:
    """What has come of a training so far: kept in its checkpoints."""

    curves: list[Row] = field(default_factory=list)
    validations: list[Row] = field(default_factory=list)  # decisions, gain, lo, hi, kept
    best: Arrays = field(default_factory=dict)  # weights of the best validation
    best_gain: np.ndarray | None = None  # (customers, prices)
    worse: int = 0  # validations since the best one
    seconds: float = 0.0  # of learning, all sessions together
    stopped: str = ""  # why it ended before its last decision


class Training:
    """One training of one seed. `directory` keeps its checkpoint."""

    def __init__(self, config: TrainConfig, world: World, directory: Path, watch: Watch | None = None) -> None:
        self.config, self.world, self.directory, self._watch = config, world, directory, watch
        self.environment = SimulatorVecEnv(_batches(config, world), expected=config.expected_rewards)
        self.environment.seed(config.seed)
        self.judge = Validation.of(
            world,
            config.validation_customers,
            config.horizon,
            config.seed,
            config.temperature,
            config.floor,
            steered=config.random_prices,
        )
        self.so_far = Progressed()
        self._kept: Checkpoint | None = None  # what this training goes on from
        self.teacher: Teacher
        self.learner: MaskablePPO
        self._started = time.monotonic()

    @property
    def policy(self) -> ScoringPolicy:
        return cast(ScoringPolicy, self.learner.policy)

    def run(self) -> None:
        """From the checkpoint in the directory, if there is one, to the end; the learner then has the best weights."""
        file = self.directory / CHECKPOINT
        try:
            with _one_thread():
                if file.exists():
                    self._go_on(read_checkpoint(file), file)
                else:
                    self._begin()
                self._learn()
                if self.so_far.best:
                    put_weights(self.learner, self.so_far.best)
        except KeyboardInterrupt:
            kept = f"; go on with: nextbest train --resume {self.config.out}" if file.exists() else ""
            raise KeyboardInterrupt(f"interrupted{kept}") from None

    def _begin(self) -> None:
        config = self.config
        with progress("tuning the teacher", total=len(settings(self.world))) as advance:
            self.teacher = teach(self.world, config.tuning_customers, config.horizon, config.seed, advance)
        decisions = max(config.imitation_steps, self.environment.num_envs)
        with progress("watching the teacher (decisions)", total=decisions) as advance:
            shown = demonstrate(
                self.environment, self._show, decisions, np.random.default_rng(config.seed), advance
            )
        self.environment.reward_scale = max(float(shown.to_go.std()), 1e-6)
        self.learner = self._new_learner()
        if config.imitation_steps:
            work = config.imitation_epochs * len(shown.to_go)
            with progress("imitating the teacher (decisions)", total=work) as advance:
                imitate(
                    self.policy,
                    shown.scaled(self.environment.reward_scale),
                    epochs=config.imitation_epochs,
                    batch=1024,
                    learning_rate=2e-3,
                    seed=config.seed,
                    advance=advance,
                )

    def _show(self, environment: SimulatorVecEnv, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The teacher's distributions; its temperature is in standard deviations of its best advantage over silence."""
        scores = self.teacher.scores(observation)
        advantage = np.where(mask, scores, -np.inf).max(axis=1) - scores[:, 0]
        spread = max(float(np.std(advantage)), 1e-6 * float(np.abs(scores).max()), 1e-12)
        return softened(scores, mask, self.config.teacher_temperature * spread, self.config.teacher_floor)

    def _new_learner(self) -> MaskablePPO:
        c = self.config
        learning = Learning(
            c.learning_rate, c.rollout, c.batch, c.epochs, c.clip, c.entropy, c.gae_lambda, self.environment.gamma
        )
        return new_learner(self.environment, Shape(c.width, c.layers, c.embedding), learning, c.seed)

    def _learn(self) -> None:
        """Updates until the last decision, or until validation does not get better."""
        if self.so_far.stopped:
            return
        config = self.config
        with progress("learning (decisions)", total=config.steps) as advance:
            course = Course(self.learner, self.environment, config.steps, advance)
            if self._kept is not None:  # the course began anew
                self._put(self._kept)
                advance(self.learner.num_timesteps)
            else:
                if config.validations:
                    self._validate()
                self._save()
            while not course.done and not self.so_far.stopped:
                self._update(course)

    def _update(self, course: Course) -> None:
        before = time.monotonic()
        try:
            row = course.update()
        except NotFinite as fault:
            kept = self.directory / CHECKPOINT
            need = f"{fault.need}: learning stopped; {kept} is from before it, and nothing is registered"
            raise InputError(need, field=fault.field, value=fault.value, row=fault.row) from None
        spent = time.monotonic() - before
        rollout = self.config.rollout * self.environment.num_envs
        self.so_far.curves.append({**row, "steps_per_second": rollout / spent})
        every = max(1, self.config.steps // max(1, self.config.validations))
        done = int(row["decisions"])
        if self.config.validations and (done // every > (done - rollout) // every or course.done):
            self._validate()
        self._save()

    def _validate(self) -> None:
        """Judge the learner; keep its weights if it is the best so far, stop if it has long not been."""
        done, now = self.learner.num_timesteps, self.so_far
        gain = self.judge.gain(self.policy)
        found = self.judge.interval(gain)
        better = found if now.best_gain is None else mean_interval((gain - now.best_gain).mean(axis=1))
        kept = now.best_gain is None or better.value > 0
        now.validations.append(
            {"decisions": float(done), "gain": found.value, "lo": found.lo, "hi": found.hi, "kept": float(kept)}
        )
        now.worse += 1
        if kept:
            now.best, now.best_gain, now.worse = weights(self.learner), gain, 0
        if self.config.patience and now.worse >= self.config.patience:
            now.stopped = f"no better in {now.worse} validations"
        if self._watch is not None and not self._watch(done, found.value):
            now.stopped = "told to stop"

    def _save(self) -> None:
        """The checkpoint, whole or not at all; the last one stays where this one cannot be written."""
        now = self.so_far
        now.seconds, self._started = now.seconds + time.monotonic() - self._started, time.monotonic()
        said = {
            **identity(self.config, self.world),
            "curves": now.curves,
            "validations": now.validations,
            "worse": now.worse,
            "seconds": now.seconds,
            "stopped": now.stopped,
            "teacher": [asdict(tried) for tried in self.teacher.tried],
            "reading": asdict(self.policy.mlp_extractor.layout.reading),
        }
        arrays = snapshot(self.learner, self.environment) | {f"best/{name}": a for name, a in now.best.items()}
        if now.best_gain is not None:
            arrays["best_gain"] = now.best_gain
        file = self.directory / CHECKPOINT
        try:
            atomic_write(file, Checkpoint(said, arrays).to_bytes())
        except OSError as fault:
            last = "the last checkpoint stands" if file.exists() else "there is none yet"
            need = f"must be written ({fault.strerror}); {last}, go on with --resume {self.config.out}"
            raise InputError(need, file=file) from None

    def _go_on(self, kept: Checkpoint, file: Path) -> None:
        """From a checkpoint of the same configuration, world and versions."""
        check_same(kept, self.config, self.world, file)
        tried = [Tried(**{**t, "setting": Setting(**t["setting"]), "effort": tuple(t["effort"])}) for t in kept.said["teacher"]]
        self.teacher = Teacher(self.world, tuple(tried))
        self.environment.reset()
        self.learner, self._kept = self._new_learner(), kept
        self._put(kept)

    def _put(self, kept: Checkpoint) -> None:
        restore(self.learner, self.environment, kept.arrays, self.directory / CHECKPOINT)
        said = kept.said
        best = {name.removeprefix("best/"): a for name, a in kept.arrays.items() if name.startswith("best/")}
        self.so_far = Progressed(
            said["curves"], said["validations"], best, kept.arrays.get("best_gain"), said["worse"], said["seconds"],
            said["stopped"],
        )  # fmt: skip


def identity(config: TrainConfig, world: World) -> dict[str, Any]:
    """What a checkpoint must share with the training that goes on from it."""
    from importlib.metadata import version

    packages = ("torch", "numpy", "stable-baselines3", "sb3-contrib")
    own = json.loads(config.model_dump_json(exclude=set(BESIDE)))
    return {
        "config": own,
        "world_digest": world.digest,
        "catalogue_digest": world.catalogue.digest,
        "versions": {name: version(name) for name in packages},
    }


BESIDE = ("out", "resume", "tables", "track", "register_policy", "experiment", "world", "seeds")  # change no number


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
            price_walk=config.price_walk,
            stagger=True,
            first_customer=FIRST_TRAINING + 1_000_000 * k,
        )
        for k, member in enumerate(members)
    ]


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread: two threads on two busy cores can collapse."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
