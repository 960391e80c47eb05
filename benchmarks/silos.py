"""Siloed campaigns, as they are and tuned, and what other policies are beside them on the same customers and luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from agents.artifact import ArtifactPolicy
from agents.baselines import CoordinatedRules, SiloedCampaigns
from benchmarks.judged import Told
from benchmarks.realism import COMPARED, paired_ratio
from benchmarks.trained import ANNOYANCE_PRICES
from benchmarks.watched import watched
from envs.catalogue import SILENCE
from envs.counts import Counts
from envs.indicators import human_hours
from envs.prices import Prices
from envs.world import World
from evaluation.intervals import mean_interval
from evaluation.simulation import Totals
from evaluation.trial import Dialled, Trial
from training.simulate import under_silos
from training.tuned import BaselinesConfig, tuned_baselines

# CNY per minute, all pools alike. A first run stopped at 2: nothing fitted for three seeds.
POOL_PRICES = (0.0, 0.5, 2.0, 5.0)
PILOT = ("conversions per customer", "conversions after a contact, per customer", "customers who converted",
         "volume per human hour", "margin per human hour")  # fmt: skip
SPENT = ("cost", "annoyance")  # what may be no higher
Offered = Mapping[Prices, Totals]  # what a policy does to selection customers at each of some prices


def as_they_are(world: World) -> Dialled:
    """The silos of today."""
    silos = under_silos(world)
    return Dialled("silos", SiloedCampaigns(silos.catalogue, silos.encoder), rules=silos.rules, cadence_days=1)


def tuned_silos(budget: int, chosen: Trial, seed: int) -> Dialled:
    """Of the frontier that tuning finds, the corner that converts most on selection customers.

    budget: of the tuning, in customer-days. A frontier holds what gains most at some annoyance: silos that convert yet
    more than its corners earn less by it.
    """
    config = BaselinesConfig(names=("silos_tuned",), customer_days=budget, days=chosen.days, seed=seed)
    corners = tuned_baselines(config).frontiers["silos_tuned"].corners
    return max((c for c in corners if c.name != SILENCE), key=lambda c: float(chosen.run(c).conversions.mean()))


def offered(policy: ArtifactPolicy, trial: Trial) -> Offered:
    """A policy at every pair of a price of annoyance and one of the pools, on a trial's customers."""
    pools = len(policy.catalogue.pools)
    every = [Prices(annoyance, (price,) * pools) for annoyance in ANNOYANCE_PRICES for price in POOL_PRICES]
    return {prices: trial.run(Dialled("ppo", policy, prices)) for prices in every}


@dataclass(frozen=True)
class Silos:
    """Some silos on the customers of a trial, and what is held against them."""

    trial: Trial = field(repr=False)
    dialled: Dialled

    @cached_property
    def counts(self) -> list[Counts]:
        """By blocks of customers."""
        trial, rules = self.trial, self.dialled.rules
        world = trial.world if rules is None else replace(trial.world, rules=rules)
        return watched(world, self.dialled.policy, trial.customers, trial.days, trial.seed)

    @cached_property
    def totals(self) -> Totals:
        return self.trial.run(self.dialled)

    def designed(self) -> dict[str, float]:
        """The coordinated rules over the silos: what coordination does without learning."""
        world, trial = self.trial.world, self.trial
        rules = CoordinatedRules(world.catalogue, world.encoder)
        return self._ratios(watched(world, rules, trial.customers, trial.days, trial.seed))

    def others(self, other: Silos) -> dict[str, float]:
        """Other silos over these, on the same customers."""
        return self._ratios(other.counts) | self.spent(other.totals)

    def beside(self, policy: ArtifactPolicy, prices: Prices) -> dict[str, float]:
        """A policy at these prices over the silos: ratios with their intervals, differences of cost and annoyance."""
        trial = self.trial
        after = watched(trial.world, Told(policy, prices, trial.world.encoder), trial.customers, trial.days, trial.seed)
        found = trial.run(Dialled("ppo", policy, prices))
        extra = {"annoyance price": prices.annoyance, "pool price": prices.pools[0]}
        return self._ratios(after) | extra | self.spent(found)

    def affordable(self, at_prices: Offered) -> Prices:
        """The prices with most conversions among those that surely cost and annoy no more than the silos; else the
        highest."""
        best, most = max(at_prices, key=lambda prices: (prices.annoyance, prices.pools)), -np.inf
        for prices, found in at_prices.items():
            spent = self.spent(found)
            if max(spent[f"{name}, upper"] for name in SPENT) <= 0 and found.conversions.mean() > most:
                best, most = prices, float(found.conversions.mean())
        return best

    def spent(self, mine: Totals) -> dict[str, float]:
        """Cost and annoyance per customer less the silos', and the upper bounds of these, 95 %."""
        found = {name: mean_interval(getattr(mine, name) - getattr(self.totals, name)) for name in SPENT}
        return {name: f.value for name, f in found.items()} | {f"{name}, upper": f.hi for name, f in found.items()}

    def _ratios(self, after: Sequence[Counts]) -> dict[str, float]:
        """Ratios over the silos with their intervals; human hours beside."""
        found: dict[str, float] = {}
        for name in PILOT:
            value, lo, hi = paired_ratio(COMPARED[name][0], self.counts, after, self.trial.world.catalogue)
            found |= {name: value, f"{name} lo": lo, f"{name} hi": hi}
        hours, _, _ = paired_ratio(human_hours, self.counts, after, self.trial.world.catalogue)
        return found | {"human hours": hours}
