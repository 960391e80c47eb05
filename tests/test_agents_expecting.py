"""A network's layers expect of every treatment what the world's heads say, hidden states at their mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import CONTINUING, FINITE, named, small_world

from agents.expecting import SCALED, Expecting
from agents.layout import Layout
from agents.network import TreatmentScorer
from agents.random_states import random_states
from agents.sb3_env import SimulatorVecEnv
from envs.expectation import Expectation
from envs.features import latent_columns
from envs.vector import BankVectorEnv
from envs.without_product import without_product
from envs.world import World, load_world

BANK = load_world("bank")


def by_kernels(world: World, observation: np.ndarray) -> np.ndarray:
    """Margin, cost and annoyance as the simulator's kernels have them, (batch, 3, treatments)."""
    hidden = np.zeros((len(observation), latent_columns(world.catalogue)), np.float32)
    found = Expectation(world).knowing(observation, hidden)
    return np.stack([found.margin, found.cost, found.annoyance], axis=1)


def by_layers(world: World, observation: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return Expecting(world).double()(torch.as_tensor(observation).double()).numpy()


@pytest.mark.parametrize("name", ["bank", "exact", "bank+dead_channel"])
def test_layers_say_what_kernels_say(name: str) -> None:
    """Customers as they come, and states that hardly come: every field anywhere in its range."""
    world = load_world(name)
    environment = SimulatorVecEnv([BankVectorEnv(300, world, horizon=30)])
    environment.seed(0)
    for observation in (environment.reset(), random_states(world, 3000, 1).observation):
        np.testing.assert_allclose(by_layers(world, observation), by_kernels(world, observation), rtol=1e-5, atol=1e-5)


LINKS = st.sampled_from(["logit", "rate"])
FEATURES = st.lists(
    st.sampled_from([
        "1", "contact", "channel=sms", "product=loan", "conflict", "own_product.intent", "own_channel.pressure * vip",
        "age * own_product.holds", "conflict * rating", "latent.frailty", "age * vip * own_channel.recency",
    ]),
    min_size=1, max_size=6, unique=True,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(features=FEATURES, link=LINKS, task=st.sampled_from([CONTINUING, FINITE]), value=st.floats(-1.0, 1.0))
def test_any_feature_and_task(features: list[str], link: str, task: dict[str, object], value: float) -> None:
    head = {"link": link, "given": "engaged", "terms": named(dict.fromkeys(features, value))}
    world = small_world(task=task, converted=head)
    observation = random_states(world, 200, 2).observation
    np.testing.assert_allclose(by_layers(world, observation), by_kernels(world, observation), rtol=1e-5, atol=1e-5)


def test_a_product_left_out_takes_its_treatments_along_and_no_others() -> None:
    smaller = without_product(BANK, "insurance")
    assert by_layers(smaller, random_states(smaller, 50, 3).observation).shape[2] == len(
        smaller.catalogue.treatment_ids
    )


@pytest.mark.parametrize("name", ["bank", "exact"])
def test_states_that_cannot_be_give_finite_numbers(name: str) -> None:
    """Whoever serves a network may hand it anything: no probability may become NaN for it."""
    world = load_world(name)
    observation = torch.as_tensor(np.random.default_rng(0).normal(0, 1e3, (500, len(world.encoder.names)))).float()
    assert torch.isfinite(Expecting(world).scaled(observation)).all()


def test_what_networks_are_told_is_beyond_silence_and_bent() -> None:
    observation = torch.as_tensor(random_states(BANK, 500, 4).observation)
    expecting = Expecting(BANK)
    told, parts = expecting.scaled(observation), expecting(observation)
    assert told.shape == (500, SCALED, len(BANK.catalogue.treatment_ids))
    assert not told[:, :, 0].any()
    beyond = parts[:, 0] - parts[:, 0, :1]
    assert ((told[:, 0] > 0) == (beyond > 0)).all()
    assert told.abs().max() < 12


def test_a_scorer_that_is_told_learns_nothing_of_the_heads() -> None:
    """They are buffers, made anew for any world: no number of theirs stands in a checkpoint."""
    layout = Layout.of(BANK.encoder)
    plain, told = TreatmentScorer(layout, 16, 1, 8), TreatmentScorer(layout, 16, 1, 8, Expecting(BANK))
    assert plain.state_dict().keys() == told.state_dict().keys()
    told.load_state_dict(plain.state_dict())
    observation = torch.as_tensor(random_states(BANK, 50, 5).observation)
    with torch.no_grad():
        apart = told.forward_actor(observation) - plain.forward_actor(observation)
    assert apart[:, 1:].abs().max() > 0
    assert not apart[:, 0].any()
