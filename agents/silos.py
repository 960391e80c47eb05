"""Siloed campaigns: each channel plans for itself, blind to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from envs.catalogue import Catalogue, Channel
from envs.errors import InputError
from envs.observation import Encoder

Rhythm = Mapping[str, tuple[Sequence[int], float]]
# Channel -> weekdays of its campaigns (0 is Monday), share of customers who are drawn.
RHYTHM: Rhythm = {
    "app_push": ((0, 3), 0.6),
    "in_app": (range(7), 0.7),
    "sms": ((1,), 0.4),
    "wechat": ((4,), 0.6),
    "partner": (range(7), 0.7),
    "ai_call": (range(5), 0.02),
    "human_call": (range(5), 0.01),
    "wecom": ((2,), 0.2),
    "hotline": (range(7), 0.5),
    "relationship_manager": (range(5), 0.004),
    "branch": (range(7), 0.6),
}


@dataclass(frozen=True)
class SiloedCampaigns:
    """Each channel plans for itself: its own rhythm, its own product of the week, blind to the other channels.

    On a campaign day of its channel a desk draws a share of its customers and sends them the campaign's product, as far
    as its mask allows. Answers (batch, desks, treatments). Rhythms and shares are assumed: a push campaign twice a
    week, one SMS, WeChat and WeCom campaign a week, daily call lists, managers working through their books.
    """

    catalogue: Catalogue
    encoder: Encoder
    name: str = "siloed_campaigns"
    rhythm: Rhythm = field(default_factory=lambda: RHYTHM, repr=False)
    campaigns: Mapping[str, Sequence[int]] | None = None  # channel -> its treatments, in turn; None: all of them

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if not self.encoder.schema.task.calendar:
            raise InputError("must name a country: campaigns follow the weekday", field="task.calendar", value="null")
        weekday, week = self._clock(observation, "weekday", 7), self._clock(observation, "month", 31) // 7
        out, rows = np.zeros((len(mask), len(self.catalogue.channels), mask.shape[1])), np.arange(len(mask))
        for desk, channel in enumerate(self.catalogue.channels):
            mine = self._campaigns(desk, channel.id)
            if not len(mine):
                out[:, desk, 0] = 1.0
                continue
            days, share = rhythm_of(self.rhythm, channel)
            chosen = mine[(week + desk) % len(mine)]  # the campaign of the week
            today = np.array([day in days for day in range(7)])[weekday]
            drawn = np.where(today & mask[rows, chosen], share, 0.0)
            out[rows, desk, chosen], out[:, desk, 0] = drawn, 1.0 - drawn
        return out

    def _clock(self, observation: np.ndarray, name: str, period: int) -> np.ndarray:  # (batch,) int
        names = self.encoder.names
        sine, cosine = (observation[:, names.index(f"calendar:{name}_{k}")] for k in ("sin", "cos"))
        return np.asarray(np.round(np.arctan2(sine, cosine) * (period / (2 * np.pi))).astype(int) % period)

    def _campaigns(self, desk: int, channel: str) -> np.ndarray:  # (n,) int, positions of treatments
        if self.campaigns is not None:
            return np.array(self.campaigns.get(channel, ()), np.int64)
        return campaigns_of(self.catalogue, desk)


def rhythm_of(rhythm: Rhythm, channel: Channel) -> tuple[Sequence[int], float]:
    """Weekdays and share of a channel's campaigns; assumed for channels that the rhythm does not name."""
    return rhythm.get(channel.id, (range(7), 0.5 if channel.inbound else 0.05))


def campaigns_of(catalogue: Catalogue, desk: int) -> np.ndarray:  # (n,) int, positions of treatments
    """All that a channel may campaign for; verification is the risk desk's business."""
    verifying = [False, *(catalogue.products[p].clears_hold for p in catalogue.product_of[1:])]
    return np.flatnonzero((catalogue.channel_of == desk) & ~np.array(verifying))


def scaled(rhythm: Rhythm, catalogue: Catalogue, online: float, people: float, inbound: float) -> Rhythm:
    """The same weekdays, shares times a factor by kind of channel, 1 at most."""

    def factor(channel: Channel) -> float:
        if channel.inbound is not None:
            return inbound
        return online if channel.family == "online" else people

    found = {channel.id: (rhythm_of(rhythm, channel), factor(channel)) for channel in catalogue.channels}
    return {name: (days, min(1.0, share * by)) for name, ((days, share), by) in found.items()}
