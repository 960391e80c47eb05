"""Shards: a log in parts of whole customers, for those who cannot or need not hold it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from envs.errors import InputError
from evaluation.log import Log
from evaluation.protected import Protected


@dataclass(frozen=True)
class Shard:
    """Some customers of a log; `log.steps` says how many decisions a customer of the whole has at most."""

    log: Log
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)  # by dimension, (customers,) str
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)  # by policy, what its own rules allow, (n, A) bool
    protected: Mapping[str, Protected] = field(default_factory=dict)  # by column


class Shards(Protocol):
    """A log in parts, in the order of its customers. Every part is asked for twice, and held one at a time."""

    @property
    def customers(self) -> int:
        """Of the whole log."""
        ...

    @property
    def training(self) -> str:
        """How the training log was drawn, as a sentence for the page; empty: it is whole."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, part: int) -> Shard: ...


@dataclass(frozen=True)
class Held:
    """A log that is in memory, in as many parts as one likes."""

    shards: Sequence[Shard]
    training: str = ""

    @property
    def customers(self) -> int:
        """Of the whole log."""
        return sum(shard.log.customers for shard in self.shards)

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, part: int) -> Shard:
        return self.shards[part]


def divided(
    log: Log,
    starts: Sequence[int],
    labels: Mapping[str, np.ndarray] | None = None,
    masks: Mapping[str, np.ndarray] | None = None,
    protected: Mapping[str, Protected] | None = None,
) -> Held:
    """A log in parts. starts: customers at which a new part begins, rising, each with a customer before it"""
    ends = [0, *starts, log.customers]
    if any(a >= b for a, b in pairwise(ends)):
        need = f"must rise strictly between 0 and {log.customers}, the customers"
        raise InputError(need, field="starts", value=list(starts))
    found = []
    for start, stop in pairwise(ends):
        rows = (log.customer >= start) & (log.customer < stop)
        found.append(
            Shard(
                replace(log.rows(rows), steps=log.horizon),
                {name: np.asarray(of)[start:stop] for name, of in (labels or {}).items()},
                {name: mask[rows] for name, mask in (masks or {}).items()},
                {name: replace(of, values=of.values[start:stop]) for name, of in (protected or {}).items()},
            )
        )
    return Held(found)
