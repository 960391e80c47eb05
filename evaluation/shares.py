"""Shares: what product is offered, and which channel is used, at how many decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from envs.catalogue import SILENCE, Catalogue


@dataclass(frozen=True)
class Share:
    """A product or a channel, or silence."""

    by: Literal["product", "channel"]
    name: str
    shares: tuple[float, ...]  # of decisions, per policy, the logging one first


def shares_of(mix: np.ndarray, catalogue: Catalogue) -> Iterator[Share]:
    """By product, then by channel, the most frequent under any policy first; what nobody uses is left out.

    mix: (policies, treatments) share of decisions
    """
    kinds: tuple[Literal["product", "channel"], ...] = ("product", "channel")
    for by in kinds:
        names = np.array([SILENCE, *(getattr(one, by) for one in catalogue.treatments)])
        found = [
            Share(by, str(name), tuple(mix[:, names == name].sum(axis=1).tolist())) for name in dict.fromkeys(names)
        ]
        yield from sorted((one for one in found if max(one.shares) > 0), key=lambda one: -max(one.shares))
