"""Linear Thompson sampling: the posterior is the formula's, the lottery is honest, and the best arm is found."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from world_kit import named, small_world

from agents.bandit import LinearThompson
from agents.levers import Levers
from agents.linear import Design
from agents.pairs import Pairs
from agents.simple import Fixed, Random
from envs.prices import Prices
from envs.simulator import Simulator
from envs.world import World
from evaluation.simulation import simulate
from training.bandit import Posterior, blocks, learn_bandit
from training.experience import explored

FREE = Prices(0.0, (0.0,))


@lru_cache(maxsize=1)
def one_good_arm() -> tuple[World, LinearThompson, int]:
    """Everybody is alike, and calls about the fund are worth more than anything else."""
    world = small_world(
        delivered={"link": "logit", "given": "contacted", "terms": named({"contact": 2.0})},
        engaged={"link": "logit", "given": "delivered", "terms": named({"contact": 0.0})},
        converted={"link": "logit", "given": "engaged", "terms": named({"contact": -2.0, "channel=call": 4.0})},
        churned=None, churned_value=None, opted_out=None, complained=None, declined=None,
    )  # fmt: skip
    bandit, spent = learn_bandit(world, 50_000 + np.arange(5000), 8, seed=2)
    return world, bandit, spent


def test_the_best_arm_is_found() -> None:
    world, bandit, spent = one_good_arm()
    assert spent == 5000 * 8
    customers = np.arange(1500)
    fixed = [
        simulate(world, Fixed(k), customers, 8, seed=4, prices=FREE).profit.mean()
        for k in range(1, len(world.catalogue.treatment_ids))
    ]
    best = 1 + int(np.argmax(fixed))
    assert world.catalogue.treatment_ids[best] == "call-fund"
    simulator = Simulator(world, 4)
    simulator.reset(customers, prices=FREE)
    view = simulator.view()
    p = bandit.probabilities(view.observation, view.mask)
    open_to = view.mask[:, best]
    assert (p[open_to].argmax(axis=1) == best).mean() > 0.9
    assert p[open_to, best].mean() > 0.75
    mine = simulate(world, bandit, customers, 8, seed=4, prices=FREE).profit.mean()
    random = simulate(world, Random(), customers, 8, seed=4, prices=FREE).profit.mean()
    assert mine > max(fixed) - 0.02 * abs(max(fixed))
    assert mine > 1.3 * random


def test_the_lottery_is_a_distribution_of_eighths_over_what_is_allowed() -> None:
    world, bandit, _ = one_good_arm()
    simulator = Simulator(world, 1)
    simulator.reset(np.arange(400))
    for _ in range(3):
        view = simulator.view()
        p = bandit.probabilities(view.observation, view.mask)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        assert (p[~view.mask] == 0).all()
        np.testing.assert_allclose(p * 8, np.round(p * 8), atol=1e-12)
        simulator.step(p.argmax(axis=1))


def test_it_is_steered_by_the_price_it_is_told() -> None:
    world, bandit, _ = one_good_arm()
    annoyed = [
        simulate(world, bandit, np.arange(800), 6, seed=1, prices=Prices(price, (0.5,))).annoyance.mean()
        for price in (0.0, 5.0, 50.0)
    ]
    assert annoyed[0] >= annoyed[1] > annoyed[2]
    dear = bandit.dialled(Levers(contact=1e9))
    assert simulate(world, dear, np.arange(100), 3, seed=1).contacts.sum() == 0


def test_the_posterior_is_the_ridge_regression_with_its_covariance() -> None:
    world = small_world(churned=None, churned_value=None)
    found = explored(world, np.arange(400), 6, seed=1)
    rows = found.contacts
    design = Design.of(Pairs(world.encoder), found.observation, rows, found.treatment[rows])
    posterior = Posterior(design)
    posterior.add(found, rows)
    x, y = (np.concatenate(parts) for parts in zip(*blocks(design, found, rows), strict=True))
    ridge = np.diag(np.append(np.full(design.width, posterior.penalty), 1e-6 * len(rows)))
    mean = np.linalg.solve(x.T @ x + ridge, x.T @ y)
    np.testing.assert_allclose(posterior.mean(), mean, atol=1e-6)
    drawn = posterior.samples(4000, np.random.default_rng(0))
    noise = ((y - x @ mean) ** 2).mean(axis=0) + ((mean**2).T @ np.diag(ridge)) / len(rows)
    covariance = np.linalg.inv(x.T @ x + ridge)
    at = x[7]
    for target in range(2):
        values = drawn[:, :, target] @ at
        true = np.sqrt(noise[target] * at @ covariance @ at)
        np.testing.assert_allclose(values.std(), true, rtol=0.05)
        np.testing.assert_allclose(values.mean(), at @ mean[:, target], atol=4 * true / np.sqrt(4000))


def test_linear_functions_are_the_columns_times_the_weights() -> None:
    world = small_world(churned=None, churned_value=None)
    found = explored(world, np.arange(100), 4, seed=1)
    rows = found.contacts
    design = Design.of(Pairs(world.encoder), found.observation, rows, found.treatment[rows])
    weights = np.random.default_rng(0).normal(size=(3, design.width))
    start = np.array([0.5, -1.0, 2.0])
    linear = design.linear(weights, start)
    direct = weights @ design.columns(found.observation, rows, found.treatment[rows]).T + start[:, None]
    np.testing.assert_allclose(linear.values(found.observation, rows, found.treatment[rows]), direct, atol=1e-9)
