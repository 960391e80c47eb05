"""Regret in stress worlds: by hand, and its interval; what customers who share no pools do not feel."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from agents.baselines import CoordinatedRules
from agents.layout import Layout
from benchmarks.regret import UNFELT, gains, regret_of, worth_most
from envs.prices import Prices
from envs.stress import stressed
from envs.world import load_world
from evaluation.frontier import Frontier
from evaluation.simulation import Totals, simulate
from evaluation.trial import SILENT


def totals(margin: list[float], cost: float, annoyance: float, effort: float) -> Totals:
    size = len(margin)
    same = {f.name: np.zeros(size) for f in fields(Totals)}
    known = {"margin": np.array(margin), "cost": np.full(size, cost), "annoyance": np.full(size, annoyance)}
    return Totals(**{**same, **known, "effort": np.full((size, 2), effort)})


def test_gains_pay_for_annoyance_and_for_pools() -> None:
    found = gains([totals([10, 20], 1, 0.5, 2)], totals([4, 4], 0, 0.1, 0), Prices(20.0, (1.0, 0.25)))
    np.testing.assert_allclose(found, [[6 - 1 - 8 - 2.5, 16 - 1 - 8 - 2.5]])


def test_regret_is_the_paired_difference_and_its_share_of_the_better_one() -> None:
    best, mine = np.array([[10.0, 20.0, 30.0]]), np.array([[8.0, 16.0, 24.0]])
    found = regret_of(mine, best)
    assert (found.difference.value, found.share.value) == pytest.approx((4.0, 0.2))
    assert (found.share.lo, found.share.hi) == pytest.approx((0.2, 0.2))  # a fifth of every customer's gain: no chance


def test_intervals_of_the_share_cover() -> None:
    rng, truth, covered = np.random.default_rng(3), 0.25, 0
    for _ in range(400):
        best = rng.normal(8, 5, (1, 300))
        covered += (found := regret_of(best - rng.normal(2, 4, (1, 300)), best)).share.lo <= truth <= found.share.hi
    assert 0.92 <= covered / 400 <= 0.98


def test_the_corner_that_is_worth_most_pays_for_its_annoyance() -> None:
    frontier = Frontier("x", (SILENT,) * 3, np.array([0.0, 1.0, 2.0]), np.array([0.0, 30.0, 45.0]))
    dear, cheap = (worth_most(frontier, Prices(price, ())) for price in (20.0, 10.0))
    assert dear is frontier.corners[1]
    assert cheap is frontier.corners[2]


@pytest.mark.parametrize("name", UNFELT)
def test_customers_who_share_no_pools_do_not_feel_fewer_of_them_nor_does_the_network(name: str) -> None:
    bank = load_world("bank")
    changed = stressed(bank, name)
    both = [simulate(w, CoordinatedRules(w.catalogue, w.encoder), np.arange(50), 21, seed=0) for w in (bank, changed)]
    layouts = [Layout.of(world.encoder) for world in (bank, changed)]
    for kind, pair in ((Totals, both), (Layout, layouts)):
        for part in fields(kind):
            first, second = (getattr(one, part.name) for one in pair)
            assert first == second if part.name == "reading" else np.array_equal(first, second), part.name
