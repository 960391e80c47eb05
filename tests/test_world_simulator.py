"""A step: contacts are charged and answered, time passes, tasks end; what is forbidden is not done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mechanisms_kit import rich_world
from simulator_kit import flat, snapshot
from world_kit import CATALOGUE, CONTINUING, FINITE, lived, named, small_world, some_allowed

from envs.calendar import FIRST_DAY, LAST_DAY
from envs.errors import InputError
from envs.history import NAMES
from envs.prices import Prices
from envs.rules import Rules
from envs.simulator import Simulator
from envs.world import load_world


def test_a_forbidden_treatment_is_executed_as_silence() -> None:
    world, customers = small_world(), np.arange(500)
    asking, silent = Simulator(world, 3), Simulator(world, 3)
    for simulator in (asking, silent):
        simulator.reset(customers)
    for _ in range(5):
        mask = asking.view().mask
        wish = np.argmin(mask, axis=1)  # a forbidden one where there is one, else silence
        forbidden = ~mask[np.arange(len(mask)), wish]
        assert forbidden.any()
        outcome, nothing = asking.step(wish), silent.step(np.zeros(500, int))
        assert not outcome.executed.any()
        assert (outcome.blocked[:, 0] == forbidden).all() or not asking.state.alive.all()
        assert not outcome.tally.contacts.any()
        assert not outcome.tally.cost.any()
        for name, values in flat(nothing).items():
            if name != "blocked":
                np.testing.assert_array_equal(flat(outcome)[name], values)
    for name, values in snapshot(silent).items():
        np.testing.assert_array_equal(snapshot(asking)[name], values)


def test_silence_costs_nothing_and_annoys_nobody() -> None:
    simulator = Simulator(load_world("bank"), 0)
    simulator.reset(np.arange(400))
    for _ in range(5):
        tally = simulator.step(np.zeros(400, int)).tally
        for values in (tally.cost, tally.annoyance, tally.effort, tally.contacts):
            assert not values.any()


def test_the_contact_itself_is_charged_by_the_catalogue() -> None:
    quiet = {"opted_out": None, "complained": None}
    simulator = Simulator(small_world(rules=Rules(), **quiet), 0)
    simulator.reset(np.arange(300))
    call = CATALOGUE.treatment_ids.index("call-fund")
    first = simulator.step(np.full(300, call)).tally
    np.testing.assert_array_equal(first.cost, 3.0)
    np.testing.assert_array_equal(first.effort, 5.0)
    np.testing.assert_allclose(first.annoyance, 0.3)  # no contact pressure yet
    alive = simulator.state.alive.copy()
    second = simulator.step(np.full(300, call)).tally
    np.testing.assert_allclose(second.annoyance[alive], 0.3 * (1 + 2 ** (-1 / 7)), rtol=1e-6)
    assert not second.cost[~alive].any()


def test_rewards_are_margin_less_costs_at_each_customers_prices() -> None:
    simulator = Simulator(small_world(), 0)
    simulator.reset(np.arange(300), prices=Prices(7.0, (0.25,)))
    for outcome in lived(simulator, 6):
        t = outcome.tally
        by_hand = t.margin - t.cost - 0.25 * t.effort[:, 0] - 7.0 * t.annoyance
        np.testing.assert_allclose(outcome.reward(simulator.state.prices), by_hand, rtol=1e-12, atol=1e-12)


def test_prices_are_observed_and_change_nothing_but_the_observation() -> None:
    world, customers = small_world(), np.arange(100)
    cheap, dear = Simulator(world, 0), Simulator(world, 0)
    cheap.reset(customers, prices=Prices(0.0, (0.0,)))
    dear.reset(customers)
    dear.set_prices(np.tile([10.0, 2.0], (100, 1)))
    for step in range(4):
        action = some_allowed(cheap, step)
        a, b = cheap.step(action), dear.step(action)
        assert all((flat(a)[k] == flat(b)[k]).all() for k in flat(a))
    columns = list(world.encoder.price_columns.values())
    np.testing.assert_array_equal(dear.view().observation[:, columns], 1.0)
    np.testing.assert_array_equal(cheap.view().observation[:, columns], 0.0)


def test_churned_customers_stay_silent_and_earn_nothing() -> None:
    churned = {"link": "rate", "given": "always", "terms": named({"1": -1.5})}
    simulator = Simulator(small_world(churned=churned), 1)
    simulator.reset(np.arange(400))
    gone, ended = np.zeros(400, bool), np.zeros(400, int)
    for step in range(8):
        outcome = simulator.step(some_allowed(simulator, step))
        for name, values in flat(outcome).items():
            assert not values[gone].any(), name
        ended += outcome.terminated
        gone = ~simulator.state.alive
        assert (ended == gone).all()  # everyone terminates once, in the step in which they go
    assert 200 < gone.sum() < 400


def test_the_margin_of_a_churn_is_lost() -> None:
    loyal = {"organic": None, "converted": None, "declined": None, "converted_value": None, "browsed": None}
    certain = {"link": "rate", "given": "always", "terms": named({"1": 5.0})}
    simulator = Simulator(small_world(churned=certain, **loyal), 1)
    simulator.reset(np.arange(5000))
    outcome = simulator.step(np.zeros(5000, int))
    assert outcome.terminated.all()
    assert (outcome.tally.margin < 0).all()
    error = outcome.tally.margin.std() / np.sqrt(5000)
    assert abs(outcome.tally.margin.mean() + np.exp(2.0)) < 4 * error


@pytest.mark.parametrize("resolution", ["day", "window"])
def test_a_cadence_of_seven_days_passes_seven_days(resolution: str) -> None:
    simulator = Simulator(small_world(resolution=resolution), 0, cadence_days=7)
    simulator.reset(np.arange(50))
    start = simulator.state.history.day.copy()
    for n in range(1, 4):
        assert simulator.step(some_allowed(simulator, n)).days == 7
        alive = simulator.state.alive
        np.testing.assert_array_equal(simulator.state.history.day[alive], start[alive] + 7 * n)
        assert (simulator.state.person["step"][alive] == n).all()
    assert Simulator(small_world({**CONTINUING, "cadence_days": 7})).cadence_days == 7


def test_what_happens_unasked_is_as_likely_day_by_day_as_in_one_window() -> None:
    keep = {"organic": None, "abandoned": None, "churned": None, "churned_value": None}
    browsed = {"link": "rate", "per": "product", "terms": named({"1": -3.0, "product=care": -30})}
    counts = []
    for resolution in ("day", "window"):
        simulator = Simulator(small_world(resolution=resolution, browsed=browsed, **keep), 0, cadence_days=7)
        simulator.reset(np.arange(20_000))
        margin = simulator.step(np.zeros(20_000, int)).tally.margin  # 0.25 for each browsed product
        counts.append(margin / 0.25)
    daily = 1 - np.exp(-np.exp(-3.0))
    weekly = 1 - np.exp(-7 * np.exp(-3.0))
    assert counts[0].mean() == pytest.approx(2 * 7 * daily, rel=0.03)
    assert counts[1].mean() == pytest.approx(2 * weekly, rel=0.03)


def test_another_desk_has_luck_of_its_own_but_the_same_prices_and_odds() -> None:
    world, customers = small_world(rules=Rules()), np.arange(30_000)
    first, second = Simulator(world, 4), Simulator(world, 4)
    for simulator in (first, second):
        simulator.reset(customers)
    action = np.full(30_000, CATALOGUE.treatment_ids.index("sms-loan-bonus"))
    none = np.zeros_like(action)
    a = first.step(np.stack([action, none], axis=1)).tally
    b = second.step(np.stack([none, action], axis=1)).tally
    np.testing.assert_array_equal(a.contacts, b.contacts)
    assert not np.array_equal(a.conversions, b.conversions)
    for name in ("conversions", "opt_outs", "complaints", "margin"):
        x, y = getattr(a, name), getattr(b, name)
        assert abs(x.mean() - y.mean()) < 4 * np.sqrt((x.var() + y.var()) / 30_000), name


def test_desks_that_act_on_the_same_day_all_contact_and_see_the_same_morning() -> None:
    quiet = {"opted_out": None, "complained": None}
    simulator = Simulator(small_world(rules=Rules(), **quiet), 4)
    simulator.reset(np.arange(300))
    ids = CATALOGUE.treatment_ids
    both = np.tile([ids.index("sms-care"), ids.index("call-fund")], (300, 1))
    tally = simulator.step(both).tally
    np.testing.assert_array_equal(tally.contacts, 2)
    np.testing.assert_allclose(tally.cost, 3.1)
    np.testing.assert_allclose(tally.annoyance, 0.4)  # neither desk felt the pressure of the other
    pressure = simulator.view().observation[:, simulator.world.encoder.names.index("contact:pressure")]
    np.testing.assert_allclose(pressure * 10, 2 * 2 ** (-1 / 7), rtol=1e-6)


def test_a_finite_task_ends_after_its_waves() -> None:
    simulator = Simulator(small_world(FINITE, churned=None, churned_value=None), 0)
    simulator.reset(np.arange(100))
    start = simulator.state.history.day.copy()
    names = simulator.world.encoder.names
    left, gap = names.index("task:time_left"), names.index("task:gap")
    clock = []
    for wave, (days, passed) in enumerate(zip((3, 2, 4), (3, 5, 9), strict=True)):
        seen = simulator.view().observation
        clock.append((seen[0, left] * 9, seen[0, gap] * 9))
        outcome = simulator.step(some_allowed(simulator, wave))
        assert outcome.days == days
        np.testing.assert_array_equal(simulator.state.history.day - start, passed)
        assert outcome.terminated.all() == (wave == 2)
        assert outcome.terminated.any() == (wave == 2)
    np.testing.assert_allclose(clock, [(9, 3), (6, 2), (4, 4)], rtol=1e-6)
    after = simulator.step(np.ones(100, int))
    for values in (after.terminated, after.tally.contacts, after.tally.margin):
        assert not values.any()


def test_a_first_morning_is_before_the_first_decision_and_a_later_one_is_part_of_the_outcome() -> None:
    paid = {**CONTINUING, "reward": {"margin_per_event": {"app_session": 1.0}}}
    simulator = Simulator(small_world(paid, churned=None, churned_value=None), 0)
    simulator.reset(np.arange(500))
    for _ in range(3):
        outcome = simulator.step(np.zeros(500, int))
        np.testing.assert_array_equal(outcome.tally.margin, simulator.state.trigger == 0)


def test_unasked_answers_come_without_a_contact_and_with_one() -> None:
    visits = {"link": "rate", "given": "always", "terms": named({"1": -1.0, "contact": 0.5})}
    world = small_world(
        rules=Rules(once=False),
        engaged=visits,
        delivered=None,
        organic=None,
        browsed=None,
        declined=None,
        churned=None,
        churned_value=None,
    )
    tallies = []
    for action in (0, 1):
        simulator = Simulator(world, 0)
        simulator.reset(np.arange(30_000))
        free = ~simulator.state.history.product["holds"][:, 0]
        conversions = simulator.step(np.full(30_000, action)).tally.conversions
        tallies.append(conversions[free].mean())
        assert action == 0 or not conversions[~free].any()  # nobody takes a second loan
    bought = 1 / (1 + np.exp(0.2))
    silent = (1 - np.exp(-np.exp(-1.0))) * 0.5
    contacted = (1 - np.exp(-np.exp(-0.5))) * bought
    assert tallies == pytest.approx([silent, contacted], rel=0.05)


def test_a_conversion_without_product_has_no_amount() -> None:
    always = {"link": "rate", "given": "always", "terms": named({"1": 5.0})}
    world = small_world(converted=always, organic=None, browsed=None, churned=None, churned_value=None)
    simulator = Simulator(world, 0)
    simulator.reset(np.arange(100))
    tally = simulator.step(np.zeros(100, int)).tally
    assert tally.conversions.all()
    assert not tally.margin.any()


def test_nobody_takes_a_second_product_of_a_kind_that_is_held_once() -> None:
    certain = {"link": "rate", "per": "product", "terms": named({"1": 5.0, "product=care": -60})}
    simulator = Simulator(small_world(organic=certain, churned=None, churned_value=None), 0, cadence_days=1)
    simulator.reset(np.arange(200))
    products = simulator.world.catalogue.products
    once = sum(p.once for p in products if p.selling)
    again = sum(not p.once for p in products if p.selling)
    free = ~simulator.state.history.product["holds"][:, [i for i, p in enumerate(products) if p.once and p.selling]]
    first = simulator.step(np.zeros(200, int)).tally.conversions
    np.testing.assert_array_equal(first, again + free.sum(axis=1))
    assert once > 0
    assert (simulator.step(np.zeros(200, int)).tally.conversions == again).all()


def test_two_desks_that_offer_the_same_product_on_one_day_sell_it_once() -> None:
    sure = {"terms": named({"contact": 30.0})}
    sells = {
        name: {"link": "logit", "given": given, **sure}
        for name, given in (("engaged", "delivered"), ("converted", "engaged"))
    }
    world = small_world(rules=Rules(once=False, consent=False), delivered=None, **sells)
    simulator = Simulator(world, 0)
    simulator.reset(np.arange(300))
    ids = CATALOGUE.treatment_ids
    both = [ids.index("sms-loan"), ids.index("sms-loan-bonus")]
    free = ~simulator.state.history.product["holds"][:, 0]
    events = simulator.out.events[NAMES.index("converted"), CATALOGUE.channel_ids.index("sms")]
    simulator.step(np.tile(both, (300, 1)))
    assert events.sum() == free.sum() < 300
    simulator.step(np.tile(both, (300, 1)))
    assert events.sum() == free.sum()
    fund = np.full(300, ids.index("call-fund"))  # what is not held once is taken again and again
    for _ in range(2):
        alive = simulator.state.alive.copy()
        assert (simulator.step(fund).tally.conversions[alive] >= 1).all()


def test_customers_of_another_world_and_treatments_of_no_catalogue_are_refused() -> None:
    small, rich = Simulator(small_world(), 0), Simulator(rich_world(), 0)
    for simulator in (small, rich):
        simulator.reset(np.arange(5))
    with pytest.raises(ValueError, match="state: must be one of customers of this world"):
        small.state = rich.state
    with pytest.raises(ValueError, match="treatment == -1, must be a position in the catalogue"):
        small.step(np.array([0, 0, -1, 0, 0]))
    with pytest.raises(ValueError, match="treatment == 7, must be a position in the catalogue"):
        small.step(np.array([0, 0, 7, 0, 0]))


def test_other_prices_leave_the_callers_array_alone() -> None:
    simulator, mine = Simulator(small_world(), 0), np.tile([1.0, 2.0], (5, 1))
    simulator.reset(np.arange(5), prices=mine)
    simulator.set_prices(np.zeros((5, 2)))
    np.testing.assert_array_equal(mine, np.tile([1.0, 2.0], (5, 1)))
    simulator.reset(np.arange(5), prices=np.ones((5, 2), int))
    np.testing.assert_array_equal(simulator.state.prices, 1.0)


def test_days_without_a_calendar_are_refused_where_fields_depend_on_it_and_lived_elsewhere() -> None:
    def at(day: int, task: dict[str, Any]) -> Simulator:
        simulator = Simulator(small_world(task), 0, cadence_days=7)
        simulator.reset(np.arange(3), day=np.full(3, day))
        return simulator

    last = LAST_DAY - 7
    dated = {**CONTINUING, "calendar": "CN"}
    for day in (FIRST_DAY - 1, LAST_DAY + 1):
        with pytest.raises(InputError, match="must lie between 2000 and 2045"):
            at(day, dated)
        assert np.isfinite(at(day, CONTINUING).view().observation).all()
    simulator = at(last, dated)
    simulator.step(np.zeros(3, int))
    with pytest.raises(InputError, match="must lie between 2000 and 2045"):
        simulator.step(np.zeros(3, int))


def test_nobody_is_stepped_without_a_fault() -> None:
    simulator = Simulator(small_world(), 0, record=True)
    simulator.reset(np.zeros(0, int))
    outcome = simulator.step(np.zeros(0, int))
    assert outcome.events is not None
    assert (len(outcome.events), len(outcome.tally.margin)) == (0, 0)
