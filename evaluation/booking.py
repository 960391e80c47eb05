"""What a log booked: its second reading, in which rewards are read and every part is laid out for the estimators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.adapt import Adapted
from evaluation.adding import LARGEST, added
from evaluation.changes import Flows, Kinds
from evaluation.demand import Days, Resources
from evaluation.guaranteed import largest_possible, within
from evaluation.late import open_windows
from evaluation.log import Digest, Log
from evaluation.looking import Advance, decided
from evaluation.offered import Offered
from evaluation.part import Needs, Part, laid_beside, laid_out
from evaluation.part_store import PartStore
from evaluation.propensity_check import Counted
from evaluation.reliability import Binned
from evaluation.shards import Shards
from evaluation.study import REWARD, Study, amounts
from evaluation.untried import Earned


@dataclass(frozen=True)
class Booked:
    """Sums over some decisions."""

    given: np.ndarray  # (1 + policies, treatments) decisions that got each, the log's own first
    counted: tuple[Counted]
    earned: tuple[Earned]
    discounted: float  # decisions, each counted by its discount
    open_windows: int  # decisions whose outcomes may still come
    binned: tuple[Binned] | None  # None: nothing was estimated
    used: np.ndarray | None  # (1 + policies, days, pools) units drawn; None: pools are not looked at
    # (policies,) weight that any treatment could have got; None: not known
    possible: np.ndarray | None = field(metadata=LARGEST)

    @classmethod
    def of(
        cls,
        log: Log,
        probabilities: Sequence[np.ndarray],
        reward: np.ndarray,
        resources: Resources | None,
        days: Days,
        bins: np.ndarray | None,
    ) -> Booked:
        """Of one part. probabilities: per policy (n, A); reward: (n,); bins: of estimated probabilities"""
        counted = Counted.of(log)
        used = None
        if resources is not None:
            efforts = (resources.effort[log.treatment], *(p @ resources.effort for p in probabilities))
            used = np.stack([days.used(log, effort) for effort in efforts])
        known = log.behaviour is not None and log.horizon == 1
        return cls(
            given=np.stack([counted.chosen, *(p.sum(axis=0) for p in probabilities)]),
            counted=(counted,),
            earned=(Earned.of(log, reward),),
            discounted=float(log.discount.sum()),
            open_windows=open_windows(log),
            binned=None if bins is None else (Binned.of(log, bins),),
            used=used,
            possible=np.array([largest_possible(log.behaviour, p) for p in probabilities])
            if known and log.behaviour is not None
            else None,
        )


def book(
    study: Study,
    shards: Shards,
    chosen: Sequence[Adapted],
    needs: Needs,
    resources: Resources | None,
    days: Days,
    kinds: Kinds,
    offered: Offered,
    bins: np.ndarray | None,
    store: PartStore,
    advance: Advance,
) -> tuple[Booked, list[Flows], str]:
    """Go through every part once and put it into the store; -> sums, what each policy changes, the log's digest."""
    digest, start, rows, found, flows = Digest(), 0, 0, list[Booked](), list[Flows]()
    for number in range(len(shards)):
        shard = shards[number]
        log, probabilities = shard.log, decided(chosen, shard, study.prices)
        reward = amounts(log, study.prices)[REWARD]
        if study.settings.reward_range is not None and log.behaviour is not None and log.horizon == 1:
            within(reward, study.settings.reward_range, rows)
        found = [added([*found, Booked.of(log, probabilities, reward, resources, days, bins)])]
        here = [Flows.of(log, p, kinds, shard.labels) for p in probabilities]
        flows = [a + b for a, b in zip(flows, here, strict=True)] if flows else here
        arrays = laid_out(study, log, probabilities, needs, shard.labels) | laid_beside(shard, probabilities, offered)
        store.add(Part(start, log.customers, log.kind == "continuing", needs.k, arrays))
        digest.read(log)
        start, rows = start + log.customers, rows + len(log)
        advance(log.customers)
    return found[0], flows, digest.hexdigest()
