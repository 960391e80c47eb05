"""Policies side by side in a simulated world: the same customers, the same luck, paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from agents.knowing import informed
from agents.policy import Policy, draw
from agents.price_range import told_prices
from envs.prices import Prices, prices_from
from envs.randomness import Luck
from envs.simulator import Outcome, Simulator
from envs.world import World
from evaluation.intervals import mean_interval, pooled_ratio

CHOICE = 9000  # number of the draw that picks a treatment; plus the desk
EVENTS = {"complained": "complaints", "opted_out": "opt_outs"}  # what customers do about contacts, and their number
BATCH = 2048  # customers simulated at once

Progress = Callable[[int], None]  # told the number of customers that are done


@dataclass(frozen=True)
class Totals:
    """What a policy did to each customer over the horizon. Each (customers,) float64."""

    margin: np.ndarray  # currency
    cost: np.ndarray  # currency
    annoyance: np.ndarray  # opt-outs
    conversions: np.ndarray
    contacts: np.ndarray
    opt_outs: np.ndarray
    complaints: np.ndarray
    effort: np.ndarray  # (customers, pools)
    value: np.ndarray  # discounted reward at the prices of the simulation

    @property
    def profit(self) -> np.ndarray:
        """margin - cost, in currency."""
        return np.asarray(self.margin - self.cost)


def choose(policy: Policy, observation: np.ndarray, mask: np.ndarray, luck: Luck) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and drawn treatments, (batch, desks, treatments) and (batch, desks)."""
    probabilities = policy.probabilities(observation, mask)
    if probabilities.ndim == 2:
        probabilities = probabilities[:, None]
    uniform = np.stack([luck.uniform(CHOICE + k) for k in range(probabilities.shape[1])], axis=1)
    return probabilities, draw(probabilities, uniform)


def simulate(
    world: World,
    policy: Policy,
    customers: np.ndarray,
    days: int,
    *,
    seed: int,
    prices: Prices | None = None,
    cadence_days: int | None = None,
    progress: Progress | None = None,
) -> Totals:
    """Run a policy on customers of a world. customers: (n,) int, their numbers; days: horizon of a continuing task."""
    shown = prices or prices_from(None, world.catalogue, world.schema)
    told_prices([policy], shown, world.catalogue.pool_ids)
    parts = []
    for start in range(0, len(customers), BATCH):
        some = customers[start : start + BATCH]
        parts.append(_simulate_batch(world, policy, some, days, seed, prices, cadence_days))
        if progress is not None:
            progress(len(some))
    joined = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Totals)}
    return Totals(**joined)


def _simulate_batch(
    world: World,
    policy: Policy,
    customers: np.ndarray,
    days: int,
    seed: int,
    prices: Prices | None,
    cadence_days: int | None,
) -> Totals:
    simulator = Simulator(world, seed, cadence_days=cadence_days)
    simulator.reset(customers, prices=prices)
    sums = {f.name: np.zeros(len(customers)) for f in fields(Totals) if f.name != "effort"}
    sums["effort"] = np.zeros((len(customers), len(world.catalogue.pools)))
    passed, task = 0, world.schema.task
    while simulator.state.alive.any() and (task.kind == "finite" or passed < days):
        view = simulator.view()
        luck = Luck(seed, simulator.state.customer, simulator.state.history.day)
        _, treatment = choose(informed(policy, simulator), view.observation, view.mask, luck)
        outcome = simulator.step(treatment)
        _add(sums, outcome, simulator.state.prices, task.gamma**passed)
        passed += outcome.days
    return Totals(**sums)


def _add(sums: dict[str, np.ndarray], outcome: Outcome, prices: np.ndarray, discount: float) -> None:
    tally = outcome.tally
    sums["value"] += discount * outcome.reward(prices)
    for name in ("margin", "cost", "annoyance", "conversions", "contacts", "opt_outs", "complaints", "effort"):
        sums[name] += getattr(tally, name)


@dataclass(frozen=True)
class Comparison:
    """Several policies on the same customers with the same luck."""

    totals: Mapping[str, Totals]
    days: int
    currency: str
    reference: str = "silence"
    unmodelled: frozenset[str] = frozenset()  # of EVENTS, those that the world knows nothing of: missing is not zero

    @property
    def frame(self) -> pl.DataFrame:
        """One row per policy: means per customer with 95 % intervals, gain over silence paired."""
        base = self.totals[self.reference].profit if self.reference in self.totals else None
        return pl.DataFrame([_row(name, t, base) for name, t in self.totals.items()])

    @property
    def burden(self) -> pl.DataFrame:
        """One row per policy: how often customers are contacted, the busiest of them too, and how they take it."""
        rows = [_burden(name, t, self.unmodelled) for name, t in self.totals.items()]
        return pl.DataFrame(rows, schema_overrides={key: pl.Float64 for key in rows[0] if "_per_10k" in key})


def _burden(name: str, totals: Totals, unmodelled: Set[str]) -> dict[str, object]:
    """Complaints and opt-outs for every 10,000 contacts with their 95 % intervals; none where nobody is contacted, or
    where the world knows nothing of them.

    Where none came, the upper end is the exact one of a Poisson count, -ln(.025) events: that none were seen in 500
    contacts does not tell that there are none in 10,000.
    """
    contacts = totals.contacts
    row: dict[str, object] = {"policy": name, "contacts": float(contacts.mean())}
    row |= {f"contacts_p{q}": float(np.quantile(contacts, q / 100)) for q in (95, 99)}
    row["contacts_most"] = float(contacts.max())
    for event, title in EVENTS.items():
        events = getattr(totals, title)
        found = pooled_ratio(events[None], contacts[None]).named(f"{title}_per_10k")
        if not events.any() and contacts.any():
            found[f"{title}_per_10k_hi"] = -np.log(0.025) / float(contacts.sum())
        known = event not in unmodelled
        row |= {key: 10_000 * value if known and np.isfinite(value) else None for key, value in found.items()}
    return row


def _row(name: str, totals: Totals, base: np.ndarray | None) -> dict[str, object]:
    row: dict[str, object] = {"policy": name}
    gain = None if base is None else totals.profit - base
    columns = {
        "conversions": totals.conversions,
        "margin": totals.margin,
        "cost": totals.cost,
        "annoyance": totals.annoyance,
        "contacts": totals.contacts,
        "value": totals.value,
        **({} if gain is None else {"gain": gain}),
    }
    for column, values in columns.items():
        found = mean_interval(values)
        row |= {column: found.value, f"{column}_lo": found.lo, f"{column}_hi": found.hi}
    return row


def compare(
    world: World,
    policies: Mapping[str, Policy],
    customers: np.ndarray,
    days: int,
    *,
    seed: int,
    prices: Prices | None = None,
    cadence_days: Mapping[str, int] | None = None,
    worlds: Mapping[str, World] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Run every policy on the same customers. cadence_days, worlds: exceptions by policy name (silos act daily)."""
    totals = {
        name: simulate(
            (worlds or {}).get(name, world),
            policy,
            customers,
            days,
            seed=seed,
            prices=prices,
            cadence_days=(cadence_days or {}).get(name),
            progress=progress,
        )
        for name, policy in policies.items()
    }
    unmodelled = frozenset(event for event in EVENTS if event not in world.heads)
    return Comparison(totals, days, world.catalogue.currency, unmodelled=unmodelled)
