"""Fairness: whether a policy treats a protected group unlike all others, beyond what the log already did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from evaluation.intervals import Between
from evaluation.moments import Moments
from evaluation.protected import Groups
from evaluation.slices import FEWEST, between
from evaluation.terms import Means, Terms, ratio_of

Turn = Literal["wider", "narrower", "not told apart"]
ROUNDING = 1e-9  # of a difference that is nothing


@dataclass(frozen=True)
class Fairness:
    """A protected group and all other customers under one policy, by one amount.

    Bounds of one kind hold for all groups and amounts of the policy together.
    """

    policy: str
    dimension: str  # a protected column
    label: str
    customers: int  # of the group
    # offers: share of decisions at which a contact offers a product; annoyance: per customer, by the lead estimate
    amount: Literal["offers", "annoyance"]
    product: str | None  # that is offered; None: any
    group: float  # under the policy
    others: float
    group_before: float  # under the log
    others_before: float
    difference: Between  # group less others, under the policy
    before: Between  # under the log
    change: Between  # of the difference, by the policy

    @property
    def turn(self) -> Turn:
        """What the policy surely does to the difference."""
        now, log, change = (_side(one) for one in (self.difference, self.before, self.change))
        if now and now == change:
            return "wider"
        return "narrower" if log and log == -change else "not told apart"

    @property
    def worse(self) -> bool:
        """The group is surely offered less than others or annoyed more, and surely more so than in the log."""
        bad = -1 if self.amount == "offers" else 1
        return self.turn == "wider" and _side(self.change) == bad


def _side(found: Between) -> int:
    """On which side of nothing all of an interval lies; 0: on neither."""
    return int(found.lo > ROUNDING) - int(found.hi < -ROUNDING)


class Measure(NamedTuple):
    """An amount of some customers, under a policy and under the log."""

    amount: Literal["offers", "annoyance"]
    product: str | None
    terms: tuple[Terms, Terms]


@dataclass(frozen=True)
class Offers:
    """How many products are offered to some customers."""

    products: tuple[str, ...]
    policy: np.ndarray  # (customers, products) expected
    log: np.ndarray  # (customers, products)
    decisions: np.ndarray  # (customers,)

    def measures(self) -> Iterator[Measure]:
        """The share of decisions, of all products and of each where there are several."""
        below = self.decisions[:, None]

        def share(of: slice) -> tuple[Terms, Terms]:
            mine, log = (ratio_of(side[:, of].sum(axis=1)[:, None], below) for side in (self.policy, self.log))
            return mine, log

        yield Measure("offers", None, share(slice(None)))
        for k, product in enumerate(self.products if len(self.products) > 1 else ()):
            yield Measure("offers", product, share(slice(k, k + 1)))


@dataclass(frozen=True)
class Compared:
    """Some customers: what is measured of them, and the group of each by every protected column."""

    measures: Sequence[Measure]
    groups: Mapping[str, np.ndarray]  # (customers,) int, position in the names of `Groups`


@dataclass
class _Known:
    """A group, or all others: how many customers, and means of every measure under the policy and the log."""

    customers: int = 0
    means: list[tuple[Means, Means]] = field(default_factory=list)

    def __add__(self, other: _Known) -> _Known:
        if not self.customers or not other.customers:
            return self if self.customers else other
        pairs = zip(self.means, other.means, strict=True)
        sizes = self.customers, other.customers

        def pooled(a: Means, b: Means) -> Means:
            return Means.pooled(a, sizes[0], b, sizes[1])

        means = [(pooled(a[0], b[0]), pooled(a[1], b[1])) for a, b in pairs]
        return _Known(sum(sizes), means)

    @classmethod
    def of(cls, measures: Sequence[Measure], rows: np.ndarray) -> _Known:
        """Of the customers at these positions."""
        taken = ([terms.taken(rows) for terms in one.terms] for one in measures)
        return cls(len(rows), [(Means.of([mine]), Means.of([log])) for mine, log in taken])


def fairness_of(
    policy: str, parts: Callable[[], Iterator[Compared]], groups: Mapping[str, Groups], confidence: float
) -> Iterator[Fairness]:
    """Every protected group by every amount. parts: of the customers, gone through twice

    The estimate among the group less the one among all others; the interval by the delta method, customers being
    drawn independently,

        sum over the group of (n / n_group . influence)^2 + sum over the others of (n / n_others . influence)^2

    over n (n - 1), and Student's t with the degrees of freedom of `Moments`. Bonferroni over all groups and amounts of
    the policy. A group of fewer than FEWEST customers, or with as few others, is left out, as is a product that neither
    the policy nor the log offers.
    """
    known = _counted(parts, groups)
    pairs = {key: (mine, _others(known, key)) for key, mine in known.items() if _asked(groups[key[0]], key[1])}
    pairs = {key: pair for key, pair in pairs.items() if min(one.customers for one in pair) >= FEWEST}
    if not pairs:
        return
    measures = next(parts()).measures
    kept = [k for k in range(len(measures)) if _happens(next(iter(pairs.values())), k)]
    apart = {(key, k): [Moments(), Moments(), Moments()] for key in pairs for k in kept}
    for part in parts():
        for key, pair in pairs.items():
            inside = part.groups[key[0]] == key[1]
            for k in kept:
                mine, log = (_moved(part.measures[k].terms[j], inside, pair, k, j) for j in (0, 1))
                sums = apart[key, k]
                apart[key, k] = [a + Moments.of(b) for a, b in zip(sums, (mine, log, mine - log), strict=True)]
    tail = (1 - confidence) / (2 * len(apart))
    for (key, k), sums in apart.items():
        (group, group_before), (others, others_before) = ([m.estimate() for m in one.means[k]] for one in pairs[key])
        now, before = group - others, group_before - others_before
        bounds = (between(value, found, tail) for value, found in zip((now, before, now - before), sums, strict=True))
        yield Fairness(
            policy, key[0], groups[key[0]].names[key[1]], pairs[key][0].customers, measures[k].amount,
            measures[k].product, group, others, group_before, others_before, *bounds,
        )  # fmt: skip


Key = tuple[str, int]  # dimension, position of the group


def _counted(parts: Callable[[], Iterator[Compared]], groups: Mapping[str, Groups]) -> dict[Key, _Known]:
    """Every group."""
    found = {(name, at): _Known() for name, of in groups.items() for at in range(len(of.names))}
    for part in parts():
        for (name, at), known in found.items():
            rows = np.flatnonzero(part.groups[name] == at)
            if len(rows):
                found[name, at] = known + _Known.of(part.measures, rows)
    return found


def _others(known: Mapping[Key, _Known], key: Key) -> _Known:
    return sum((one for other, one in known.items() if other[0] == key[0] and other != key), _Known())


def _asked(groups: Groups, at: int) -> bool:
    return groups.only in (None, groups.names[at])


def _happens(pair: tuple[_Known, _Known], measure: int) -> bool:
    """False for what neither the policy nor the log does to anybody."""
    return any(mean.numerator.any() for one in pair for mean in one.means[measure])


def _moved(terms: Terms, inside: np.ndarray, pair: tuple[_Known, _Known], k: int, side: int) -> np.ndarray:
    """What each customer moves the difference by, times all customers."""
    everyone, moved = sum(one.customers for one in pair), np.empty(len(inside))
    for one, rows, sign in zip(pair, (inside, ~inside), (1, -1), strict=True):
        moved[rows] = sign * everyone / one.customers * one.means[k][side].influence(terms.taken(rows))
    return moved
