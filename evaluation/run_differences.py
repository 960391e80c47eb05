"""Two runs of one population, paired: the same customers with the same luck, so that only what was changed differs.

Blocks of customers are the units of a jackknife, as for indicators (`envs.indicators`). Blocks compete for the pools:
what one wins of them another loses, so that the spread among blocks rather overstates that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from scipy.special import stdtrit

from envs.counts import Counts, total
from envs.errors import InputError
from evaluation.intervals import Interval
from evaluation.pooled import PooledRun

Amount = Callable[[Counts], float]  # a sum over customers

AMOUNTS: dict[str, Amount] = {
    "gain": lambda c: float(c.margin.sum()) - c.contact_cost - c.benefit_cost,
    "margin": lambda c: float(c.margin.sum()),
    "cost": lambda c: c.contact_cost + c.benefit_cost,
    "annoyance": lambda c: c.annoyance,
    "contacts": lambda c: float(c.number("contacted")),
    "conversions": lambda c: float(c.number("converted")),
    "opt_outs": lambda c: float(c.number("opted_out")),
    "complaints": lambda c: float(c.number("complained")),
}


def jackknife(statistic: Callable[[np.ndarray], float], blocks: int, confidence: float = 0.95) -> Interval:
    """A statistic of blocks with its interval. statistic: of which blocks are there, (blocks,) bool."""
    everyone = np.ones(blocks, bool)
    value = statistic(everyone)
    without = np.array([statistic(np.arange(blocks) != block) for block in range(blocks)])
    se = float(np.sqrt((blocks - 1) / blocks * ((without - without.mean()) ** 2).sum()))
    two, one = (float(stdtrit(blocks - 1, level)) for level in ((1 + confidence) / 2, confidence))
    return Interval(value, se, value - two * se, value + two * se, value - one * se)


def difference(a: PooledRun, b: PooledRun, amount: Amount, per: Amount | None = None) -> Interval:
    """An amount of run a less that of run b, per customer, or per what `per` counts in both."""
    pairs = [(x, y) for x, y in zip(a.counts, b.counts, strict=True) if x.customers]
    if len(pairs) < 2 or any(x.customers != y.customers for x, y in pairs):
        raise InputError("must be two runs of the same customers, in two blocks at least", field="counts")
    top = np.array([amount(x) - amount(y) for x, y in pairs])
    bottom = np.array([x.customers for x, _ in pairs]) if per is None else np.array([per(x) - per(y) for x, y in pairs])
    return jackknife(lambda kept: float(top[kept].sum() / bottom[kept].sum()), len(pairs))


def valued(annoyance_price: float) -> Amount:
    """The gain less what its annoyance costs."""
    return lambda c: AMOUNTS["gain"](c) - annoyance_price * c.annoyance


def differences(a: PooledRun, b: PooledRun, annoyance_price: float) -> pl.DataFrame:
    """One row per amount: what it is in both runs per customer, the paired difference a - b and its interval."""
    rows, whole = [], (total(a.counts), total(b.counts))
    for name, amount in {"value": valued(annoyance_price), **AMOUNTS}.items():
        found = difference(a, b, amount)
        means = [amount(counts) / counts.customers for counts in whole]
        rows.append((name, *means, found.value, found.lo, found.hi))
    return pl.DataFrame(rows, orient="row", schema=["amount", "this", "other", "difference", "lo", "hi"])
