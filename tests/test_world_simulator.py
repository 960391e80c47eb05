"""A customer's fate follows from their own actions and luck, never from the batch; rules and churn are kept."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from mechanisms_kit import rich_world, told_alike
from world_kit import CATALOGUE, CONTINUING, FINITE, lived, named, small_world, some_allowed

from envs.calendar import FIRST_DAY, LAST_DAY
from envs.errors import InputError
from envs.features import CONTEXT, IRRITATION
from envs.history import NAMES
from envs.prices import Prices
from envs.rules import Rules
from envs.simulator import Outcome, Simulator, Tally
from envs.world import World, load_world

HIDDEN = {"factors": 2, "taste": {"loan": [0.5, 0.1]}, "reach": {"sms": [0.1, 0.4]}, "factor_profile": {"age": [1, 0]}}
LATENT_TERMS = {"contact": 0.3, "latent.taste": 0.5, "latent.reach": 0.3, "latent.irritation": -0.5}


def hidden_world() -> World:
    """The small world, day by day, with hidden states and a calendar."""
    engaged = {"link": "logit", "given": "delivered", "terms": named(LATENT_TERMS)}
    irritation = {"link": "linear", "given": "delivered", "terms": named({"contact": 0.2, "own_channel.pressure": 0.4})}
    task = {**CONTINUING, "calendar": "CN", "cadence_days": 2}
    return small_world(task, resolution="day", hidden=HIDDEN, engaged=engaged, irritation=irritation)


WORLDS = {
    "small": small_world,
    "hidden": hidden_world,
    "finite": lambda: small_world(FINITE),
    "bank": lambda: load_world("bank"),
    "rich": lambda: rich_world({"cadence_days": 2}),
    "rich window": lambda: rich_world({"cadence_days": 5}, resolution="window"),
    "rich desks": lambda: rich_world({"calendar": "CN"}),
}
DESKS = {"rich desks": 3}  # elsewhere one


def snapshot(simulator: Simulator) -> dict[str, np.ndarray]:
    """Everything that a batch carries and sees; the first axis is the customer."""
    state, view = simulator.state, simulator.view()
    parts = {"person": state.person, "pending": state.pending, "latent": state.latent, "profile": state.profile}
    parts |= {"prices": state.prices, "price fields": state.price_fields, "customer": state.history.customer}
    parts |= {"channel": state.history.channel, "product": state.history.product}
    parts |= {"observation": view.observation, "mask": view.mask}
    return {name: values.copy() for name, values in parts.items()}


def flat(outcome: Outcome) -> dict[str, np.ndarray]:
    out = {f"tally.{f.name}": getattr(outcome.tally, f.name) for f in fields(Tally)}
    return out | {"executed": outcome.executed, "blocked": outcome.blocked, "terminated": outcome.terminated}


def wishes(simulator: Simulator, step: int, desks: int) -> np.ndarray:  # (batch, desks) int
    """Treatments that depend on the customer and the step alone; some are forbidden."""
    customers, count = simulator.state.customer, len(simulator.world.catalogue.treatment_ids)
    wish = (customers * 7919 + step * 104_729) % (2 * count)
    first = np.where(wish < count, wish, some_allowed(simulator, step))
    return np.stack([first, *((customers * 31 + step * 17 + 5 * desk) % count for desk in range(1, desks))], axis=1)


def history_of_run(
    world: World, customers: np.ndarray, steps: int, seed: int = 5, desks: int = 1, record: bool = False
) -> list[dict[str, np.ndarray]]:
    """Snapshots and outcomes of a run."""
    simulator = Simulator(world, seed, record=record)
    simulator.reset(customers)
    seen = [snapshot(simulator)]
    for step in range(steps):
        seen += [flat(simulator.step(wishes(simulator, step, desks))), snapshot(simulator)]
    return seen


@pytest.mark.parametrize("name", WORLDS)
def test_transitions_are_the_same_to_the_bit_alone_in_a_batch_in_any_order_and_in_shards(name: str) -> None:
    world, steps = WORLDS[name](), 12 if name != "finite" else 3
    customers = np.arange(3000)
    desks = DESKS.get(name, 1)
    whole = history_of_run(world, customers, steps, desks=desks)
    order = np.random.default_rng(0).permutation(3000)
    parts = {"alone": [np.array([c]) for c in (0, 17, 2999)], "few": [np.array([5, 1234, 6])]}
    parts["permuted"] = [order]
    parts["shards"] = [customers[:7], customers[7:1500], customers[1500:]]
    for kind, batches in parts.items():
        for batch in batches:
            for there, here in zip(whole, history_of_run(world, batch, steps, desks=desks), strict=True):
                for field, values in here.items():
                    np.testing.assert_array_equal(values, there[field][batch], err_msg=f"{kind}: {field}")


@pytest.mark.parametrize("name", WORLDS)
def test_recording_changes_nothing_and_a_customers_events_are_those_of_any_batch(name: str) -> None:
    world, steps, desks = WORLDS[name](), 3, DESKS.get(name, 1)
    customers = np.arange(400)
    quiet = history_of_run(world, customers, steps, desks=desks)
    for there, here in zip(quiet, history_of_run(world, customers, steps, desks=desks, record=True), strict=True):
        for field, values in here.items():
            np.testing.assert_array_equal(values, there[field], err_msg=field)
    order = np.random.default_rng(0).permutation(400)
    logs = []
    for batches in ([customers], [order], [customers[:1], customers[1:50], customers[50:]]):
        lines = []
        for batch in batches:
            simulator = Simulator(world, 5, record=True)
            simulator.reset(batch)
            parts = [simulator.morning]
            for step in range(steps):
                told = simulator.step(wishes(simulator, step, desks)).events
                assert told is not None
                parts.append(told)
            told = np.concatenate(parts)
            told["row"] = batch[told["row"]]
            lines.append(told)
        log = np.concatenate(lines)
        logs.append(log[np.argsort(log["row"], kind="stable")])
    assert len(logs[0]) > 100
    assert told_alike(logs[0], logs[1])
    assert told_alike(logs[0], logs[2])


def test_the_runs_above_are_eventful() -> None:
    world = hidden_world()
    simulator = Simulator(world, 5)
    simulator.reset(np.arange(3000))
    outcomes = lived(simulator, 12)
    totals = {f.name: sum(getattr(o.tally, f.name).sum() for o in outcomes) for f in fields(Tally)}
    assert all(value > 0 for value in totals.values()), totals
    assert 0 < (~simulator.state.alive).sum() < 3000
    assert simulator.state.latent[:, IRRITATION].max() > 0.5
    assert {-1, 0} == set(simulator.state.trigger.tolist())


def test_the_same_seed_repeats_and_another_seed_differs() -> None:
    world, customers = small_world(), np.arange(200)
    first, again, other = (history_of_run(world, customers, 4, seed) for seed in (1, 1, 2))
    assert all((a[k] == b[k]).all() for a, b in zip(first, again, strict=True) for k in a)
    assert not np.array_equal(first[-1]["observation"], other[-1]["observation"])


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


def test_one_desk_of_several_is_the_single_contact() -> None:
    world, customers = small_world(), np.arange(800)
    single, desks = Simulator(world, 4), Simulator(world, 4)
    for simulator in (single, desks):
        simulator.reset(customers)
    for step in range(6):
        action = some_allowed(single, step)
        several = np.stack([action, np.zeros_like(action), np.zeros_like(action)], axis=1)
        a, b = flat(single.step(action)), flat(desks.step(several))
        np.testing.assert_array_equal(b["executed"][:, 0], a["executed"][:, 0])
        assert not b["executed"][:, 1:].any()
        for name in a:
            if name not in ("executed", "blocked"):
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    alike, other = snapshot(desks), snapshot(single)
    for both in (alike, other):
        both["latent"][:, CONTEXT] = 0  # only whether desks know of each other differs
    for name, values in other.items():
        np.testing.assert_array_equal(alike[name], values, err_msg=name)


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


def test_customers_of_a_finite_task_who_started_later_keep_their_own_clock() -> None:
    world = small_world(FINITE)
    mixed = Simulator(world, 0)
    mixed.reset(np.arange(50))
    mixed.step(some_allowed(mixed, 0))
    mixed.replace(np.array([3, 8]), mixed.fresh(np.array([103, 108])))
    late = Simulator(world, 0)
    late.reset(np.array([103, 108]))
    for step in range(3):
        action = some_allowed(mixed, step)
        a, b = mixed.step(action), late.step(action[[3, 8]])
        for name, values in flat(b).items():
            np.testing.assert_array_equal(flat(a)[name][[3, 8]], values, err_msg=name)
        others = np.delete(np.arange(50), [3, 8])
        assert mixed.state.alive[others].any() == (step < 1)
        assert a.terminated[others].any() or step != 1
    for name, values in snapshot(late).items():
        np.testing.assert_array_equal(snapshot(mixed)[name][[3, 8]], values, err_msg=name)


def test_a_replaced_customer_is_a_new_one_and_the_others_do_not_notice() -> None:
    world = hidden_world()
    kept, changed = Simulator(world, 2), Simulator(world, 2)
    for simulator in (kept, changed):
        simulator.reset(np.arange(60))
        lived(simulator, 2)
    changed.replace(np.array([4, 40]), changed.fresh(np.array([904, 940])))
    new = Simulator(world, 2)
    new.reset(np.array([904, 940]))
    others = np.delete(np.arange(60), [4, 40])
    for step in range(3):
        for name, values in snapshot(changed).items():
            np.testing.assert_array_equal(values[others], snapshot(kept)[name][others], err_msg=name)
            np.testing.assert_array_equal(values[[4, 40]], snapshot(new)[name], err_msg=name)
        action = some_allowed(changed, step)
        merged = some_allowed(kept, step)
        merged[[4, 40]] = 0
        changed.step(action)
        kept.step(np.where(np.isin(np.arange(60), others), action, merged))
        new.step(action[[4, 40]])


def test_views_and_outcomes_are_never_overwritten() -> None:
    simulator = Simulator(small_world(), 0)
    simulator.reset(np.arange(50))
    kept: list[tuple[Any, Any]] = []
    for step in range(4):
        view = simulator.view()
        outcome = simulator.step(some_allowed(simulator, step))
        kept += [(values, values.copy()) for values in (view.observation, view.mask, *flat(outcome).values())]
    for values, copy in kept:
        np.testing.assert_array_equal(values, copy)


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


@pytest.mark.parametrize("name", ["small", "hidden", "finite", "rich"])
def test_customers_handed_to_another_simulator_go_on_as_if_nothing_had_happened(name: str) -> None:
    world, everyone = WORLDS[name](), np.arange(100)
    first, other = Simulator(world, 5), Simulator(world, 5)
    first.reset(everyone)
    first.step(wishes(first, 0, 1))
    other.state = first.state.take(everyone)
    for step in range(1, 4):
        for field, values in snapshot(first).items():
            np.testing.assert_array_equal(snapshot(other)[field], values, err_msg=field)
        asked = wishes(first, step, 1)
        mine, theirs = flat(first.step(asked)), flat(other.step(asked))
        for field, values in mine.items():
            np.testing.assert_array_equal(theirs[field], values, err_msg=field)


def test_customers_of_another_world_and_treatments_of_no_catalogue_are_refused() -> None:
    small, rich = Simulator(small_world(), 0), Simulator(rich_world(), 0)
    for simulator in (small, rich):
        simulator.reset(np.arange(5))
    with pytest.raises(ValueError, match="state: must be one of customers of this world"):
        small.state = rich.state
    with pytest.raises(ValueError, match="treatment == -1, must be a position in the catalogue"):
        small.step(np.array([0, 0, -1, 0, 0]))
    with pytest.raises(IndexError):
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
