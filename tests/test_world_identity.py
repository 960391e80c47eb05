"""A customer's fate follows from their own actions and luck, never from the batch, its order or who is listening."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from mechanisms_kit import told_alike
from simulator_kit import DESKS, WORLDS, flat, hidden_world, history_of_run, snapshot, wishes
from world_kit import FINITE, lived, small_world, some_allowed

from envs.features import CONTEXT, IRRITATION
from envs.simulator import Simulator, Tally


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
