"""Capacity: prices that clear pools, on the built-in bank and on the exact preset, where the best possible is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from agents.artifact import load_policy
from agents.baselines import Silence
from agents.myopic import Levers
from agents.policy import Policy
from benchmarks.askers import Asker
from benchmarks.capacity_exact import exact_capacity
from benchmarks.capacity_levers import levers
from benchmarks.kit import Options, Result, main, show
from envs.errors import InputError
from envs.world import World, load_world
from evaluation.market import Clearing
from evaluation.pooled import PooledRun, run_pooled
from evaluation.region import PooledSetting
from evaluation.run_differences import difference, valued

SHARES = (1.0, 0.5, 0.25)  # of the bank's capacity
USED = 0.95  # target: of a pool on days on which it is scarce
SCARCE = 0.01  # of the range: a price above says that more was asked for than there is
USUAL = 20.0  # annoyance price, CNY


def capacity(options: Options, result: Result) -> None:
    """Utilisation, prices and gain on the bank; shares of the Lagrangian bound on the exact preset."""
    bank, exact = load_world("bank"), load_world("exact")
    policies: dict[str, Policy] = {"asker": Asker(bank)}
    if not options.quick:
        policies["asker, keen"] = Asker(bank, Levers(2.0, 1.0, 0.0), "asker, keen")
    told = {}
    for path in options.policies:
        policy = load_policy(path)
        if policy.manifest.treatments not in (bank.catalogue.treatment_ids, exact.catalogue.treatment_ids):
            raise InputError("must be of the bank or of the exact preset", file=path, field="treatments")
        told[f"{policy.name} {policy.digest[:8]}"] = policy
    here = {name: p for name, p in told.items() if p.manifest.treatments == bank.catalogue.treatment_ids}
    exact_capacity({name: p for name, p in told.items() if name not in here}, options, result)
    _bank(bank, here | policies, options, result)
    levers(bank, next(iter(here.values()), policies["asker"]), options, result)


def _bank(world: World, policies: dict[str, Policy], options: Options, result: Result) -> None:
    customers, days = (2000, 4) if options.quick else (20_000, 28)
    setting = PooledSetting(world, Silence(), np.arange(customers), days, options.seed)
    silence, gains, used = run_pooled(setting), [], []
    for name, policy in policies.items():
        for share in SHARES:
            free = replace(setting, policy=policy, share=share)
            runs = {"cleared": run_pooled(replace(free, clearing=Clearing())), "no prices": run_pooled(free)}
            for words, run in runs.items():
                found = difference(run, silence, valued(USUAL))
                gains.append((name, share, words, found.value, found.lo, found.hi))
            found = difference(runs["cleared"], runs["no prices"], valued(USUAL))
            gains.append((name, share, "cleared less no prices", found.value, found.lo, found.hi))
            used += [(name, share, *row) for row in _used(runs["cleared"])]
    columns = ["policy", "capacity", "prices", "value over silence", "lo", "hi"]
    frame = pl.DataFrame(gains, orient="row", schema=columns)
    show(
        f"The bank, {customers} customers, {days} days: margin - cost - {USUAL:.0f} x annoyance, CNY per customer",
        frame,
    )
    columns = [
        "policy",
        "capacity",
        "pool",
        "scarce days",
        "used if scarce",
        "whole contacts",
        "used",
        "refused",
        "lowest price",
    ]
    pools = pl.DataFrame(
        used, orient="row", schema=[*columns, "mean price", "highest price", "short days", "most used"]
    )
    show("Pools where prices are cleared: shares of the capacity, CNY a minute", pools)
    result.figures |= {"bank gain": frame.to_dicts(), "bank pools": pools.to_dicts()}
    scarce = pools.filter(pl.col("scarce days") > 0)
    low = float((scarce["used if scarce"] / scarce["whole contacts"]).min())
    words = f"the bank: a scarce pool is used to {USED:.0%} of what whole contacts can use ({low:.3f} at worst)"
    result.target("used", words, low >= USED)
    most = float(pools["most used"].max())
    result.target("pools", f"no pool of the bank is exceeded ({most:.4f})", most <= 1 + 1e-9)


def _used(run: PooledRun) -> list[tuple[object, ...]]:
    """Per pool: how much of it was used, and what it cost."""
    high = dict(zip(run.setting.world.catalogue.pool_ids, run.setting.world.encoder.price_highs[1:], strict=True))
    rows: list[tuple[object, ...]] = []
    for pool, days in run.days.group_by("pool", maintain_order=True):
        name = str(pool[0])
        dear = days.filter(pl.col("price") > SCARCE * high[name])
        most = (days["granted"] / days["capacity"]).max()
        there, scarce = days["capacity"][0], dear["granted"].sum() / max(dear["capacity"].sum(), 1e-9)
        smallest = min(e for e in run.setting.world.catalogue.effort[:, list(high).index(name)] if e > 0)
        refused = days["refused"].sum() / days["capacity"].sum()
        total = days["granted"].sum() / days["capacity"].sum()
        prices = (days["price"].min(), days["price"].mean(), days["price"].max())
        whole = there // smallest * smallest / there
        rows.append((name, dear.height, scarce, whole, total, refused, *prices, int(days["short"].sum()), most))
    return rows


if __name__ == "__main__":
    main("capacity", capacity, policies=True)
