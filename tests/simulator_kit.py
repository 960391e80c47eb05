"""Runs of a simulator whose actions depend on customer and step alone, and everything that they leave behind."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from mechanisms_kit import rich_world
from world_kit import CONTINUING, FINITE, named, small_world, some_allowed

from envs.simulator import Outcome, Simulator, Tally
from envs.world import World, load_world

HIDDEN = {"factors": 2, "taste": {"loan": [0.5, 0.1]}, "reach": {"sms": [0.1, 0.4]}, "factor_profile": {"age": [1, 0]}}
LATENT_TERMS = {"contact": 0.3, "latent.taste": 0.5, "latent.reach": 0.3, "latent.irritation": -0.5}


def hidden_world() -> World:
    """The small world, day by day, with hidden states and a calendar."""
    engaged = {"link": "logit", "given": "delivered", "terms": named(LATENT_TERMS)}
    irritation = {"link": "linear", "given": "delivered", "terms": named({"contact": 0.2, "own_channel.pressure": 0.4})}
    task = {**CONTINUING, "calendar": "CN", "cadence_days": 2}
    return small_world(task, resolution="day", hidden=HIDDEN, engaged=engaged, irritation=irritation)


WORLDS = {
    "small": small_world,
    "hidden": hidden_world,
    "finite": lambda: small_world(FINITE),
    "bank": lambda: load_world("bank"),
    "rich": lambda: rich_world({"cadence_days": 2}),
    "rich window": lambda: rich_world({"cadence_days": 5}, resolution="window"),
    "rich desks": lambda: rich_world({"calendar": "CN"}),
}
DESKS = {"rich desks": 3}  # elsewhere one


def snapshot(simulator: Simulator) -> dict[str, np.ndarray]:
    """Everything that a batch carries and sees; the first axis is the customer."""
    state, view = simulator.state, simulator.view()
    parts = {"person": state.person, "pending": state.pending, "latent": state.latent, "profile": state.profile}
    parts |= {"prices": state.prices, "price fields": state.price_fields, "customer": state.history.customer}
    parts |= {"channel": state.history.channel, "product": state.history.product}
    parts |= {"observation": view.observation, "mask": view.mask}
    return {name: values.copy() for name, values in parts.items()}


def flat(outcome: Outcome) -> dict[str, np.ndarray]:
    out = {f"tally.{f.name}": getattr(outcome.tally, f.name) for f in fields(Tally)}
    return out | {"executed": outcome.executed, "blocked": outcome.blocked, "terminated": outcome.terminated}


def wishes(simulator: Simulator, step: int, desks: int) -> np.ndarray:  # (batch, desks) int
    """Treatments that depend on the customer and the step alone; some are forbidden."""
    customers, count = simulator.state.customer, len(simulator.world.catalogue.treatment_ids)
    wish = (customers * 7919 + step * 104_729) % (2 * count)
    first = np.where(wish < count, wish, some_allowed(simulator, step))
    return np.stack([first, *((customers * 31 + step * 17 + 5 * desk) % count for desk in range(1, desks))], axis=1)


def history_of_run(
    world: World, customers: np.ndarray, steps: int, seed: int = 5, desks: int = 1, record: bool = False
) -> list[dict[str, np.ndarray]]:
    """Snapshots and outcomes of a run."""
    simulator = Simulator(world, seed, record=record)
    simulator.reset(customers)
    seen = [snapshot(simulator)]
    for step in range(steps):
        seen += [flat(simulator.step(wishes(simulator, step, desks))), snapshot(simulator)]
    return seen
