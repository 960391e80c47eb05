"""Tuning under a budget: every baseline's dials searched with the same number of simulated customer-days.

Successive halving (Jamieson & Talwalkar 2016) for frontiers: positions of the dials are spread over their ranges by a
Latin hypercube and run on a few customers; the third that comes closest to the hull of all of them, each at its own
annoyance, is run on three times as many, and the frontier is the hull of these. All customers are selection customers:
what the frontier is worth, only others can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from scipy.stats import qmc

from envs.errors import InputError
from envs.world import World
from evaluation.frontier import Frontier, hull
from evaluation.simulation import Totals
from evaluation.trial import Dialled, Trial
from training.progress import Advance

FIRST_TUNED = 15_000_000  # number of the first selection customer, apart from those that anything is tested on
KEPT = 3  # one position in so many survives the first round, on so many times the customers
POSITIONS = 36  # of the dials in the first round; assumed: enough for four dials
FEWEST = 50  # customers a position is run on


@dataclass(frozen=True)
class Dial:
    """A range to search: evenly, or evenly in the logarithm; `zero`: the share of positions where it is 0."""

    low: float
    high: float
    logarithmic: bool = False
    zero: float = 0.0

    def at(self, uniform: float) -> float:
        """uniform: in [0, 1)."""
        if uniform < self.zero:
            return 0.0
        place = (uniform - self.zero) / (1 - self.zero)
        if self.logarithmic:
            return float(self.low * (self.high / self.low) ** place)
        return float(self.low + (self.high - self.low) * place)


@dataclass(frozen=True)
class Family:
    """A baseline with its dials; one without dials is taken as it is."""

    name: str
    make: Callable[[Mapping[str, float]], Dialled] = field(repr=False)
    dials: Mapping[str, Dial] = field(default_factory=dict)
    listed: Sequence[Dialled] = ()  # positions that are tried besides, say one per treatment
    learning_days: int = 0  # customer-days that were simulated for it to learn from

    def positions(self, count: int, rng: np.random.Generator) -> list[Dialled]:
        """Where to look, `count` at most (or all that are listed)."""
        if not self.dials:
            return list(self.listed) or [self.make({})]
        spread = qmc.LatinHypercube(len(self.dials), rng=rng).random(max(1, count - len(self.listed)))
        drawn = [{name: dial.at(u) for (name, dial), u in zip(self.dials.items(), row, strict=True)} for row in spread]
        return [*self.listed, *(self.make(values) for values in drawn)]


@dataclass(frozen=True)
class Tuned:
    """A tuned baseline and what its tuning took."""

    frontier: Frontier
    learning_days: int  # customer-days
    tuning_days: int
    positions: int
    customers: tuple[int, int]  # of the two rounds

    @property
    def row(self) -> dict[str, object]:
        """For a table."""
        return {
            "baseline": self.frontier.name,
            "positions": self.positions,
            "corners": len(self.frontier.corners) - 1,
            "learning_days": self.learning_days,
            "tuning_days": self.tuning_days,
        }


def tune(
    family: Family, world: World, customer_days: int, *, days: int = 91, seed: int = 0, advance: Advance | None = None
) -> Tuned:
    """The frontier of a baseline, chosen with a budget of customer-days (what it learned from included).

    A baseline with a single position is not searched for; its one point is measured with half of the budget at most.
    advance: told the customer-days that are done
    """
    rng = np.random.default_rng(seed)
    positions = family.positions(POSITIONS, rng)
    left = customer_days - family.learning_days
    horizon = Trial(world, np.zeros(1, np.int64), days).customer_days
    few = left // 2 // ((len(positions) + 1) * horizon)  # silence is run as well
    if few < FEWEST:
        need = f"must be at least {2 * FEWEST * (len(positions) + 1) * horizon + family.learning_days}"
        raise InputError(need, field=f"customer-days for {family.name}", value=customer_days)
    spent = Spent(advance)
    survivors, customers, rounds = positions, few, [few]
    if len(positions) > KEPT:
        trial = Trial(world, FIRST_TUNED + np.arange(few), days, seed)
        totals = spent.run(trial, positions)
        survivors = [positions[k] for k in closest(totals, trial.silence, len(positions) // KEPT)]
        customers = left // 2 // ((len(survivors) + 1) * horizon)
    rounds.append(customers)
    trial = Trial(world, FIRST_TUNED + np.arange(customers), days, seed)
    totals = spent.run(trial, survivors)
    frontier = Frontier.chosen(family.name, survivors, totals, trial.silence)
    return Tuned(frontier, family.learning_days, spent.days, len(positions), (rounds[0], rounds[1]))


class Spent:
    """Counts what tuning simulates."""

    def __init__(self, advance: Advance | None = None) -> None:
        self.days, self._advance = 0, advance

    def run(self, trial: Trial, positions: Sequence[Dialled]) -> list[Totals]:
        """All positions, and silence."""
        self._count(trial, trial.silence)
        return [self._count(trial, trial.run(position)) for position in positions]

    def _count(self, trial: Trial, totals: Totals) -> Totals:
        self.days += trial.customer_days
        if self._advance is not None:
            self._advance(trial.customer_days)
        return totals


def closest(totals: Sequence[Totals], silence: Totals, keep: int) -> list[int]:
    """Positions that come closest to the hull of all: their gain over that of the hull at their annoyance."""
    annoyance = np.array([0.0, *(t.annoyance.mean() for t in totals)])
    gain = np.array([0.0, *((t.profit - silence.profit).mean() for t in totals)])
    corners = hull(annoyance, gain)
    level = np.interp(annoyance, annoyance[corners], gain[corners])
    share = np.where(level > 0, gain / np.where(level > 0, level, 1.0), -np.inf)[1:]
    share[corners[corners > 0] - 1] = np.inf  # the corners themselves, first
    return [int(k) for k in np.argsort(-share, kind="stable")[: max(1, keep)]]


def spending(tuned: Sequence[Tuned]) -> pl.DataFrame:
    """One row per baseline: what its tuning took."""
    return pl.DataFrame([one.row for one in tuned])
