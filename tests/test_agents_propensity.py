"""Propensity x margin, learned: calibrated, masked, steerable, and near the rule that knows the truth."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import named, small_world

from agents.levers import Levers
from agents.myopic import Myopic
from agents.pairs import Pairs
from agents.propensity import Calibration, PropensityMargin
from agents.simple import Random
from envs.prices import Prices
from envs.simulator import Simulator
from envs.world import World
from evaluation.simulation import simulate
from training.experience import Explorer, explored, logged
from training.propensity import Learned, calibrations, learn_propensity
from training.random_log import random_log

CUSTOMERS = np.arange(2500)


def plain() -> World:
    """The small world where only contacts bring margin: what a log can attribute is all there is."""
    return small_world(churned=None, churned_value=None, browsed=None, complained=None)


@lru_cache(maxsize=1)
def learned() -> tuple[World, Learned]:
    world = plain()
    return world, learn_propensity(explored(world, 10_000 + np.arange(6000), 12, seed=3), world.encoder, seed=1)


def test_experience_is_what_the_simulator_did() -> None:
    world = plain()
    found = explored(world, np.arange(300), 8, seed=3)
    assert len(found) == 300 * 8  # nobody leaves in this world
    assert found.mask[np.arange(len(found)), found.treatment].all()
    assert ((found.propensity > 0) & (found.propensity <= 1)).all()
    run = simulate(world, Explorer(world), np.arange(300), 8, seed=3)
    np.testing.assert_allclose(np.bincount(found.customer, found.margin), run.margin)
    np.testing.assert_allclose(np.bincount(found.customer, found.annoyance), run.annoyance)
    np.testing.assert_array_equal(found.following[:8], [1, 2, 3, 4, 5, 6, 7, -1])
    assert found.signed.sum() > 20
    assert (found.value[~found.signed] <= 0).all()
    assert not found.signed[found.treatment == 0].any()


def test_experience_of_tables_ties_events_to_their_decisions() -> None:
    world = plain()
    tables = random_log(world, 400, 6, seed=2)
    found = logged(tables, "all")
    assert found.signed.any()
    assert not found.signed[found.treatment == 0].any()
    assert found.value[found.signed].min() > 0
    assert (found.upset[found.signed | ~found.signed] >= 0).all()


def test_chances_are_calibrated_on_customers_that_nothing_was_fitted_on() -> None:
    world, found = learned()
    other = explored(world, np.arange(4000), 12, seed=9)
    rows = other.contacts
    chance = found.policy.signing.chance(other.observation[rows], np.arange(len(rows)), other.treatment[rows])
    order = np.argsort(chance)
    for part in np.array_split(order, 4):
        happened = other.signed[rows][part]
        spread = np.sqrt(happened.mean() * (1 - happened.mean()) / len(part))
        assert abs(chance[part].mean() - happened.mean()) < 4 * spread + 0.1 * happened.mean() + 0.002


def test_it_reaches_what_the_true_heads_reach_one_step_ahead() -> None:
    world, found = learned()
    true = simulate(world, Myopic(world), CUSTOMERS, 10, seed=5).value.mean()
    mine = simulate(world, found.policy, CUSTOMERS, 10, seed=5).value.mean()
    random = simulate(world, Random(), CUSTOMERS, 10, seed=5).value.mean()
    assert (mine - random) / (true - random) > 0.9


def test_it_says_what_was_chosen() -> None:
    _, found = learned()
    assert {c.name for c in found.chosen} == {"signing", "upsetting"}
    signing = found.chosen[0]
    kinds = {f"{model} {how}" for model in ("trees", "logistic") for how in ("raw", "platt", "isotonic")}
    assert set(signing.losses) == kinds
    assert signing.losses[signing.best] == min(signing.losses.values())
    assert "log loss on held-out customers" in str(signing)


def test_only_allowed_treatments_and_dearer_prices_annoy_less() -> None:
    world, found = learned()
    simulator = Simulator(world, 0)
    simulator.reset(np.arange(300))
    view = simulator.view()
    p = found.policy.probabilities(view.observation, view.mask)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p[~view.mask] == 0).all()
    annoyed = [
        simulate(world, found.policy, CUSTOMERS[:800], 8, seed=1, prices=Prices(price, (0.5,))).annoyance.mean()
        for price in (0.0, 2.0, 10.0)
    ]
    assert annoyed[0] > annoyed[1] > annoyed[2]
    charged = found.policy.dialled(Levers(contact=1.0))
    assert isinstance(charged, PropensityMargin)
    assert simulate(world, charged, CUSTOMERS[:800], 8, seed=1).contacts.sum() < (
        simulate(world, found.policy, CUSTOMERS[:800], 8, seed=1).contacts.sum()
    )


def test_trees_and_logistic_regression_find_a_logistic_truth() -> None:
    """Where the truth is a logistic regression on own and general fields, its log loss is close to the truth's own."""
    answer = {"link": "logit", "given": "delivered", "terms": named({"contact": 0.0, "vip": 1.5, "age": 0.8})}
    world = small_world(engaged=answer, churned=None, churned_value=None)
    found = learn_propensity(explored(world, np.arange(5000), 10, seed=1), world.encoder)
    losses = found.chosen[0].losses
    assert abs(losses["trees raw"] - losses["logistic raw"]) < 0.03 * losses["logistic raw"]


@settings(max_examples=20)
@given(st.floats(-3, 3), st.floats(0.3, 3))
def test_calibrations_undo_a_shift_and_a_stretch(shift: float, stretch: float) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 1, 20_000)
    happened = rng.random(20_000) < 1 / (1 + np.exp(-true))
    raw, platt, isotonic = calibrations((true - shift) / stretch, happened)
    assert raw == Calibration("raw")
    np.testing.assert_allclose(platt((true - shift) / stretch), 1 / (1 + np.exp(-true)), atol=0.05)
    middle = np.abs(true + 1) < 1.5
    error = isotonic((true - shift) / stretch)[middle] - 1 / (1 + np.exp(-true[middle]))
    assert np.sqrt(np.mean(error**2)) < 0.04


def test_pairs_are_written_as_they_are_named() -> None:
    world = plain()
    pairs, names = Pairs(world.encoder), world.encoder.names
    observation = np.arange(2 * len(names), dtype=np.float32).reshape(2, -1)
    call = world.catalogue.treatment_ids.index("call-fund")
    row = dict(zip(pairs.names, pairs.written(observation, np.array([1]), np.array([call]))[0], strict=True))
    assert row["product"] == world.catalogue.product_ids.index("fund")
    assert row["channel"] == world.catalogue.channel_ids.index("call")
    assert row["cost"] == 3.0
    assert row["own_channel.pressure"] == observation[1, names.index("channel:call:pressure")]
    assert row["own_product.intent"] == observation[1, names.index("product:fund:intent")]
    assert row["age"] == observation[1, names.index("age")]
    assert row["conflict"] == observation[1, names.index("product:loan:offered")]
    assert not any(name.startswith("price:") for name in pairs.names)
    silent = dict(zip(pairs.names, pairs.written(observation, np.array([0]), np.array([0]))[0], strict=True))
    assert silent["product"] == silent["channel"] == -1
    assert silent["own_product.intent"] == silent["conflict"] == 0


def test_an_experience_without_success_is_refused() -> None:
    world = small_world(converted=None, converted_value=None, organic=None)
    with pytest.raises(ValueError, match="must hold contacts that led to something"):
        learn_propensity(explored(world, np.arange(50), 3, seed=0), world.encoder)
