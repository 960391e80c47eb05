"""Slices: what a policy changes for each group of customers, with intervals for as many groups as are looked at."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from evaluation.intervals import Between, without_rounding
from evaluation.moments import Moments
from evaluation.terms import Means, Terms

FEWEST = 30  # customers of a slice below which nothing is said of it; assumed


@dataclass(frozen=True)
class Slice:
    """One group of customers under one policy; bounds hold for all slices of the policy together."""

    policy: str
    dimension: str  # a column of the profile, `month` or `channel`
    label: str
    customers: int
    gain: Between  # of the reward, per customer of the slice
    annoyance: Between
    contacts: float  # share of decisions at which the policy contacts
    contacts_before: float  # and at which the log did

    @property
    def worse(self) -> bool:
        """Surely loses, or is surely annoyed more."""
        return self.gain.hi < 0 or self.annoyance.lo > 0


@dataclass(frozen=True)
class Sliced:
    """What slices are made of, for one policy and some customers."""

    policy: str
    reward: tuple[Terms, Terms]  # of the policy, of the reference
    annoyance: tuple[Terms, Terms]
    contacts: np.ndarray  # (customers,) expected contacts
    contacts_before: np.ndarray  # (customers,) logged ones
    decisions: np.ndarray  # (customers,)


Labelled = tuple[Sliced, Mapping[str, np.ndarray]]  # labels: by dimension, (customers,) str
Group = tuple[str, str]  # dimension, label


@dataclass
class _Sums:
    """Of one group: how many it has, what they did, and then how far customers lie apart."""

    customers: int = 0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(3))  # decisions, contacts, contacts before
    means: list[Means] = field(default_factory=list)  # of the four terms
    apart: list[Moments] = field(default_factory=lambda: [Moments(), Moments()])  # influence on gain and annoyance


def slices(one: Sliced, labels: Mapping[str, np.ndarray], confidence: float) -> Iterator[Slice]:
    """Of customers who are all at hand, see `slices_of`."""
    yield from slices_of(lambda: iter([(one, labels)]), confidence)


def slices_of(parts: Callable[[], Iterator[Labelled]], confidence: float) -> Iterator[Slice]:
    """Every slice of some dimensions. parts: of the customers, gone through twice

    The lead estimate anew among the customers of the slice, its interval by the delta method and Student's t with the
    degrees of freedom of `Moments`; Bonferroni over the slices of the policy, for either amount.
    """
    groups, policy = _counted(parts)
    kept = {group: sums for group, sums in groups.items() if sums.customers >= FEWEST}
    for one, labels in parts():
        for group, rows in _rows(labels, kept):
            for k, pair in enumerate((one.reward, one.annoyance)):
                mine, base = (kept[group].means[2 * k + j].influence(pair[j].taken(rows)) for j in (0, 1))
                kept[group].apart[k] += Moments.of(mine - base)
    tail = (1 - confidence) / (2 * max(1, 2 * len(kept)))
    for (dimension, label), sums in kept.items():
        values = [mean.estimate() for mean in sums.means]
        apart = [without_rounding(values[k] - values[k + 1], abs(values[k]) + abs(values[k + 1])) for k in (0, 2)]
        gain, annoyance = (between(float(of), own, tail) for of, own in zip(apart, sums.apart, strict=True))
        shares = (float(count) / max(float(sums.counts[0]), 1.0) for count in sums.counts[1:])
        yield Slice(policy, dimension, label, sums.customers, gain, annoyance, *shares)


def _counted(parts: Callable[[], Iterator[Labelled]]) -> tuple[dict[Group, _Sums], str]:
    """Sums and means of every group, dimension by dimension and label by label."""
    groups: dict[Group, _Sums] = {}
    policy, order = "", list[str]()
    for one, labels in parts():
        policy, order = one.policy, list(labels)
        for group, rows in _rows(labels):
            sums = groups.setdefault(group, _Sums())
            four = [terms.taken(rows) for pair in (one.reward, one.annoyance) for terms in pair]
            fresh = [Means.of([terms]) for terms in four]
            sums.means = [
                Means.pooled(a, sums.customers, b, len(rows)) for a, b in zip(sums.means or fresh, fresh, strict=True)
            ]
            sums.customers += len(rows)
            columns = (one.decisions, one.contacts, one.contacts_before)
            sums.counts = sums.counts + np.array([float(column[rows].sum()) for column in columns])
    return {group: groups[group] for group in sorted(groups, key=lambda g: (order.index(g[0]), g[1]))}, policy


def _rows(
    labels: Mapping[str, np.ndarray], among: Container[Group] | None = None
) -> Iterator[tuple[Group, np.ndarray]]:
    """The customers of each group, as positions. among: the groups that are wanted, None: all"""
    for dimension, of in labels.items():
        for label in np.unique(of):
            if among is None or (dimension, str(label)) in among:
                yield (dimension, str(label)), np.flatnonzero(of == label)


def between(value: float, moments: Moments, tail: float) -> Between:
    """A value with its bounds by the delta method and Student's t. tail: probability beyond either"""
    half = -float(stdtrit(moments.freedom, tail)) * moments.error
    return Between(value, value - half, value + half)
