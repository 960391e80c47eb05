"""What changes for whom: which decisions a policy would take otherwise than the log, whose, and an example of each.

At a decision the log did one thing and the policy has a probability for each: what changes is counted by probability.
Treatments are told apart by kind, product on a channel where these are known: another daypart is no change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from evaluation.log import Log
from evaluation.portrait import Portrait

FEWEST = 30  # customers of a group below which nothing is said of it; assumed, as for slices
MOST_CHANGES = 8  # that are listed; assumed: what a reader takes in
MOST_GROUPS = 5
DIGITS = 12  # of shares that are put in order: the order of a sum must not decide

Portraits = Callable[[int], Portrait]  # by row of the log


@dataclass(frozen=True)
class Change:
    """One thing done instead of another, as a share of all decisions."""

    before: str  # kind of treatment, as logged
    after: str  # as the policy would
    share: float


@dataclass(frozen=True)
class GroupChange:
    """A group of customers by what changes for it."""

    dimension: str
    label: str
    customers: int
    share: float  # of the group's decisions at which the policy would do something else
    most: Change | None  # the most frequent change, as a share of the group's decisions; None: nothing changes


@dataclass(frozen=True)
class Example:
    """One decision of one customer."""

    customer_id: str
    at: str  # ISO 8601, UTC
    logged: str  # treatment
    chosen: str  # the policy's most probable treatment there
    probability: float
    probability_logged: float  # the policy's, of what the log did
    change: Change  # the frequent change of which this is the middle one
    portrait: Portrait | None = None  # None: the log was not read from tables


@dataclass(frozen=True)
class Changed:
    """What one policy changes."""

    policy: str
    share: float  # of decisions at which it would do something else
    changes: tuple[Change, ...]  # the most frequent ones
    groups: tuple[GroupChange, ...]  # for whom it changes most
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Kinds:
    """What treatments are taken to be alike."""

    names: tuple[str, ...]
    of: np.ndarray  # (treatments,) int, position in names

    @classmethod
    def named(cls, kinds: tuple[str, ...]) -> Kinds:
        """From a name for each treatment."""
        names = tuple(dict.fromkeys(kinds))
        return cls(names, np.array([names.index(kind) for kind in kinds]))

    def flow(self, log: Log, probabilities: np.ndarray, rows: np.ndarray) -> np.ndarray:  # (kinds, kinds)
        """Share of these decisions that go from one kind to another. rows: (n,) bool"""
        return self.counted(log, probabilities, rows) / max(int(rows.sum()), 1)

    def counted(self, log: Log, probabilities: np.ndarray, rows: np.ndarray) -> np.ndarray:  # (kinds, kinds)
        """How many of these decisions go from one kind to another. rows: (n,) bool"""
        size = len(self.names)
        after = probabilities[rows] @ np.eye(size)[self.of]
        flow = np.zeros((size, size))
        np.add.at(flow, self.of[log.treatment[rows]], after)
        return flow

    def changes(self, flow: np.ndarray, most: int) -> Iterator[Change]:
        """The most frequent ones, the largest first."""
        apart = flow * ~np.eye(len(flow), dtype=bool)
        for place in np.argsort(-apart.round(DIGITS), axis=None, kind="stable")[:most]:
            before, after = np.unravel_index(place, apart.shape)
            if apart[before, after] > 0:
                yield Change(self.names[before], self.names[after], float(apart[before, after]))


Group = tuple[str, str]  # dimension, label


@dataclass(frozen=True)
class Flow:
    """What some customers' decisions go from and to."""

    customers: int
    decisions: int
    counts: np.ndarray  # (kinds, kinds)

    def __add__(self, other: Flow) -> Flow:
        both = self.customers + other.customers, self.decisions + other.decisions
        return Flow(*both, self.counts + other.counts)

    @property
    def shares(self) -> np.ndarray:
        return np.asarray(self.counts / max(self.decisions, 1))


@dataclass(frozen=True)
class Flows:
    """Of some customers, and of each of their groups."""

    all: Flow
    groups: Mapping[Group, Flow]

    @classmethod
    def of(cls, log: Log, probabilities: np.ndarray, kinds: Kinds, labels: Mapping[str, np.ndarray]) -> Flows:
        """Of a log, or a part of one. probabilities: (n, treatments); labels: by dimension, (customers,) str"""

        def flow(some: np.ndarray) -> Flow:  # (customers,) bool
            rows = some[log.customer]
            return Flow(int(some.sum()), int(rows.sum()), kinds.counted(log, probabilities, rows))

        groups = {(name, str(label)): flow(of == label) for name, of in labels.items() for label in np.unique(of)}
        return cls(flow(np.ones(log.customers, dtype=bool)), groups)

    def __add__(self, other: Flows) -> Flows:
        groups = dict(self.groups)
        for group, flow in other.groups.items():
            groups[group] = groups[group] + flow if group in groups else flow
        return Flows(self.all + other.all, groups)


def changed(
    policy: str,
    log: Log,
    probabilities: np.ndarray,
    kinds: Kinds,
    labels: Mapping[str, np.ndarray],
    examples: int,
    portraits: Portraits | None = None,
) -> Changed:
    """What a policy changes. probabilities: (n, treatments); labels: by dimension, (customers,) str"""
    found = examples_of(log, probabilities, kinds, examples, portraits)
    return changed_by(policy, Flows.of(log, probabilities, kinds, labels), kinds, found)


def changed_by(policy: str, flows: Flows, kinds: Kinds, examples: tuple[Example, ...]) -> Changed:
    """What a policy changes, of the flows of all customers."""
    shares, order = flows.all.shares, list(dict.fromkeys(dimension for dimension, _ in flows.groups))
    groups = [
        GroupChange(
            dimension,
            label,
            flow.customers,
            float(1 - np.trace(flow.shares)),
            next(kinds.changes(flow.shares, 1), None),
        )
        for (dimension, label), flow in sorted(flows.groups.items(), key=lambda g: (order.index(g[0][0]), g[0][1]))
        if FEWEST <= flow.customers < flows.all.customers  # a group of everybody is no group
    ]
    groups.sort(key=lambda one: -round(one.share, DIGITS))
    changes = tuple(kinds.changes(shares, MOST_CHANGES))
    return Changed(policy, float(1 - np.trace(shares)), changes, tuple(groups[:MOST_GROUPS]), examples)


def examples_of(
    log: Log, probabilities: np.ndarray, kinds: Kinds, most: int, portraits: Portraits | None
) -> tuple[Example, ...]:
    """Of the most frequent changes, with portraits where these can be had."""
    return tuple(
        replace(one, portrait=None if portraits is None else portraits(row))
        for row, one in chosen_examples(log, probabilities, kinds, most)
    )


def chosen_examples(log: Log, probabilities: np.ndarray, kinds: Kinds, most: int) -> Iterator[tuple[int, Example]]:
    """Row and example of each of the most frequent changes between what was done and what the policy would most
    probably do: of all such decisions in order of time the middle one, of a customer who is no example yet.

    No reward is looked at, so that nobody is an example because it went well.
    """
    best = probabilities.argmax(axis=1)
    before, after = kinds.of[log.treatment], kinds.of[best]
    size = len(kinds.names)
    pairs, count = np.unique((before * size + after)[before != after], return_counts=True)
    taken: set[int] = set()
    for pair, number in sorted(zip(pairs.tolist(), count.tolist(), strict=True), key=lambda found: -found[1])[:most]:
        rows = np.flatnonzero((before * size + after == pair) & ~np.isin(log.customer, sorted(taken)))
        if not len(rows):
            continue
        order = np.lexsort((log.decision_id[rows], log.at[rows]))
        row = int(rows[order[(len(rows) - 1) // 2]])
        taken.add(int(log.customer[row]))
        change = Change(kinds.names[pair // size], kinds.names[pair % size], number / len(log))
        yield row, _example(log, probabilities[row], row, int(best[row]), change)


def _example(log: Log, probability: np.ndarray, row: int, best: int, change: Change) -> Example:
    return Example(
        customer_id=str(log.customer_id[row]),
        at=str(log.at[row]),
        logged=log.treatments[log.treatment[row]],
        chosen=log.treatments[best],
        probability=float(probability[best]),
        probability_logged=float(probability[log.treatment[row]]),
        change=change,
    )
