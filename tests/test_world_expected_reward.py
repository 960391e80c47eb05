"""The expected reward: on the exact preset it is the exact one, elsewhere the mean of what happens."""

from __future__ import annotations

import numpy as np
import pytest
from mechanisms_kit import rich_world
from simulator_kit import hidden_world
from world_kit import some_allowed

from envs.exact import build
from envs.expectation import Expectation
from envs.expected_reward import ExpectedReward
from envs.prices import Prices
from envs.simulator import Simulator
from envs.world import World, load_world

PRICES = Prices(20.0, (1.5,))


def test_it_is_the_exact_reward_of_every_pair_of_the_exact_preset() -> None:
    model = build(load_world("exact"))
    simulator = Simulator(model.world, seed=3)
    simulator.reset(np.arange(5000), prices=PRICES)
    expected = ExpectedReward(model.world)
    for step, layer in enumerate(model.layers):
        alive, treatment = simulator.state.alive, some_allowed(simulator, step)
        _, state = model.locate(simulator.view().observation[alive])
        pair = layer.pair(state, treatment[alive])
        exact = layer.margin - layer.cost - layer.effort @ PRICES.pools - PRICES.annoyance * layer.annoyance
        assert expected(simulator, treatment)[alive] == pytest.approx(exact[pair], rel=1e-5, abs=1e-4)
        assert not expected(simulator, treatment)[~alive].any()
        simulator.step(treatment)


def test_one_treatment_is_as_among_all() -> None:
    world = load_world("bank")
    simulator, expectation = Simulator(world, seed=1), Expectation(world)
    simulator.reset(np.arange(300))
    for step in range(5):
        view, latent = simulator.view(), simulator.state.latent
        treatment = some_allowed(simulator, step)
        every, one = (
            expectation.knowing(view.observation, latent),
            expectation.chosen(view.observation, treatment, latent),
        )
        for part in ("margin", "cost", "annoyance"):
            found = getattr(every, part)[np.arange(300), treatment]
            assert getattr(one, part) == pytest.approx(found, rel=1e-12, abs=1e-12)
        simulator.step(treatment)


def test_a_batch_of_one_is_as_in_company() -> None:
    world = load_world("bank")
    together, alone = Simulator(world), Simulator(world)
    together.reset(np.arange(20))
    treatment = some_allowed(together, 1)
    expected = ExpectedReward(world)(together, treatment)
    for row in range(20):
        alone.reset(np.array([row]))
        assert ExpectedReward(world)(alone, treatment[row : row + 1]) == pytest.approx(
            expected[row : row + 1], rel=1e-12
        )


@pytest.mark.parametrize("world", [hidden_world(), rich_world({"cadence_days": 1})], ids=["hidden", "rich"])
def test_it_is_the_mean_of_what_happens(world: World) -> None:
    """Over many customers: cost and annoyance of a contact that is made today, about what is booked at once."""
    simulator, catalogue = Simulator(world, seed=0, cadence_days=1), world.catalogue
    simulator.reset(np.arange(60_000))
    treatment = some_allowed(simulator, 0)
    found = ExpectedReward(world).parts(simulator, treatment)
    channels = [catalogue.channels[k] for k in catalogue.channel_of[1:]]
    products = [catalogue.products[k] for k in catalogue.product_of[1:]]
    later = [c.delay_days > 0 or p.maturing_days > 0 for c, p in zip(channels, products, strict=True)]
    now = ~np.array([False, *later])[treatment]
    tally = simulator.step(treatment).tally
    for difference in ((tally.cost - found.cost)[now], (tally.annoyance - found.annoyance)[now]):
        assert abs(difference.mean()) < 4.5 * difference.std() / np.sqrt(now.sum()) + 1e-12


def test_most_of_the_luck_falls_away_and_the_mean_stays() -> None:
    """In the bank a quarter's margin under random contacts; what matures later is booked at the decision."""
    world = load_world("bank")
    simulator, expected = Simulator(world, seed=5), ExpectedReward(world)
    simulator.reset(np.arange(6000), prices=Prices(20.0, (0.0, 0.0, 0.0)))
    rng = np.random.default_rng(0)
    mean, seen, spread = np.zeros(6000), np.zeros(6000), []
    for day in range(60):
        treatment = some_allowed(simulator, day)
        treatment[rng.random(6000) < 0.7] = 0
        forecast = expected(simulator, treatment)
        reward = simulator.step(treatment).reward(simulator.state.prices)
        mean, seen = mean + forecast, seen + reward
        if day > 20:
            spread.append((forecast.std(), reward.std()))
    low, high = np.mean(spread, axis=0)
    assert low < high / 3
    difference = mean - seen
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(6000) + 0.05 * abs(seen.mean())
