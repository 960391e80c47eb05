"""Estimated propensities: of each customer by the others, scaled where that helps, near the true ones."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_kit import decision, tables

from evaluation.propensity import estimate_propensity, lower
from evaluation.propensity_models import fit_trees, log_losses, over_allowed
from evaluation.reading import read_log
from evaluation.scaling import Scaling, fit_scaling


def softmax(score: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return over_allowed(np.exp(score - score.max(axis=1, keepdims=True)), mask)


def drawn(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray((p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1))


def masked_bank(n: int, seed: int) -> tuple[np.ndarray, ...]:
    """A logger by scores, one treatment of which is seldom allowed and then liked best."""
    rng = np.random.default_rng(seed)
    observation = rng.normal(size=(n, 3)).astype(np.float32)
    mask = np.ones((n, 3), dtype=bool)
    mask[:, 2] = rng.random(n) < 0.15
    score = np.stack([np.zeros(n), observation[:, 0], 1.5 + 0.5 * observation[:, 1]], axis=1)
    p = softmax(score, mask)
    return observation, mask, drawn(p, rng), np.zeros(n, dtype=int), np.arange(n), p


def test_scaling_finds_the_temperature_and_the_shift_that_were_put_in() -> None:
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.ones(4), size=20_000)
    sure = Scaling(0.5, np.array([0.0, 0.4, -0.4, 0.0])).of(true)
    found = fit_scaling(sure, drawn(true, rng))
    assert found.temperature == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(found.of(sure), true, atol=0.02)


def test_scaling_leaves_what_is_forbidden() -> None:
    p = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    found = Scaling(3.0, np.array([0.2, -0.1, 5.0])).of(p)
    assert (found[p == 0] == 0).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(2))


def test_a_scaling_is_kept_where_masks_fool_the_model_and_brings_it_nearer_the_truth() -> None:
    *data, true = masked_bank(8_000, 1)
    model = estimate_propensity(*data, np.random.default_rng(0))
    assert model.scaling is not None
    assert "calibrated there, which lowered it from" in model.note
    assert model.name == "multinomial logistic"
    assert model.plain_loss > dict(model.losses)[model.name]
    other, mask, treatment, step, _, true = masked_bank(8_000, 2)
    said = model.distribution(other, mask, step)
    rare = mask[:, 2]
    assert said[rare, 2].mean() == pytest.approx(true[rare, 2].mean(), abs=0.02)
    assert log_losses(said, treatment).mean() < log_losses(true, treatment).mean() + 0.01


def test_no_scaling_is_kept_where_the_model_is_right() -> None:
    rng = np.random.default_rng(3)
    treatment = rng.integers(0, 3, 4_000)
    data = (rng.normal(size=(4_000, 2)), np.ones((4_000, 3), dtype=bool), treatment, np.zeros(4_000, dtype=int))
    model = estimate_propensity(*data, np.arange(4_000), np.random.default_rng(0))
    assert (model.name, model.scaling) == ("frequencies per step", None)
    assert model.note.endswith("no scaling lowered it)")


def test_trees_are_taken_where_assignment_is_no_line() -> None:
    rng = np.random.default_rng(4)
    observation = rng.normal(size=(8_000, 2))
    chance = np.where(np.abs(observation[:, 0]) < 0.7, 0.8, 0.2)
    treatment = (rng.random(8_000) < chance).astype(int)
    mask, step = np.ones((8_000, 2), dtype=bool), np.zeros(8_000, dtype=int)
    model = estimate_propensity(observation, mask, treatment, step, np.arange(8_000), np.random.default_rng(0))
    assert model.name == "trees"
    assert np.abs(model.distribution(observation, mask, step)[:, 1] - chance).mean() < 0.05


def test_trees_bear_a_treatment_that_was_chosen_once() -> None:
    rng = np.random.default_rng(8)
    treatment = np.r_[2, rng.integers(0, 2, 999)]
    p = fit_trees(rng.normal(size=(1_000, 2)), np.ones((1_000, 3), dtype=bool), treatment, np.zeros(1_000, dtype=int))(
        np.zeros((1, 2)), np.ones((1, 3), dtype=bool), np.zeros(1, dtype=int)
    )
    assert 0 < p[0, 2] < 0.1


def test_a_loss_must_be_lower_by_more_than_its_error_by_customer() -> None:
    gain = np.repeat(np.r_[np.full(25, 1.1), np.full(25, -0.9)], 100)  # 50 customers, each alike a hundred times
    assert gain.std() / np.sqrt(5_000) < gain.mean() < gain.std() / np.sqrt(50)
    assert lower(gain, np.zeros(5_000), np.arange(5_000))  # were they 5,000
    assert not lower(gain, np.zeros(5_000), np.repeat(np.arange(50), 100))


def test_nobodys_own_choice_moves_their_own_propensity() -> None:
    rows = [decision(f"c{i:03d}", 0, ("silence", "letter", "call")[i % 3], propensity=None) for i in range(300)]
    before = read_log(tables(rows, []), "train")
    found = []
    for name in before.customer_id[:20]:
        turned = [row | {"treatment": "call"} if row["customer_id"] == name else row for row in rows]
        after = read_log(tables(turned, []), "train")
        assert after.estimated is not None
        assert before.estimated is not None
        here = before.customer_id == name
        np.testing.assert_array_equal(after.estimated[here], before.estimated[here])
        found.append(np.abs(after.estimated - before.estimated).max())
    assert max(found) > 0  # but that of others


def test_a_policys_value_by_estimated_propensities_is_near_that_by_true_ones() -> None:
    observation, mask, treatment, step, customer, true = masked_bank(20_000, 6)
    model = estimate_propensity(observation, mask, treatment, step, customer, np.random.default_rng(0))
    rng = np.random.default_rng(7)
    reward = rng.normal(1.0 + treatment * (1 + observation[:, 0]))
    policy = softmax(np.stack([np.zeros(20_000), 1.0 - observation[:, 0], np.zeros(20_000)], axis=1), mask)
    row = np.arange(20_000)
    said = model.of(customer, observation, mask, step)
    by_true, by_said = (policy[row, treatment] / p[row, treatment] for p in (true, said))
    worth = (policy * (1.0 + np.arange(3) * (1 + observation[:, :1]))).sum(axis=1).mean()
    error = (by_true * reward).std() / np.sqrt(20_000)
    for weight in (by_true, by_said):
        assert (weight * reward).mean() == pytest.approx(worth, abs=4 * error)
        assert (weight * reward).sum() / weight.sum() == pytest.approx(worth, abs=4 * error)
