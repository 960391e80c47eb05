"""Frontier: what one policy earns, spends and annoys as its price of annoyance is dialled, in a simulated world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agents.policy import Policy
from agents.price_range import told_prices
from envs.errors import InputError
from envs.prices import Prices, prices_from
from envs.world import World, load_world
from evaluation.market import price_ranges
from evaluation.price_frontier import PriceFrontier, positions, price_frontier
from evaluation.trial import Trial
from training.capacity_configs import FrontierConfig
from training.population import policy_of
from training.progress import progress
from training.runs import atomic_write, run_directory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 60_000_000  # number of the first customer, apart from those that anything learned from or was chosen on


@dataclass(frozen=True)
class DrawnFrontier:
    """A policy's frontier and where it stands."""

    directory: Path
    found: PriceFrontier

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row per price, per customer and beyond silence, with 95 % intervals."""
        return self.found.frame

    def figure(self) -> Figure:
        """Margin, gain and cost over annoyance."""
        return self.found.figure()

    def __str__(self) -> str:
        unit = f" {self.found.currency}" if self.found.currency else ""
        lines = [
            f"price {row['price']:,.4g}: gain {_of(row, 'gain')}{unit}, margin {_of(row, 'margin')}, "
            f"cost {_of(row, 'cost')}, annoyance {_of(row, 'annoyance')}"
            for row in self.frame.iter_rows(named=True)
        ]
        return "\n".join([*lines, f"picture: {self.directory / 'frontier.png'}"])


def _of(row: dict[str, float], part: str) -> str:
    return f"{row[part]:.4g} [{row[f'{part}_lo']:.4g}, {row[f'{part}_hi']:.4g}]"


def frontier(config: FrontierConfig) -> DrawnFrontier:
    """Run the policy at each price on the same customers with the same luck; write frontier.json and frontier.png."""
    world = load_world(config.world)
    policy = policy_of(config.policy, world)
    pools = prices_from(config.pool_prices, world.catalogue, world.schema).pools
    asked = config.prices or dialled(policy, world)
    for price in asked:
        told_prices([policy], Prices(price, pools), world.catalogue.pool_ids)
    trial = Trial(world, SHOWN + np.arange(config.customers), config.days, config.seed)
    directory = run_directory("frontier", config.out)
    found = DrawnFrontier(directory, drawn(policy, trial, asked, pools))
    atomic_write(directory / "frontier.json", json.dumps(found.frame.to_dicts(), indent=1) + "\n")
    picture = BytesIO()
    found.figure().savefig(picture, format="png", dpi=150)
    atomic_write(directory / "frontier.png", picture.getvalue())
    return found


def dialled(policy: Policy, world: World) -> tuple[float, ...]:
    """The prices at which a policy is looked at: over its range, and the usual one.

    InputError where it was trained at one price: nothing can be dialled.
    """
    low, high = price_ranges(policy, world)["annoyance"]
    if low >= high:
        raise InputError("must be a policy that was trained over a range of prices", field="policy", value=low)
    usual = prices_from(None, world.catalogue, world.schema).annoyance
    return tuple(sorted({*positions(high), *([usual] if usual <= high else [])}))


def drawn(policy: Policy, trial: Trial, prices: Sequence[float], pools: Sequence[float]) -> PriceFrontier:
    """The frontier of a policy, with a bar while it is drawn."""
    with progress("drawing the frontier (customers)", total=len(trial.customers) * len(prices)) as advance:
        return price_frontier(policy, trial, prices, pools, advance)
