"""Anything that decides becomes a policy, and what is not a distribution is refused by name and row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.errors import InputError
from evaluation.adapt import Adapted, adapt, adapted

MASK = np.array([[True, True, False], [True, True, True]])
OBSERVATION = np.zeros((2, 4), dtype=np.float32)


def constant(row: list[float]) -> Adapted:
    return Adapted("given", lambda observation, mask: np.tile(row, (len(mask), 1)))


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"policy given == \(2, 2\), must have shape \(2, 3\)"):
        constant([0.5, 0.5]).probabilities(OBSERVATION, MASK)


def test_rows_of_float32_are_normalised_and_numbered_across_batches() -> None:
    soft = adapt(lambda observation, mask: np.full(mask.shape, np.float32(1 / 3)), "soft")
    mask = np.ones((9_000, 3), dtype=bool)
    p = soft.probabilities(np.zeros((9_000, 4), dtype=np.float32), mask)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12
    mask[8_500, 2] = False
    with pytest.raises(InputError, match="row 8500"):
        soft.probabilities(np.zeros((9_000, 4), dtype=np.float32), mask)


def test_policies_are_named() -> None:
    def silence(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.eye(3)[np.zeros(len(mask), dtype=int)]

    assert [p.name for p in adapted([silence])] == ["silence"]
    assert [p.name for p in adapted({"a": silence, "b": silence})] == ["a", "b"]
    with pytest.raises(InputError, match="must be unique"):
        adapted([silence, silence])
    with pytest.raises(InputError, match="policy == 'int', must be a policy"):
        adapted([3])


@pytest.fixture(scope="module")
def environment() -> Any:
    gymnasium = pytest.importorskip("gymnasium")

    class Short(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
        action_space = gymnasium.spaces.Discrete(3)

        def reset(self, **more: Any) -> tuple[np.ndarray, dict[str, Any]]:
            return np.zeros(4, np.float32), {}

        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            return np.zeros(4, np.float32), 0.0, True, False, {}

        def action_masks(self) -> np.ndarray:
            return np.ones(3, dtype=bool)

    return Short()


def test_a_stock_model_is_evaluated_as_the_environment_executes_it(environment: Any) -> None:
    """Probability on a forbidden treatment falls to silence."""
    model = pytest.importorskip("stable_baselines3").PPO("MlpPolicy", environment, seed=0)
    policy = adapt(model)
    free = policy.probabilities(OBSERVATION, np.ones_like(MASK))
    masked = policy.probabilities(OBSERVATION, MASK)
    assert policy.name == "PPO"
    assert masked[0] == pytest.approx([free[0, 0] + free[0, 2], free[0, 1], 0.0])
    assert masked[1] == pytest.approx(free[1])


def test_a_masked_model_is_told_the_mask(environment: Any) -> None:
    model = pytest.importorskip("sb3_contrib").MaskablePPO("MlpPolicy", environment, seed=0)
    free = adapt(model).probabilities(OBSERVATION, np.ones_like(MASK))
    masked = adapt(model).probabilities(OBSERVATION, MASK)
    assert masked[0, 2] == 0
    assert masked[0, 0] == pytest.approx(free[0, 0] / free[0, :2].sum(), rel=1e-5)


def test_a_model_without_a_distribution_is_its_argmax(environment: Any) -> None:
    model = pytest.importorskip("stable_baselines3").DQN("MlpPolicy", environment, seed=0, buffer_size=10)
    p = adapt(model).probabilities(OBSERVATION, np.ones_like(MASK))
    assert p.max(axis=1).tolist() == [1.0, 1.0]


def test_a_model_for_other_observations_is_refused(environment: Any) -> None:
    model = pytest.importorskip("stable_baselines3").PPO("MlpPolicy", environment, seed=0)
    with pytest.raises(InputError, match=r"observation space == \(4,\), must be \(5,\), as in the log"):
        adapt(model).probabilities(np.zeros((2, 5), dtype=np.float32), MASK)
