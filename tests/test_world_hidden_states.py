"""Hidden states as treatments meet them: what the simulator then finds, and what it draws answers by."""

from __future__ import annotations

import numpy as np
import pytest
from world_kit import some_allowed

from envs.expectation import Expectation
from envs.expected_reward import ExpectedReward
from envs.features import CLASH, CLOCK, CONTEXT
from envs.hidden_states import HiddenStates, hidden_states, latent_under
from envs.mechanisms import rewritten
from envs.response import Term
from envs.simulator import Simulator
from envs.world import World, load_world

BANK = load_world("bank")


def busy(world: World, customers: int, days: int = 4) -> Simulator:
    """Some days of random contacts."""
    simulator = Simulator(world, 3)
    simulator.reset(np.arange(customers))
    for day in range(days):
        simulator.step(some_allowed(simulator, day))
    return simulator


def quarrelsome() -> World:
    """The bank where a contact that contradicts another one drives customers away, and nothing else does."""
    head = BANK.coefficients.heads["opted_out"]
    terms = (Term(feature="contact", value=-4.0), Term(feature="latent.clash", value=5.0))
    heads = {name: old for name, old in BANK.coefficients.heads.items() if name != "complained"}
    return rewritten(BANK, heads | {"opted_out": head.model_copy(update={"terms": terms})})


def prompt(world: World) -> np.ndarray:  # (treatments,) bool
    """Treatments that are carried out on the day they are decided."""
    channels = world.catalogue.channels
    return np.array([True, *(channels[k].delay_days == 0 for k in world.catalogue.channel_of[1:])])


def test_they_are_what_the_simulator_finds_when_it_carries_the_treatment_out() -> None:
    simulator, treatments = busy(BANK, 800), prompt(BANK)
    treatment = some_allowed(simulator, 9)
    hidden, chosen = hidden_states(BANK, simulator.state), latent_under(BANK, simulator.state, treatment)
    before = simulator.state.latent.copy()
    waited = simulator.state.person["waiting"] > 0
    simulator.step(treatment)
    rows = np.flatnonzero(treatments[treatment] & (treatment > 0) & ~waited)
    after = simulator.state.latent[rows]
    np.testing.assert_array_equal(hidden.clash[rows, treatment[rows]], after[:, CLASH])
    np.testing.assert_array_equal(chosen[rows, CLASH], after[:, CLASH])
    assert (after[:, CLASH] != before[rows, CLASH]).mean() > 0.2
    np.testing.assert_array_equal(hidden.clash[:, 0], before[:, CLASH])  # silence leaves what is there
    others = [k for k in range(before.shape[1]) if k not in (CLASH, CONTEXT, CLOCK)]
    np.testing.assert_array_equal(hidden.latent[:, others], before[:, others])


def test_on_the_first_day_one_desk_knows_its_context() -> None:
    simulator = Simulator(BANK, 0)
    simulator.reset(np.arange(5))
    assert not simulator.state.latent[:, CONTEXT].any()
    assert (hidden_states(BANK, simulator.state).latent[:, CONTEXT] == 1).all()
    assert not simulator.state.latent[:, CONTEXT].any()  # a copy


def test_all_treatments_at_once_are_as_each_by_itself() -> None:
    world = quarrelsome()
    simulator, expectation = busy(world, 200), Expectation(world)
    seen, hidden = simulator.view().observation, hidden_states(world, simulator.state)
    every = expectation.knowing(seen, hidden)
    for option in range(0, len(world.catalogue.treatment_ids), 5):
        treatment = np.full(200, option)
        one = expectation.chosen(seen, treatment, latent_under(world, simulator.state, treatment))
        for part in ("margin", "cost", "annoyance", "converted"):
            np.testing.assert_allclose(getattr(one, part), getattr(every, part)[:, option], rtol=1e-6, atol=1e-9)
    some = np.array([3, 1, 77])
    part = expectation.knowing(seen[some], hidden.take(some))
    np.testing.assert_array_equal(part.annoyance, every.annoyance[some])
    assert isinstance(hidden.take(some), HiddenStates)


@pytest.mark.parametrize("own", [True, False], ids=["own", "last"])
def test_customers_leave_by_the_clash_of_the_contact_that_is_made_not_of_the_last_one(own: bool) -> None:
    """Those whose clash this contact makes, and those for whom it makes none although the last one did."""
    world = quarrelsome()
    simulator = busy(world, 40_000)
    treatment = some_allowed(simulator, 9)
    now, last = (a[:, CLASH] for a in (latent_under(world, simulator.state, treatment), simulator.state.latent))
    rows = (now - last > 0.5) if own else (last - now > 0.5)
    rows = rows & prompt(world)[treatment] & (treatment > 0) & (simulator.state.person["waiting"] <= 0)
    assert rows.sum() > 500
    expected = ExpectedReward(world).parts(simulator, treatment).annoyance
    difference = (simulator.step(treatment).tally.annoyance - expected)[rows]
    assert abs(difference.mean()) < 4 * difference.std() / rows.sum() ** 0.5
