"""Bounds of a difference at any size of log: they hold it, and ask for a stated range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.errors import InputError
from evaluation.evaluate import evaluate
from evaluation.guaranteed import guaranteed
from evaluation.log import Log, log_from_arrays
from evaluation.settings import EvaluationSettings

TARGET = np.array([0.1, 0.9])
TRUTH = (0.9 - 0.5) * 0.2  # treatment 1 converts a fifth of the time more often


def log_of(seed: int, n: int = 200) -> Log:
    rng = np.random.default_rng(seed)
    treatment = rng.integers(0, 2, n)
    reward = (rng.random(n) < 0.2 + 0.2 * treatment).astype(float)
    half = np.full(n, 0.5)
    both = np.full((n, 2), 0.5)
    return log_from_arrays(np.zeros((n, 1)), treatment, half, reward, mask=np.ones((n, 2), bool), behaviour=both)


def test_the_difference_lies_within() -> None:
    missed = 0
    for seed in range(200):
        log = log_of(seed)
        found = guaranteed("p", log, np.tile(TARGET, (200, 1)), log.reward(), (0.0, 1.0), 0.9)
        assert found is not None
        assert (found.least, found.most) == pytest.approx((-1.0, 0.8))  # weights up to 1.8
        assert found.lower <= found.value
        missed += not found.lo <= TRUTH <= found.hi
    assert missed <= 20


def test_a_report_has_them_if_a_range_is_stated_and_the_log_knows_its_distributions() -> None:
    class Policy:
        name = "p"

        def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
            return np.tile(TARGET, (len(mask), 1))

    log, stated = log_of(1, 600), EvaluationSettings(model="ridge", resamples=100, reward_range=(0.0, 1.0))
    report = evaluate(log, [Policy()], settings=stated)
    assert [g.policy for g in report.guaranteed] == ["p"]
    assert "Bounds at any size of log" in report.to_html()
    assert evaluate(replace(log, behaviour=None), [Policy()], settings=stated).guaranteed == ()
    with pytest.raises(InputError, match=r"reward == 1.0 \(row \d+\), must be in the stated range \[0, 0.5\]"):
        evaluate(log, [Policy()], settings=stated.model_copy(update={"reward_range": (0.0, 0.5)}))
