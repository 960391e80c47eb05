"""Learning: MaskablePPO on the batch simulator, update by update, so that it can be stopped and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.expecting import Expecting
from agents.finite import check_learned, check_losses, watch
from agents.layout import Layout, Reading
from agents.network import ScoringPolicy
from agents.sb3_env import SimulatorVecEnv

Advance = Callable[[float], None]


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    width: int
    layers: int
    embedding: int


@dataclass(frozen=True)
class Learning:
    """Parameters of PPO, as in Schulman et al. 2017; gamma is per decision."""

    learning_rate: float
    rollout: int
    batch: int
    epochs: int
    clip: float
    entropy: float
    gae_lambda: float
    gamma: float


def new_learner(
    environment: SimulatorVecEnv,
    shape: Shape,
    learning: Learning,
    seed: int,
    reading: Reading | None = None,
    network: type[ScoringPolicy] = ScoringPolicy,
) -> MaskablePPO:
    """MaskablePPO with the treatment-scoring network, every number that it learns from and of checked to be finite.

    reading: of a network that was made for another catalogue; network: another one to compare it with
    """
    world = environment.world
    learner = MaskablePPO(
        network,
        environment,
        learning_rate=lambda left: learning.learning_rate * max(left, 0.0),  # the last rollout may reach beyond the end
        n_steps=learning.rollout,
        batch_size=min(learning.batch, learning.rollout * environment.num_envs),
        n_epochs=learning.epochs,
        gamma=learning.gamma,
        gae_lambda=learning.gae_lambda,
        clip_range=learning.clip,
        ent_coef=learning.entropy,
        target_kl=0.1,  # assumed: an update that moves this far has left the region where the clip is honest
        policy_kwargs={"layout": Layout.of(world.encoder, reading), "expecting": Expecting(world), **vars(shape)},
        seed=seed,
        device="cpu",
    )
    learner.set_logger(
        Logger(folder=None, output_formats=[])
    )  # the library's own makes a temporary folder and leaves it
    policy = cast(ScoringPolicy, learner.policy)
    watch(policy, policy.mlp_extractor, policy.optimizer)
    environment.value_of = values_of(learner)
    return learner


def values_of(learner: MaskablePPO) -> Callable[[np.ndarray], np.ndarray]:
    """Its critic, for the environment to value customers with at the horizon. (rows, fields) -> (rows,), scaled."""

    def value_of(observation: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            values = learner.policy.predict_values(torch.as_tensor(observation))
        return values.squeeze(-1).numpy()

    return value_of


class _Told(BaseCallback):
    """Tells the progress bar of every step."""

    def __init__(self, advance: Advance) -> None:
        super().__init__()
        self._advance = advance

    def _on_step(self) -> bool:
        self._advance(self.training_env.num_envs)
        return True


class Course:
    """A course of learning of so many decisions: `update()` until it is `done`.

    What MaskablePPO.learn does, update by update, and the entropy bonus falls to zero as the step size does. Between
    two updates everything that the next one depends on stands in the learner, the environment and the global random
    generators of torch and numpy.
    """

    def __init__(self, learner: MaskablePPO, environment: SimulatorVecEnv, decisions: int, advance: Advance) -> None:
        self.learner, self.environment, self.decisions = learner, environment, decisions
        self._entropy = learner.ent_coef
        _, self._callback = learner._setup_learn(decisions, _Told(advance), reset_num_timesteps=True)
        environment.returns, environment.annoyance = [], []

    @property
    def done(self) -> bool:
        return self.learner.num_timesteps >= self.decisions

    def check(self) -> None:
        """NotFinite unless learning can go on from the weights as they are, with the customers as they stand."""
        policy = cast(ScoringPolicy, self.learner.policy)
        check_learned(policy, np.asarray(self.learner._last_obs), self.environment.action_masks())

    def update(self) -> dict[str, float]:
        """A rollout and the update from it, checked. -> decisions so far and the figures of this update."""
        learner, environment = self.learner, self.environment
        learner.collect_rollouts(learner.env, self._callback, learner.rollout_buffer, learner.n_steps)  # type: ignore[arg-type]
        learner._update_current_progress_remaining(learner.num_timesteps, self.decisions)
        learner.ent_coef = self._entropy * max(learner._current_progress_remaining, 0.0)
        learner.train()
        told = learner.logger.name_to_value
        check_losses(told)
        self.check()
        row = {"decisions": float(learner.num_timesteps), "return": _mean(environment.returns)}
        row["annoyance"] = _mean(environment.annoyance)
        environment.returns, environment.annoyance = [], []
        return row | {name: float(told[f"train/{name}"]) for name in FIGURES if f"train/{name}" in told}


FIGURES = (
    "approx_kl", "clip_fraction", "entropy_loss", "explained_variance", "learning_rate", "policy_gradient_loss",
    "value_loss",
)  # fmt: skip


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
