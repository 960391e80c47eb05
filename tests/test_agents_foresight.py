"""Foresight learns what histories say of hidden states, for customers whom it never watched."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from world_kit import small_world

from agents.fitting import Passes
from agents.foresight import Foresight, hides
from agents.layout import Layout
from agents.network import TreatmentScorer
from agents.sb3_env import SimulatorVecEnv
from agents.watching import Watched, fit, known_margin, watch
from envs.expectation import Expectation, Expected
from envs.features import latent_columns
from envs.hidden_states import hidden_states
from envs.vector import BankVectorEnv
from envs.world import World, load_world

BANK = load_world("bank")


def customers(world: World, count: int, first: int, horizon: int = 30) -> SimulatorVecEnv:
    options = {"horizon": horizon, "random_prices": True, "stagger": True}
    environment = SimulatorVecEnv([BankVectorEnv(count, world, first_customer=first, **options)])
    environment.seed(1)
    return environment


def anything(_: Expected, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Some contact every few days."""
    contact = np.where(np.arange(len(mask))[:, None] % 3 == 0, mask, 0.0)
    contact[:, 0] = 1.0
    return np.asarray(contact / contact.sum(axis=1, keepdims=True))


def watched_by(count: int, first: int) -> Watched:
    return watch(customers(BANK, count, first), anything, 30, 0.1, np.random.default_rng(0))


@cache
def learned() -> TreatmentScorer:
    torch.manual_seed(0)
    network = TreatmentScorer(Layout.of(BANK.encoder), 32, 1, 8)
    fit(network, watched_by(3000, 0), Passes(4, 256, 3e-3, 0))
    return network


def deviance(factor: np.ndarray, seen: Watched) -> float:
    return float((np.maximum(seen.mean, 0) * np.exp(factor) - np.maximum(seen.known, 0) * factor).sum(axis=1).mean())


def test_margins_of_other_customers_are_foreseen_better_than_by_any_constant_factor() -> None:
    other, network = watched_by(1500, 100_000), learned()
    with torch.no_grad():
        factor = network.forward_actor(torch.as_tensor(other.observation)).numpy()
    assert (factor[:, 0] == 0).all()
    best = np.log(np.maximum(other.known, 0).sum() / np.maximum(other.mean, 0).sum())
    none, constant = (deviance(np.full_like(factor, level), other) for level in (0.0, best))
    assert deviance(factor, other) < constant - 0.15 * (none - constant)


def test_what_is_known_is_told_by_the_world_of_each_batch() -> None:
    environment = SimulatorVecEnv([BankVectorEnv(3, BANK), BankVectorEnv(4, load_world("bank+annoyance_twice"))])
    environment.seed(0)
    environment.reset()
    rows = np.array([0, 2, 3, 6])
    found = known_margin(environment, rows)
    every = [
        Expectation(b.world).knowing(b.simulator.view().observation, hidden_states(b.world, b.simulator.state)).margin
        for b in environment.batches
    ]
    np.testing.assert_allclose(found, np.concatenate(every)[rows], rtol=1e-12)


def test_without_a_network_hidden_states_are_at_their_mean_and_only_margins_move_with_one() -> None:
    observation = customers(BANK, 20, 5).reset()
    mean, moved = Foresight(BANK)(observation), Foresight(BANK, learned())(observation)
    zeros = np.zeros((20, latent_columns(BANK.catalogue)), np.float32)
    expected = Expectation(BANK).knowing(observation, zeros)
    np.testing.assert_array_equal(mean.margin, expected.margin)
    np.testing.assert_array_equal(moved.annoyance, mean.annoyance)
    assert (np.sign(moved.margin) == np.sign(mean.margin)).all()
    assert not np.allclose(moved.margin, mean.margin)


def test_only_worlds_whose_heads_look_at_hidden_states_hide_something() -> None:
    assert hides(BANK)
    assert not hides(load_world("exact"))
    assert not hides(small_world())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_the_decisions_is_noted(share: float) -> None:
    found = watch(customers(BANK, 8, 0), anything, 2, share, np.random.default_rng(0))
    assert len(found.observation) == len(found.known) == len(found.mean) == share * 16
