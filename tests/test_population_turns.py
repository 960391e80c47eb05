"""Customers who share pools take turns: capacities hold, and what is logged is what was drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.policy import Policy, draw
from agents.turns import CHOICE, PLACE, Turns, take_turns
from envs.catalogue import Catalogue
from envs.pools import ROUNDING, Pools
from envs.randomness import Luck


def catalogue(efforts: list[list[float]], capacity: list[float], stock: bool = False) -> Catalogue:
    """Treatments with these efforts, beside silence."""
    names = [f"pool{k}" for k in range(len(capacity))]
    pools = [{"id": n, "capacity": c, "stock": stock} for n, c in zip(names, capacity, strict=True)]
    treatments = [
        {"id": f"t{k}", "product": "loan", "channel": "call", "effort": dict(zip(names, effort, strict=True))}
        for k, effort in enumerate(efforts)
    ]
    return Catalogue.model_validate(
        {"name": "small", "products": [{"id": "loan"}], "channels": [{"id": "call", "family": "remote"}],
         "pools": pools, "treatments": treatments}
    )  # fmt: skip


@dataclass(frozen=True)
class Leaning:
    """Draws by weights of the customer, over what is allowed; with several desks, each by its own."""

    desks: int = 1
    name: str = "leaning"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        weights = np.stack([np.roll(observation, k, axis=1) for k in range(self.desks)], axis=1) * mask[:, None]
        found = weights / weights.sum(axis=2, keepdims=True)
        return found if self.desks > 1 else found[:, 0]


def decide(
    policy: Policy, pools: Pools, seed: int, batch: int, treatments: int, told: bool, day: int = 0
) -> tuple[Turns, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    observation = rng.uniform(0.1, 1.0, (batch, treatments))
    mask = rng.random((batch, treatments)) < 0.8
    mask[:, 0] = True
    alive = rng.random(batch) < 0.9
    luck = Luck(seed, np.arange(batch), np.full(batch, day))
    return take_turns(policy, observation, mask, alive, pools, luck, told=told), observation, mask, alive


def one_by_one(
    policy: Leaning, pools: Pools, observation: np.ndarray, mask: np.ndarray, alive: np.ndarray, luck: Luck, told: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The same, as slowly as it is told: -> treatments (batch, desks), probabilities (batch, desks, treatments)."""
    batch, desks = len(mask), policy.desks
    treatment = np.zeros((batch, desks), np.int64)
    probabilities = np.zeros((batch, desks, mask.shape[1]))
    uniform = [luck.uniform(CHOICE + k) for k in range(desks)]
    left = pools.left.copy()
    for i in np.argsort(luck.uniform(PLACE), kind="stable"):
        for desk in range(desks):
            closed = (pools.effort > left + ROUNDING).any(axis=1)
            seen = mask[[i]] & ~closed if told else mask[[i]]
            p = policy.probabilities(observation[[i]], seen).reshape(desks, -1)[desk]
            chosen = int(draw(p, uniform[desk][i]))
            if not told:
                p = np.where(closed, 0.0, p) + np.eye(1, len(p))[0] * p[closed].sum()
                chosen = 0 if closed[chosen] else chosen
            probabilities[i, desk] = p
            if alive[i]:
                treatment[i, desk] = chosen
                left -= pools.effort[chosen]
    return treatment, probabilities


EFFORTS = st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.5, 7.0]), min_size=2, max_size=2), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(EFFORTS, st.floats(0.5, 60), st.floats(0.5, 60), st.integers(0, 10**6), st.booleans(), st.sampled_from([1, 3]))
def test_turns_are_those_of_customers_who_come_one_by_one(
    efforts: list[list[float]], first: float, second: float, seed: int, told: bool, desks: int
) -> None:
    small, batch = catalogue(efforts, [first, second]), 40
    pools, same = (Pools(small, 10_000) for _ in range(2))
    policy = Leaning(desks)
    turns, observation, mask, alive = decide(policy, pools, seed, batch, len(efforts) + 1, told)
    luck = Luck(seed, np.arange(batch), np.zeros(batch))
    treatment, probabilities = one_by_one(policy, same, observation, mask, alive, luck, told)
    np.testing.assert_array_equal(turns.treatment[alive], treatment[alive])
    np.testing.assert_allclose(turns.probabilities[alive], probabilities[alive], atol=1e-12)
    asked = pools.effort[turns.treatment[alive]].sum(axis=(0, 1))
    np.testing.assert_allclose(pools.left, pools.capacity - asked, atol=1e-9)
    assert (pools.left >= -ROUNDING).all()
    closed = turns.closed[alive]
    assert not np.take_along_axis(closed, turns.treatment[alive][..., None], axis=2).any()
    assert not turns.probabilities[alive][closed & (np.arange(closed.shape[2]) > 0)].any()
    np.testing.assert_array_equal(
        turns.refused[alive], np.take_along_axis(closed, turns.wanted[alive][..., None], axis=2)[..., 0]
    )


def drift(told: bool, desks: int, right: bool) -> float:
    """How far frequencies lie from logged propensities: the largest |z| of a treatment, over many days.

    Given what came before, indicator - propensity has mean 0 and variance p (1 - p), turn by turn: their sum over the
    square root of the summed variances is standard normal. right: the propensities at the turn, not those before
    exhaustion.
    """
    small = catalogue([[1.0, 0.0], [4.0, 1.0], [0.0, 2.0], [0.0, 0.0]], [60.0, 40.0])
    above, variance = np.zeros((2, 5))
    for day in range(60):
        pools, policy = Pools(small, 10_000), Leaning(desks)
        turns, observation, mask, alive = decide(policy, pools, 7 + day, 300, 5, told, day)
        p = turns.probabilities if right else policy.probabilities(observation, mask).reshape(300, desks, 5)
        drawn = np.eye(5)[turns.treatment]
        above += (drawn - p)[alive].sum(axis=(0, 1))
        variance += (p * (1 - p))[alive].sum(axis=(0, 1))
    return float(np.abs(above / np.sqrt(variance)).max())


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("desks", [1, 3])
def test_logged_propensities_are_the_frequencies_while_pools_run_out(told: bool, desks: int) -> None:
    assert drift(told, desks, right=True) < 4  # of five treatments: beyond it once in 3,000 samples
    assert drift(told, desks, right=False) > 20  # propensities that know nothing of the pools are plainly false


def test_a_stock_is_never_filled_up_again_and_a_daily_pool_every_morning() -> None:
    for stock, left in ((True, 0.0), (False, 10.0)):
        pools = Pools(catalogue([[5.0]], [20.0], stock), 5_000)
        pools.serve(np.array([1, 0, 1]))
        pools.morning()
        assert pools.left == pytest.approx([left])
        assert pools.lacking.any() == stock


def test_every_place_in_the_queue_is_as_likely_for_everybody() -> None:
    scarce, served = catalogue([[1.0]], [30.0]), np.zeros(100)
    for day in range(2000):
        pools = Pools(scarce, 10_000)
        luck = Luck(1, np.arange(100), np.full(100, day))
        always = Leaning()
        mask = np.ones((100, 2), bool)
        turns = take_turns(always, np.tile([1e-9, 1.0], (100, 1)), mask, np.ones(100, bool), pools, luck)
        served += turns.treatment[:, 0] == 1
    z = (served - 600) / np.sqrt(2000 * 0.3 * 0.7)
    assert np.abs(z).max() < 4.5
    assert (z**2).sum() < 100 + 4 * np.sqrt(200)
