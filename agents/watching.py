"""Watching: simulated customers whose hidden states are known, and the network that learns what their histories say.

Each customer is looked at a few times only: a network that sees the same ones every day learns them by heart, by their
age and income, and not what histories say (measured: the rule that follows it then earns less than one without it).

The factors of `agents.foresight` are fitted by the Poisson deviance of the margins that a simulator knows,

    sum over treatments of  mean margin x exp(factor) - known margin x factor,

whose minimum is the conditional mean whatever the spread is (Gourieroux, Monfort and Trognon 1984, "Pseudo maximum
likelihood methods: theory").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from agents.fitting import Advance, Loss, Passes, fit_rows
from agents.foresight import Foresight, factors
from agents.network import TreatmentScorer
from agents.policy import draw
from agents.sb3_env import SimulatorVecEnv
from envs.expectation import Expectation, Expected
from envs.hidden_states import hidden_states

Decide = Callable[[Expected, np.ndarray, np.ndarray], np.ndarray]  # expectations, observation, mask -> probabilities


@dataclass(frozen=True)
class Watched:
    """Decisions that somebody had to take, and what every treatment was worth at them; n decisions."""

    observation: np.ndarray  # (n, fields) float32
    mean: np.ndarray  # (n, treatments) float32, margins with hidden states at their mean, currency
    known: np.ndarray  # (n, treatments) float32, margins with the true ones


def watch(
    environment: SimulatorVecEnv,
    decide: Decide,
    steps: int,
    share: float,
    random: np.random.Generator,
    advance: Advance | None = None,
) -> Watched:
    """Let somebody decide, who takes hidden states at their mean, and note what the simulator knows.

    steps: decisions of each customer; share: of them, by chance, that are noted
    """
    blind, seen, mean, known = Foresight(environment.world), [], [], []
    observation = environment.reset()
    for _ in range(steps):
        expected = blind(observation)
        rows = np.flatnonzero(random.random(environment.num_envs) < share)
        seen.append(observation[rows])
        mean.append(expected.margin[rows].astype(np.float32))
        known.append(known_margin(environment, rows).astype(np.float32))
        probabilities = decide(expected, observation, environment.action_masks())
        environment.step_async(draw(probabilities, random.random(environment.num_envs)))
        observation = environment.step_wait()[0]
        if advance is not None:
            advance(environment.num_envs)
    return Watched(np.concatenate(seen), np.concatenate(mean), np.concatenate(known))


def known_margin(environment: SimulatorVecEnv, rows: np.ndarray) -> np.ndarray:
    """Of every treatment for some customers, each in a world of their own. -> (rows, treatments) float64, currency."""
    ends = np.cumsum([batch.num_envs for batch in environment.batches])
    parts, found = np.split(rows, np.searchsorted(rows, ends[:-1])), []
    for batch, end, own in zip(environment.batches, ends, parts, strict=True):
        simulator, here = batch.simulator, own - (end - batch.num_envs)
        hidden = hidden_states(batch.world, simulator.state).take(here)
        found.append(Expectation(batch.world).knowing(simulator.view().observation[here], hidden).margin)
    return np.concatenate(found)


def fit(network: TreatmentScorer, watched: Watched, passes: Passes, advance: Advance | None = None) -> list[float]:
    """Fit the factors, in place. -> the mean deviance of each epoch."""
    scale = max(float(np.abs(watched.known).mean()), 1e-9)
    margins = [torch.as_tensor(np.maximum(part, 0.0) / scale) for part in (watched.mean, watched.known)]

    def deviance(observation: torch.Tensor, mean: torch.Tensor, known: torch.Tensor) -> Loss:
        factor = factors(network, observation)
        found = (mean * torch.exp(factor) - known * factor).sum(dim=1).mean()
        return Loss(found, found)

    return fit_rows(network.parameters(), [torch.as_tensor(watched.observation), *margins], deviance, passes, advance)
