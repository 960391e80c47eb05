"""Frontiers: what policies gain at equal annoyance.

A policy that is dialled (by levers, by prices, or with one position only) has points: gain over silence and annoyance.
On *selection* customers its frontier is chosen: the corners of the upper concave hull of all points, silence among
them. Between two corners lies the mixture that treats each customer, by lot, as one or the other does. The frontier is
then measured on *other* customers: its corners are run on them, and at a level L of annoyance

    gain of customer i:   (1 - s) g_low,i + s g_high,i  -  slope x ((1 - s) a_low,i + s a_high,i - L)

with s the share for which the mixture of the two neighbouring corners annoys L in the mean of these customers: whoever
runs the lottery can set its share by the annoyance that comes out, and the share has not seen the gains. The last term
is nothing in the mean. It makes the interval that of an s found on the same customers (the delta method), so that two
frontiers are compared at annoyance that is equal to the last digit.

**Beyond its end** a frontier stays there: whoever cannot use more annoyance gains as much with less. No slope holds
there, `reached` is False, and the annoyance stated is what it really causes. The same goes for a level below silence's
own annoyance, which nobody reaches. Nothing makes a measured frontier concave, or its end its best point: these were
chosen on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from envs.errors import InputError
from evaluation.intervals import Interval, mean_interval, pooled_difference, pooled_seeds
from evaluation.simulation import Progress, Totals
from evaluation.trial import SILENT, Dialled, Trial


class Mixture(NamedTuple):
    """Two neighbouring corners of a frontier, and how many customers are treated as the second does."""

    low: int
    high: int
    share: float  # of the second
    slope: float  # gain per unit of annoyance between them; 0 beyond the end
    reached: bool

    def of(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The mean over the lot. (customers,) each."""
        return np.asarray((1 - self.share) * low + self.share * high)


@dataclass(frozen=True)
class Frontier:
    """Positions of a policy's dials, chosen on some customers, from the least annoyance to the most gain."""

    name: str
    corners: tuple[Dialled, ...] = field(repr=False)
    annoyance: np.ndarray  # (corners,) float64, opt-outs per customer, rising
    gain: np.ndarray  # (corners,) float64, currency per customer over silence, rising ever more slowly

    @classmethod
    def chosen(cls, name: str, dialled: Sequence[Dialled], totals: Sequence[Totals], silence: Totals) -> Frontier:
        """The hull of what these positions did to the same customers. totals: one per position."""
        offered = (SILENT, *dialled)
        everything = (silence, *totals)
        annoyance = np.array([t.annoyance.mean() for t in everything])
        gain = np.array([(t.profit - silence.profit).mean() for t in everything])
        best = hull(annoyance, gain)
        return cls(name, tuple(offered[k] for k in best), annoyance[best], gain[best])

    @property
    def reach(self) -> float:
        """Annoyance at its end; more of it brings this policy nothing."""
        return float(self.annoyance[-1])

    def at(self, level: float) -> Mixture:
        """The mixture whose mean annoyance was the given one. level: opt-outs per customer."""
        return between(self.annoyance, self.gain, level)

    def gain_at(self, level: float) -> float:
        """Gain per customer on the customers it was chosen on: flattering, since the best points were picked there."""
        mix = self.at(level)
        return float((1 - mix.share) * self.gain[mix.low] + mix.share * self.gain[mix.high])

    def measured(self, trial: Trial, progress: Progress | None = None) -> Measured:
        """Run its corners on other customers."""
        return Measured(self, tuple(trial.run(corner, progress) for corner in self.corners), trial.silence)


@dataclass(frozen=True)
class Measured:
    """A frontier and what its corners did to customers that it was not chosen on."""

    frontier: Frontier
    totals: tuple[Totals, ...] = field(repr=False)  # one per corner
    silence: Totals = field(repr=False)

    @cached_property
    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean annoyance and gain of every corner, (corners,) each, by annoyance; see `order`."""
        annoyance = np.array([t.annoyance.mean() for t in self.totals])
        gain = np.array([(t.profit - self.silence.profit).mean() for t in self.totals])
        return annoyance[self.order], gain[self.order]

    @cached_property
    def order(self) -> np.ndarray:  # (corners,) int
        """Corners by the annoyance that came out: neighbours may have changed places."""
        return np.argsort([t.annoyance.mean() for t in self.totals], kind="stable")

    @property
    def reach(self) -> float:
        """The most annoyance of any corner."""
        return float(self.means[0][-1])

    def at(self, level: float) -> Mixture:
        """The mixture whose mean annoyance is the given one on these customers; its corners are places in `order`."""
        return between(*self.means, level)

    def gain(self, level: float) -> np.ndarray:  # (customers,) float64, currency
        """Each customer's gain over silence at a mean annoyance; see the top of this file."""
        mix, low, high = self._neighbours(level)
        gain = mix.of(low.profit - self.silence.profit, high.profit - self.silence.profit)
        return np.asarray(gain - mix.slope * (mix.of(low.annoyance, high.annoyance) - level))

    def annoyance(self, level: float) -> np.ndarray:  # (customers,) float64, opt-outs
        """Each customer's annoyance under the mixture for a level."""
        mix, low, high = self._neighbours(level)
        return mix.of(low.annoyance, high.annoyance)

    def _neighbours(self, level: float) -> tuple[Mixture, Totals, Totals]:
        mix = self.at(level)
        return mix, self.totals[self.order[mix.low]], self.totals[self.order[mix.high]]

    @property
    def frame(self) -> pl.DataFrame:
        """One row per corner: annoyance and gain with their 95 % intervals."""
        return pl.DataFrame(
            [
                {"frontier": self.frontier.name, "setting": corner.name}
                | mean_interval(t.annoyance).named("annoyance")
                | mean_interval(t.profit - self.silence.profit).named("gain")
                for corner, t in zip(self.frontier.corners, self.totals, strict=True)
            ]
        )


@dataclass(frozen=True)
class Compared:
    """Two frontiers at one level of annoyance, paired by customer."""

    level: float
    mine: Interval  # gain per customer, currency
    theirs: Interval
    difference: Interval
    annoyance: tuple[float, float]  # mean annoyance of mine and theirs as it came out
    reached: tuple[bool, bool]  # whether mine and theirs can use so much annoyance

    @property
    def row(self) -> dict[str, object]:
        """For a table."""
        found: dict[str, object] = {"level": self.level}
        for name, said in (("mine", self.mine), ("theirs", self.theirs), ("difference", self.difference)):
            found |= said.named(name)
        found |= {"annoyance_mine": self.annoyance[0], "annoyance_theirs": self.annoyance[1]}
        return found | {"reached_mine": self.reached[0], "reached_theirs": self.reached[1]}


def equal_annoyance(
    mine: Measured | Sequence[Measured], theirs: Measured | Sequence[Measured], level: float, confidence: float = 0.95
) -> Compared:
    """Gain of one frontier less the other's at a mean annoyance, on the same customers.

    Several of a kind are the same policy trained with several seeds, tested on the same customers with the same luck:
    intervals then hold both sources of chance (`evaluation.intervals.pooled_difference`).
    """
    ours, others = _several(mine), _several(theirs)
    gains = [np.stack([one.gain(level) for one in side]) for side in (ours, others)]
    if gains[0].shape[1] != gains[1].shape[1]:
        need = f"must be tested on the same {gains[0].shape[1]} customers"
        raise InputError(need, field="theirs", value=gains[1].shape[1])
    return Compared(
        level,
        pooled_seeds(gains[0], confidence),
        pooled_seeds(gains[1], confidence),
        pooled_difference(gains[0], gains[1], confidence),
        (_mean_annoyance(ours, level), _mean_annoyance(others, level)),
        (_all_reach(ours, level), _all_reach(others, level)),
    )


def between(annoyance: np.ndarray, gain: np.ndarray, level: float) -> Mixture:
    """The mixture of two neighbours that annoys so much. annoyance, gain: (corners,) float64, by annoyance."""
    if not (np.isfinite(level) and level >= 0):
        raise InputError("must be a number >= 0", field="annoyance level", value=level)
    if not annoyance[0] < level <= annoyance[-1]:
        end = 0 if level <= annoyance[0] else len(annoyance) - 1
        return Mixture(end, end, 0.0, 0.0, bool(level == annoyance[0]))
    high = int(np.searchsorted(annoyance, level))
    width = annoyance[high] - annoyance[high - 1]
    share = (level - annoyance[high - 1]) / width
    return Mixture(high - 1, high, float(share), float((gain[high] - gain[high - 1]) / width), True)


def hull(annoyance: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Corners of the least function above all points that never falls and is concave; both (n,) -> positions.

    Andrew (1979), "Another efficient algorithm for convex hulls in two dimensions": the upper chain, up to its top.
    """
    corners: list[int] = []
    for k in np.lexsort((-gain, annoyance)).tolist():
        if corners and gain[k] <= gain[corners[-1]]:
            continue
        while len(corners) > 1 and _below(
            annoyance[[corners[-2], corners[-1], k]], gain[[corners[-2], corners[-1], k]]
        ):
            corners.pop()
        corners.append(k)
    return np.array(corners, np.int64)


def _below(x: np.ndarray, y: np.ndarray) -> bool:
    """Does the middle one of three points lie on or below the line through the others?"""
    return bool((y[1] - y[0]) * (x[2] - x[0]) <= (y[2] - y[0]) * (x[1] - x[0]))


def _several(tested: Measured | Sequence[Measured]) -> tuple[Measured, ...]:
    return (tested,) if isinstance(tested, Measured) else tuple(tested)


def _mean_annoyance(tested: Sequence[Measured], level: float) -> float:
    return float(np.mean([t.annoyance(level).mean() for t in tested]))


def _all_reach(tested: Sequence[Measured], level: float) -> bool:
    return all(t.at(level).reached for t in tested)
