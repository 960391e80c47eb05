"""Levers: what a policy uses at each price, and what it brings to be told a wrong one, by hand and in the bank."""

from __future__ import annotations

import numpy as np
import pytest

from agents.clairvoyant import TrueHeads
from agents.levers import Levers
from agents.simple import Random
from benchmarks.judged import decided
from benchmarks.kit import Result
from benchmarks.lever import ANNOYANCE, POOL, Lever, asked_levers
from benchmarks.levers import _crossed, _swept
from envs.prices import Prices
from envs.world import load_world
from training.foreseen import Foreseen, foresee, silent

BANK = load_world("bank")
CUSTOMERS = 400


def foreseen(margin: float, annoyance: float) -> Foreseen:
    """Customers around these means, with luck that they share whatever they are told."""
    luck = np.random.default_rng(0).normal(0, 1, CUSTOMERS)
    parts = np.column_stack([margin + luck, np.zeros(CUSTOMERS), annoyance + 0.1 * luck, np.zeros(CUSTOMERS)])
    return Foreseen(parts[:, 0], parts[:, 1], parts[:, 2], parts[:, 3:], parts[:, 0], parts)


def lever(margin: tuple[float, ...], annoyance: tuple[float, ...]) -> Lever:
    """Told 0, 10 and 20 CNY per opt-out."""
    told = tuple(Prices(level, (0.0,)) for level in (0.0, 10.0, 20.0))
    return Lever("annoyance", 0, told, tuple((foreseen(*each),) for each in zip(margin, annoyance, strict=True)))


NOTHING = foreseen(0.0, 0.0)
LISTENS, RAISES = lever((30, 28, 24), (1.0, 0.6, 0.3)), lever((30, 28, 32), (1.0, 0.6, 0.9))


def test_value_is_linear_in_the_prices_that_are_judged_at() -> None:
    found = LISTENS.pays(0, 1).mean(), LISTENS.pays(1, 0).mean(), LISTENS.pays(2, 2).max()
    assert found == pytest.approx((28 - 30, (30 - 10) - (28 - 6), 0.0))


def test_who_listens_passes_and_who_is_raised_by_a_price_does_not() -> None:
    good, bad = Result("good"), Result("bad")
    for lever, result in ((LISTENS, good), (RAISES, bad)):
        _swept([lever], result)
        _crossed(lever, NOTHING, result)
    assert good.holds == {"monotone": True, "cross-price annoyance": True}
    assert bad.holds == {"monotone": False, "cross-price annoyance": False}
    assert "1 of 2 steps" in bad.targets["monotone"]


def test_one_policy_of_several_that_uses_more_is_not_hidden_by_the_others() -> None:
    found = tuple((*good, *good, *bad) for good, bad in zip(LISTENS.found, RAISES.found, strict=True))
    result = Result("several")
    _swept([Lever("annoyance", 0, LISTENS.told, found)], result)
    assert "1 of 6 steps" in result.targets["monotone"]
    assert not result.holds["monotone"]


def test_a_deaf_policy_uses_the_same_at_any_price_and_one_that_reads_prices_less() -> None:
    numbers = np.arange(60)
    rule = TrueHeads(BANK, Levers(1.0, 1.0, 0.0))
    deaf, reads = (asked_levers(BANK, [policy], numbers, 3, 0) for policy in (Random(), rule))
    assert [lever.name for lever in deaf] == ["annoyance", *BANK.catalogue.pool_ids]
    assert [lever.levels for lever in deaf] == [list(ANNOYANCE), *[list(POOL)] * 3]
    for lever in deaf:
        for k in range(1, len(lever.told)):
            np.testing.assert_array_equal(lever.consumption(k), lever.consumption(0))
            assert (lever.pays(0, k) == 0).all()
    lowest, highest = (np.array([lever.consumption(k).mean() for lever in reads]) for k in (0, -1))
    assert highest[0] < lowest[0]
    assert (highest[1:] <= lowest[1:]).all()
    assert highest[1:].sum() < lowest[1:].sum()


def test_value_at_the_prices_that_were_told_is_the_value() -> None:
    prices = Prices(60.0, (0.5, 1.0, 2.0))
    vectors = np.tile(prices.vector(), (50, 1))
    rule = TrueHeads(BANK, Levers(1.0, 1.0, 0.0))
    found = foresee(BANK, decided(rule, 0), np.arange(50), vectors, 7, 0)
    np.testing.assert_allclose(found.value_at(prices), found.value, rtol=1e-9)
    assert found.value.std() > 0
    nobody = foresee(BANK, silent, np.arange(50), vectors, 7, 0)
    np.testing.assert_allclose(nobody.discounted[:, 3:], 0)
