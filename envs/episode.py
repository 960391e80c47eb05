"""An episode: one customer's days, and the options that both Gymnasium faces share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import InputError
from envs.prices import Prices, prices_from
from envs.randomness import Luck
from envs.simulator import Outcome, Simulator
from envs.world import World, load_world

PRICE_DRAWS, STAGGER_DRAWS = -3, -4  # the "days" of these draws
WALK = 8600  # first draw of a day's steps of the prices
USUAL = 0.1  # share of the drawn annoyance prices that are the base
FREE = 0.5  # share of the drawn prices of a pool that are the base
LOWEST = 0.002, 0.01  # of the top of the range: the least drawn price of annoyance, of a pool
SEEDS = 2**31  # a reset without a seed draws one below this


@dataclass(frozen=True)
class Terms:
    """What episodes are like: world, prices, length, and which customers live them."""

    world: World
    prices: Prices
    horizon: int  # days after which a continuing task is cut off
    cadence_days: int  # days between two decisions of a continuing task
    random_prices: bool  # new prices for every customer
    price_walk: float  # standard deviation of a day's step of the logarithm of random prices, 0: they hold
    first_customer: int  # number of the first customer of the population

    def simulator(self, luck: int, customers: np.ndarray, *, record: bool = False) -> Simulator:
        """A simulator at the first decision of some customers. customers: (batch,) int."""
        simulator = Simulator(self.world, luck, cadence_days=self.cadence_days, record=record)
        simulator.reset(customers, prices=self.prices)
        return simulator

    def prices_of(self, customers: np.ndarray, luck: int) -> np.ndarray:
        """(customers, 1 + pools) float64, what each of them is told, and charged."""
        if not self.random_prices:
            return np.tile(self.prices.vector(), (len(customers), 1))
        draws = Luck(luck, customers, np.full(len(customers), PRICE_DRAWS))
        return draw_prices(draws, self.prices, self.world.encoder.price_highs)

    def walked(self, prices: np.ndarray, customers: np.ndarray, day: np.ndarray, luck: int, days: int) -> np.ndarray:
        """The prices some days later, since serving changes them from day to day: each takes a random step.

            price x exp(s z - s^2 / 2), s = walk x sqrt(days), at most the top of its range

        Tomorrow's price is expected to be today's, so that a policy learns what today's price is worth, and not to wait
        for another one. prices: (batch, 1 + pools), returned as they are if they hold; day: (batch,) int, calendar days
        """
        if not (self.random_prices and self.price_walk):
            return prices
        draws, spread = Luck(luck, customers, day), self.price_walk * days**0.5
        steps = np.stack([draws.normal(WALK + 2 * k) for k in range(prices.shape[1])], axis=1)
        after = prices * np.exp(spread * steps - spread**2 / 2)
        return np.asarray(np.minimum(after, self.world.encoder.price_highs))

    def days_before(self, customers: np.ndarray, luck: int) -> np.ndarray:
        """(customers,) int64, days that first episodes are ahead, so that they do not all end at once."""
        share = Luck(luck, customers, np.full(len(customers), STAGGER_DRAWS)).uniform(0)
        return np.asarray(np.floor(share * self.horizon), dtype=np.int64)

    @property
    def continuing(self) -> bool:
        return self.world.schema.task.kind == "continuing"

    def told(self, options: Mapping[str, Any] | None) -> Terms:
        """These terms as the options of a reset change them; an option that does not exist is refused."""
        given = dict(options or {})
        changed: dict[str, Any] = {}
        if "prices" in given:
            changed["prices"] = prices_from(given.pop("prices"), self.world.catalogue, self.world.schema)
        if "first_customer" in given:
            changed["first_customer"] = int(given.pop("first_customer"))
        if given:
            raise InputError("must be one of: first_customer, prices", field="options", value=next(iter(given)))
        return replace(self, **changed) if changed else self


def terms(
    world: str | Path | World | None,
    prices: dict[str, float] | None,
    horizon: int,
    cadence_days: int | None,
    random_prices: bool,
    price_walk: float,
    first_customer: int,
) -> Terms:
    """Terms out of the options that `gymnasium.make` takes, checked."""
    if not price_walk >= 0:
        raise InputError("must be 0 or more", field="price_walk", value=price_walk)
    if world is None:
        raise InputError("must be given: the directory of a world, or the name of a built-in one", field="world")
    if horizon < 1:
        raise InputError("must be at least 1 day", field="horizon", value=horizon)
    if cadence_days is not None and cadence_days < 1:
        raise InputError("must be at least 1 day", field="cadence_days", value=cadence_days)
    there = world if isinstance(world, World) else load_world(world)
    return Terms(
        world=there,
        prices=prices_from(prices, there.catalogue, there.schema),
        horizon=horizon,
        cadence_days=cadence_days or there.schema.task.cadence_days,
        random_prices=random_prices,
        price_walk=price_walk,
        first_customer=first_customer,
    )


def draw_prices(luck: Luck, base: Prices, highs: np.ndarray) -> np.ndarray:
    """Training prices, each drawn by itself. -> (batch, 1 + pools) float64, currency.

    annoyance: with probability .1 the base, else log-uniform from .2 % of the top of its range to the top
    a pool:    with probability .5 the base, else log-uniform from 1 % of the top of its range to the top

    Log-uniform, since what a price does depends on its size relative to what is at stake, which no range knows; the
    base often for pools, since most are not scarce on most days (shares assumed).
    """
    columns = []
    for k, (level, high) in enumerate(zip(base.vector(), highs, strict=True)):
        usual, lowest = (FREE, LOWEST[1]) if k else (USUAL, LOWEST[0])
        drawn = high * lowest ** (1 - luck.uniform(2 * k))
        columns.append(np.where(luck.uniform(2 * k + 1) < usual, level, drawn))
    return np.stack(columns, axis=1)


def reward_vector(outcome: Outcome) -> np.ndarray:
    """(batch, 3) float64: margin, cost, annoyance, in currency, currency and opt-outs."""
    return np.stack([outcome.tally.margin, outcome.tally.cost, outcome.tally.annoyance], axis=1)
