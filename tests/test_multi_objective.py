"""The vector reward: its parts and signs, its space, and that the plain reward is its weighted sum."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from world_kit import CONTINUING, named, small_schema, small_world

import envs
from envs.environment import BankEnv
from envs.multi_objective import MOBankEnv, MOBankVectorEnv, reward_space, weights
from envs.vector import BankVectorEnv

assert envs.__doc__  # importing the package registers the environments
CHURN = {"link": "rate", "given": "always", "terms": named({"1": -2.0})}
OPTIONS: dict[str, Any] = {"horizon": 5, "prices": {"annoyance": 3.0, "minutes": 0.25}}


class LinearReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The wrapper of MO-Gymnasium that makes a number of the vector, as far as the convention needs it."""

    def __init__(self, env: Any, weight: np.ndarray) -> None:
        super().__init__(env)
        assert weight.shape == env.unwrapped.reward_space.shape
        self.weight = weight

    def step(self, action: Any) -> Any:
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, np.dot(reward, self.weight), terminated, truncated, {**info, "vector_reward": reward}


def some(mask: np.ndarray, step: int) -> int:
    """Some allowed treatment."""
    return int(np.flatnonzero(mask)[step % mask.sum()])


@pytest.mark.parametrize("pools", [False, True])
def test_the_weighted_sum_is_the_plain_reward(pools: bool) -> None:
    options = OPTIONS if pools else {**OPTIONS, "prices": {"annoyance": 3.0, "minutes": 0.0}}
    world = small_world(churned=CHURN)
    plain = BankEnv(world, **options)
    env = gymnasium.make("nextbest/MOBank-v0", world=world, pools=pools, **options)
    weight = weights(plain.terms.prices.vector(), pools)
    linear, called = LinearReward(env, weight), 0
    for seed in range(6):
        _, info = plain.reset(seed=seed)
        linear.reset(seed=seed)
        for step in range(5):
            action = some(info["action_mask"], 3 * step + seed)
            _, reward, terminated, truncated, info = plain.step(np.int64(action))
            _, pay, *ends, told = linear.step(action)
            assert pay == pytest.approx(reward, abs=1e-4)
            assert ends == [terminated, truncated]
            vector = told["vector_reward"]
            assert (vector.dtype, vector.shape) == (np.float32, (4 if pools else 3,))
            assert env.unwrapped.reward_space.contains(vector)
            np.testing.assert_allclose(vector[:3], info["reward_vector"] * [1, -1, -1], rtol=1e-6)
            called += int(info["effort"][0] > 0)
            if terminated or truncated:
                break
    assert called


@pytest.mark.parametrize("pools", [False, True])
def test_a_batch_has_a_row_per_customer_and_describes_one(pools: bool) -> None:
    world = small_world(churned=CHURN)
    several = gymnasium.make_vec("nextbest/MOBank-v0", num_envs=30, world=world, pools=pools, **OPTIONS)
    plain = BankVectorEnv(30, world, **OPTIONS)
    env = several.unwrapped
    assert isinstance(env, MOBankVectorEnv)
    assert env.reward_space == MOBankEnv(world, pools=pools).reward_space
    assert env.reward_space.shape == (env.reward_dim,) == (4 if pools else 3,)
    several.reset(seed=1)
    _, info = plain.reset(seed=1)
    for step in range(7):
        actions = np.array([some(mask, step) for mask in info["action_mask"]])
        a, b = several.step(actions), plain.step(actions)
        info = b[4]
        assert (a[1].dtype, a[1].shape) == (np.float32, (30, env.reward_dim))
        assert all(env.reward_space.contains(row) for row in a[1])
        np.testing.assert_allclose(a[1][:, :3], info["reward_vector"] * [1, -1, -1], rtol=1e-6)
        if pools:
            np.testing.assert_allclose(a[1][:, 3:], -info["effort"])
        for k in (0, 2, 3):
            np.testing.assert_array_equal(a[k], b[k])


def test_a_world_that_pays_for_events_has_no_bound_on_its_cost() -> None:
    paid = {**CONTINUING, "reward": {"margin_per_value": {"converted": 1}, "cost_per_value": {"redeemed": -1}}}
    assert reward_space(small_world(schema=small_schema(paid)), pools=True).high.tolist() == [np.inf, np.inf, 0, 0]
    assert reward_space(small_world(), pools=False).high.tolist() == [np.inf, 0, 0]
