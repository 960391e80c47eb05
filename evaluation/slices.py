"""Slices: what a policy changes for each group of customers, with intervals for as many groups as are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from evaluation.intervals import Between
from evaluation.terms import Terms

FEWEST = 30  # customers of a slice below which nothing is said of it; assumed


@dataclass(frozen=True)
class Slice:
    """One group of customers under one policy; bounds hold for all slices of the policy together."""

    policy: str
    dimension: str  # a column of the profile, or `month`
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
    """What slices are made of, for one policy; C customers."""

    policy: str
    reward: tuple[Terms, Terms]  # of the policy, of the reference
    annoyance: tuple[Terms, Terms]
    contacts: np.ndarray  # (C,) expected contacts
    contacts_before: np.ndarray  # (C,) logged ones
    decisions: np.ndarray  # (C,)


def slices(one: Sliced, labels: Mapping[str, np.ndarray], confidence: float) -> Iterator[Slice]:
    """Every slice of some dimensions. labels: by dimension, (C,) str

    The lead estimate anew among the customers of the slice, its normal interval by the delta method; Bonferroni over
    the slices of the policy, for either amount.
    """
    groups = [
        (dimension, str(label), np.flatnonzero(of == label))
        for dimension, of in labels.items()
        for label in np.unique(of)
    ]
    groups = [group for group in groups if len(group[2]) >= FEWEST]
    reach = float(ndtri(1 - (1 - confidence) / (2 * max(1, 2 * len(groups)))))
    for dimension, label, rows in groups:
        total = max(float(one.decisions[rows].sum()), 1.0)
        gain, annoyance = (_change(mine, base, rows, reach) for mine, base in (one.reward, one.annoyance))
        shares = (float(contacts[rows].sum()) / total for contacts in (one.contacts, one.contacts_before))
        yield Slice(one.policy, dimension, label, len(rows), gain, annoyance, *shares)


def _change(mine: Terms, base: Terms, rows: np.ndarray, reach: float) -> Between:
    a, b = mine.taken(rows), base.taken(rows)
    value = a.estimate() - b.estimate()
    half = reach * float((a.influence() - b.influence()).std(ddof=1)) / np.sqrt(len(rows))
    return Between(value, value - half, value + half)
