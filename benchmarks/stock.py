"""Stock MaskablePPO in the built-in bank, as a competent user would set it up: what the trainer is held against.

sb3_contrib's MaskablePPO with its own MlpPolicy on the trainer's own environment: the same customers, masks and prices;
rewards as they happen, no teacher. It learns for a number of seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from agents.learning import values_of
from agents.sb3_env import SimulatorVecEnv
from benchmarks.curves import Clocked, Curve
from benchmarks.judged import Judge
from envs.vector import BankVectorEnv
from envs.world import World
from training.configs import TrainConfig
from training.course import FIRST_TRAINING

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
ENDLESS = 10**9  # decisions: time ends it


@dataclass(frozen=True)
class Settings:
    """What a user can tune."""

    learning_rate: float
    falling: bool  # the step size falls linearly to zero, in time
    envs: int
    n_steps: int
    batch_size: int
    n_epochs: int
    entropy: float
    gae_lambda: float
    width: int
    layers: int
    activation: str  # of ACTIVATIONS
    reward_scale: float  # rewards are divided by it, CNY


def environment(world: World, config: TrainConfig, envs: int, *, expected: bool = False) -> SimulatorVecEnv:
    """The trainer's environment: the same customers, prices and horizon."""
    batch = BankVectorEnv(
        envs,
        world,
        horizon=config.horizon,
        random_prices=config.random_prices,
        price_walk=config.price_walk,
        stagger=True,
        first_customer=FIRST_TRAINING,
    )
    return SimulatorVecEnv([batch], expected=expected)


def learn(
    world: World,
    config: TrainConfig,
    settings: Settings,
    judge: Judge,
    seed: int,
    *,
    seconds: float,
    points: int,
    clock: Callable[[], float] = time.monotonic,
    watch: Callable[[float], bool] | None = None,
) -> Curve:
    """Learn for so many seconds, judged at the start and `points` times on the way; watch: told gains, may end it."""
    clocked = Clocked(judge, config, clock)
    surroundings = environment(world, config, settings.envs)
    surroundings.reward_scale = settings.reward_scale

    def rate(_left: float) -> float:
        return settings.learning_rate * (max(1 - clocked.seconds / seconds, 0.0) if settings.falling else 1.0)

    learner = MaskablePPO(
        "MlpPolicy",
        surroundings,
        learning_rate=rate,
        n_steps=settings.n_steps,
        batch_size=min(settings.batch_size, settings.n_steps * settings.envs),
        n_epochs=settings.n_epochs,
        gamma=surroundings.gamma,
        gae_lambda=settings.gae_lambda,
        ent_coef=settings.entropy,
        policy_kwargs={
            "net_arch": [settings.width] * settings.layers,
            "activation_fn": ACTIVATIONS[settings.activation],
        },
        seed=seed,
        device="cpu",
    )
    # The environment's short cut for horizons; SB3 would ask customer by customer.
    surroundings.value_of = values_of(learner)
    clocked.decisions = lambda: learner.num_timesteps
    learner.learn(ENDLESS, callback=_Timed(clocked, seconds, points, watch), log_interval=ENDLESS)
    return clocked.curve


class _Timed(BaseCallback):
    """Has the learner judged at equal times, and ends it when its time is over."""

    def __init__(
        self, clocked: Clocked, seconds: float, points: int, watch: Callable[[float], bool] | None = None
    ) -> None:
        super().__init__()
        self._clocked, self._seconds, self._every, self._watch = clocked, seconds, seconds / points, watch
        self._next, self._over = 0.0, False

    def _on_rollout_start(self) -> None:
        now = self._clocked.seconds
        self._over = now >= self._seconds
        if now >= self._next or self._over:
            policy = cast(MaskableActorCriticPolicy, self.model.policy)
            gain = self._clocked.judged(lambda observation: policy.get_distribution(observation).distribution.logits)
            self._next = (now // self._every + 1) * self._every
            self._over |= self._watch is not None and not self._watch(float(gain.mean()))

    def _on_step(self) -> bool:
        return not self._over
