"""The pilot's figures: silos beside themselves, prices that a policy can afford, the tuned silos that convert most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.silos import PILOT, Silos, as_they_are, tuned_silos
from envs.prices import Prices
from envs.world import load_world
from evaluation.trial import Trial

BANK = load_world("bank")
SILOS = Silos(Trial(BANK, np.arange(120), 14), as_they_are(BANK))


def test_silos_beside_themselves_are_alike() -> None:
    found = SILOS.others(SILOS)
    assert [found[name] for name in PILOT] == pytest.approx([1.0] * len(PILOT))
    assert found["annoyance, upper"] == found["cost"] == 0.0


def test_prices_are_those_that_convert_most_of_what_surely_costs_and_annoys_no_more() -> None:
    own, silent = SILOS.totals, SILOS.trial.silence
    few = replace(silent, conversions=own.conversions + 1)
    many = replace(silent, conversions=own.conversions + 2)
    dear = replace(silent, conversions=own.conversions + 9, cost=own.cost + 1)
    irksome = replace(silent, conversions=own.conversions + 9, annoyance=own.annoyance + 0.1)
    prices = [Prices(float(k), (0.0,) * 3) for k in range(4)]
    assert SILOS.affordable(dict(zip(prices, (few, many, dear, irksome), strict=True))) == prices[1]
    assert SILOS.affordable(dict(zip(prices[2:], (dear, irksome), strict=True))) == prices[3]  # else the highest


@pytest.mark.slow
def test_tuned_silos_are_silos_that_convert_more_than_silence() -> None:
    trial = Trial(BANK, 15_000_000 + np.arange(300), 28)
    tuned = tuned_silos(250_000, trial, 0)
    assert tuned.rules is not None
    assert tuned.rules != BANK.rules
    assert trial.run(tuned).conversions.mean() > trial.silence.conversions.mean()
