"""Fitted Q: waits where waiting pays, agrees with the engine where tomorrow does not depend on today."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from world_kit import named, small_world

from agents.experience import Experience
from agents.fitted_q import CANDIDATES, FittedQ, candidates
from agents.levers import Levers
from agents.pairs import Pairs
from envs.prices import Prices
from envs.rules import Cap, Rules
from envs.simulator import Simulator
from envs.world import World
from evaluation.intervals import mean_interval
from evaluation.simulation import simulate
from training.experience import explored
from training.fitted_q import clipped, learn_fitted_q, prepared
from training.propensity import learn_propensity

FREE = Prices(0.0, (0.0,))
TREES = {"min_child_samples": 100, "reg_lambda": 1.0, "n_estimators": 40}


def rationed(days: int) -> World:
    """One contact in so many days (0: as many as one likes); whoever comes in by the app buys far more readily."""
    caps = (Cap(name="one", most=1, days=days, inbound=True),) if days else ()
    return small_world(
        rules=Rules(suitability="rating", caps=caps),
        engaged={"link": "logit", "given": "delivered", "terms": named({"contact": -1.5, "channel=app": 3.0})},
        converted={"link": "logit", "given": "engaged", "terms": named({"contact": -0.5, "product=care": -30})},
        churned=None, churned_value=None, declined=None, opted_out=None, complained=None, organic=None, browsed=None,
        **{"trigger:app_session": {"link": "logit", "terms": named({"1": -1.7})}},
    )  # fmt: skip


@lru_cache(maxsize=2)
def learned(days: int) -> tuple[World, FittedQ, Experience]:
    world = rationed(days)
    found = explored(world, 20_000 + np.arange(4000), 16, seed=1)
    engine = learn_propensity(found, world.encoder).policy
    return world, learn_fitted_q(engine, found, rounds=6, trees=TREES), found


def test_it_waits_where_waiting_pays() -> None:
    """A message today closes the door to the customer who comes in tomorrow: the engine sends it, the learner waits."""
    world, policy, _ = learned(5)
    customers = np.arange(2500)
    engine, mine = (simulate(world, p, customers, 25, seed=7, prices=FREE) for p in (policy.engine, policy))
    assert mean_interval(mine.profit - engine.profit).lo > 0.1 * engine.profit.mean()


def test_where_tomorrow_is_not_rationed_it_does_as_well_as_the_engine() -> None:
    world, policy, _ = learned(0)
    customers = np.arange(2500)
    engine, mine = (simulate(world, p, customers, 12, seed=7, prices=FREE) for p in (policy.engine, policy))
    assert mine.profit.mean() > 0.97 * engine.profit.mean()


def test_a_weight_of_nothing_is_the_engine() -> None:
    world, policy, _ = learned(5)
    simulator = Simulator(world, 3)
    simulator.reset(np.arange(300))
    view = simulator.view()
    plain = policy.dialled(Levers(), weight=0.0).probabilities(view.observation, view.mask)
    np.testing.assert_array_equal(plain, policy.engine.probabilities(view.observation, view.mask))
    p = policy.probabilities(view.observation, view.mask)
    np.testing.assert_array_equal(p.sum(axis=1), 1)
    assert (p[~view.mask] == 0).all()


def test_a_dearer_price_annoys_less() -> None:
    world, policy, _ = learned(5)
    annoyed = [
        simulate(world, policy, np.arange(600), 15, seed=1, prices=Prices(price, (0.0,))).annoyance.mean()
        for price in (0.0, 5.0, 30.0)
    ]
    assert annoyed[0] >= annoyed[1] > annoyed[2]


def test_candidates_are_silence_and_the_best_of_today() -> None:
    world = rationed(0)
    reward = np.array([[0.0, 5, 1, 7, -2, 3, 4], [0.0, -1, -1, -1, -1, -1, 9]])
    mask = np.ones((2, 7), bool)
    mask[0, 3] = False
    mask[1, 1:] = [False, False, True, False, False, True]
    found = candidates(reward, mask, Pairs(world.encoder))
    assert len(found.row) <= 2 * (CANDIDATES + 1)
    assert found.treatment[found.row == 0].tolist() == [0, 1, 2, 5, 6]
    assert found.treatment[found.row == 1].tolist() == [0, 3, 6]
    assert found.first.tolist() == [0, 5]
    np.testing.assert_array_equal(found.reward, reward[found.row, found.treatment])
    loan, fund = (world.catalogue.product_ids.index(p) for p in ("loan", "fund"))
    assert found.best[0, [loan, fund]].tolist() == [5, 4]
    assert found.best[1, fund] == 9


def test_prices_are_drawn_per_customer_and_rewards_are_priced_anew() -> None:
    world, policy, found = learned(5)
    replay = prepared(policy.engine, found, np.random.default_rng(0))
    same = found.customer[1:] == found.customer[:-1]
    assert (replay.price[1:][same] == replay.price[:-1][same]).all()
    assert 0.05 < (replay.price == 0).mean() < 0.25
    assert replay.price.max() <= world.encoder.price_highs[0]
    some = np.flatnonzero(replay.among.treatment > 0)[:500]
    row, treatment = replay.among.row[some], replay.among.treatment[some]
    expected = policy.engine.expected(found.observation[row], found.mask[row])
    at = (np.arange(len(row)), treatment)
    reward = expected.margin[at] - expected.cost[at] - replay.price[row] * expected.annoyance[at]
    np.testing.assert_allclose(replay.among.reward[some], reward)


def test_clipping_moves_the_outermost_only() -> None:
    values = np.concatenate([np.linspace(-1, 1, 998), [-1000.0, 1000.0]])
    assert np.abs(clipped(values)).max() < 1.01
    np.testing.assert_array_equal(clipped(values)[20:-20], values[20:-20])
