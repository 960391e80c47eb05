"""Learning curves: when a gain is reached to stay, what a customer's gain was in between, whose time counts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from agents.network import ScoringPolicy
from agents.random_states import random_states
from benchmarks.curves import Clocked, Curve, Scored, geometric_ratio, held, judge_of, trained
from benchmarks.networks import PlainPolicy, PlainScorer, parameters, unpriced
from benchmarks.stock import Settings, learn
from envs.prices import prices_from
from envs.world import load_world
from training.configs import TrainConfig
from training.course import Training
from training.validation import Validation

BANK = load_world("bank")
SMALL: dict[str, Any] = {
    "steps": 128, "envs": 16, "rollout": 4, "batch": 64, "epochs": 1, "width": 16, "embedding": 4,
    "imitation_steps": 64, "imitation_epochs": 1, "tuning_customers": 0, "validation_customers": 6, "horizon": 5,
    "foresight_customers": 0,
    "track": False, "register_policy": False,
}  # fmt: skip
CONFIG = TrainConfig(world="bank", **SMALL)
CURVE = Curve(
    np.array([0, 100, 200]), np.array([10.0, 20.0, 40.0]), np.array([[0.0, 2], [4, 6], [3, 3]]), np.zeros((2, 1))
)


def test_a_gain_is_reached_where_it_stays() -> None:
    seconds = np.array([1.0, 2.0, 3.0, 4.0])
    assert held(seconds, np.array([False, True, False, True])) == 4.0  # the last one has no next
    assert held(seconds, np.array([False, True, True, False])) == 2.0
    assert held(seconds, np.array([True, False, False, False])) is None
    assert CURVE.reaches(1.0) == 10.0
    assert CURVE.reaches(3.0) == 20.0
    assert CURVE.reaches(4.0) is None


def test_gains_between_points_lie_on_lines() -> None:
    assert CURVE.at_decisions(50).tolist() == [2.0, 4.0]
    assert CURVE.at_seconds(30).tolist() == [3.5, 4.5]
    assert CURVE.at_seconds(9.9).tolist() == [0.0, 0.0]  # silence until there is somebody to decide
    assert CURVE.at_seconds(10).tolist() == [0.0, 2.0]
    assert CURVE.at_seconds(99).tolist() == CURVE.at_decisions(200).tolist() == [3.0, 3.0]


def test_a_ratio_of_times_is_the_same_in_any_unit_and_the_other_way_round() -> None:
    found, other = geometric_ratio([2.0, 8.0], [4.0, 4.0]), geometric_ratio([400.0, 400.0], [200.0, 800.0])
    assert found.value == pytest.approx(1.0)
    assert (other.lo, other.hi) == pytest.approx((1 / found.hi, 1 / found.lo))
    assert geometric_ratio([3.0, 5.0], [6.0, 10.0]).hi == pytest.approx(0.5)
    assert np.isnan(geometric_ratio([3.0], [6.0]).lo)


def test_the_judge_is_the_trainers_own_and_takes_no_time(tmp_path: Path) -> None:
    training = Training(CONFIG, BANK, tmp_path)
    training.run()
    usual = prices_from(None, BANK.catalogue, BANK.schema)
    own = Validation.of(BANK, 6, 5, 3, CONFIG.temperature, CONFIG.floor, usual, steered=True)
    judge = judge_of(BANK, CONFIG, seed=3)
    ticks = itertools.count()
    clocked = Clocked(judge, CONFIG, lambda: float(next(ticks)))  # every look at the clock takes a second
    gain = clocked.gain(training.policy)
    np.testing.assert_allclose(gain, own.gain(training.policy), rtol=1e-6, atol=1e-6)
    clocked.gain(training.policy)
    assert clocked.curve.gain.shape == (2, 6)
    assert clocked.curve.seconds.tolist() == [1.0, 3.0]  # of five seconds two were the judge's
    np.testing.assert_array_equal(clocked.curve.by_price, gain)


@pytest.mark.parametrize("network", [PlainPolicy, unpriced(BANK)])
def test_other_networks_learn_by_the_same_trainer(network: type[ScoringPolicy], tmp_path: Path) -> None:
    training, curve = trained(BANK, CONFIG, judge_of(BANK, CONFIG, 0), tmp_path, 2, network)
    assert curve.decisions.tolist() == [0, 64, 128]
    assert (np.diff(curve.seconds) > 0).all()
    observation, mask = random_states(BANK, 40, seed=2)
    cheap, dear = observation.copy(), observation.copy()
    columns = list(BANK.encoder.price_columns.values())
    cheap[:, columns], dear[:, columns] = 0.0, 1.0
    score = cast(Any, training.policy.mlp_extractor).forward_actor
    found = [Scored(score, 0.25, 0.0).probabilities(seen, mask) for seen in (cheap, dear)]
    assert (found[0][~mask] == 0).all()
    told = not np.array_equal(*found)
    assert told == (network is PlainPolicy)
    value = training.policy.predict_values
    with torch.no_grad():
        same = torch.equal(*(value(torch.as_tensor(seen)) for seen in (cheap, dear)))
    assert same == (not told)


def test_the_plain_network_has_an_output_of_its_own_for_every_treatment(tmp_path: Path) -> None:
    training = Training(CONFIG.model_copy(update={"steps": 0}), BANK, tmp_path, network=PlainPolicy)
    training.run()
    plain = cast(PlainScorer, training.policy.mlp_extractor)
    fields, treatments = len(BANK.encoder.names), len(BANK.catalogue.treatment_ids)
    towers = 2 * ((fields + 1) * 16 + 17 * 16)
    assert parameters(plain) == towers + 17 * treatments
    assert len({tuple(row) for row in plain.scores.weight.tolist()}) == treatments


def test_stock_learns_until_its_time_is_over() -> None:
    settings = Settings(3e-4, True, 16, 4, 64, 1, 0.0, 0.9, 16, 1, "tanh", 100.0)
    ticks = itertools.count()
    judge = judge_of(BANK, CONFIG, 0)
    curve = learn(BANK, CONFIG, settings, judge, 0, seconds=20, points=2, clock=lambda: float(next(ticks)))
    assert len(curve.seconds) == 3
    assert curve.decisions[0] == 0 < curve.decisions[-1]
    assert 20 <= curve.seconds[-1] < 25
    assert curve.gain.shape == (3, 6)
