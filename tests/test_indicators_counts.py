"""Counts add up by customers, do not depend on the order of rows, and say what the simulator says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from indicators_kit import CATALOGUE, at, log
from world_kit import small_world

from agents.baselines import Random
from agents.policy import draw
from envs.counting import blocks_of, counts_of
from envs.counts import ACTIVE, ANSWERED, CONTACTED, DROPPED, KINDS, OPENED, TAKEN, Counts, load_counts, total
from envs.errors import InputError
from envs.indicators import indicators
from envs.leads import follow, new_threads
from envs.observed import Period, period_of
from envs.process import process_figures
from envs.randomness import Luck
from envs.recorder import Decided, Recorder
from envs.simulator import Simulator
from envs.tables import Tables, checked

NAMES = [f"c{i}" for i in range(5)]
DAY = st.integers(0, 48).map(lambda quarter: quarter / 4)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ABOUT = ["delivered", "engaged", "engaged", "abandoned", "declined", "converted", "balance_changed", "complained"]


def _event(row: tuple[Any, ...]) -> tuple[Any, ...]:
    customer, day, kind, channel, product, value = row
    return (customer, day, kind, channel, product, float(value) if kind != "engaged" else None)


def logs() -> st.SearchStrategy[Tables]:
    """Any log of five customers."""
    customer = st.sampled_from(NAMES)
    decision = st.tuples(customer, DAY, st.sampled_from(CATALOGUE.treatment_ids))
    channel, product = st.sampled_from([*CATALOGUE.channel_ids, None]), st.sampled_from([*CATALOGUE.product_ids, None])
    kinds = st.sampled_from([*ABOUT, "contacted", "churned", "app_session", "satisfaction_rated", "redeemed"])
    event = st.tuples(customer, DAY, kinds, channel, product, st.integers(1, 5)).map(_event)
    people = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(-3, 0)), min_size=5, max_size=5)
    people = people.map(lambda rows: [(name, *row) for name, row in zip(NAMES, rows, strict=True)])
    return st.builds(
        log,
        people,
        st.lists(decision, min_size=1, max_size=25, unique=True),
        st.lists(event, max_size=40),
        annoyance_missing=MISSING,
    )


MISSING = st.sampled_from([[], ["blocked"]])


def assert_same(one: Counts, other: Counts) -> None:
    for f in fields(Counts):
        np.testing.assert_allclose(getattr(one, f.name), getattr(other, f.name), rtol=1e-12, err_msg=f.name)


@FEW
@given(logs(), st.sets(st.sampled_from(NAMES)))
def test_two_halves_of_the_customers_add_up_to_the_whole(tables: Tables, half: set[str]) -> None:
    period, whole = period_of(tables), counts_of(tables, assets="euros")
    parts = [
        counts_of(tables.of_customers(pl.Series(sorted(names), dtype=pl.String)), period=period, assets="euros")
        for names in (half, set(NAMES) - half)
    ]
    assert_same(parts[0] + parts[1], whole)
    assert_same(whole - parts[1] + parts[1], whole)
    assert_same(total(blocks_of(tables, 3, assets="euros")), whole)


@FEW
@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(tables: Tables, random: Any) -> None:
    shuffled = [f.sample(fraction=1.0, shuffle=True, seed=random.randrange(99)) for f in _frames(tables)]
    other = checked(Tables(tables.catalogue, tables.schema, *shuffled))
    assert_same(counts_of(other, assets="euros"), counts_of(tables, assets="euros"))


def _frames(tables: Tables) -> list[pl.DataFrame]:
    return [tables.customers, tables.decisions, tables.events]


@FEW
@given(logs())
def test_the_parts_of_a_count_agree_with_each_other(tables: Tables) -> None:
    n = counts_of(tables)
    numbers = np.arange(len(n.contacts_histogram))
    assert n.contacts_histogram.sum() == n.conversions_histogram.sum() == n.channels_histogram.sum() == n.customers
    assert n.contacts_histogram @ numbers == n.number("contacted")
    assert n.channels_histogram @ np.arange(5) == n.channel_customers[ACTIVE].sum()
    assert (n.channel_customers <= n.customers).all()
    assert (n.channel_customers[CONTACTED] <= n.events[KINDS.index("contacted"), :-1].sum(axis=1)).all()
    assert n.newcomers_converted <= n.newcomers <= n.customers
    assert n.churned <= n.customers
    still_open = n.leads[:, OPENED] - n.leads[:, ANSWERED] - n.leads[:, DROPPED] - n.hand_overs[..., TAKEN].sum(axis=1)
    assert (still_open >= 0).all()
    assert (n.hand_overs[..., 2:] <= n.hand_overs[..., TAKEN, None]).all()
    assert (n.hand_overs[..., 1] <= 7 * n.hand_overs[..., TAKEN]).all()
    figures = process_figures(n, CATALOGUE).filter(pl.col("figure") == "penetration")["value"]
    whole = indicators(n, CATALOGUE).filter(pl.col("indicator") == "penetration")["value"][0]
    assert (figures.mean() if whole is not None else None) == (pytest.approx(whole) if whole is not None else None)


STORIES: dict[str, tuple[list[tuple[Any, ...]], dict[str, int], dict[tuple[str, str], list[float]]]] = {
    # What happens about the fund (day, event or "contact", channel) -> leads by channel and fate, hand-overs.
    "taken up by a call a day later, engaged and converted": (
        [(0, "engaged", "sms"), (1, "contact", "call"), (1.1, "engaged", "call"), (1.2, "converted", "call")],
        {"sms opened": 1, "call opened": 1, "call answered": 1},
        {("sms", "call"): [1, 1.0, 1, 1]},
    ),
    "an abandoned application arose on no channel": (
        [(0, "abandoned", None), (0.5, "contact", "app")],
        {"unasked opened": 1},
        {("unasked", "app"): [1, 0.5, 0, 0]},
    ),
    "a chain: online, remote, offline": (
        [(0, "engaged", "app"), (1, "contact", "call"), (1, "engaged", "call"), (3, "contact", "branch")],
        {"app opened": 1, "call opened": 1},
        {("app", "call"): [1, 1.0, 1, 0], ("call", "branch"): [1, 2.0, 0, 0]},
    ),
    "nobody takes it up for a week": (
        [(0, "engaged", "sms"), (7.25, "contact", "call")], {"sms opened": 1, "sms dropped": 1}, {},
    ),
    "on its last day it is taken up": (
        [(0, "engaged", "sms"), (7, "contact", "sms")], {"sms opened": 1}, {("sms", "sms"): [1, 7.0, 0, 0]},
    ),
    "the customer leaves": (
        [(0, "engaged", "sms"), (2, "churned", None)], {"sms opened": 1, "sms dropped": 1}, {},
    ),
    "the customer answers unasked": (
        [(0, "engaged", "sms"), (2, "converted", None), (3, "contact", "call")],
        {"sms opened": 1, "sms answered": 1}, {},
    ),
    "the log ends first": ([(6, "engaged", "sms")], {"sms opened": 1}, {}),
    "the log ends later": ([(0, "engaged", "sms")], {"sms opened": 1, "sms dropped": 1}, {}),
    "a second engagement is the same lead": (
        [(0, "engaged", "sms"), (2, "engaged", "app"), (3, "contact", "call")],
        {"sms opened": 1}, {("sms", "call"): [1, 3.0, 0, 0]},
    ),
    "a contact that nobody waits for is no hand-over": ([(0, "contact", "call"), (1, "declined", "call")], {}, {}),
    "an engagement elsewhere is not the hand-over's": (
        [(0, "engaged", "sms"), (1, "contact", "call"), (4, "engaged", "app")],
        {"sms opened": 1, "app opened": 1}, {("sms", "call"): [1, 1.0, 0, 0]},
    ),
    "a conversion after the next contact is not the first one's": (
        [(0, "engaged", "sms"), (1, "contact", "call"), (2, "contact", "sms"), (3, "converted", "sms")],
        {"sms opened": 1}, {("sms", "call"): [1, 1.0, 0, 0]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_a_lead_is_followed_as_a_hand_would(story: str) -> None:
    steps, leads, hand_overs = STORIES[story]
    contacts = [("a", day, f"{channel}-fund") for day, kind, channel in steps if kind == "contact"]
    events = [("a", day, kind, channel, "fund") for day, kind, channel in steps if kind != "contact"]
    n = counts_of(log([("a",), ("z",)], contacts, [*events, ("z", 9, "browsed")]))
    names = [*CATALOGUE.channel_ids, "unasked"]
    fates = {"opened": OPENED, "answered": ANSWERED, "dropped": DROPPED}
    found = {f"{c} {fate}": int(n.leads[i, k]) for i, c in enumerate(names) for fate, k in fates.items()}
    assert {key: count for key, count in found.items() if count} == leads
    pairs = zip(*n.hand_overs[..., TAKEN].nonzero(), strict=True)
    assert {(names[a], names[b]): n.hand_overs[a, b].tolist() for a, b in pairs} == hand_overs


def test_products_that_sell_nothing_have_no_leads_and_no_conversions() -> None:
    n = counts_of(log([("a",)], [("a", 1, "sms-care")], [("a", 0, e, "sms", "care") for e in ("engaged", "converted")]))
    assert (n.leads.sum(), n.hand_overs.sum(), n.conversions_histogram[0]) == (0, 0, 1)


def test_a_period_keeps_what_lies_in_it() -> None:
    customers = [("a",), ("late", False, 0, 8), ("gone",)]
    events = [("a", 1, "converted", None, "loan", 7.0), ("a", 5, "converted", None, "loan", 9.0)]
    tables = log(customers, [("a", 1, "sms-loan"), ("a", 4, "sms-fund")], [*events, ("gone", 2, "churned")])
    n = counts_of(tables, period=Period(at(3), at(7)))
    assert (n.customers, n.days, n.number("contacted"), n.margin.sum(), n.contact_cost) == (1, 4.0, 1, 9.0, 1.0)
    assert (n.newcomers, n.churned) == (0, 0)  # the loan of the first day is held at the start


def test_what_comes_after_the_period_is_not_known_in_it() -> None:
    tables = log([("a",)], [("a", 0, "sms-fund")], [("a", 1, "engaged", "sms", "fund"), ("a", 4, "churned")])
    n = counts_of(tables, period=Period(at(0), at(3)))
    assert (n.churned, n.days, n.leads[0].tolist()) == (0, 3.0, [1, 0, 0])
    assert counts_of(tables).leads[0].tolist() == [1, 0, 1]


def test_holdings_and_assets_are_those_known_at_the_start() -> None:
    tables = log([("a", False, 10, -5), ("a", True, 20, -1), ("a", False, 30, 2)], [("a", 0, "silence")])
    n = counts_of(tables, assets="euros")
    assert (n.customers, n.newcomers, n.assets) == (1, 0, 20.0)


def test_counts_are_stored_and_read_back(tmp_path: Path) -> None:
    n = counts_of(log([("a",)], [("a", 0, "sms-loan")], [("a", 1, "engaged", "sms", "loan")]))
    n.save(tmp_path / "counts.npz")
    assert_same(load_counts(tmp_path / "counts.npz"), n)
    assert [path.name for path in tmp_path.iterdir()] == ["counts.npz"]
    assert repr(n) == "Counts of 1 customers over 2.0 days, 2 events"
    (tmp_path / "counts.npz").write_bytes(b"no")
    for name in ("counts.npz", "nowhere.npz"):
        with pytest.raises(InputError, match="must be counts as"):
            load_counts(tmp_path / name)


def test_counts_of_another_catalogue_are_refused() -> None:
    with pytest.raises(InputError, match=r"events == \(23, 5, 5\)|must have the shape"):
        indicators(Counts.empty(CATALOGUE), small_world().catalogue)


def test_tables_say_what_the_simulator_says() -> None:
    """Margin, cost, annoyance, effort, contacts and conversions of a recorded simulation, to the last decision."""
    world, customers = small_world(), np.arange(60)
    recorder = Recorder(world)
    simulator = Simulator(world, 5, record=True)
    simulator.reset(customers)
    recorder.happened(simulator.morning, customers)
    first, contacts, conversions = simulator.first_day, np.zeros(60, int), np.zeros(60, int)
    sums = np.zeros(4)
    for _ in range(25):
        view, state = simulator.view(), simulator.state
        p = Random().probabilities(view.observation, view.mask)
        chosen = draw(p, Luck(5, state.customer, state.history.day).uniform(9000))
        rows = np.flatnonzero(state.alive)
        columns = (
            state.customer,
            state.history.day,
            state.trigger,
            view.observation,
            view.mask,
            chosen,
            p,
            state.prices,
        )
        numbers = np.full(60, -1)
        numbers[rows] = recorder.decide(Decided(*(c[rows] for c in columns), "randomised", "x"))
        outcome = simulator.step(chosen, numbers)
        recorder.happened(outcome.events, customers)
        tally = outcome.tally
        sums += [tally.margin.sum(), tally.cost.sum(), tally.annoyance.sum(), tally.effort.sum()]
        contacts, conversions = contacts + tally.contacts, conversions + tally.conversions
    n = counts_of(recorder.tables(world.population, 5, customers, first))
    found = [n.margin.sum(), n.contact_cost + n.benefit_cost, n.annoyance, n.effort.sum()]
    np.testing.assert_allclose(found, sums, rtol=1e-6)
    np.testing.assert_array_equal(n.contacts_histogram, np.bincount(contacts, minlength=256))
    np.testing.assert_array_equal(n.conversions_histogram, np.bincount(conversions, minlength=16))
    assert (n.customers, n.churned) == (60, int((~simulator.state.alive).sum()))
    held = world.population.start(customers, 5, world.catalogue.product_ids).holds
    assert n.newcomers == (~held.any(axis=1)).sum()


def test_leads_are_followed_the_same_when_compiled() -> None:
    numba = pytest.importorskip("numba")
    outcomes = []
    for function in (follow, numba.njit(follow)):
        rng = np.random.default_rng(0)
        threads, leads, hand_overs = new_threads(7), np.zeros((3, 3), np.int64), np.zeros((3, 2, 4))
        for minute in range(0, 3000 * 300, 300):
            row, meaning, channel = rng.integers(7), rng.choice([0, 1, 1, 2, 3, 4, 5, 6]), rng.integers(3)
            function(threads[row], meaning, channel, minute, 9000, leads, hand_overs)
        outcomes.append((leads, hand_overs))
    np.testing.assert_array_equal(outcomes[0][0], outcomes[1][0])
    np.testing.assert_array_equal(outcomes[0][1], outcomes[1][1])
    assert all((part > 0).all() for part in outcomes[0])
