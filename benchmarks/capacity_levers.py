"""What managers ask of capacity, on the built-in bank: ten more agents, a channel less, a limit on complaints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from agents.baselines import Silence
from agents.policy import Policy
from agents.without import without_channel
from benchmarks.kit import Options, Result, show
from envs.prices import Prices
from envs.world import World
from evaluation.channel_worth import channel_worths
from evaluation.limits import MISSED, Search, check_price, lowest_price, parse_limit
from evaluation.market import Clearing
from evaluation.pooled import run_pooled
from evaluation.region import PooledSetting
from evaluation.simulation import Totals, simulate
from training.capacity import compared

USUAL = 20.0  # annoyance price, CNY
LIMITS = ("annoyance=10/100", "opt_outs=2/10k", "complaints=2/10k")
SEARCHED, CHECKED = 60_000_000, 70_000_000  # numbers of the first customers
SHARE = 0.25  # of the bank's capacity, at which the agents are scarce


def levers(world: World, policy: Policy, options: Options, result: Result) -> None:
    """Capacity, channels and limits, one after another."""
    customers, days = (1500, 3) if options.quick else (20_000, 28)
    setting = PooledSetting(world, policy, np.arange(customers), days, options.seed, clearing=Clearing())
    _more(replace(setting, share=SHARE), result)
    fewer = replace(setting, customers=np.arange(customers // 4))
    _channels(fewer, ("human_call", "wecom") if options.quick else world.catalogue.channel_ids, result)
    _limits(world, policy, (300, 21) if options.quick else (4000, 91), options, result)


def _more(setting: PooledSetting, result: Result) -> None:
    """A tenth more of the agents' minutes, beside their price."""
    pool = setting.world.catalogue.pools[0]
    base = run_pooled(setting)
    rows = []
    for part in (0.1, 1.0):
        units = part * pool.capacity * setting.share * len(setting.customers) / 10_000
        more = tuple(units if p is pool else 0.0 for p in setting.world.catalogue.pools)
        found = compared(run_pooled(replace(setting, more=more)), base, {pool.id: units}, USUAL)
        assert found.worth is not None
        prices = found.pools.row(by_predicate=pl.col("pool") == pool.id, named=True)
        gain = found.frame.row(by_predicate=pl.col("amount") == "gain", named=True)
        told = (gain["difference"], gain["lo"], gain["hi"], *found.worth)
        rows.append((f"{part:.0%} more", units, *told, prices["price"], prices["price with more"]))
    columns = [pool.id, "minutes a day", "gain", "lo", "hi", "worth of a minute", "from", "to", "price", "price after"]
    frame = pl.DataFrame(rows, orient="row", schema=columns)
    show(
        f"More of the {pool.id} at {SHARE:.0%} of the capacity: gain per customer, CNY; worth and price of a minute",
        frame,
    )
    result.figures["more"] = frame.to_dicts()
    nothing = bool((frame["price after"] <= frame["price"] + 0.05).all())
    result.target("more", "more of a pool does not raise its price", nothing)


def _channels(setting: PooledSetting, channels: tuple[str, ...], result: Result) -> None:
    """What is lost without each channel."""
    without = {name: without_channel(setting.policy, setting.world.catalogue, name) for name in channels}
    found = channel_worths(setting, without, USUAL, run_pooled)
    gain = f"{found.gain.value:.1f} [{found.gain.lo:.1f}, {found.gain.hi:.1f}]"
    show(f"Lost without a channel, CNY per customer, of a gain of {gain}; the policy is not retrained", found.frame)
    result.figures["channels"] = {"gain": found.gain.value, "lost": found.frame.to_dicts()}


def _limits(world: World, policy: Policy, size: tuple[int, int], options: Options, result: Result) -> None:
    """The price of annoyance that keeps to each limit, on other customers."""
    customers, days = size

    def at(first: int, price: float) -> Totals:
        prices, numbers = Prices(price, (0.0,) * len(world.catalogue.pools)), first + np.arange(customers)
        return simulate(world, policy, numbers, days, seed=options.seed, prices=prices)

    search = Search(USUAL, float(world.encoder.price_highs[0]), 4 if options.quick else 10)
    rows, missed = [], 0
    silent = _silence(world, customers, days, options.seed)
    for text in LIMITS[:1] if options.quick else LIMITS:
        limit = parse_limit(text)
        price, tried = lowest_price(lambda one: at(SEARCHED, one), limit, search)
        found = check_price(lambda one: at(CHECKED, one), silent, limit, price, USUAL)
        missed += found.verdict == MISSED
        amounts = (limit.most, found.found.value, found.found.lo, found.found.hi, found.before.value)
        rows.append((text, price, *amounts, found.gain.value, found.lost.value, len(tried), found.verdict))
    columns = [
        "limit",
        "price",
        "most",
        "found",
        "lo",
        "hi",
        f"at {USUAL:.0f}",
        "gain",
        "gain lost",
        "tried",
        "verdict",
    ]
    frame = pl.DataFrame(rows, orient="row", schema=columns)
    show(f"Limits: the lowest price of annoyance, and what it does to {customers} others over {days} days", frame)
    result.figures["limits"] = frame.to_dicts()
    result.target("limits", f"no limit is missed on other customers ({missed} of {len(rows)})", missed == 0)


def _silence(world: World, customers: int, days: int, seed: int) -> Totals:
    return simulate(world, Silence(), CHECKED + np.arange(customers), days, seed=seed)
