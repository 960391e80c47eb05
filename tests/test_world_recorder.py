"""What a simulation writes to the log is what happened: simulator, tables and evaluation agree on every decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mechanisms_kit import RICH, rich_world
from world_kit import CONTINUING, FINITE, named, small_world

from agents.baselines import Random
from agents.policy import draw
from envs.counting import counts_of
from envs.history import History
from envs.observed import period_of
from envs.prices import Prices
from envs.profile import encode_profile
from envs.randomness import Luck
from envs.recorder import Decided, Recorder
from envs.records import made_at, positions, records_of
from envs.replay import at_start, profile_rows, replay, walk
from envs.rules import Rules, Situation
from envs.simulator import Simulator
from envs.tables import Tables, read_tables, write_tables
from envs.world import World, load_world
from evaluation.reading import read_log

BATCH = 400
PRICES = Prices(3.0, (0.25,))
EVENTFUL = {
    **CONTINUING,
    "cadence_days": 3,
    "window_days": 3,
    "reward": {
        "margin_per_value": {"converted": 1, "churned": -1},
        "margin_per_event": {"browsed": 0.25, "app_session": 0.125, "delivered": 0.5},
        "cost_per_value": {"redeemed": 1},
    },
}
VISITS = {
    "engaged": {"link": "rate", "given": "always", "terms": named({"1": -1.5, "contact": 1.0})},
    "purchased": {"link": "rate", "terms": named({"1": -1.0, "contact": 0.3})},
    "purchased_value": {"link": "lognormal", "given": "purchased", "sigma": 0.4, "terms": named({"1": 1.0})},
    "declined": None,
}
SHOP = {**FINITE, "reward": {"margin_per_value": {"purchased": 1}, "cost_per_value": {"redeemed": 1}}}
WORLDS: dict[str, Any] = {
    "window": lambda: small_world(EVENTFUL),
    "day": lambda: small_world({**EVENTFUL, "calendar": "CN"}, resolution="day"),
    "finite": lambda: small_world(FINITE),
    "shop": lambda: small_world(SHOP, rules=Rules(), **VISITS),
    "bank": lambda: load_world("bank"),
    "rich": rich_world,
    "rich window": lambda: rich_world({"cadence_days": 5, "window_days": 5}, resolution="window"),
}


class Run:
    """A recorded simulation of the random policy, and the simulator's own account of every decision."""

    def __init__(self, world: World, steps: int, folder: Path) -> None:
        self.recorder = Recorder(world)
        simulator = Simulator(world, 3, record=True)
        customers = np.arange(10, 10 + BATCH)
        simulator.reset(customers, prices=None if len(world.catalogue.pools) != 1 else PRICES)
        self.recorder.happened(simulator.morning, customers)
        self.account: dict[tuple[str, int], dict[str, Any]] = {}
        self.first_day = simulator.first_day
        for step in range(steps):
            self._step(world, simulator, step)
        recorded = self.recorder.tables(world.population, 3, customers, self.first_day)
        write_tables(recorded, folder)
        self.tables: Tables = read_tables(folder)

    def _step(self, world: World, simulator: Simulator, step: int) -> None:
        view, state = simulator.view(), simulator.state
        probabilities = Random().probabilities(view.observation, view.mask)
        luck = Luck(3, state.customer, state.history.day)
        treatment = draw(probabilities, luck.uniform(9000))
        rows, prices = np.flatnonzero(state.alive), state.prices.copy()
        columns = (state.customer, state.history.day, state.trigger, view.observation, view.mask, treatment)
        made = Decided(*(c[rows] for c in columns), probabilities[rows], prices[rows], "randomised", "by-hand")
        numbers = np.full(state.batch, -1)
        numbers[rows] = self.recorder.decide(made)
        outcome = simulator.step(treatment, numbers)
        assert outcome.events is not None
        self.recorder.happened(outcome.events, state.customer)
        for row in rows:
            own = {name: getattr(outcome.tally, name)[row] for name in ("margin", "cost", "annoyance", "effort")}
            own |= {"terminated": outcome.terminated[row], "treatment": treatment[row], "gap": outcome.days}
            own |= {"reward": outcome.reward(prices)[row], "observation": view.observation[row]}
            own |= {"propensity": probabilities[row, treatment[row]]}
            self.account[f"c{state.customer[row]:08d}", step] = own


@pytest.fixture(scope="module", params=WORLDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    world = WORLDS[request.param]()
    if request.param == "bank":  # one decision a day: the last one's outcomes count for that day
        task = world.schema.task.model_copy(update={"window_days": 1})
        object.__setattr__(world, "schema", world.schema.model_copy(update={"task": task}))
    steps = len(world.schema.task.days) or 12
    return Run(world, steps, tmp_path_factory.mktemp(request.param))


def test_simulator_log_and_evaluation_agree_on_every_decision(run: Run) -> None:
    log = read_log(run.tables, part="all")
    assert len(log) == len(run.account)
    own = [run.account[str(customer), step] for customer, step in zip(log.customer_id, log.step.tolist(), strict=True)]

    def told(name: str) -> np.ndarray:
        return np.array([row[name] for row in own])

    for name in ("margin", "cost", "annoyance", "effort"):
        np.testing.assert_allclose(getattr(log, name), told(name), rtol=1e-9, atol=1e-9, err_msg=name)
        assert told(name).any(), name
    np.testing.assert_allclose(log.reward(), told("reward"), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(log.treatment, told("treatment"))
    np.testing.assert_array_equal(log.terminated, told("terminated"))
    np.testing.assert_array_equal(log.propensity, told("propensity"))
    np.testing.assert_array_equal(log.observation, told("observation"))
    stayed = ~log.terminated  # behind the end there is no next decision to wait for
    np.testing.assert_array_equal(log.gap_days[stayed], told("gap")[stayed])
    assert log.propensity_source == "logged"


def test_a_replay_of_the_log_sees_what_the_simulator_saw(run: Run) -> None:
    tables = run.tables
    done = replay(tables.catalogue, tables.schema, tables.customers, tables.decisions, tables.events)
    logged = np.array(tables.decisions["observation"].to_list(), np.float32)
    np.testing.assert_allclose(done.observation, logged, rtol=1e-5, atol=1e-6)


def test_the_rules_close_after_a_replay_what_they_closed_in_the_simulator(run: Run) -> None:
    tables, world = run.tables, run.recorder.world
    ids = tuple(tables.customers["customer_id"])
    profile = encode_profile(tables.customers, tables.schema)[profile_rows(tables.customers, tables.decisions)]
    trigger = positions(tables.decisions["trigger"], tables.schema.triggers)
    logged = np.array(tables.decisions["mask"].to_list(), bool)
    found = np.zeros_like(logged)

    def visit(history: History, rows: np.ndarray) -> None:
        found[rows] = world.rule_book.mask(Situation(profile[rows], history, trigger[rows]))

    records = records_of(tables.catalogue, ids, tables.decisions, tables.events)
    begin = at_start(tables.catalogue, tables.schema, tables.customers)
    walk(tables.catalogue, tables.schema, records, len(ids), visit, begin)
    at_once = ~tables.catalogue.delays  # the log does not say until when a dropped contact has waited
    np.testing.assert_array_equal(found[:, at_once], logged[:, at_once])
    assert (found >= logged).all()
    assert 0.05 < logged[:, 1:].mean() < 0.95


def test_answers_name_the_decision_that_caused_them_and_nothing_else_does(run: Run) -> None:
    events, decisions = run.tables.events, run.tables.decisions
    joined = events.join(decisions, on="decision_id", how="inner", suffix="_decision")
    assert joined.height == events["decision_id"].is_not_null().sum() > 0
    assert (joined["customer_id"] == joined["customer_id_decision"]).all()
    answers = joined.filter(joined["event"] != "contacted")
    assert (answers["at"] > answers["at_decision"]).all()
    assert (joined["at"] >= joined["at_decision"]).all()  # a contact that need not wait is made as it is decided
    asked = joined.filter(joined["event"].is_in(["delivered", "opted_out", "complained", "redeemed"]))
    assert (asked["treatment"] != "silence").all()
    unasked = events.filter(events["event"].is_in(["browsed", "abandoned", "churned", "purchased", "app_session"]))
    assert unasked["decision_id"].is_null().all()


def test_desks_write_a_row_each_and_answers_name_their_desk() -> None:
    world = small_world(rules=Rules(once=False), delivered=None)
    recorder = Recorder(world)
    simulator = Simulator(world, 0, record=True)
    customers, numbers = np.arange(200), np.full((200, 2), -1)
    simulator.reset(customers)
    recorder.happened(simulator.morning, customers)
    ids = world.catalogue.treatment_ids
    chosen = np.array([ids.index("sms-care"), ids.index("call-fund")])
    view, state = simulator.view(), simulator.state
    for desk, treatment in enumerate(chosen):
        certain = np.eye(len(ids))[np.full(200, treatment)]
        columns = (customers, state.history.day, state.trigger, view.observation, view.mask, np.full(200, treatment))
        numbers[:, desk] = recorder.decide(Decided(*columns, certain, state.prices, "champion", "silos"))
    outcome = simulator.step(np.tile(chosen, (200, 1)), numbers)
    assert outcome.events is not None
    recorder.happened(outcome.events, customers)
    tables = recorder.tables(world.population, 0, customers, simulator.first_day)
    assert tables.decisions.height == 400
    assert tables.decisions["treatment"].value_counts()["count"].to_list() == [200, 200]
    answered = tables.events.filter(tables.events["decision_id"].is_not_null())
    joined = answered.join(tables.decisions, on="decision_id", suffix="_decision")
    engaged = joined.filter(joined["event"] == "engaged")
    channel = {"sms-care": "sms", "call-fund": "call"}
    assert [channel[t] for t in engaged["treatment"]] == engaged["channel"].to_list()
    assert set(engaged["channel"]) == {"sms", "call"}


def test_a_log_of_several_desks_replays_to_what_they_all_saw_and_counts_what_was_made() -> None:
    world, customers = rich_world(rules=Rules(consent=True, once=True)), np.arange(150)
    recorder, simulator = Recorder(world), Simulator(world, 0, record=True)
    simulator.reset(customers)
    recorder.happened(simulator.morning, customers)
    for step in range(15):
        view, state = simulator.view(), simulator.state
        wish = (customers[:, None] * [31, 37, 41] + step * 17 + [0, 5, 9]) % view.mask.shape[1]
        wish[:, 2] *= (wish[:, 2] != wish[:, 0]) & (wish[:, 2] != wish[:, 1])  # no desk repeats another's treatment
        wish[:, 1] *= wish[:, 1] != wish[:, 0]
        wish = np.where(np.take_along_axis(view.mask, wish, axis=1) & state.alive[:, None], wish, 0)
        numbers = np.full(wish.shape, -1)
        for desk in range(3):
            rows = np.flatnonzero(wish[:, desk])
            certain = np.eye(view.mask.shape[1])[wish[rows, desk]]
            columns = (customers, state.history.day, state.trigger, view.observation, view.mask, wish[:, desk])
            made = Decided(*(c[rows] for c in columns), certain, state.prices[rows], "champion", "silos")
            numbers[rows, desk] = recorder.decide(made)
        outcome = simulator.step(wish, numbers)
        assert outcome.events is not None
        recorder.happened(outcome.events, customers)
    tables = recorder.tables(world.population, 0, customers, simulator.first_day)
    done = replay(tables.catalogue, tables.schema, tables.customers, tables.decisions, tables.events)
    logged = np.array(tables.decisions["observation"].to_list(), np.float32)
    np.testing.assert_allclose(done.observation, logged, rtol=1e-5, atol=1e-6)
    contacts = made_at(RICH, tables.decisions, tables.events)
    assert 0 < contacts.null_count() < contacts.len()  # some wait, are dropped, or find another waiting
    kinds = dict(tables.events["event"].value_counts().iter_rows())
    counted = counts_of(tables)
    inside = contacts.drop_nulls() < period_of(tables).end
    assert counted.number("contacted") == int(inside.sum())
    assert counted.number("converted") == kinds["converted"]
    assert min(kinds[kind] for kind in ("applied", "cancelled", "risk_hold", "stage_changed", "contacted")) > 5


def test_a_log_without_events_can_be_written() -> None:
    nothing = dict.fromkeys(("organic", "browsed", "abandoned", "churned", "churned_value"))
    world = small_world(**nothing, **{"trigger:app_session": None})
    recorder = Recorder(world)
    simulator = Simulator(world, 0, record=True)
    simulator.reset(np.arange(3))
    recorder.happened(simulator.morning, np.arange(3))
    view, state = simulator.view(), simulator.state
    silence = np.eye(view.mask.shape[1])[np.zeros(3, int)]
    columns = (state.customer, state.history.day, state.trigger, view.observation, view.mask, np.zeros(3, int))
    numbers = recorder.decide(Decided(*columns, silence, state.prices, "holdout", "x"))
    outcome = simulator.step(np.zeros(3, int), numbers)
    assert outcome.events is not None
    recorder.happened(outcome.events, np.arange(3))
    tables = recorder.tables(world.population, 0, np.arange(3), simulator.first_day)
    assert (tables.events.height, tables.decisions.height, tables.customers.height) == (0, 3, 3)
    assert tables.decisions["trigger"].is_null().all()
