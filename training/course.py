"""A training as it runs: imitation, then updates, with validations and checkpoints; it ends early where it must."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import torch
from sb3_contrib import MaskablePPO

from agents.checkpoint import Checkpoint, put_weights, read_checkpoint, restore, snapshot, weights
from agents.finite import NotFinite
from agents.fitting import Passes
from agents.foresight import Foresight, hides
from agents.imitation import demonstrate, imitate
from agents.layout import Layout, Reading
from agents.learning import Course, Learning, Shape, new_learner
from agents.network import ScoringPolicy, TreatmentScorer
from agents.sb3_env import SimulatorVecEnv
from agents.teacher import Teacher, shown
from envs.errors import InputError
from envs.prices import prices_from
from envs.vector import BankVectorEnv
from envs.world import World
from evaluation.intervals import mean_interval
from training.calibration_ensemble import ensemble
from training.configs import TrainConfig
from training.learning_figures import figures_said
from training.memory import keep_freed_memory
from training.progress import Bar, progress
from training.resuming import Progressed, check_same, foresight_arrays, foresight_of, identity, tried_of
from training.runs import atomic_write
from training.stopping import again
from training.teaching import learn_foresight, settings, teach
from training.validation import Validation

FIRST_TRAINING = 10_000_000  # number of the first customer that learning sees, apart from all others
FIRST_WATCHED = 50_000_000  # and of the first whose hidden states the teacher learns from
CHECKPOINT = "checkpoint.npz"
Watch = Callable[[int, float], bool]  # decisions so far, validation gain -> whether to go on


class Training:
    """One training of one seed. `directory` keeps its checkpoint; `network`: another one to compare ours with."""

    def __init__(
        self,
        config: TrainConfig,
        world: World,
        directory: Path,
        watch: Watch | None = None,
        network: type[ScoringPolicy] = ScoringPolicy,
    ) -> None:
        self._network = network
        self.config, self.world, self.directory, self._watch = config, world, directory, watch
        batches = _batches(config, world, config.envs, FIRST_TRAINING)
        self.environment = SimulatorVecEnv(batches, expected=config.expected_rewards)
        self.environment.seed(config.seed)
        self.judge = Validation.of(
            world,
            config.validation_customers,
            config.horizon,
            config.seed,
            config.temperature,
            config.floor,
            prices_from(config.prices, world.catalogue, world.schema),
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

    @property
    def reading(self) -> Reading:
        """What the network was made to read."""
        return cast(TreatmentScorer, self.policy.mlp_extractor).layout.reading

    def run(self) -> None:
        """From the checkpoint in the directory, if there is one, to the end; the learner then has the best weights."""
        file = self.directory / CHECKPOINT
        keep_freed_memory()
        with _one_thread():
            if file.exists():
                self._go_on(read_checkpoint(file), file)
            else:
                self._begin()
            self._learn()
            if self.so_far.best:
                put_weights(self.learner, self.so_far.best)

    def _begin(self) -> None:
        config = self.config
        foresight = self._foresee()
        with progress("tuning the teacher", total=len(settings(self.world))) as advance:
            self.teacher = teach(self.world, foresight, config.tuning_customers, config.horizon, config.seed, advance)
        decisions = max(config.imitation_steps, self.environment.num_envs)
        with progress("watching the teacher (decisions)", total=decisions) as advance:
            demonstrations = demonstrate(
                self.environment, self._show, decisions, np.random.default_rng(config.seed), advance
            )
        self.environment.reward_scale = max(float(demonstrations.to_go.std()), 1e-6)
        self.learner = self._new_learner()
        if config.imitation_steps:
            work = config.imitation_epochs * len(demonstrations.to_go)
            with progress("imitating the teacher (decisions)", total=work) as advance:
                scaled = demonstrations.scaled(self.environment.reward_scale)
                imitate(self.policy, scaled, Passes(config.imitation_epochs, 1024, 2e-3, config.seed), advance)

    def _foresee(self) -> Foresight:
        """What the teacher expects; of hidden states, where there are any, what observations say."""
        if not (self.config.foresight_customers and hides(self.world)):
            return Foresight(self.world)
        watched = SimulatorVecEnv(_batches(self.config, self.world, self.config.foresight_customers, FIRST_WATCHED))
        watched.seed(self.config.seed)
        return learn_foresight(watched, self._scorer(), self.config)

    def _scorer(self) -> TreatmentScorer:
        """A network like the policy's that has learned nothing."""
        c = self.config
        torch.manual_seed(c.seed)
        return TreatmentScorer(Layout.of(self.world.encoder), c.width, c.layers, c.embedding)

    def _show(self, environment: SimulatorVecEnv, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The teacher's distributions."""
        scores = self.teacher.scores(observation)
        return shown(scores, mask, self.config.teacher_temperature, self.config.teacher_floor)

    def _new_learner(self) -> MaskablePPO:
        c = self.config
        learning = Learning(
            c.learning_rate, c.rollout, c.batch, c.epochs, c.clip, c.entropy, c.gae_lambda, self.environment.gamma
        )
        return new_learner(
            self.environment, Shape(c.width, c.layers, c.embedding), learning, c.seed, network=self._network
        )

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
                course.check()
                self._save()  # imitated: the first phase is not done again
            if config.validations and not self.so_far.validations:
                self._validate(advance)
                self._save()
            while not course.done and not self.so_far.stopped:
                self._update(course, advance)

    def _update(self, course: Course, bar: Bar) -> None:
        before = time.monotonic()
        try:
            row = course.update()
        except NotFinite as fault:
            kept = self.directory / CHECKPOINT
            need = f"{fault.need}: learning stopped; {kept} is from before it, and nothing is registered"
            raise InputError(need, field=fault.field, value=fault.value, row=fault.row) from None
        spent = time.monotonic() - before
        rollout = self.config.rollout * self.environment.num_envs
        row["steps_per_second"] = rollout / spent
        self.so_far.curves.append(row)
        bar.now(figures_said(row))
        every = max(1, self.config.steps // max(1, self.config.validations))
        done = int(row["decisions"])
        if self.config.validations and (done // every > (done - rollout) // every or course.done):
            self._validate(bar)
        self._save()

    def _validate(self, bar: Bar) -> None:
        """Judge the learner; keep its weights unless it is surely worse than the best, stop if it has long been.

        Surely: the paired 95 % interval of the difference lies below 0. A few hundred customers do not tell two good
        states apart, and the later one has learned more.
        """
        done, now = self.learner.num_timesteps, self.so_far
        gain = self.judge.gain(self.policy)
        found = self.judge.interval(gain)
        better = found if now.best_gain is None else mean_interval((gain - now.best_gain).mean(axis=1))
        kept = now.best_gain is None or better.hi >= 0
        now.validations.append(
            {"decisions": float(done), "gain": found.value, "lo": found.lo, "hi": found.hi, "kept": float(kept)}
        )
        last = figures_said(now.curves[-1]) if now.curves else "the imitated teacher"
        bar.keep(f"{done:,} decisions: validation gain {found.value:.1f} [{found.lo:.1f}, {found.hi:.1f}]; {last}")
        now.worse = 0 if kept else now.worse + 1
        if kept:
            now.best = weights(self.learner)
        if now.best_gain is None or better.value > 0:
            now.best_gain = gain
        if self.config.patience and now.worse >= self.config.patience:
            now.stopped = f"worse in {now.worse} validations"
        if self._watch is not None and not self._watch(done, found.value):
            now.stopped = "told to stop"

    def _save(self) -> None:
        """The checkpoint, whole or not at all; the last one stays where this one cannot be written."""
        now = self.so_far
        now.seconds, self._started = now.seconds + time.monotonic() - self._started, time.monotonic()
        said = {
            **identity(self.config, self.world),
            **now.said(),
            "teacher": [asdict(tried) for tried in self.teacher.tried],
            "reading": asdict(self.reading),
        }
        file = self.directory / CHECKPOINT
        try:
            arrays = snapshot(self.learner, self.environment) | now.arrays() | foresight_arrays(self.teacher.foresight)
            atomic_write(file, Checkpoint(said, arrays).to_bytes())
        except OSError as fault:
            last = "the last checkpoint stands" if file.exists() else "there is none yet"
            need = f"must be written ({fault.strerror}); {last}, go on with: {again(self.config.out or self.directory)}"
            raise InputError(need, file=file) from None

    def _go_on(self, kept: Checkpoint, file: Path) -> None:
        """From a checkpoint of the same configuration, world and versions."""
        check_same(kept, self.config, self.world, file)
        foresight = foresight_of(kept, self.world, self._scorer)
        self.teacher = Teacher(self.world, tuple(tried_of(one) for one in kept.said["teacher"]), foresight)
        self.environment.reset()
        self.learner, self._kept = self._new_learner(), kept
        self._put(kept)

    def _put(self, kept: Checkpoint) -> None:
        restore(self.learner, self.environment, kept.arrays, self.directory / CHECKPOINT)
        self.so_far = Progressed.of(kept)


def _batches(config: TrainConfig, world: World, customers: int, first: int) -> list[BankVectorEnv]:
    """One batch for each world: the members of the ensemble, or the world alone. first: number of the first customer"""
    members = ensemble(world, Path(config.world))[: config.ensemble] or (world,)
    envs = max(1, customers // len(members))
    return [
        BankVectorEnv(
            envs,
            member,
            horizon=config.horizon,
            prices=config.prices,
            random_prices=config.random_prices,
            price_walk=config.price_walk,
            stagger=True,
            first_customer=first + 1_000_000 * k,
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
