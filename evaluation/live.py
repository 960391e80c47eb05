"""Live: what a report forecast for a policy, beside what came after the policy was launched.

Both per decision: a launch has another length than the log that the forecast came from. The forecast is the lead
estimate's with its interval (of a k-step lead: one-decision deviations', for every decision); what came is a mean over
whole customers whom the policy alone decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.prices import Prices
from evaluation.intervals import Between, pooled_ratio
from evaluation.log import Log
from evaluation.study import REWARD, amounts

FEWEST = 30  # customers below which nothing is said; assumed


@dataclass(frozen=True)
class Live:
    """One amount of one policy, per decision."""

    policy: str
    amount: str  # reward, margin, cost or annoyance
    forecast: Between
    came: Between
    customers: int
    decisions: int

    @property
    def apart(self) -> int:
        """-1: surely less came than was forecast, 1: surely more, 0: as forecast, as far as can be told."""
        return int(self.came.lo > self.forecast.hi) - int(self.came.hi < self.forecast.lo)


def live(log: Log, digests: Sequence[str | None], report: Mapping[str, Any], prices: Prices | None) -> tuple[Live, ...]:
    """Every policy of a report that decided enough customers of a live log.

    digests: (n,) of who took each decision; report: the content of its report.json; prices: at which both count
    """
    found: list[Live] = []
    taken, step = np.asarray(digests, dtype=object), log.by_customer(np.ones(len(log)))
    earned = amounts(log, prices)
    for policy in report["policies"]:
        whole = log.by_customer((taken == policy["digest"]).astype(np.float64)) == step
        if policy["digest"] is None or whole.sum() < FEWEST:
            continue
        count = step[whole]
        for amount in (REWARD, "margin", "cost", "annoyance"):
            forecast = _forecast(report, policy["name"], amount)
            if forecast is not None:
                came = pooled_ratio(log.by_customer(earned[amount])[whole][None], count[None])
                between = Between(came.value, came.lo, came.hi)
                found.append(Live(policy["name"], amount, forecast, between, int(whole.sum()), int(count.sum())))
    return tuple(found)


def _forecast(report: Mapping[str, Any], policy: str, amount: str) -> Between | None:
    """Per decision, each counted as much as the discount does.

    A k-step lead follows the policy for k decisions only: then one-decision deviations forecast the reward, and
    nothing its parts.
    """
    row = next(row for row in report["table"] if row["policy"] == policy)
    name = "value" if amount == REWARD else amount
    if report["lead"]["kind"] == "k-step":
        name = {REWARD: "deviation_dr" if row.get("deviation_dr") is not None else "deviation"}.get(amount, "")
    ends = ("lo", "hi") if name == "value" else (f"{name}_lo", f"{name}_hi")
    numbers = [row.get(key) for key in (name, *ends)]
    if any(number is None for number in numbers):
        return None
    decisions = report["data"]["discounted_decisions"]
    value, lo, hi = (float(number) / decisions for number in numbers)
    return Between(value, lo, hi)
