"""Limit: find the lowest price at which a policy keeps to a limit, and say whether it holds on other customers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from agents.baselines import Silence
from agents.policy import Policy
from agents.price_range import told_prices
from envs.errors import InputError
from envs.prices import Prices, prices_from
from envs.world import World, load_world
from evaluation.limits import HOLDS, MISSED, Checked, Measure, Search, Tried, check_price, lowest_price, parse_limit
from evaluation.market import price_ranges
from evaluation.simulation import Totals, simulate
from training.capacity_configs import LimitConfig
from training.population import policy_of
from training.progress import progress
from training.runs import atomic_write, run_directory

SEARCHED, CHECKED = (
    40_000_000,
    50_000_000,
)  # numbers of the first customers, apart from those that anything learned from


@dataclass(frozen=True)
class KeptLimit:
    """A price that keeps to a limit, what it does to other customers, and every price that was tried."""

    directory: Path
    checked: Checked
    tried: tuple[Tried, ...]
    lever: str
    currency: str

    @property
    def frame(self) -> pl.DataFrame:
        """One row per price that was tried, in the order of prices."""
        rows = [
            (t.price, t.found.value, t.found.lo, t.found.hi, t.kept) for t in sorted(self.tried, key=lambda t: t.price)
        ]
        return pl.DataFrame(rows, orient="row", schema=["price", "found", "lo", "hi", "kept"])

    def __str__(self) -> str:
        c = self.checked
        what = "price of annoyance" if self.lever == "annoyance" else "scale of all prices"
        unit = f" {self.currency} per opt-out" if self.lever == "annoyance" else ""
        found = f"{c.found.value:.3g} [{c.found.lo:.3g}, {c.found.hi:.3g}]"
        why = {HOLDS: "", MISSED: ": the whole interval lies above it"}.get(
            c.verdict, ": the interval reaches above it"
        )
        lowest = f"the lowest {what} that keeps to it is {c.price:.4g}{unit} (otherwise {c.usual:g})."
        if c.price == c.usual:
            lowest = f"the usual {what}, {c.usual:g}{unit}, keeps to it."
        return "\n".join(
            [
                f"{c.limit.words}: {lowest}",
                f"On other customers the limit {c.verdict}{why}: {found} there, {c.before.value:.3g} at {c.usual:g}.",
                f"The gain over silence is {c.gain.value:.2f} {self.currency} per customer [{c.gain.lo:.2f}, "
                f"{c.gain.hi:.2f}], {c.lost.value:+.2f} [{c.lost.lo:+.2f}, {c.lost.hi:+.2f}] against {c.usual:g}.",
            ]
        )

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "lever": self.lever,
            "verdict": self.checked.verdict,
            "checked": asdict(self.checked),
            "tried": self.frame.to_dicts(),
        }


def limit(config: LimitConfig) -> KeptLimit:
    """Search on some customers, check on others; write limit.json."""
    asked, world = parse_limit(config.limit), load_world(config.world)
    policy = policy_of(config.policy, world)
    annoyance = {} if config.annoyance_price is None else {"annoyance": config.annoyance_price}
    asked_of = prices_from({**config.pool_prices, **annoyance}, world.catalogue, world.schema)
    usual = told_prices([policy], asked_of, world.catalogue.pool_ids, config.prices_outside)
    lever = _Lever(config.lever, usual)
    search = lever.search(config, price_ranges(policy, world))
    if search.low >= search.high:
        raise InputError(f"must be below {search.high:g}, the highest", field="lowest", value=search.low)
    runs = config.steps + 5
    with progress("looking for the price", total=runs * config.customers) as advance:
        measured = _measure(world, policy, config, lever, advance)
        price, tried = lowest_price(measured(SEARCHED), asked, search)
        silence = _simulated(world, Silence(), config, CHECKED, usual)
        checked = check_price(measured(CHECKED), silence, asked, price, lever.usual)
    directory = run_directory("limit", config.out)
    found = KeptLimit(directory, checked, tried, config.lever, world.catalogue.currency)
    atomic_write(directory / "limit.json", json.dumps(found.to_dict(), indent=1) + "\n")
    return found


@dataclass(frozen=True)
class _Lever:
    """What a price of the search means."""

    kind: str
    prices: Prices  # otherwise

    @property
    def usual(self) -> float:
        """Where the lever stands otherwise."""
        return self.prices.annoyance if self.kind == "annoyance" else 1.0

    def at(self, price: float) -> Prices:
        """The prices at a position of the lever."""
        if self.kind == "annoyance":
            return Prices(price, self.prices.pools)
        return Prices(price * self.prices.annoyance, tuple(price * pool for pool in self.prices.pools))

    def search(self, config: LimitConfig, ranges: Mapping[str, tuple[float, float]]) -> Search:
        """The lever's range: as far as every price that it moves stays within its own."""
        if self.kind == "annoyance":
            low, top = ranges["annoyance"]
        else:
            values = zip(ranges.values(), self.prices.vector().tolist(), strict=True)
            moved = [(low / value, high / value) for (low, high), value in values if value > 0]
            if not moved:
                raise InputError("must be annoyance: all prices are 0, and stay so", field="lever", value=self.kind)
            low, top = max(low for low, _ in moved), min(high for _, high in moved)
        if config.highest is not None and config.highest > top * (1 + 1e-9):
            need = f"must be at most {top:g}, the end of the range on which the policy was trained"
            raise InputError(need, field="highest", value=config.highest)
        lowest = self.usual if config.lowest is None else config.lowest
        return Search(max(lowest, low), config.highest or top, config.steps, config.caution)


def _measure(
    world: World, policy: Policy, config: LimitConfig, lever: _Lever, advance: Callable[[float], None]
) -> Callable[[int], Measure]:
    """Of a population, by the number of its first customer: a price -> what the policy did."""

    def of(first: int) -> Measure:
        def measure(price: float) -> Totals:
            found = _simulated(world, policy, config, first, lever.at(price))
            advance(config.customers)
            return found

        return measure

    return of


def _simulated(world: World, policy: Policy, config: LimitConfig, first: int, prices: Prices) -> Totals:
    numbers = first + np.arange(config.customers)
    return simulate(
        world, policy, numbers, config.days, seed=config.seed, prices=prices, cadence_days=config.cadence_days
    )
