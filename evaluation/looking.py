"""A first look at a log: whom it holds and how far it supports each policy, before any reward is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from envs.errors import InputError
from envs.prices import Prices
from evaluation.adapt import Adapted, on_log
from evaluation.adding import LARGEST, SMALLEST, added
from evaluation.diagnostics import Support, Tried, Weighted, certain
from evaluation.door import check_prices
from evaluation.log import Log
from evaluation.reliability import counted_by_cell
from evaluation.remask import Apart, Own, Served
from evaluation.shards import Shard, Shards

Advance = Callable[[float], None]  # told the customers that were just gone through


@dataclass(frozen=True)
class Seen:
    """Sums over some customers."""

    customers: int
    decisions: int
    tried: tuple[Tried]
    weighted: tuple[Weighted, ...]  # per policy
    apart: tuple[Apart, ...]  # per policy under rules of its own
    certain: int  # decisions whose treatment was certain, though the rules left a choice
    same_instant: int  # decisions after which the customer was decided again at the same instant
    cells: np.ndarray | None  # (groups, CELLS) pairs by estimated probability, see `evaluation.reliability`
    first: np.datetime64 = field(metadata=SMALLEST)  # decision
    last: np.datetime64 = field(metadata=LARGEST)

    @classmethod
    def of(cls, shard: Shard, probabilities: Sequence[np.ndarray], rules: Sequence[str]) -> Seen:
        """Of one part. probabilities: per policy (n, A); rules: names of the policies under rules of their own"""
        log = shard.log
        for name in rules:
            if name not in shard.masks:
                raise InputError("must be known in every part", field=f"mask of {name}")
        return cls(
            log.customers, len(log), (Tried.of(log),), tuple(Weighted.of(log, p) for p in probabilities),
            tuple(Apart.of(log, shard.masks[name]) for name in rules), int(certain(log).sum()), _same_instant(log),
            counted_by_cell(log), log.at.min(), log.at.max(),
        )  # fmt: skip

    def supports(self, names: Sequence[str], pooled: bool) -> tuple[Support, ...]:
        """Per policy."""
        return tuple(w.support(name, self.tried[0], pooled) for name, w in zip(names, self.weighted, strict=True))

    def only(self, treatments: tuple[str, ...]) -> str | None:
        """The treatment that every decision took; None: there were several."""
        taken = np.flatnonzero(self.tried[0].chosen.sum(axis=0))
        return treatments[int(taken[0])] if len(taken) == 1 else None

    def served(self, rules: Mapping[str, Own]) -> tuple[Served, ...]:
        """Per policy under rules of its own."""
        return tuple(
            a.served(name, o.temperature, o.floor, o.rules_digest, self.decisions)
            for (name, o), a in zip(rules.items(), self.apart, strict=True)
        )


def _same_instant(log: Log) -> int:
    return int(((log.gap_days[:-1] == 0) & (log.customer[1:] == log.customer[:-1])).sum())


def decided(chosen: Sequence[Adapted], shard: Shard, prices: Prices | None) -> tuple[np.ndarray, ...]:
    """What every policy would have done in a part, (n, A) each; under its own rules where these are known."""
    return tuple(on_log(policy, shard.log, prices, shard.masks.get(policy.name)) for policy in chosen)


def look(
    shards: Shards,
    chosen: Sequence[Adapted],
    given: Sequence[object],
    prices: Prices | None,
    rules: Sequence[str],
    training: Log | None,
    advance: Advance,
) -> Seen:
    """Go through every part once.

    given: the policies as they came, whose ranges of prices are checked; training: a log of others, InputError for a
    customer who is in both
    """

    def one(part: int) -> Seen:
        shard = shards[part]
        check_prices(given, shard.log, prices)
        both = np.intersect1d([] if training is None else training.customer_id, shard.log.customer_id)
        if len(both):
            need = "must not be a customer of the evaluated log"
            raise InputError(need, field="training_log", value=str(both[0]))
        seen = Seen.of(shard, decided(chosen, shard, prices), rules)
        advance(shard.log.customers)
        return seen

    return added(one(part) for part in range(len(shards)))


def logging_support(name: str, tried: Tried, customers: int) -> Support:
    """Of the logging policy by its own log."""
    alive, ones = tried.alive, np.ones(len(tried.alive))
    everyone = np.full(len(alive), float(customers))
    return Support(name, alive.astype(np.float64), everyone, alive, ones, ones, 0.0, float(customers))
