"""Pictures: the timeline is what was lived, the drawing shows it, and nothing is kept when nobody looks."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from matplotlib.figure import Figure
from world_kit import FINITE, named, small_world

import envs
from envs.drawing import draw
from envs.environment import BankEnv
from envs.features import IRRITATION
from envs.inside import Happened, events_of
from envs.simulator import Simulator
from envs.vector import BankVectorEnv
from envs.world import World, load_world

assert envs.__doc__  # importing the package registers the environments
NO_CHURN: dict[str, Any] = {"churned": None, "churned_value": None}


def lively() -> World:
    return small_world(churned={"link": "rate", "given": "always", "terms": named({"1": -1.5})})


def timelines(env: Any) -> dict[int, Any]:
    return env.unwrapped._picture.watch.timelines


def lived(env: Any, steps: int, seed: int = 0) -> list[tuple[int, Any]]:
    """Allowed treatments, and what they brought, to the end of an episode at most."""
    _, info = env.reset(seed=seed)
    out = []
    for step in range(steps):
        allowed = np.flatnonzero(info["action_mask"])
        action = int(allowed[step % len(allowed)])
        told = env.step(action)
        info = told[4]
        out.append((action, told))
        if told[2] or told[3]:
            break
    return out


def test_the_timeline_is_what_was_lived() -> None:
    env = BankEnv(small_world(**NO_CHURN), horizon=40, render_mode="rgb_array", first_customer=5)
    steps = lived(env, 30, seed=2)
    timeline = timelines(env)[0]
    assert timeline.customer == 5
    assert [step.treatment for step in timeline.lived] == [action for action, _ in steps]
    parts = [[step.margin, step.cost, step.annoyance] for step in timeline.lived]
    np.testing.assert_array_equal(parts, [told[4]["reward_vector"] for _, told in steps])
    assert [s.day - timeline.first_day for s in timeline.standings] == list(range(31))
    names = env.world.encoder.names
    intent = [names.index(f"product:{p}:intent") for p in env.world.catalogue.product_ids]
    for (_, told), standing in zip(steps, timeline.standings[1:], strict=True):
        np.testing.assert_allclose(standing.intent, told[0][intent] * 5, rtol=1e-6)
        assert standing.irritation is None  # this world has nothing hidden


def test_its_events_are_those_of_the_simulator() -> None:
    """The same customer with the same treatments in a batch of others, in a recording of our own."""
    world = small_world(**NO_CHURN)
    env = BankEnv(world, horizon=40, render_mode="rgb_array", first_customer=5)
    steps = lived(env, 30, seed=2)
    simulator = Simulator(world, 2, record=True)
    simulator.reset(np.array([3, 4, 5]), prices=env.terms.prices)
    total: list[Happened] = events_of(simulator.morning, 2)
    for action, _ in steps:
        total += events_of(simulator.step(np.array([0, 0, action])).events, 2)
    assert repr(timelines(env)[0].events) == repr(total)  # by repr: nan is nan
    assert {event.event for event in total} >= {"delivered", "engaged", "app_session", "browsed"}
    reward = world.schema.task.reward
    margins = [reward.margin_per_value.get(e.event, 0.0) * np.nan_to_num(e.value) for e in total]
    margins += [reward.margin_per_event.get(e.event, 0.0) for e in total]
    assert sum(margins) == pytest.approx(sum(step.margin for step in timelines(env)[0].lived))
    assert events_of(Simulator(world, 2).morning, 2) == events_of(None, 2) == []  # nothing is recorded unasked


def test_hidden_irritation_is_shown_where_the_world_has_it() -> None:
    env = BankEnv(load_world("bank"), horizon=5, render_mode="rgb_array")
    lived(env, 5)
    timeline = timelines(env)[0]
    assert timeline.standings[-1].irritation == float(env.simulator.state.latent[0, IRRITATION])
    figure = drawing(env)
    assert "irritation (hidden state)" in labels(figure.axes[2])


def test_nothing_is_kept_without_a_render_mode() -> None:
    env, batch = BankEnv(small_world()), BankVectorEnv(2, small_world())
    env.reset(seed=0)
    batch.reset(seed=0)
    for face in (env, batch):
        assert face._picture is None
        assert not face.simulator.record
        assert not len(face.simulator.morning)


def test_importing_the_environment_loads_no_matplotlib() -> None:
    code = (
        "import sys, envs.environment, envs.vector, gymnasium\n"
        "gymnasium.make('nextbest/Bank-v0').reset()\n"
        "print(any(name.startswith('matplotlib') for name in sys.modules))"
    )
    root = Path(envs.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr


def drawing(env: Any) -> Figure:
    figure = Figure()
    draw(figure, env.world, timelines(env)[0], env.unwrapped._picture.days)
    return figure


def labels(axes: Any) -> list[str]:
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_the_drawing_shows_contacts_events_intent_and_money() -> None:
    env = BankEnv(small_world(**NO_CHURN), horizon=40, render_mode="rgb_array")
    steps = lived(env, 30, seed=4)
    contacts, intent, feeling, money = drawing(env).axes
    lanes = [text.get_text() for text in contacts.get_yticklabels()]
    assert lanes == ["sms (online)", "call (remote)", "app (online)", "unasked"]
    done = [action for action, _ in steps if action]
    assert len([c for c in contacts.collections if type(c).__name__ == "LineCollection"]) == len(done)
    told = labels(contacts)
    counts = {e.event for e in timelines(env)[0].events}
    assert {name.replace("_", " ") for name in counts - {"redeemed", "app_session"}} == set(told[2:])
    assert told[1] == "customer comes in"
    assert set(labels(intent)) >= {env.world.catalogue.treatments[a - 1].product for a in done}
    assert labels(feeling) == ["annoyance, summed (opt-outs)"]
    total = sum(told[4]["reward_vector"][0] for _, told in steps)
    assert money.get_lines()[0].get_ydata()[-1] == pytest.approx(total)
    assert money.get_xlim()[1] > 40


def test_a_picture_is_new_colours_that_change_with_what_happens() -> None:
    env = gymnasium.make("nextbest/Bank-v0", world=small_world(**NO_CHURN), render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert (first.dtype, first.shape) == (np.uint8, (750, 1200, 3))
    np.testing.assert_array_equal(first, env.render())
    env.step(1)
    assert (env.render() != first).any()


def test_a_finite_task_is_drawn_to_its_end() -> None:
    env = BankEnv(small_world(FINITE, **NO_CHURN), render_mode="rgb_array")
    assert len(lived(env, 9)) == 3
    figure = drawing(env)
    assert figure.axes[-1].get_xlim()[1] == pytest.approx(9.7)
    assert "day 9 of 9" in figure.get_suptitle()


def test_frames_are_collected_as_gymnasium_does() -> None:
    env = gymnasium.make("nextbest/Bank-v0", world=small_world(), render_mode="rgb_array_list")
    env.reset(seed=0)
    env.step(0)
    frames: Any = env.render()
    assert [frame.shape for frame in frames] == [(750, 1200, 3)] * 2


def test_a_batch_draws_one_row_or_all_and_starts_anew_with_new_customers() -> None:
    several = gymnasium.make_vec("nextbest/Bank-v0", num_envs=3, world=lively(), render_mode="rgb_array")
    assert timelines(several) == {}
    several.reset(seed=0)
    frames: Any = several.render()
    assert [frame.shape for frame in frames] == [(750, 1200, 3)]
    options: dict[str, Any] = {"world": lively(), "horizon": 4, "render_mode": "rgb_array"}
    batch, steps = BankVectorEnv(3, **options, render_customer=None), np.zeros(3, int)
    _, info = batch.reset(seed=0)
    for _ in range(6):
        *_, terminated, truncated, info = batch.step(
            np.array([int(np.flatnonzero(m)[-1]) for m in info["action_mask"]])
        )
        ended = terminated | truncated
        steps = np.where(ended, 0, steps + 1)
        numbers = batch.simulator.state.customer
        assert [timelines(batch)[row].customer for row in range(3)] == numbers.tolist()
        assert [len(timelines(batch)[row].lived) for row in range(3)] == steps.tolist()
    assert numbers.max() >= 3
    frames = batch.render()
    assert len(frames) == 3


def test_a_row_of_a_batch_has_the_timeline_of_its_customer_alone() -> None:
    options: dict[str, Any] = {"world": small_world(**NO_CHURN), "horizon": 20, "render_mode": "rgb_array"}
    batch, alone = BankVectorEnv(4, **options, render_customer=2), BankEnv(**options, first_customer=2)
    batch.reset(seed=0)
    for action, _ in lived(alone, 12):
        batch.step(np.array([0, 0, action, 0]))
    assert repr(timelines(batch)[2].events) == repr(timelines(alone)[0].events)
    assert timelines(batch)[2].lived == timelines(alone)[0].lived


def test_render_without_a_mode_says_so() -> None:
    for face in (BankEnv(small_world()), BankVectorEnv(2, small_world())):
        face.reset(seed=0)
        with pytest.warns(UserWarning, match="render.. draws nothing without a render mode"):
            assert face.render() is None
        face.close()


def test_a_window_that_cannot_open_is_no_fault_but_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("nextbest/Bank-v0", world=small_world(), render_mode="human")
        env.reset(seed=0)
        env.step(0)
        assert env.render() is None
        env.close()
        env.close()
    (said,) = [record.getMessage() for record in caplog.records if record.name == "nextbest.render"]
    assert "matplotlib draws with 'agg'" in said
    assert "render_mode='rgb_array' needs neither" in said


@pytest.mark.parametrize("batch", [False, True])
def test_a_window_follows_the_steps_until_it_is_closed(batch: bool, tmp_path: Path) -> None:
    """WebAgg is an interactive backend that needs no display: its window is a page that a browser could open."""
    pytest.importorskip("tornado")
    made = "gymnasium.make_vec(ID, num_envs=2, **options)" if batch else "gymnasium.make(ID, **options)"
    code = (
        "import envs, gymnasium\n"
        "from matplotlib import pyplot\n"
        "ID, options = 'nextbest/Bank-v0', {'render_mode': 'human', 'horizon': 4}\n"
        f"env = {made}\n"
        "env.reset(seed=0)\n"
        "titles = [pyplot.gcf().get_suptitle()]\n"
        "env.step(env.action_space.sample())\n"
        "titles.append(pyplot.gcf().get_suptitle())\n"
        "print(len(pyplot.get_fignums()), titles[0].split(' · ')[1], titles[1].split(' · ')[1], env.render())\n"
        "env.close()\n"
        "print(len(pyplot.get_fignums()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(envs.__file__).parent.parent,
        env={"MPLBACKEND": "webagg", "MPLCONFIGDIR": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "1 day 0 of 4 day 1 of 4 None\n0\n", done.stderr
