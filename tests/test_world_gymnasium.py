"""The bank behind Gymnasium: its checkers pass, rules hold, ends are told apart, seeds repeat."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from world_kit import CONTINUING, FINITE, named, small_world

import envs
from envs.environment import BankEnv
from envs.episode import draw_prices
from envs.errors import InputError
from envs.prices import Prices, price_of
from envs.randomness import Luck
from envs.vector import BankVectorEnv
from envs.world import World

assert envs.__doc__  # importing the package registers the environment
ID = "nextbest/Bank-v0"
NO_CHURN: dict[str, Any] = {"churned": None, "churned_value": None}


def allowed(mask: np.ndarray, step: int) -> np.ndarray:
    """Some allowed treatment of each row."""
    rank = (step * 31 + np.arange(len(mask)) * 7) % mask.sum(axis=1)
    return np.argsort(~mask, axis=1, kind="stable")[np.arange(len(mask)), rank]


def churning() -> World:
    return small_world(churned={"link": "rate", "given": "always", "terms": named({"1": -2.0})})


@pytest.mark.parametrize("options", [{}, {"world": "bank", "prices": None, "horizon": 30}, {"random_prices": True}])
def test_gymnasiums_checker_has_no_complaints(options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, **options).unwrapped)


@pytest.mark.parametrize("world", ["bank", churning(), small_world(FINITE)], ids=["bank", "churning", "finite"])
def test_stable_baselines_checker_has_no_complaints(world: Any) -> None:
    from stable_baselines3.common.env_checker import check_env as check

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(gymnasium.make(ID, world=world, horizon=10))


def test_make_and_make_vec_take_the_same_options() -> None:
    options = {"world": small_world(), "prices": {"annoyance": 5}, "horizon": 4}
    single, several = gymnasium.make(ID, **options), gymnasium.make_vec(ID, num_envs=3, **options)
    assert isinstance(single.unwrapped, BankEnv)
    assert isinstance(several.unwrapped, BankVectorEnv)
    assert several.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert several.single_observation_space == single.observation_space
    assert several.single_action_space == single.action_space
    observation, info = several.reset(seed=1)
    assert several.observation_space.contains(observation)
    assert info["action_mask"].shape == (3, 7)
    column = single.unwrapped.world.encoder.price_columns["annoyance"]
    np.testing.assert_allclose(observation[:, column], np.log(51) / np.log(101), rtol=1e-6)  # half of its range
    outcome = several.step(several.action_space.sample())
    assert several.observation_space.contains(outcome[0])
    assert [len(part) for part in outcome[:4]] == [3, 3, 3, 3]


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="horizon == 0, must be at least 1 day"):
        gymnasium.make_vec(ID, horizon=0)
    with pytest.raises(InputError, match="prices == 'gold', must be one of"):
        gymnasium.make(ID, prices={"gold": 1.0})
    with pytest.raises(InputError, match="world == 'atlantis', must be a directory"):
        gymnasium.make(ID, world="atlantis")


@pytest.mark.parametrize("action", [-1, 7])
def test_an_action_outside_the_catalogue_is_refused_and_changes_nothing(action: int) -> None:
    batch = BankVectorEnv(2, small_world())
    before, _ = batch.reset(seed=0)
    with pytest.raises(InputError, match=rf"action == {action} \(row 1\), must be a position from 0 to 6"):
        batch.step(np.array([0, action]))
    np.testing.assert_array_equal(batch.simulator.view().observation, before)


def test_a_masked_treatment_is_silence_and_its_rules_are_named() -> None:
    env = gymnasium.make(ID, world=small_world(**NO_CHURN), disable_env_checker=True).unwrapped
    seen = set()
    for seed in range(30):
        _, info = env.reset(seed=seed)
        silent = gymnasium.make(ID, world=small_world(**NO_CHURN), disable_env_checker=True).unwrapped
        silent.reset(seed=seed)
        forbidden = int(np.argmin(info["action_mask"]))
        assert not info["action_mask"][forbidden] or forbidden == 0
        observation, reward, *_, told = env.step(forbidden)
        same, nothing, *_, none = silent.step(0)
        np.testing.assert_array_equal(observation, same)
        assert reward == nothing
        assert told["reward_vector"][1:].tolist() == [0, 0]
        assert none["blocked_by"] == ()
        assert bool(told["blocked_by"]) == (forbidden != 0)
        seen |= set(told["blocked_by"])
    assert seen >= {"inbound", "holds_already", "suitability"}


def test_a_strict_environment_raises_and_stays_where_it_was() -> None:
    env = gymnasium.make(ID, world=small_world(), strict=True, disable_env_checker=True).unwrapped
    env.reset(seed=3)
    while env.action_masks().all():
        env.reset()
    forbidden = int(np.argmin(env.action_masks()))
    name = env.world.catalogue.treatment_ids[forbidden]
    before = env.action_masks()
    with pytest.raises(InputError, match=rf"treatment == '{name}', must be allowed; blocked by: \w+"):
        env.step(forbidden)
    np.testing.assert_array_equal(env.action_masks(), before)
    env.step(0)


def test_the_reward_is_the_vector_at_the_prices() -> None:
    batch = BankVectorEnv(50, small_world(), {"annoyance": 3, "minutes": 0.25}, horizon=5)
    batch.reset(seed=0)
    effort = batch.world.catalogue.effort[:, 0]
    for step in range(7):
        action = allowed(batch.action_masks(), step)
        _, reward, _, _, info = batch.step(action)
        margin, cost, annoyance = info["reward_vector"].T
        np.testing.assert_allclose(reward, margin - cost - 0.25 * effort[action] - 3 * annoyance, atol=1e-12)


def trajectory(env: gymnasium.Env[Any, Any], steps: int, seed: int) -> list[Any]:
    observation, info = env.reset(seed=seed)
    out = [observation]
    for step in range(steps):
        observation, reward, terminated, truncated, told = env.step(int(allowed(info["action_mask"][None], step)[0]))
        out += [observation, reward, terminated, truncated, told["reward_vector"]]
        info = told
        if terminated or truncated:
            observation, info = env.reset()
            out.append(observation)
    return out


def test_a_seed_repeats_a_trajectory_across_resets_and_another_seed_does_not() -> None:
    first, again, other = (
        trajectory(gymnasium.make(ID, world=churning(), horizon=4, disable_env_checker=True), 30, seed)
        for seed in (5, 5, 6)
    )
    assert len(first) == len(again)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_horizon_truncates_and_churn_terminates() -> None:
    quiet = BankVectorEnv(20, small_world(**NO_CHURN), horizon=5)
    quiet.reset(seed=0)
    for step in range(12):
        _, _, terminated, truncated, info = quiet.step(np.zeros(20, int))
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (step % 5 == 4)
        assert ("final_obs" in info) == truncated.any()
    batch = BankVectorEnv(300, churning(), horizon=5)
    batch.reset(seed=0)
    ends = {"terminated": 0, "truncated": 0}
    for _ in range(10):
        _, _, terminated, truncated, _ = batch.step(np.zeros(300, int))
        assert not (terminated & truncated).any()
        ends["terminated"] += int(terminated.sum())
        ends["truncated"] += int(truncated.sum())
    assert min(ends.values()) > 100


def test_a_horizon_is_in_days_whatever_the_cadence() -> None:
    batch = BankVectorEnv(2, small_world(**NO_CHURN), horizon=10, cadence_days=4)
    batch.reset(seed=0)
    assert [bool(batch.step(np.zeros(2, int))[3].all()) for _ in range(6)] == [False, False, True] * 2


def test_a_finite_task_terminates_and_is_never_truncated() -> None:
    batch = BankVectorEnv(30, small_world(FINITE, **NO_CHURN), horizon=2)
    batch.reset(seed=0)
    for step in range(7):
        _, _, terminated, truncated, _ = batch.step(allowed(batch.action_masks(), step))
        assert not truncated.any()
        assert terminated.all() == terminated.any() == (step % 3 == 2)


def test_in_a_finite_task_everyone_who_stays_decides_three_times() -> None:
    churned = {"link": "rate", "given": "always", "terms": named({"1": -2.5})}
    batch = BankVectorEnv(60, small_world(FINITE, churned=churned))
    batch.reset(seed=0)
    left = batch.world.encoder.names.index("task:time_left")
    length, lengths = np.zeros(60, int), []
    for step in range(30):
        seen = batch.simulator.view().observation[:, left]
        np.testing.assert_allclose(seen * 9, np.array([9, 6, 4])[length], rtol=1e-6)
        _, _, terminated, _, _ = batch.step(allowed(batch.action_masks(), step))
        length += 1
        lengths += length[terminated].tolist()
        length[terminated] = 0
    counts = np.bincount(lengths, minlength=4)
    assert counts[3] > counts[1] > 0
    assert counts[2] > 0
    assert len(counts) == 4


def test_the_last_observation_is_the_ended_customers_and_the_returned_one_a_new_customers() -> None:
    world = churning()
    batch, alone = BankVectorEnv(6, world, horizon=3), BankVectorEnv(6, world, horizon=1000)
    batch.reset(seed=0)
    alone.reset(seed=0)
    checked = 0
    for step in range(3):
        action = allowed(batch.action_masks(), step)
        observation, _, terminated, truncated, info = batch.step(action)
        uncut, _, _, _, other = alone.step(action)
        ended = terminated | truncated
        for row in np.flatnonzero(ended):
            last = info["final_obs"][row]
            expected = other["final_obs"][row] if terminated[row] else uncut[row]
            np.testing.assert_array_equal(last, expected)
            assert not np.array_equal(last, observation[row])
            masks = other["final_info"] if terminated[row] else other
            np.testing.assert_array_equal(info["final_info"]["action_mask"][row], masks["action_mask"][row])
            pressure = world.encoder.names.index("contact:pressure")
            assert observation[row, pressure] == 0  # nobody has contacted the new customer yet
            checked += 1
        if ended.any():
            assert info["_final_obs"].tolist() == ended.tolist()
            assert [o is None for o in info["final_obs"]] == (~ended).tolist()
        if step < 2 and ended.any():
            break  # the two batches are no longer in step
    assert checked


def test_the_mask_at_the_end_belongs_to_the_last_observation() -> None:
    world = small_world(**NO_CHURN)
    cut = BankEnv(world, horizon=2)
    uncut = BankEnv(world, horizon=100)
    for seed in range(10):
        cut.reset(seed=seed)
        uncut.reset(seed=seed)
        for action in (1, 4):
            a, b = cut.step(np.int64(action)), uncut.step(np.int64(action))
        assert a[3]
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[4]["action_mask"], b[4]["action_mask"])
        np.testing.assert_array_equal(cut.action_masks(), uncut.action_masks())


def test_every_new_customer_has_a_number_of_their_own() -> None:
    batch = BankVectorEnv(10, churning(), horizon=3, first_customer=1000)
    batch.reset(seed=0)
    seen = set(batch.simulator.state.customer.tolist())
    assert seen == set(range(1000, 1010))
    ended = 0
    for _ in range(9):
        _, _, terminated, truncated, _ = batch.step(np.zeros(10, int))
        ended += int((terminated | truncated).sum())
        seen |= set(batch.simulator.state.customer.tolist())
    assert seen == set(range(1000, 1010 + ended))


def test_staggered_episodes_end_on_different_days_and_last_as_long_later() -> None:
    batch = BankVectorEnv(500, small_world(**NO_CHURN), horizon=10, stagger=True)
    batch.reset(seed=0)
    first = np.full(500, -1)
    for day in range(20):
        _, _, _, truncated, _ = batch.step(np.zeros(500, int))
        again = truncated & (first >= 0)
        np.testing.assert_array_equal(day - first[again], 10)
        first[truncated & (first < 0)] = day
    assert np.bincount(first, minlength=10).min() > 20


def test_random_prices_are_observed_charged_and_in_range() -> None:
    world = small_world(**NO_CHURN)
    batch = BankVectorEnv(4000, world, random_prices=True, horizon=1)
    batch.reset(seed=0)
    prices = batch.simulator.state.prices.copy()
    columns = list(world.encoder.price_columns.values())
    seen = batch.simulator.view().observation[:, columns].astype(np.float64)
    observed = price_of(seen, world.encoder.price_highs)
    np.testing.assert_allclose(observed, prices, rtol=1e-5, atol=1e-6)
    for column, (default, high, share, low) in enumerate([(2.0, 10.0, 0.1, 0.002), (0.5, 2.0, 0.5, 0.01)]):
        values = prices[:, column]
        usual = values == default
        assert usual.mean() == pytest.approx(share, abs=0.03)
        assert (values[~usual] >= low * high).all()
        assert (values[~usual] <= high).all()
        logs = np.log(values[~usual] / (low * high)) / -np.log(low)
        assert logs.mean() == pytest.approx(0.5, abs=0.03)  # log-uniform
        assert logs.std() == pytest.approx(12**-0.5, abs=0.02)
    assert abs(np.corrcoef(prices.T)[0, 1]) < 0.06
    _, reward, _, _, info = batch.step(np.full(4000, 4))
    margin, cost, annoyance = info["reward_vector"].T
    called = annoyance > 0
    effort = np.where(cost >= 3, 5.0, 0.0)
    by_hand = margin - cost - prices[:, 1] * effort - prices[:, 0] * annoyance
    np.testing.assert_allclose(reward, by_hand, atol=1e-9)
    assert called.any()
    assert not np.array_equal(batch.simulator.state.prices, prices)  # new customers, new prices


def test_drawn_prices_depend_on_the_customer_alone() -> None:
    numbers = np.arange(100)
    base, highs = Prices(1.0, (0.0,)), np.array([4.0, 2.0])
    whole = draw_prices(Luck(0, numbers, np.full(100, -3)), base, highs)
    part = draw_prices(Luck(0, numbers[40:42], np.full(2, -3)), base, highs)
    np.testing.assert_array_equal(whole[40:42], part)


def test_the_single_environment_is_a_batch_of_one() -> None:
    world = churning()
    env, batch = BankEnv(world, horizon=6), BankVectorEnv(1, world, horizon=6)
    one, _ = env.reset(seed=9)
    several, _ = batch.reset(seed=9)
    np.testing.assert_array_equal(one, several[0])
    for step in range(6):
        action = int(allowed(env.action_masks()[None], step)[0])
        a, b = env.step(np.int64(action)), batch.step(np.array([action]))
        ended = bool(b[2][0] or b[3][0])
        np.testing.assert_array_equal(a[0], b[4]["final_obs"][0] if ended else b[0][0])
        assert a[1:4] == (b[1][0], b[2][0], b[3][0])
        np.testing.assert_array_equal(a[4]["reward_vector"], b[4]["reward_vector"][0])
        if ended:
            break


def test_a_stock_learner_of_stable_baselines_trains() -> None:
    from stable_baselines3 import PPO

    env = gymnasium.make(ID, world="bank", prices=None, horizon=90)
    model = PPO("MlpPolicy", env, n_steps=128, batch_size=64, n_epochs=2, seed=0, device="cpu")
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(384)
    after = list(model.policy.parameters())
    assert model.num_timesteps == 384
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    assert all(p.isfinite().all() for p in after)
    action, _ = model.predict(env.reset(seed=0)[0])
    assert env.action_space.contains(int(action))


def test_a_world_of_one_decision_per_episode_is_possible() -> None:
    batch = BankVectorEnv(5, small_world({**CONTINUING, "cadence_days": 7}, **NO_CHURN), horizon=7)
    batch.reset(seed=0)
    assert batch.step(np.zeros(5, int))[3].all()


@pytest.mark.parametrize("make", [BankEnv, BankVectorEnv], ids=["single", "batch"])
def test_prices_change_on_the_way_and_a_step_is_charged_at_those_it_saw(make: Any) -> None:
    world = small_world(**NO_CHURN)
    rows = {} if make is BankEnv else {"num_envs": 300}
    env = make(world=world, random_prices=True, price_walk=0.2, horizon=1000, **rows)
    env.reset(seed=0)
    columns, moved, steps = list(world.encoder.price_columns.values()), [], 400 if make is BankEnv else 20
    for step in range(steps):
        seen = env.simulator.view().observation[:, columns].astype(np.float64)
        held = env.simulator.state.prices.copy()
        np.testing.assert_allclose(price_of(seen, world.encoder.price_highs), held, rtol=1e-5, atol=1e-6)
        mask = env.simulator.view().mask
        action = allowed(mask, step)
        _, reward, _, _, info = env.step(action[0] if make is BankEnv else action)
        vector, effort = np.atleast_2d(info["reward_vector"]), np.atleast_2d(info["effort"])
        by_hand = vector[:, 0] - vector[:, 1] - held[:, 0] * vector[:, 2] - (held[:, 1:] * effort).sum(axis=1)
        np.testing.assert_allclose(reward, by_hand, atol=1e-9)
        np.testing.assert_array_equal(np.atleast_2d(info["prices"]), held)
        now = env.simulator.state.prices
        inside = (held > 0) & (now < world.encoder.price_highs)
        moved.append(np.log(now[inside] / held[inside]))
    spread = 0.2 * env.simulator.cadence_days**0.5
    walk = np.concatenate(moved)
    assert walk.std() == pytest.approx(spread, rel=0.15)
    assert np.exp(walk).mean() == pytest.approx(1.0, abs=0.1)


def test_the_same_customers_see_the_same_prices_in_any_batch() -> None:
    world = small_world(**NO_CHURN)
    options: dict[str, Any] = {"random_prices": True, "price_walk": 0.3, "horizon": 50}
    whole, part = BankVectorEnv(20, world, **options), BankVectorEnv(5, world, first_customer=10, **options)
    whole.reset(seed=4)
    part.reset(seed=4)
    for _ in range(10):
        np.testing.assert_array_equal(whole.simulator.state.prices[10:15], part.simulator.state.prices)
        whole.step(np.zeros(20, int))
        part.step(np.zeros(5, int))
    with pytest.raises(InputError, match="price_walk"):
        BankVectorEnv(2, world, price_walk=-1.0)
