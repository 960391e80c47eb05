"""Learning: rewards to go by hand, imitation that comes closer, PPO on a problem whose optimum is known."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from world_kit import CONTINUING, FINITE, named, small_world

from agents.baselines import Silence, Softened
from agents.finite import NotFinite, check_losses
from agents.fitting import Passes
from agents.imitation import demonstrate, imitate
from agents.learning import Course, Learning, Shape, new_learner
from agents.myopic import Myopic
from agents.policy import Policy
from agents.sb3_env import SimulatorVecEnv
from envs.catalogue import Catalogue
from envs.expectation import Expectation
from envs.population import DescribedPopulation, PopulationSpec
from envs.response import Coefficients
from envs.rules import Cap, Limit, Rules
from envs.schema import Schema
from envs.simulator import Simulator
from envs.vector import BankVectorEnv
from envs.world import World

NOTHING = dict.fromkeys(("organic", "browsed", "abandoned", "churned", "churned_value"))
CERTAIN = {"link": "logit", "terms": named({"1": 50.0})}
BROWSING = {
    "link": "rate",
    "per": "product",
    "terms": named({"product=loan": 5.0, "product=fund": -50, "product=care": -50}),
}
PAID = {"margin_per_event": {"app_session": 2.0}}
SHAPE = Shape(64, 1, 32)


def learning(**changed: Any) -> Learning:
    said = {
        "learning_rate": 3e-3,
        "rollout": 8,
        "batch": 512,
        "epochs": 4,
        "clip": 0.2,
        "entropy": 0.003,
        "gae_lambda": 0.95,
        "gamma": 1.0,
    }
    return Learning(**{**said, **changed})


def showing(policy: Policy) -> Any:
    return lambda environment, observation, mask: policy.probabilities(observation, mask)


def shown(world: World, decisions: int, **options: Any) -> Any:
    environment = SimulatorVecEnv([BankVectorEnv(20, world, **options)])
    return demonstrate(environment, showing(Silence()), decisions, np.random.default_rng(0))


def test_a_constant_reward_is_worth_the_same_in_every_decision_of_a_continuing_task() -> None:
    task = {**CONTINUING, "gamma": 0.9, "reward": PAID}
    world = small_world(task, **NOTHING, **{"trigger:app_session": CERTAIN})
    found = shown(world, 200, horizon=3, stagger=True)
    assert found.to_go.shape == (200,)
    np.testing.assert_allclose(found.to_go, 2.0 / (1 - 0.9), rtol=1e-5)  # no horizon shows: it ends nothing


def test_a_finite_task_is_played_to_its_end_and_worth_what_is_left() -> None:
    world = small_world({**FINITE, "reward": PAID}, **NOTHING, **{"trigger:app_session": CERTAIN})
    found = shown(world, 21)  # two decisions of each of twenty would cut the task short
    assert len(found.to_go) == 60
    left = found.observation[:, world.encoder.names.index("task:time_left")] * 9
    # sessions are drawn on the morning of each next decision, and on none after the end
    np.testing.assert_allclose(found.to_go, np.select([left > 8, left > 5], [4.0, 2.0], 0.0), rtol=1e-6)


def test_nothing_is_earned_after_churn() -> None:
    churned = {"link": "rate", "given": "always", "terms": named({"1": 5.0})}
    gone = {
        **NOTHING,
        "churned": churned,
        "churned_value": {"link": "lognormal", "given": "churned", "sigma": 1e-9, "terms": named({"1": 1.0})},
    }
    found = shown(small_world(**gone, **{"trigger:app_session": None}), 100, horizon=50)
    np.testing.assert_allclose(found.to_go, -np.e, rtol=1e-5)


def test_scaling_divides_rewards_alone() -> None:
    world = small_world({**CONTINUING, "reward": PAID}, **NOTHING, **{"trigger:app_session": CERTAIN})
    found = shown(world, 40)
    np.testing.assert_allclose(found.scaled(4.0).to_go, found.to_go / 4, rtol=1e-6)
    np.testing.assert_array_equal(found.scaled(4.0).probabilities, found.probabilities)


def test_imitation_comes_close_to_the_teacher_and_keeps_masks() -> None:
    world = small_world()
    environment = SimulatorVecEnv([BankVectorEnv(64, world, horizon=20, random_prices=True)])
    environment.seed(0)
    teacher = Softened(Myopic(world), temperature=1.0, floor=0.1)
    demonstrations = demonstrate(environment, showing(teacher), 4096, np.random.default_rng(0))
    assert len(demonstrations.observation) == 4096
    learner = new_learner(environment, SHAPE, learning(), seed=0)
    policy: Any = learner.policy
    scaled = demonstrations.scaled(float(demonstrations.to_go.std()))
    losses = imitate(policy, scaled, Passes(12, 256, 3e-3, 0))
    entropy = -float(
        np.mean(
            np.sum(
                np.where(
                    demonstrations.probabilities > 0,
                    demonstrations.probabilities * np.log(np.maximum(demonstrations.probabilities, 1e-30)),
                    0,
                ),
                axis=1,
            )
        )
    )
    assert losses[0] > losses[5] > losses[-1] > entropy - 1e-3
    assert losses[-1] - entropy < 0.25 * (losses[0] - entropy)
    view = demonstrate(environment, showing(teacher), 640, np.random.default_rng(1))
    with torch.no_grad():
        distribution = policy.get_distribution(torch.as_tensor(view.observation), action_masks=view.mask).distribution
        value = policy.predict_values(torch.as_tensor(view.observation)).numpy()[:, 0]
    assert (distribution.probs.numpy()[~view.mask] == 0).all()
    distance = np.abs(distribution.probs.numpy() - view.probabilities).sum(axis=1).mean() / 2
    assert distance < 0.1  # in total variation
    assert np.isfinite(value).all()


def known_optimum() -> World:
    """One decision: three treatments, each right for one kind of customer and forbidden to some; the rest want none."""
    kinds = ("red", "green", "blue", "none")
    catalogue = Catalogue.model_validate(
        {
            "name": "known",
            "products": [
                {"id": k, "features": {"hue": h, "dark": d}}
                for k, h, d in (("red", 1, 0), ("green", 0, 1), ("blue", 1, 1))
            ],
            "channels": [{"id": "post", "family": "offline"}],
            "treatments": [{"id": k, "product": k, "channel": "post", "cost": 0.2} for k in kinds[:3]],
        }
    )
    schema = Schema.model_validate(
        {
            "columns": [
                {"name": "kind", "type": "category", "categories": kinds},
                {"name": "grown", "type": "flag"},
            ],
            "task": {
                "kind": "finite",
                "days": [0],
                "end_day": 1,
                "gamma": 1.0,
                "reward": {"margin_per_event": {"converted": 1.0}},
            },
        }
    )
    liking = {"contact": -2.5} | {f"kind={k} * product={k}": 2.5 for k in kinds[:3]}
    heads = {"converted": {"link": "logit", "given": "contacted", "terms": named({**liking, "product=red": 0.5})}}
    population = PopulationSpec.model_validate(
        {"columns": [{"column": "kind", "shares": dict.fromkeys(kinds, 0.25)}, {"column": "grown", "share": 0.7}]}
    )
    rules = Rules(limits=(Limit(name="grown", products=("red",), column="grown", at_least=1),))
    coefficients = Coefficients.model_validate({"name": "known", "heads": heads})
    return World(catalogue, schema, rules, coefficients, DescribedPopulation(population, schema))


def value_of(world: World, choose: Any) -> float:
    """The exact expected reward per customer of a choice of treatments, over the customers of the world."""
    simulator = Simulator(world, 0)
    simulator.reset(1_000_000 + np.arange(8000))
    view = simulator.view()
    expected = Expectation(world)(view.observation)
    reward = np.where(view.mask, expected.margin - expected.cost, -np.inf)
    return float(reward[np.arange(8000), choose(view.observation, view.mask, reward)].mean())


@pytest.mark.parametrize(("expected", "decisions"), [(False, 80_000), (True, 20_000)])
def test_maskable_ppo_finds_the_optimum_of_a_problem_whose_optimum_is_known(expected: bool, decisions: int) -> None:
    """With expected rewards in a quarter of the decisions."""
    torch.set_num_threads(1)
    world = known_optimum()
    optimum = value_of(world, lambda observation, mask, reward: reward.argmax(axis=1))
    fixed = max(value_of(world, lambda o, mask, r, t=t: np.where(mask[:, t], t, 0)) for t in range(4))
    assert optimum > 2 * fixed  # one treatment for all is not enough
    environment = SimulatorVecEnv([BankVectorEnv(256, world)], expected=expected)
    environment.seed(1)
    learner = new_learner(environment, SHAPE, learning(), seed=1)
    told: list[float] = []
    course, rows = Course(learner, environment, decisions, told.append), []
    while not course.done:
        rows.append(course.update())
    assert sum(told) == learner.num_timesteps >= decisions
    assert rows[-1]["return"] > rows[0]["return"]
    assert {"annoyance", "approx_kl", "entropy_loss", "explained_variance"} <= rows[-1].keys()

    def learned(observation: np.ndarray, mask: np.ndarray, reward: np.ndarray) -> np.ndarray:
        return np.asarray(learner.predict(observation, action_masks=mask, deterministic=True)[0])

    assert value_of(world, learned) > 0.95 * optimum


def stored_rewards(churn: float, horizon: int, by_row: bool = False) -> np.ndarray:
    """What SB3 stores of two decisions with rewards of 1 where all but silence is closed and the critic says 10."""
    silent = Rules(caps=(Cap(name="closed", channels=("sms", "call", "app"), most=0, days=1),))
    gone = {"link": "rate", "given": "always", "terms": named({"1": churn})}
    heads = {**NOTHING, "churned": gone, "trigger:app_session": None, "browsed": BROWSING}
    world = small_world({**CONTINUING, "reward": {"margin_per_event": {"browsed": 2.0}}}, silent, **heads)
    environment = SimulatorVecEnv([BankVectorEnv(4, world, horizon=horizon)], reward_scale=2.0)
    learner = new_learner(environment, SHAPE, learning(gamma=0.9, rollout=2, epochs=1), seed=0)
    environment.value_of = None if by_row else environment.value_of
    policy: Any = learner.policy
    with torch.no_grad():
        policy.value_net[-1].weight.zero_()
        policy.value_net[-1].bias.fill_(10.0)
    learner.learn(8)
    return np.asarray(learner.rollout_buffer.rewards[:, 0])


def test_a_customer_who_left_is_worth_nothing_more_and_one_at_the_horizon_is() -> None:
    np.testing.assert_allclose(stored_rewards(churn=-50.0, horizon=2), [1.0, 1.0 + 0.9 * 10.0], rtol=1e-5)
    np.testing.assert_allclose(stored_rewards(churn=5.0, horizon=2), [1.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(
        stored_rewards(-50.0, 2, by_row=True), stored_rewards(-50.0, 2), rtol=1e-6
    )  # as SB3 does


def test_learning_twice_from_one_seed_is_the_same_learning() -> None:
    def weights() -> np.ndarray:
        environment = SimulatorVecEnv([BankVectorEnv(16, small_world(), horizon=5)])
        environment.seed(2)
        learner = new_learner(environment, SHAPE, learning(gamma=0.9, epochs=1), seed=2)
        learner.learn(256)
        return np.concatenate([p.detach().numpy().ravel() for p in learner.policy.parameters()])

    first = weights()
    assert np.isfinite(first).all()
    assert first == pytest.approx(weights(), abs=1e-7)


def test_the_last_rollout_does_not_learn_backwards() -> None:
    """A rollout that reaches beyond the last decision: the step size is zero there, never below."""
    environment = SimulatorVecEnv([BankVectorEnv(16, small_world(), horizon=5)])
    environment.seed(0)
    learner = new_learner(environment, SHAPE, learning(gamma=0.9, epochs=1), seed=0)
    course = Course(learner, environment, 200, lambda units: None)
    rates = []
    while not course.done:
        rates.append(course.update()["learning_rate"])
    assert rates[0] > rates[-1] == 0.0
    assert learner.num_timesteps > 200


@pytest.mark.parametrize("what", ["weight", "observation", "reward"])
def test_what_is_not_finite_stops_learning_at_once(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SimulatorVecEnv([BankVectorEnv(16, small_world(), horizon=5)])
    environment.seed(0)
    learner = new_learner(environment, SHAPE, learning(gamma=0.9, epochs=1), seed=0)
    course = Course(learner, environment, 10_000, lambda units: None)
    course.update()
    policy: Any = learner.policy
    if what == "weight":
        with torch.no_grad():
            policy.mlp_extractor.gate.weight[0, 0] = float("nan")
    elif what == "reward":
        environment.reward_scale = 0.0
    else:
        environment.batches[0].simulator.state.profile[3, 0] = np.inf
    with np.errstate(all="ignore"), pytest.raises(NotFinite) as told:
        course.update()
    assert told.value.field == {"weight": "logits"}.get(what, what)
    assert what != "observation" or told.value.row == 3


def test_gradients_and_losses_are_watched() -> None:
    environment = SimulatorVecEnv([BankVectorEnv(16, small_world(), horizon=5)])
    learner = new_learner(environment, SHAPE, learning(gamma=0.9, epochs=1), seed=0)
    policy: Any = learner.policy
    for parameter in policy.parameters():
        parameter.grad = torch.zeros_like(parameter)
    policy.mlp_extractor.gate.bias.grad[1] = float("inf")
    with pytest.raises(NotFinite, match=r"gradient of mlp_extractor\.gate\.bias"):
        policy.optimizer.step()
    with pytest.raises(NotFinite, match="train/value_loss"):
        check_losses({"train/approx_kl": 1.0, "train/value_loss": float("nan")})


def test_a_course_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = SimulatorVecEnv([BankVectorEnv(8, small_world(), horizon=10)])
    environment.seed(0)
    course = Course(new_learner(environment, SHAPE, learning(), seed=0), environment, 64, lambda done: None)
    assert np.isfinite(course.update()["value_loss"])  # figures are read off the logger all the same
    assert not list(tmp_path.glob("SB3-*"))
