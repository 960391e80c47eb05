"""Yardsticks that know: told the truth by the simulator alone, and never worse off for it."""

from __future__ import annotations

import numpy as np
import pytest
from world_kit import named, small_world

from agents.clairvoyant import Clairvoyant, TrueHeads
from agents.knowing import informed, told
from agents.levers import Levers
from agents.myopic import Myopic
from agents.simple import Silence
from envs.errors import InputError
from envs.hidden_states import hidden_states
from envs.pools import Pools
from envs.prices import Prices
from envs.simulator import Simulator
from envs.world import World
from evaluation.intervals import mean_interval
from evaluation.pooled import run_pooled
from evaluation.region import PooledSetting
from evaluation.simulation import simulate

CUSTOMERS = np.arange(1500)


def tasteful(weight: float = 3.0) -> World:
    """The small world where a hidden taste decides whether a contact brings anything."""
    hidden = {"factors": 1, "own_taste": 1.0, "own_reach": 0.0}
    answer = {"link": "logit", "given": "delivered", "terms": named({"contact": -3.0, "latent.taste": weight})}
    return small_world(hidden=hidden, engaged=answer, churned=None, churned_value=None)


def test_knowing_the_customer_is_worth_something_where_customers_hide_something() -> None:
    world, levers = tasteful(), Levers()
    knows = simulate(world, Clairvoyant(world, levers), CUSTOMERS, 10, seed=1)
    blind = simulate(world, TrueHeads(world, levers), CUSTOMERS, 10, seed=1)
    assert mean_interval(knows.value - blind.value).lo > 0
    assert knows.contacts.mean() > 0


def test_where_nothing_is_hidden_all_three_agree() -> None:
    world, levers = small_world(), Levers(2.0, 1.5, 0.1)
    runs = [
        simulate(world, policy, CUSTOMERS[:400], 6, seed=1)
        for policy in (Clairvoyant(world, levers), TrueHeads(world, levers), Myopic(world, levers))
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(runs[0].margin, other.margin)
        np.testing.assert_array_equal(runs[0].annoyance, other.annoyance)


def test_it_never_answers_without_being_told() -> None:
    world = tasteful()
    simulator = Simulator(world, 0)
    simulator.reset(np.arange(3))
    view = simulator.view()
    with pytest.raises(InputError, match=r"policy == 'clairvoyant', must be told the hidden states"):
        Clairvoyant(world).probabilities(view.observation, view.mask)
    silence = Silence()
    assert informed(silence, simulator) is silence


def test_a_dearer_price_of_annoyance_annoys_less() -> None:
    world = tasteful()
    annoyed = [
        simulate(world, Clairvoyant(world), CUSTOMERS, 8, seed=2, prices=Prices(price, (0.5,))).annoyance.mean()
        for price in (0.0, 2.0, 10.0)
    ]
    assert annoyed[0] > annoyed[1] > annoyed[2]


def test_customers_who_share_pools_are_told_one_by_one() -> None:
    """The one pool empties on the way, so that some rows are asked again: they must be asked with their own states."""
    world = tasteful()
    run = run_pooled(PooledSetting(world, Clairvoyant(world), np.arange(300), 4, seed=3, share=0.05))
    refused = run.days["requests_refused"].sum()
    assert refused > 0
    capacity = Pools(world.catalogue, 300, 0.05).left.sum()
    assert run.days["granted"].max() <= capacity + 1e-9
    simulator = Simulator(world, 3)
    simulator.reset(np.arange(50))
    view, hidden = simulator.view(), hidden_states(world, simulator.state)
    some = np.array([4, 17, 33])
    whole = told(Clairvoyant(world), hidden).probabilities(view.observation, view.mask)
    part = told(Clairvoyant(world), hidden.take(some)).probabilities(view.observation[some], view.mask[some])
    np.testing.assert_array_equal(whole[some], part)
