"""Hidden states as heads see them when a treatment is carried out, for whoever foresees what it does.

What a simulator holds between two decisions is not quite that: `latent.clash` is a matter of the contact that is made
(the trace of another offer from elsewhere), so that each treatment has its own, and what is held is the last one's;
`latent.context` is known from the first decision on only once that has been made.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.contact import clash
from envs.features import CLASH, CONTEXT
from envs.jit import kernel
from envs.response import CompiledHead
from envs.state import CustomerState
from envs.world import World

NAME = "latent.clash"


class HiddenStates(NamedTuple):
    """What one desk's treatments of some customers meet."""

    latent: np.ndarray  # (batch, latent states) float32; its clash is that of the last contact
    clash: np.ndarray  # (batch, treatments) float32, each treatment's own; of silence that of the last contact

    def take(self, rows: np.ndarray) -> HiddenStates:
        """Of some customers."""
        return HiddenStates(self.latent[rows], self.clash[rows])

    def etas(self, head: CompiledHead, observation: np.ndarray) -> np.ndarray:
        """Linear predictors of a head whose features hold the clash once at most. -> (batch, options) float64."""
        if NAME not in head.needs_latent or head.head.per == "product":
            return head.linear_all(observation, self.latent)
        none, whole = (head.linear_all(observation, _filled(self.latent, CLASH, level)) for level in (0.0, 1.0))
        return np.asarray(none + self.clash * (whole - none))


def hidden_states(world: World, state: CustomerState) -> HiddenStates:
    """For any treatment."""
    options = np.arange(len(world.catalogue.treatment_ids))
    return HiddenStates(_together(state.latent), _clashes(world, state, np.tile(options, (state.batch, 1))))


def latent_under(world: World, state: CustomerState, treatment: np.ndarray) -> np.ndarray:
    """Under one treatment per customer. treatment: (batch,) int -> (batch, latent states) float32."""
    latent = _together(state.latent)
    latent[:, CLASH] = _clashes(world, state, treatment[:, None])[:, 0]
    return latent


def _clashes(world: World, state: CustomerState, options: np.ndarray) -> np.ndarray:
    """options: (batch, options) int -> the same shape, float32."""
    found = np.repeat(state.latent[:, CLASH, None], options.shape[1], axis=1)
    every_clash(world.mechanics.record, state.reach(), options.astype(np.int64), found)
    return found


@kernel
def every_clash(world: np.ndarray, state: np.ndarray, options: np.ndarray, found: np.ndarray) -> None:
    """Of some treatments of every customer; silence leaves what is there. found: (batch, options), written to."""
    m, s = world[0], state[0]
    for i in range(options.shape[0]):
        for k in range(options.shape[1]):
            if options[i, k] > 0:
                found[i, k] = clash(m, s, i, options[i, k])


def _together(latent: np.ndarray) -> np.ndarray:
    """A copy for the treatments of one desk, which hands on what it knows."""
    return _filled(latent, CONTEXT, 1.0)


def _filled(latent: np.ndarray, column: int, level: float) -> np.ndarray:
    out = latent.copy()
    out[:, column] = level
    return out
