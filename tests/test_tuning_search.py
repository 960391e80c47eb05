"""Tuning: the budget holds, the search finds what is better, and it stays better on other customers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world_kit import small_world

from agents.levers import Levers
from agents.myopic import Myopic
from agents.simple import Fixed, Silence
from envs.errors import InputError
from evaluation.simulation import simulate
from evaluation.trial import Dialled, Trial
from training.families import annoyance_price, levered, simple
from training.tuning import Dial, Family, closest, tune

WORLD = small_world()
BUDGET = 200_000


@given(st.floats(0, 1, exclude_max=True), st.floats(0.1, 5), st.floats(1, 20), st.booleans(), st.floats(0, 0.9))
def test_a_dial_stays_in_its_range(uniform: float, low: float, more: float, logarithmic: bool, zero: float) -> None:
    value = Dial(low, low + more, logarithmic, zero).at(uniform)
    assert value == 0.0 if uniform < zero else low * (1 - 1e-9) <= value <= (low + more) * (1 + 1e-9)


def test_a_tuned_rule_keeps_its_budget_and_reaches_over_a_range_of_annoyance() -> None:
    family = levered("myopic", lambda levers: Myopic(WORLD, levers), WORLD)
    told: list[float] = []
    tuned = tune(family, WORLD, BUDGET, days=10, seed=1, advance=told.append)
    assert tuned.tuning_days <= BUDGET
    assert tuned.tuning_days > 0.9 * BUDGET
    assert sum(told) == tuned.tuning_days
    assert tuned.positions == 36
    assert tuned.customers[1] > 2.5 * tuned.customers[0]
    levels = tuned.frontier.annoyance
    assert len(levels) >= 3
    assert levels[-1] > 1.5 * levels[1]


def test_a_tuned_frontier_holds_on_other_customers() -> None:
    """Better than each of the plain rules it was offered, where they stand."""
    family = levered("myopic", lambda levers: Myopic(WORLD, levers), WORLD)
    frontier = tune(family, WORLD, BUDGET, days=10, seed=1).frontier
    trial = Trial(WORLD, np.arange(3000), 10, 1)
    tested = frontier.measured(trial)
    plain = trial.run(Dialled("plain", Myopic(WORLD, Levers()), annoyance_price(WORLD, 2.0)))
    level = float(plain.annoyance.mean())
    gain = plain.profit.mean() - trial.silence.profit.mean()
    assert tested.gain(level).mean() > 0.97 * gain


def test_the_best_fixed_treatment_is_among_all() -> None:
    fixed = next(family for family in simple(WORLD) if family.name == "best_fixed")
    tuned = tune(fixed, WORLD, BUDGET, days=10, seed=0)
    assert tuned.positions == len(WORLD.catalogue.treatments)
    values = [
        simulate(WORLD, Fixed(k), np.arange(2000), 10, seed=0).profit.mean() for k in range(1, tuned.positions + 1)
    ]
    assert tuned.frontier.corners[-1].name == WORLD.catalogue.treatment_ids[1 + int(np.argmax(values))]


def test_a_budget_that_is_too_small_is_named() -> None:
    family = Family("nothing", lambda _: Dialled("silence", Silence()), learning_days=100)
    with pytest.raises(InputError, match=r"customer-days for nothing == 120, must be at least 2100"):
        tune(family, WORLD, 120, days=10)


def test_corners_survive_first_then_what_is_close_to_them() -> None:
    trial = Trial(WORLD, np.arange(200), 4, 0)

    def position(values: Mapping[str, float]) -> Dialled:
        return Dialled("", Myopic(WORLD, Levers(contact=values["contact"])))

    totals = [trial.run(position({"contact": charge})) for charge in (0.0, 1.0, 30.0)]
    order = closest(totals, trial.silence, 3)
    assert sorted(order) == [0, 1, 2]
    assert order[-1] == 2  # so dear a contact that nothing happens: worth nothing, no corner
    assert closest(totals, trial.silence, 1) == order[:1]
