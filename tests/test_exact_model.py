"""The exact model and the simulator are two accounts of one world: they must agree wherever they can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from exact_kit import preset, small
from scipy.stats import chi2, norm

from agents.baselines import Random
from agents.exact import Optimum
from agents.exact_joint import shortened
from agents.policy import draw
from envs.errors import InputError
from envs.exact import ExactModel, build
from envs.exact_outcomes import Outcomes
from envs.prices import Prices
from envs.rules import Cap
from envs.simulator import Outcome, Simulator
from envs.world import World, load_world
from training.configs import SimulateConfig
from training.simulate import simulate as simulate_log

FAMILY = 0.001  # level at which one of all comparisons of a test may fail by chance
PRICES = Prices(20.0, (1.5,))


@dataclass(frozen=True)
class Decision:
    """One decision of many simulated customers beside the states of the model."""

    step: int
    pair: np.ndarray  # (customers,) int, position of each one's pair of state and treatment
    after: np.ndarray  # (customers,) int, position of the next state, the last: the end
    outcome: Outcome
    customers: np.ndarray  # (customers,) int, rows of the batch: those who were there


def decisions(model: ExactModel, customers: int, seed: int) -> Iterator[Decision]:
    """Customers who are decided at random, decision by decision."""
    simulator, rng = Simulator(model.world, seed), np.random.default_rng(seed)
    simulator.reset(np.arange(customers), prices=PRICES)
    for step, layer in enumerate(model.layers):
        alive = np.flatnonzero(simulator.state.alive)
        view = simulator.view()
        at, state = model.locate(view.observation[alive])
        assert (at == step).all()
        treatment = draw(Random().probabilities(view.observation, view.mask), rng.random(customers))
        pair = layer.pair(state, treatment[alive])
        assert (layer.state[pair] == state).all()
        assert (layer.treatment[pair] == treatment[alive]).all()
        outcome = simulator.step(treatment)
        after = np.full(len(alive), layer.chances.shape[1] - 1)
        goes_on = simulator.state.alive[alive]
        if goes_on.any():
            after[goes_on] = model.locate(simulator.view().observation[alive[goes_on]])[1]
        yield Decision(step, pair, after, outcome, alive)


def test_the_preset_is_small_and_every_row_of_chances_sums_to_one() -> None:
    model = preset()
    assert 100_000 < model.states < 200_000
    for layer in model.layers:
        assert np.abs(np.asarray(layer.chances.sum(axis=1)) - 1).max() < 1e-12
        assert layer.chances.data.min() > 0
        assert (np.diff(layer.keys) > 0).all()
        assert (layer.treatment[layer.first] == 0).all()
    assert model.shares.sum() == pytest.approx(1.0)


def test_simulated_customers_stand_in_states_that_show_the_same_observation_and_mask_to_the_bit() -> None:
    model = preset()
    simulator = Simulator(model.world, 3)
    simulator.reset(np.arange(20_000), prices=PRICES)
    rng = np.random.default_rng(0)
    for step, layer in enumerate(model.layers):
        alive, view = simulator.state.alive, simulator.view()
        at, state = model.locate(view.observation)
        assert (at[alive] == step).all()
        assert (state[alive] >= 0).all()
        shown = model.observation(step, PRICES)[state[alive]]
        np.testing.assert_array_equal(shown, view.observation[alive])
        np.testing.assert_array_equal(layer.allowed[state[alive]], view.mask[alive])
        simulator.step(draw(Random().probabilities(view.observation, view.mask), rng.random(20_000)))


def test_transition_frequencies_agree_pair_by_pair() -> None:
    """Chi-square over next states, for every pair often enough seen: all at once, and each alone (Bonferroni)."""
    model, total, freedom, alone = preset(), 0.0, 0, []
    for seen in decisions(model, 80_000, seed=11):
        chances = model.layers[seen.step].chances
        likely = np.asarray(chances[seen.pair, seen.after]).ravel()
        assert (likely > 0).all(), "the simulator went where the model says that nobody goes"
        pairs, counts = np.unique(seen.pair, return_counts=True)
        order = np.argsort(seen.pair, kind="stable")
        for pair, after in zip(pairs, np.split(seen.after[order], counts.cumsum()[:-1]), strict=True):
            row = chances[pair]
            expected = row.data * len(after)
            if len(after) < 100:
                continue
            observed = np.bincount(after, minlength=chances.shape[1])[row.indices]
            often = expected >= 5
            cells = [*zip(observed[often], expected[often], strict=True)]
            if (rest := expected[~often].sum()) >= 5:
                cells.append((observed[~often].sum(), rest))
            elif cells and rest > 0:  # too rare to stand alone: joins the last
                cells[-1] = (cells[-1][0] + observed[~often].sum(), cells[-1][1] + rest)
            if len(cells) > 1:
                distance = sum((o - e) ** 2 / e for o, e in cells)
                total, freedom = total + distance, freedom + len(cells) - 1
                alone.append(chi2.sf(distance, len(cells) - 1))
    assert freedom > 500
    assert chi2.sf(total, freedom) > FAMILY / 2
    assert min(alone) > FAMILY / 2 / len(alone)


def changes(model: ExactModel, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a decision's states and of the next one's, with two more columns: is there, and products held.

    The end stands last, as zeros.
    """
    shown = []
    for layer in model.layers[step : step + 2]:
        held = layer.rows[:, model.table.of("holds")].sum(axis=1)
        shown.append(np.column_stack([layer.rows, np.ones(len(held)), held]).astype(float))
    return shown[0], np.concatenate([shown[1], np.zeros((1, shown[1].shape[1]))])


def test_every_variable_and_every_part_of_the_reward_agrees_in_the_mean_at_every_decision() -> None:
    """Sums of what happened less what was expected, over customers: standard normal (Bonferroni).

    Changes of those who stay, by treatment, at a decision and over all of them, with the variance of the model;
    amounts, whose spread the model leaves out, by decision.
    """
    model, scores = preset(), []
    total = np.zeros((len(model.world.catalogue.treatment_ids), 2, len(model.table.columns) + 2))
    for seen in decisions(model, 80_000, seed=12):
        layer, tally, there = model.layers[seen.step], seen.outcome.tally, seen.customers
        np.testing.assert_array_equal(tally.effort[there], layer.effort[seen.pair])
        for part in ("margin", "cost", "annoyance"):
            off = getattr(tally, part)[there] - getattr(layer, part)[seen.pair]
            scores.append(off.sum() / np.sqrt((off**2).sum()))
        if seen.step == len(model.layers) - 1:
            break
        now, after = changes(model, seen.step)
        now[:, -2] = 0  # being there is no change
        now, stays = now[layer.state], 1 - layer.chances[:, -1].toarray()
        mean = layer.chances @ after - stays * now
        square = layer.chances @ after**2 - 2 * now * (layer.chances @ after) + stays * now**2
        variance = (square - mean**2)[seen.pair]
        moved = (after[seen.after] - now[seen.pair]) * (seen.after < len(after) - 1)[:, None]
        for treatment in range(layer.allowed.shape[1]):
            chosen = layer.treatment[seen.pair] == treatment
            off, spread = (moved - mean[seen.pair])[chosen].sum(axis=0), variance[chosen].sum(axis=0)
            total[treatment] += [off, spread]
            scores += list(off[spread > 30] / np.sqrt(spread[spread > 30]))  # below, too rare to be normal
    off, spread = total[:, 0], total[:, 1]
    scores += list(off[spread > 30] / np.sqrt(spread[spread > 30]))
    assert len(scores) > 200
    assert np.abs(scores).max() < norm.isf(FAMILY / 2 / len(scores))


def test_the_events_that_make_the_reward_are_those_that_move_the_states() -> None:
    """Of those who stay, as many engage, decline, opt out and convert as the next states show."""
    model = preset()
    for step, layer in enumerate(model.layers[:-1]):
        seen = model.observation(step, PRICES)[layer.state]
        before = layer.rows[layer.state].astype(float)
        outcomes = Outcomes(model.table, layer.rows[layer.state], layer.treatment, seen, layer.days)
        stays = 1 - np.asarray(layer.chances[:, -1].toarray()).ravel()
        rows = np.concatenate([model.layers[step + 1].rows, np.zeros((1, before.shape[1]))])
        after = np.asarray(layer.chances @ rows)
        moved = {"engaged": "engagements", "declined": "refusals", "opted_out": "opted_out", "converted": "holds"}
        for event, variable in moved.items():
            columns = model.table.of(variable)
            grown = after[:, columns].sum(axis=1) - stays * before[:, columns].sum(axis=1)
            np.testing.assert_allclose(outcomes.events[event][0] * stays, grown, atol=1e-12)
        np.testing.assert_allclose(outcomes.events["churned"][0], 1 - stays, atol=1e-15)


def test_shares_are_those_of_the_population() -> None:
    model, customers = preset(), 40_000
    simulator = Simulator(model.world, 5)
    simulator.reset(np.arange(customers))
    _, state = model.locate(simulator.view().observation)
    observed, expected = np.bincount(state, minlength=len(model.shares)), model.shares * customers
    assert chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1) > FAMILY


def test_keys_and_rows_are_two_ways_to_write_a_state() -> None:
    table, layer = preset().table, preset().layers[-1]
    np.testing.assert_array_equal(table.rows(layer.keys), layer.rows)
    np.testing.assert_array_equal(table.keys(layer.rows), layer.keys)


def test_observations_that_nobody_is_decided_at_show_no_state_and_are_left_in_silence() -> None:
    """More contacts than the cap allows, as a stand-in for what customers look like once they have churned."""
    model = small()
    seen = model.observation(1, PRICES)
    seen[:, model.world.encoder.names.index("channel:sms:pressure")] = 1.0  # five contacts
    step, state = model.locate(seen)
    assert (step == 1).all()
    assert (state == -1).all()
    chosen = Optimum(model).probabilities(seen, model.layers[1].allowed)
    assert (chosen[:, 0] == 1).all()
    with pytest.raises(InputError, match=f"must have the {seen.shape[1]} fields"):
        model.locate(seen[:, :5])


def changed(**parts: object) -> World:
    """The short preset with some parts of its schema, task, rules or response model replaced."""
    world = shortened(load_world("exact"), 3)
    pieces = {"schema": world.schema, "task": world.schema.task, "rules": world.rules, "model": world.coefficients}
    for name, values in parts.items():
        pieces[name] = pieces[name].model_copy(update=values)
    schema = pieces["schema"].model_copy(update={"task": pieces["task"]})
    return replace(world, schema=schema, rules=pieces["rules"], coefficients=pieces["model"])


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (lambda: load_world("bank"), "task, must be finite"),
        (lambda: changed(model={"resolution": "day"}), "resolution: window"),
        (lambda: changed(schema={"triggers": ("app_session",)}), "without hidden states and triggers"),
        (lambda: changed(schema={"fading": load_world("bank").schema.fading}), "recency == 7.0, must be so long"),
        (lambda: changed(rules={"refusal_days": 8}), "refusal_days == 8, must be 0 or more than 8"),
        (lambda: changed(rules={"focus_days": 3}), "focus_days == 3, must be left out"),
        (lambda: changed(rules={"caps": (Cap(name="few", most=1, days=7),)}), "few == 7, must count contacts"),
        (lambda: changed(rules={"caps": (Cap(name="one", products=("card",), most=1, days=31),)}), "products == "),
        (lambda: changed(task={"days": (0, 3, 6), "end_day": 9}), "three decisions within seven days"),
    ],
)
def test_worlds_whose_states_cannot_be_counted_are_refused(world: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        build(world())  # type: ignore[operator]


def test_a_head_that_the_model_does_not_know_is_refused() -> None:
    heads = dict(shortened(load_world("exact"), 3).coefficients.heads)
    heads["complained"] = heads["opted_out"]
    with pytest.raises(InputError, match=r"complained.*must be one that the exact model knows"):
        build(changed(model={"heads": heads}))


def test_a_simulated_log_of_the_preset_holds_its_decisions_and_nothing_else() -> None:
    """`simulate` decides everybody of a finite task at random; every logged observation shows a state."""
    log = simulate_log(SimulateConfig(world="exact", customers=300, out=None))
    made, model = log.tables.decisions, preset()
    assert set(made["assignment"]) == {"randomised"}
    step, state = model.locate(np.array(made["observation"].to_list(), np.float32))
    assert (state >= 0).all()
    assert made["customer_id"].n_unique() == (step == 0).sum() == 300
    masks = np.array(made["mask"].to_list())
    for number, layer in enumerate(model.layers):
        np.testing.assert_array_equal(masks[step == number], layer.allowed[state[step == number]])
