"""Learning: imitation of a softened teacher, then MaskablePPO, on the batch simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback

from agents.layout import Layout
from agents.network import ScoringPolicy
from agents.policy import Policy, draw
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


@dataclass(frozen=True)
class Demonstrations:
    """What a teacher did: decisions, its distributions, and the discounted rewards that followed."""

    observation: np.ndarray  # (n, fields) float32
    mask: np.ndarray  # (n, treatments) bool
    probabilities: np.ndarray  # (n, treatments) float32
    to_go: np.ndarray  # (n,) float32, rewards

    def scaled(self, by: float) -> Demonstrations:
        """The same with rewards divided by a number."""
        return replace(self, to_go=(self.to_go / by).astype(np.float32))


def new_learner(environment: SimulatorVecEnv, shape: Shape, learning: Learning, seed: int) -> MaskablePPO:
    """MaskablePPO with the treatment-scoring network."""
    layout = Layout.of(environment.world.encoder)
    return MaskablePPO(
        ScoringPolicy,
        environment,
        learning_rate=lambda left: learning.learning_rate * left,
        n_steps=learning.rollout,
        batch_size=min(learning.batch, learning.rollout * environment.num_envs),
        n_epochs=learning.epochs,
        gamma=learning.gamma,
        gae_lambda=learning.gae_lambda,
        clip_range=learning.clip,
        ent_coef=learning.entropy,
        target_kl=0.1,  # assumed: an update that moves this far has left the region where the clip is honest
        policy_kwargs={"layout": layout, **vars(shape)},
        seed=seed,
        device="cpu",
    )


def demonstrate(
    environment: SimulatorVecEnv, teacher: Policy, decisions: int, gamma: float, random: np.random.Generator
) -> Demonstrations:
    """Let the teacher decide; rewards to go are summed until each episode ends, finite tasks are played to their end.

    Behind the horizon and the end of the demonstration, which end nothing for the customer, the mean reward goes on.
    """
    task = environment.world.schema.task
    whole = len(task.days) if task.kind == "finite" else 1
    length = whole * max(1, -(-decisions // (environment.num_envs * whole)))
    observation, steps = environment.reset(), []
    for _ in range(length):
        mask = environment.action_masks()
        probabilities = teacher.probabilities(observation, mask)
        environment.step_async(draw(probabilities, random.random(environment.num_envs)))
        following, reward, ended, infos = environment.step_wait()
        cut = np.array([bool(info.get("TimeLimit.truncated")) for info in infos])
        steps.append((observation, mask, probabilities.astype(np.float32), reward, ended, cut))
        observation = following
    to_go = np.zeros((length, environment.num_envs), np.float32)
    beyond = float(np.mean([step[3] for step in steps])) / (1 - gamma) if gamma < 1 else 0.0
    after: np.ndarray = np.full(environment.num_envs, beyond)
    for t in reversed(range(length)):
        _, _, _, reward, ended, cut = steps[t]
        after = reward + gamma * np.where(ended, np.where(cut, beyond, 0.0), after)
        to_go[t] = after
    parts = [np.concatenate([step[k] for step in steps]) for k in range(3)]
    return Demonstrations(parts[0], parts[1], parts[2], to_go.reshape(-1))


def imitate(
    policy: ScoringPolicy, shown: Demonstrations, *, epochs: int, batch: int, learning_rate: float, seed: int
) -> list[float]:
    """Fit the policy to the teacher's distributions (cross-entropy) and the critic to its rewards to go (squares).

    -> the cross-entropy of each epoch, in nats.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate)
    data = [torch.as_tensor(a) for a in (shown.observation, shown.mask, shown.probabilities, shown.to_go)]
    losses: list[float] = []
    for _ in range(epochs):
        order, total = torch.randperm(len(data[0]), generator=generator), 0.0
        for rows in torch.split(order, batch):
            observation, mask, target, to_go = (column[rows] for column in data)
            scores, latent = policy.mlp_extractor(observation)
            logarithm = torch.log_softmax(scores.masked_fill(~mask, -1e9), dim=1)
            cross_entropy = -(target * logarithm).sum(dim=1).mean()
            value = policy.value_net(latent).squeeze(-1)
            loss = cross_entropy + 0.5 * torch.nn.functional.mse_loss(value, to_go)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(cross_entropy.detach()) * len(rows)
        losses.append(total / len(data[0]))
    return losses


class Curves(BaseCallback):
    """Collects the learning curves and tells the progress bar."""

    def __init__(self, environment: SimulatorVecEnv, advance: Advance) -> None:
        super().__init__()
        self.environment, self.advance = environment, advance
        self.rows: list[dict[str, float]] = []

    def _on_step(self) -> bool:
        self.advance(self.environment.num_envs)
        return True

    def _on_rollout_end(self) -> None:
        returns = self.environment.returns
        self.environment.returns = []
        row = {"decisions": float(self.num_timesteps), "return": float(np.mean(returns)) if returns else float("nan")}
        told = self.model.logger.name_to_value
        names = ("approx_kl", "entropy_loss", "explained_variance", "value_loss", "policy_gradient_loss")
        row |= {name: float(told[f"train/{name}"]) for name in names if f"train/{name}" in told}
        self.rows.append(row)
