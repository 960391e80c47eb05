"""The scene: one day of a batch of customers, what the models say of it, and where its events go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import numpy as np

from envs.features import Latent
from envs.randomness import Luck
from envs.recorder import ANSWERED_AT
from envs.state import CustomerState, latent_of
from envs.world import World


class Note(Protocol):
    """Where events go: the recorder's `note`, or nowhere."""

    def __call__(
        self,
        event: str,
        customer: np.ndarray,
        day: np.ndarray,
        *,
        after: timedelta,
        channel: np.ndarray | None = None,
        product: np.ndarray | None = None,
        value: np.ndarray | None = None,
        desk: int | None = None,
        rows: np.ndarray | None = None,
    ) -> None: ...


@dataclass
class Tally:
    """What happened to each customer since the decision: the parts of the reward and a few counts."""

    margin: np.ndarray  # (batch,) float64, currency
    cost: np.ndarray  # (batch,) float64, currency
    annoyance: np.ndarray  # (batch,) float64, opt-outs
    effort: np.ndarray  # (batch, pools) float64
    contacts: np.ndarray  # (batch,) int64
    conversions: np.ndarray  # (batch,) int64, organic ones included
    opt_outs: np.ndarray  # (batch,) int64
    complaints: np.ndarray  # (batch,) int64

    @classmethod
    def empty(cls, batch: int, pools: int) -> Tally:
        floats = (np.zeros(batch), np.zeros(batch), np.zeros(batch), np.zeros((batch, pools)))
        return cls(*floats, *(np.zeros(batch, np.int64) for _ in range(4)))


@dataclass(frozen=True)
class Chance:
    """Evaluates heads for some customers of a batch at one observation."""

    world: World
    luck: Luck
    observation: np.ndarray  # (batch, fields) float32
    latent: Latent | None

    def happens(self, head: str, rows: np.ndarray, option: np.ndarray, draw: int, days: float = 1.0) -> np.ndarray:
        """(rows,) bool: does it happen to these customers? A head that the world lacks: never."""
        if head not in self.world.heads:
            return np.zeros(len(rows), bool)
        return np.asarray(self.luck.uniform(draw)[rows] < self.mean(head, rows, option, days))

    def mean(self, head: str, rows: np.ndarray, option: np.ndarray, days: float = 1.0) -> np.ndarray:
        """(rows,) float64: probability or mean."""
        model = self.world.heads[head]
        latent = None if self.latent is None else latent_of(self.latent, rows)
        return model.mean(model.linear(self.observation[rows], option, latent), days)

    def amount(self, head: str, rows: np.ndarray, option: np.ndarray, draw: int) -> np.ndarray | None:
        """(rows,) float64: the amount of an event, 0 where option is -1; None if the world has no model of it."""
        if head not in self.world.heads:
            return None
        model = self.world.heads[head]
        latent = None if self.latent is None else latent_of(self.latent, rows)
        eta = model.linear(self.observation[rows], option, latent)
        return np.where(option < 0, 0.0, model.amount(eta, self.luck.normal(draw)[rows]))


@dataclass(frozen=True)
class Scene:
    """One day of a batch: who is there, what the models see, where events go."""

    world: World
    state: CustomerState
    chance: Chance
    tally: Tally
    note: Note | None

    def happened(
        self,
        event: str,
        rows: np.ndarray,
        *,
        after: timedelta = ANSWERED_AT,
        channel: np.ndarray | None = None,
        product: np.ndarray | None = None,
        value: np.ndarray | None = None,
        desk: int | None = None,
    ) -> None:
        """Record an event in history, reward and log."""
        if not len(rows):
            return
        state, reward, tally = self.state, self.world.schema.task.reward, self.tally
        state.history.record(event, rows, channel=channel, product=product, value=value)
        amount = np.zeros(len(rows)) if value is None else value
        tally.margin[rows] += reward.margin_per_value.get(event, 0.0) * amount + reward.margin_per_event.get(event, 0.0)
        tally.cost[rows] += reward.cost_per_value.get(event, 0.0) * amount
        tally.annoyance[rows] += self.world.schema.task.annoyance_events.get(event, 0.0)
        if self.note is not None:
            self.note(
                event,
                state.customer[rows],
                state.history.day[rows],
                after=after,
                channel=channel,
                product=product,
                value=value,
                desk=desk,
                rows=rows,
            )
