"""Robustness: what policies are worth in stress worlds, at equal annoyance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from agents.baselines import Silence
from agents.policy import Policy
from envs.prices import Prices
from envs.rules import Rules
from envs.stress import stressed, stresses_of
from envs.world import World
from evaluation.intervals import mean_interval
from evaluation.simulation import Totals, simulate

PLAIN = "none"  # the world as it is


@dataclass(frozen=True)
class Setting:
    """How policies are run: the same customers and luck for all."""

    customers: np.ndarray  # (n,) int, their numbers
    days: int = 91
    seed: int = 0
    prices: Prices | None = None
    rules: Mapping[str, Rules] | None = None  # policy -> its own rule book (silos)
    cadence_days: Mapping[str, int] | None = None  # policy -> days between its decisions

    def run(self, name: str, policy: Policy, world: World) -> Totals:
        """One policy in one world."""
        own = (self.rules or {}).get(name)
        there = world if own is None else replace(world, rules=own)
        cadence = (self.cadence_days or {}).get(name)
        return simulate(
            there, policy, self.customers, self.days, seed=self.seed, prices=self.prices, cadence_days=cadence
        )


def robustness(
    policies: Mapping[str, Policy], world: World, names: Sequence[str] | None = None, *, setting: Setting
) -> pl.DataFrame:
    """One row per stress and policy: gain over silence in that world, and the gain at equal annoyance.

    names: stresses, default all that change this world; the world as it is comes first. Policies that contact nobody
    anywhere are left out of the level.

    Equal annoyance: a policy that acts for a share s of the customers, drawn by lot, and is silent to the others has s
    times the gain and s times the annoyance. The level is the smallest mean annoyance of any policy in any world, so
    that all rows can be read side by side. kept: the gain at that level, over the same in the world as it is.
    """
    worlds = {PLAIN: world, **{n: stressed(world, n) for n in (stresses_of(world) if names is None else names)}}
    totals = {
        (stress, name): setting.run(name, policy, there)
        for stress, there in worlds.items()
        for name, policy in policies.items()
    }
    silent = {stress: setting.run("silence", Silence(), there).profit for stress, there in worlds.items()}
    annoyance = {key: float(t.annoyance.mean()) for key, t in totals.items()}
    level = min((a for a in annoyance.values() if a > 0), default=0.0)
    rows: list[dict[str, object]] = []
    plain: dict[str, float] = {}
    for (stress, name), t in totals.items():
        gain = t.profit - silent[stress]
        share = level / annoyance[stress, name] if annoyance[stress, name] > 0 else np.nan
        whole, equal = mean_interval(gain), mean_interval(share * gain)
        plain.setdefault(name, equal.value)
        rows.append(
            {
                "stress": stress, "policy": name, "gain": whole.value, "gain_lo": whole.lo, "gain_hi": whole.hi,
                "annoyance": annoyance[stress, name], "level": level,
                "gain_at_level": equal.value, "at_level_lo": equal.lo, "at_level_hi": equal.hi,
                "kept": equal.value / plain[name] if plain[name] else np.nan,
            }
        )  # fmt: skip
    return pl.DataFrame(rows)
