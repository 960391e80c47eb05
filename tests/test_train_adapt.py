"""A trained network takes a product that it never saw, without learning anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.random_states import random_states
from envs.errors import InputError
from envs.mechanisms import words
from envs.rules import load_rules
from envs.simulator import Simulator
from envs.without_product import without_product
from envs.world import load_world, save_world
from training.adapt import adapt
from training.configs import AdaptConfig, TrainConfig
from training.train import train

SMALL: dict[str, Any] = {
    "steps": 600, "envs": 16, "rollout": 8, "batch": 64, "epochs": 1, "width": 16, "embedding": 4,
    "imitation_steps": 200, "imitation_epochs": 1, "tuning_customers": 10, "validation_customers": 10,
    "foresight_customers": 30,
    "validations": 1, "track": False, "register_policy": False, "horizon": 14,
}  # fmt: skip


@pytest.mark.parametrize("product", ["consumer_loan", "credit_card", "referral", "care"])
def test_a_world_without_a_product_goes_on_without_it(product: str) -> None:
    bank = load_world("bank")
    smaller = without_product(bank, product)
    assert product not in smaller.catalogue.product_ids
    assert not any(name.startswith(f"product:{product}:") for name in smaller.encoder.names)
    terms = [term for head in smaller.coefficients.heads.values() for term in head.terms]
    assert not any(f"product={product}" in words(term.feature) for term in terms)
    simulator = Simulator(smaller, seed=1)
    simulator.reset(np.arange(200))
    kept = [bank.catalogue.treatment_ids.index(t) for t in smaller.catalogue.treatment_ids]
    whole = Simulator(bank, seed=1)
    whole.reset(np.arange(200))
    alike = simulator.view().mask == whole.view().mask[:, kept]
    assert alike.mean() > 0.85  # what customers hold, and how they come in, is drawn by place
    simulator.step(np.zeros(200, int))


def test_what_cannot_be_taken_out_is_refused() -> None:
    with pytest.raises(InputError, match="yacht"):
        without_product(load_world("bank"), "yacht")
    assert (
        load_rules(Path("envs/worlds/bank/rules.yaml")).name
        == without_product(load_world("bank"), "pension").rules.name
    )


def test_a_network_decides_over_a_product_it_never_saw(tmp_path: Path) -> None:
    bank = load_world("bank")
    save_world(without_product(bank, "wealth"), tmp_path / "smaller")
    run = train(TrainConfig(world=str(tmp_path / "smaller"), out=tmp_path / "run", **SMALL))
    adapted = adapt(AdaptConfig(training=tmp_path / "run", world="bank", out=tmp_path / "adapted"))
    assert {bank.catalogue.treatments[bank.catalogue.treatment_ids.index(t) - 1].product for t in adapted.added} == {
        "wealth"
    }
    assert not adapted.gone
    assert "nothing was learned" in str(adapted)
    policy, states = adapted.policy, random_states(bank, 500, seed=3)
    found = policy.probabilities(*states)
    assert (found[~states.mask] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    new = [bank.catalogue.treatment_ids.index(t) for t in adapted.added]
    assert found[:, new].max() > 0
    assert policy.manifest.lineage["adapted_from"] == run.manifest.policy_digest


def test_another_observation_of_the_customer_is_refused(tmp_path: Path) -> None:
    train(TrainConfig(world="exact", out=tmp_path / "run", **SMALL))
    with pytest.raises(InputError, match="must be there for the network and the catalogue alike"):
        adapt(AdaptConfig(training=tmp_path / "run", world="bank", out=tmp_path / "adapted"))
