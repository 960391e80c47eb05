"""The range of prices on which a policy was trained: it is told of no other, in simulation, on a log, in serving."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from envs.errors import InputError
from envs.prices import Prices

Outside = Literal["refuse", "clamp"]  # what becomes of a price outside: an InputError, or the nearest end of the range
Range = Mapping[str, tuple[float, float]]  # price -> lowest and highest

log = logging.getLogger("nextbest.prices")


def inside(trained: Range, name: str, value: float, outside: Outside = "refuse", whose: str = "the policy") -> float:
    """A price as the policy may see it. whose: the range, for the message"""
    low, high = trained[name]
    if outside == "refuse" and not low <= value <= high:
        need = f"must be in [{low:g}, {high:g}], the range on which {whose} was trained"
        raise InputError(need, field=f"prices.{name}", value=value)
    return min(max(value, low), high)


def range_of(policy: object) -> Range:
    """The range that an artifact tells of itself; empty for a policy that was not trained at prices: any will do."""
    found: Range = getattr(getattr(policy, "manifest", None), "price_range", {})
    return found


def told_prices(
    policies: Iterable[object],
    prices: Prices,
    pools: Sequence[str],
    outside: Outside = "refuse",
    free: Collection[str] = (),
) -> Prices:
    """Prices that all of these policies may be told, see `told_by_name`.

    pools: ids of the pools, in order; free: prices that are not looked at, since others are found in their place
    """
    asked = dict(zip(("annoyance", *pools), prices.vector().tolist(), strict=True))
    looked_at = {name: value for name, value in asked.items() if name not in free}
    annoyance, *rest = (asked | told_by_name(policies, looked_at, outside)).values()
    return Prices(annoyance, tuple(rest))


def told_by_name(
    policies: Iterable[object], asked: Mapping[str, float], outside: Outside = "refuse"
) -> dict[str, float]:
    """The same of some prices, by name; a warning says what was clamped.

    InputError where one lies outside and is not to be clamped, or where the ranges of two policies have none in common.
    """
    ranges = [(range_of(policy), str(getattr(policy, "name", "the policy"))) for policy in policies]
    told = dict(asked)
    modes: tuple[Outside, ...] = (outside, "refuse")
    for mode in modes:
        for trained, whose in ranges:
            told |= {name: inside(trained, name, told[name], mode, whose) for name in told if name in trained}
    for name, value in clamped(asked, told).items():
        log.warning("prices.%s: %g in the place of %g, at which the policy was not trained", name, told[name], value)
    return told


def clamped(asked: Mapping[str, float], told: Mapping[str, float]) -> dict[str, float]:
    """What was asked of the prices that were clamped."""
    return {name: value for name, value in asked.items() if told[name] != value}


def warn_of_logged(policies: Iterable[object], logged: np.ndarray, names: Collection[str]) -> None:
    """Say how many of a log's own prices lie where a policy was not trained; it is shown them as they were logged.

    logged: (rows, prices) float64; names: of its columns
    """
    for policy in policies:
        trained = range_of(policy)
        ends = np.array([trained.get(name, (-np.inf, np.inf)) for name in names]).reshape(-1, 2)
        share = ((logged < ends[:, 0]) | (logged > ends[:, 1])).any(axis=1).mean() if len(logged) else 0.0
        if share > 0:
            where = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in trained.items())
            said = "%.1f %% of the log's decisions were taken at prices that %s was not trained at (%s): name one price"
            log.warning(said, 100 * share, getattr(policy, "name", "a policy"), where)
