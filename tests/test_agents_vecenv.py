"""The simulator as stable-baselines3's vector environment: ends, masks, discounts and scales are what SB3 expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from world_kit import CONTINUING, FINITE, named, small_world

from agents.sb3_env import SimulatorVecEnv
from envs.errors import InputError
from envs.expected_reward import ExpectedReward
from envs.vector import BankVectorEnv
from envs.world import World

NO_CHURN: dict[str, Any] = {"churned": None, "churned_value": None}


def churning() -> World:
    return small_world(churned={"link": "rate", "given": "always", "terms": named({"1": -2.0})})


def wrapped(world: World, envs: int = 8, scale: float = 1.0, **options: Any) -> SimulatorVecEnv:
    environment = SimulatorVecEnv([BankVectorEnv(envs, world, **options)], scale)
    environment.seed(3)
    return environment


def first_allowed(mask: np.ndarray) -> np.ndarray:
    """The last allowed treatment of each row."""
    return mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)


def test_steps_are_those_of_the_batch_with_rewards_scaled() -> None:
    environment, batch = wrapped(churning(), 20, 4.0, horizon=6), BankVectorEnv(20, churning(), horizon=6)
    np.testing.assert_array_equal(environment.reset(), batch.reset(seed=3)[0])
    ends = {"terminated": 0, "truncated": 0}
    for _ in range(14):
        mask = environment.action_masks()
        np.testing.assert_array_equal(mask, batch.action_masks())
        environment.step_async(first_allowed(mask))
        observation, reward, done, infos = environment.step_wait()
        expected = batch.step(first_allowed(mask))
        np.testing.assert_array_equal(observation, expected[0])
        np.testing.assert_allclose(reward, expected[1] / 4, rtol=1e-6)
        assert reward.dtype == np.float32
        np.testing.assert_array_equal(done, expected[2] | expected[3])
        for row, info in enumerate(infos):
            assert bool(info) == done[row]
            if info:
                assert info["TimeLimit.truncated"] == expected[3][row]
                np.testing.assert_array_equal(info["terminal_observation"], expected[4]["final_obs"][row])
        ends["terminated"] += int(expected[2].sum())
        ends["truncated"] += int(expected[3].sum())
    assert min(ends.values()) > 0


def test_returns_are_the_undiscounted_rewards_of_finished_episodes_in_currency() -> None:
    environment, total, finished = wrapped(small_world(**NO_CHURN), 5, 10.0, horizon=4), np.zeros(5), []
    environment.reset()
    for step in range(9):
        environment.step_async(first_allowed(environment.action_masks()))
        _, reward, done, _ = environment.step_wait()
        total += reward * 10.0
        if step % 4 == 3:
            assert done.all()
            finished += total.tolist()
            total[:] = 0
    np.testing.assert_allclose(environment.returns, finished, rtol=1e-5, atol=1e-5)


def test_the_discount_is_per_decision() -> None:
    assert wrapped(small_world({**CONTINUING, "gamma": 0.9, "cadence_days": 7})).gamma == pytest.approx(0.9**7)
    assert wrapped(small_world({**CONTINUING, "gamma": 0.9}), cadence_days=3).gamma == pytest.approx(0.9**3)
    assert wrapped(small_world({**FINITE, "gamma": 0.5})).gamma == 1.0


def test_a_finite_tasks_rewards_are_discounted_by_the_days_since_its_start() -> None:
    task = {**FINITE, "gamma": 0.5}
    discounted, plain = wrapped(small_world(task, **NO_CHURN), 50), wrapped(small_world(FINITE, **NO_CHURN), 50)
    discounted.reset()
    plain.reset()
    for days in (0, 3, 5, 0, 3, 5):
        rewards = []
        for environment in (discounted, plain):
            environment.step_async(first_allowed(environment.action_masks()))
            rewards.append(environment.step_wait()[1])
        np.testing.assert_allclose(rewards[0], rewards[1] * 0.5**days, rtol=1e-5)
        assert np.abs(rewards[1]).max() > 0


def test_sb3_finds_the_masks() -> None:
    environment = wrapped(small_world())
    environment.reset()
    assert is_masking_supported(environment)
    np.testing.assert_array_equal(get_action_masks(environment), environment.action_masks())
    assert len(environment.env_method("action_masks", indices=[0, 2])) == 2
    assert environment.get_attr("reward_scale") == [1.0] * 8
    with pytest.raises(AttributeError, match="only action_masks is there"):
        environment.env_method("dance")
    with pytest.raises(AttributeError, match="cannot be set"):
        environment.set_attr("horizon", 3)


def test_a_reset_repeats_and_another_seed_does_not() -> None:
    environment = wrapped(small_world())
    first = environment.reset()
    environment.step_async(np.zeros(8, int))
    environment.step_wait()
    np.testing.assert_array_equal(environment.reset(), first)
    environment.seed(4)
    assert not np.array_equal(environment.reset(), first)


def test_several_worlds_stand_side_by_side_each_with_luck_of_its_own() -> None:
    dear = small_world({**CONTINUING, "gamma": 0.9}, **NO_CHURN)
    worlds = [small_world(**NO_CHURN), dear, small_world(**NO_CHURN)]
    batches = [BankVectorEnv(n, world, horizon=h) for n, world, h in zip((3, 4, 3), worlds, (2, 3, 2), strict=True)]
    environment = SimulatorVecEnv(batches)
    environment.seed(7)
    observation = environment.reset()
    assert observation.shape[0] == environment.num_envs == 10
    assert not np.array_equal(observation[:3], observation[7:])
    alone = [BankVectorEnv(n, world, horizon=h) for n, world, h in zip((3, 4, 3), worlds, (2, 3, 2), strict=True)]
    for number, batch in enumerate(alone):
        batch.reset(seed=7 + number)
    for _ in range(7):
        actions = first_allowed(environment.action_masks())
        environment.step_async(actions)
        observation, reward, done, infos = environment.step_wait()
        told = [b.step(a) for b, a in zip(alone, np.split(actions, [3, 7]), strict=True)]
        np.testing.assert_array_equal(observation, np.concatenate([t[0] for t in told]))
        np.testing.assert_allclose(reward, np.concatenate([t[1] for t in told]), rtol=1e-6)
        last = [o for t in told for o in t[4].get("final_obs", [None] * len(t[0]))]
        for row in range(10):
            assert ("terminal_observation" in infos[row]) == bool(done[row])
            if done[row]:
                np.testing.assert_array_equal(infos[row]["terminal_observation"], last[row])
                assert infos[row]["TimeLimit.truncated"]


def test_expected_rewards_take_the_place_of_what_happened_and_nothing_else() -> None:
    plain, expected = (
        SimulatorVecEnv([BankVectorEnv(30, churning(), horizon=6)], 4.0, expected=e) for e in (False, True)
    )
    for environment in (plain, expected):
        environment.seed(3)
        environment.reset()
    apart = 0.0
    for _ in range(8):
        forecast = ExpectedReward(churning())(plain.batches[0].simulator, first_allowed(plain.action_masks()))
        outcomes = []
        for environment in (plain, expected):
            environment.step_async(first_allowed(environment.action_masks()))
            outcomes.append(environment.step_wait())
        (seen, happened, ended, _), (other, told, also, _) = outcomes
        np.testing.assert_array_equal(seen, other)
        np.testing.assert_array_equal(ended, also)
        np.testing.assert_allclose(told, forecast / 4, rtol=1e-6)
        apart += float(np.abs(happened - told).sum())
    assert apart > 0
    assert plain.returns == expected.returns


def test_a_restored_environment_goes_on_as_the_other_one() -> None:
    def made() -> SimulatorVecEnv:
        options = {"horizon": 6, "random_prices": True, "price_walk": 0.2, "stagger": True}
        environment = SimulatorVecEnv([BankVectorEnv(12, churning(), first_customer=k, **options) for k in (0, 900)])
        environment.seed(5)
        environment.reset()
        return environment

    def lived(environment: SimulatorVecEnv, steps: int) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        for _ in range(steps):
            mask = environment.action_masks()
            environment.step_async(first_allowed(mask))
            found += [mask, *environment.step_wait()[:3]]
        return found

    one, other = made(), made()
    lived(one, 9)
    kept = one.snapshot()
    expected = lived(one, 9)
    other.restore(kept, Path("checkpoint.npz"))
    for a, b in zip(expected, lived(other, 9), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match="must be of shape"):
        other.restore({**kept, "0/state/profile": kept["0/state/profile"][:, :-1]}, Path("checkpoint.npz"))
