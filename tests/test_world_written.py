"""What a simulator writes down, hand-overs, counts, sums and the log, is what has happened, all of it."""

from __future__ import annotations

import numpy as np
import pytest
from mechanisms_kit import (
    IDS,
    RICH,
    ask,
    logit,
    plain_world,
    rich_world,
    started,
    told_alike,
)

from envs.history import NAMES
from envs.simulator import Simulator

LOAN, FUND, CARD = range(3)
SMS, CALL, MANAGER = range(3)


def test_hand_overs_are_counted_where_a_lead_is_taken_up_and_what_came_of_them() -> None:
    batch = 40
    simulator = started(plain_world(), batch)
    ask(simulator, "sms-fund")  # engaged, but cannot close here: a lead arises
    for _ in range(2):
        ask(simulator, "silence")
    assert not simulator.out.hand_overs["taken_up"].any()
    ask(simulator, "call-fund")
    found = simulator.out.hand_overs[SMS, CALL]
    assert found.tolist() == (batch, 3.0 * batch, batch, batch)
    others = simulator.out.hand_overs.copy()
    others[SMS, CALL] = 0
    assert not any(others[name].any() for name in others.dtype.names)


def test_a_lead_that_nobody_asked_for_is_taken_up_once() -> None:
    cold = {"engaged": logit("delivered", contact=-90)}
    simulator = started(plain_world(**cold), 10)
    simulator.state.history.record("abandoned", np.arange(10), product=np.full(10, FUND))
    for _ in range(3):
        ask(simulator, "call-fund")
    found = simulator.out.hand_overs
    assert found[-1, CALL].tolist() == (10, 0, 0, 0)  # the last row: of leads that arose on no channel
    assert found["taken_up"].sum() == 10


@pytest.mark.parametrize("resolution", ["day", "window"])
@pytest.mark.parametrize("desks", [1, 3])
def test_counts_and_values_are_those_of_the_recorded_events(resolution: str, desks: int) -> None:
    simulator = Simulator(rich_world(resolution=resolution), 2, record=True, cadence_days=3)
    simulator.reset(np.arange(600))
    parts, contacts, rng = [simulator.morning], np.zeros((4 + 1, 6 + 1), int), np.random.default_rng(0)
    for _ in range(15):
        told = simulator.step(_wishes(simulator, desks, rng))
        assert told.events is not None
        parts.append(told.events)
        at_once = told.executed[(told.executed > 0) & ~RICH.delays[told.executed]]
        np.add.at(contacts, (RICH.channel_of[at_once], RICH.product_of[at_once]), 1)
    all_events = np.concatenate(parts)
    counts, values = np.zeros_like(simulator.out.events), np.zeros_like(simulator.out.values)
    place = tuple(all_events[name] for name in ("event", "channel", "product"))
    np.add.at(counts, place, 1)  # -1 is the last place: none
    np.add.at(values, place, np.nan_to_num(all_events["value"]))
    counts[NAMES.index("contacted")] += contacts
    np.testing.assert_array_equal(simulator.out.events, counts)
    np.testing.assert_allclose(simulator.out.values, values, rtol=1e-12, atol=1e-9)
    unseen = {"delivered", "purchased", "blocked", "inbound_call", "branch_visit", "partner_scene"}
    for kind, seen in zip(NAMES, counts.sum(axis=(1, 2)), strict=True):
        assert seen > 0 or kind in unseen, kind


def test_running_sums_are_the_tallies_and_the_first_morning() -> None:
    simulator = Simulator(rich_world(), 2)
    simulator.reset(np.arange(500))
    rng, sums = np.random.default_rng(0), np.zeros(3)
    days = 0.0
    for _ in range(10):
        before = simulator.state.alive.sum()
        tally = simulator.step(_wishes(simulator, 1, rng)).tally
        sums += [tally.margin.sum(), tally.cost.sum(), tally.annoyance.sum()]
        days += before
    total = simulator.out.sums[0]
    np.testing.assert_allclose([total["margin"], total["contact_cost"] + total["event_cost"], total["annoyance"]], sums)
    assert total["days"] == days


def test_a_log_that_is_full_is_emptied_on_the_way_and_nothing_is_lost() -> None:
    world = rich_world()
    whole = Simulator(world, 7, record=True, cadence_days=30)
    whole.reset(np.arange(1500))
    wishes = _wishes(whole, 2, np.random.default_rng(1))
    told = whole.step(wishes)
    assert told.events is not None
    assert len(told.events) > 2 * len(whole.out.log)  # it was full more than once
    parts = []
    for start in range(0, 1500, 30):
        part = Simulator(world, 7, record=True, cadence_days=30)
        part.reset(np.arange(start, start + 30))
        some = part.step(wishes[start : start + 30]).events
        assert some is not None
        assert len(some) < len(part.out.log)
        some["row"] += start
        parts.append(some)
    assert told_alike(np.concatenate(parts), told.events)


def _wishes(simulator: Simulator, desks: int, rng: np.random.Generator) -> np.ndarray:  # (batch, desks) int
    """Random treatments, of which rules execute those that they allow."""
    return rng.integers(0, len(IDS), (simulator.state.batch, desks))
