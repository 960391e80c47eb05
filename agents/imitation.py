"""Imitation: a softened teacher shows what it does, the network learns its distributions, the critic its returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from agents.fitting import Advance, Loss, Passes, fit_rows
from agents.network import ScoringPolicy
from agents.policy import draw
from agents.sb3_env import SimulatorVecEnv

Shower = Callable[
    [SimulatorVecEnv, np.ndarray, np.ndarray], np.ndarray
]  # environment, observation, mask -> probabilities


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


def demonstrate(
    environment: SimulatorVecEnv,
    teacher: Shower,
    decisions: int,
    random: np.random.Generator,
    advance: Advance | None = None,
) -> Demonstrations:
    """Let the teacher decide; rewards to go are summed until each episode ends, finite tasks are played to their end.

    Behind the horizon and the end of the demonstration, which end nothing for the customer, the mean reward goes on.
    """
    gamma, task = environment.gamma, environment.world.schema.task
    whole = len(task.days) if task.kind == "finite" else 1
    length = whole * max(1, -(-decisions // (environment.num_envs * whole)))
    observation, steps = environment.reset(), []
    for _ in range(length):
        mask = environment.action_masks()
        probabilities = teacher(environment, observation, mask)
        environment.step_async(draw(probabilities, random.random(environment.num_envs)))
        following, reward, ended, infos = environment.step_wait()
        cut = np.array([bool(info.get("TimeLimit.truncated")) for info in infos])
        steps.append((observation, mask, probabilities.astype(np.float32), reward, ended, cut))
        observation = following
        if advance is not None:
            advance(environment.num_envs)
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
    policy: ScoringPolicy, shown: Demonstrations, passes: Passes, advance: Advance | None = None
) -> list[float]:
    """Fit the policy to the teacher's distributions (cross-entropy) and the critic to its rewards to go (squares).

    -> the cross-entropy of each epoch, in nats
    """

    def loss(observation: torch.Tensor, mask: torch.Tensor, target: torch.Tensor, to_go: torch.Tensor) -> Loss:
        scores, latent = policy.mlp_extractor(observation)
        logarithm = torch.log_softmax(scores.masked_fill(~mask, -1e9), dim=1)
        cross_entropy = -(target * logarithm).sum(dim=1).mean()
        value = policy.value_net(latent).squeeze(-1)
        return Loss(cross_entropy + 0.5 * torch.nn.functional.mse_loss(value, to_go), cross_entropy)

    rows = [torch.as_tensor(a) for a in (shown.observation, shown.mask, shown.probabilities, shown.to_go)]
    return fit_rows(policy.parameters(), rows, loss, passes, advance)
