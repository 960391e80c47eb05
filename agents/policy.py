"""The policy protocol: who decides, as a probability for each treatment."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from envs.jit import kernel


class Policy(Protocol):
    """Anything that maps (observation, mask) to a probability for each treatment.

    Temperature and floor belong to the policy: its argmax is another policy.
    """

    @property
    def name(self) -> str: ...

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(batch, fields) float32, (batch, treatments) bool -> (batch, treatments) float64.

        Rows sum to 1 and are exactly 0 where masked. Silos, several desks that cannot see each other, answer with
        (batch, desks, treatments): one distribution for each desk.
        """
        ...


def softened(scores: np.ndarray, mask: np.ndarray, temperature: float, floor: float) -> np.ndarray:
    """(1 - floor) * softmax(scores / temperature) + floor / number of allowed treatments, over the allowed ones.

    scores: (batch, treatments) float, mask: (batch, treatments) bool -> (batch, treatments) float64.
    """
    logits = np.where(mask, scores.astype(np.float64) / temperature, -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    chosen = weights / weights.sum(axis=-1, keepdims=True)
    return np.asarray((1 - floor) * chosen + floor * mask / mask.sum(axis=-1, keepdims=True))


def greedy(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """All probability on the best allowed treatment. -> (batch, treatments) float64."""
    out = np.zeros(mask.shape)
    _take_best(np.ascontiguousarray(scores), np.ascontiguousarray(mask), out)
    return out


@kernel
def _take_best(scores: np.ndarray, mask: np.ndarray, out: np.ndarray) -> None:
    """The first of the best, silence where nothing is allowed."""
    for i in range(scores.shape[0]):
        best = 0
        for k in range(1, scores.shape[1]):
            if mask[i, k] and (scores[i, k] > scores[i, best] or not mask[i, best]):
                best = k
        out[i, best] = 1.0


def draw(probabilities: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Inverse-CDF draw. probabilities: (..., treatments); uniform: (...,) in [0, 1) -> (...,) int64.

    Never returns a treatment of probability 0.
    """
    flat = np.ascontiguousarray(probabilities, np.float64).reshape(-1, probabilities.shape[-1])
    chosen = np.empty(len(flat), np.int64)
    _draw(flat, np.ascontiguousarray(uniform, np.float64).ravel(), chosen)
    return chosen.reshape(probabilities.shape[:-1])


@kernel
def _draw(probabilities: np.ndarray, uniform: np.ndarray, chosen: np.ndarray) -> None:
    count = probabilities.shape[1]
    for i in range(probabilities.shape[0]):
        total, other = 0.0, 0.0  # two sums: the processor adds to one while it waits for the other
        for k in range(0, count - 1, 2):
            total += probabilities[i, k]
            other += probabilities[i, k + 1]
        total += other + (probabilities[i, count - 1] if count % 2 else 0.0)
        reached, chosen[i] = 0.0, 0
        for k in range(count):
            if probabilities[i, k] > 0:
                chosen[i] = k
                reached += probabilities[i, k]
                if reached > uniform[i] * total:
                    break
