"""Baselines that need choosing or tuning, on training customers only."""

from __future__ import annotations

import numpy as np

from agents.baselines import CoordinatedRules, Fixed, Random, Silence
from agents.myopic import Levers, Myopic
from agents.policy import Policy
from envs.catalogue import SILENCE
from envs.errors import InputError
from envs.prices import Prices
from envs.world import World
from evaluation.log import Log

FEWEST = 100  # logged decisions that match a treatment, below which it cannot be the best fixed one
NAMES = (SILENCE, "random", "coordinated_rules", "best_fixed", "myopic")
IN_A_WORLD = ("coordinated_rules", "myopic")  # these need one


def best_fixed(log: Log, prices: Prices) -> Fixed:
    """The treatment whose use in every decision has the best one-decision value on this (training) log.

    Self-normalised inverse propensity weighting per decision number, summed over decisions; a decision that forbids the
    treatment counts as silence, as the policy would act. Treatments with fewer than 100 matches are passed over: the
    best of many small samples is a lucky one (100 assumed).
    """
    reward, steps = log.reward(prices), log.step
    discount = log.gamma ** _days_before(log)
    best, chosen = -np.inf, 0
    for treatment in range(len(log.treatments)):
        wanted = np.where(log.mask[:, treatment], treatment, 0)
        match = log.treatment == wanted
        if match.sum() < FEWEST:
            continue
        weight = match / log.propensity
        totals = np.bincount(steps, weight), np.bincount(steps, weight * reward * discount)
        present = np.bincount(steps) / np.bincount(steps)[0]
        value = float((totals[1] / np.maximum(totals[0], 1e-12) * present).sum())
        if value > best:
            best, chosen = value, treatment
    return Fixed(chosen, "best_fixed")


def _days_before(log: Log) -> np.ndarray:  # (n,) float64, days since the customer's first decision
    cumulative = np.cumsum(log.gap_days) - log.gap_days
    first = np.flatnonzero(log.step == 0)
    return np.asarray(cumulative - cumulative[first][np.cumsum(log.step == 0) - 1])


def check_baseline(name: str, *, world: bool) -> None:
    """Refuse a name that is none, and a baseline that needs a world where there is none."""
    if name not in NAMES:
        raise InputError(f"must be one of: {', '.join(NAMES)}", field="baselines", value=name)
    if name in IN_A_WORLD and not world:
        raise InputError("needs a world: give --world", field="baselines", value=name)


def baseline(name: str, world: World | None, train: Log, prices: Prices, levers: Levers) -> Policy:
    """A baseline by name."""
    check_baseline(name, world=world is not None)
    if name == SILENCE:
        return Silence()
    if name == "random":
        return Random()
    if name == "best_fixed":
        return best_fixed(train, prices)
    assert world is not None  # as was checked
    if name == "coordinated_rules":
        return CoordinatedRules(world.catalogue, world.encoder)
    return Myopic(world, levers)
