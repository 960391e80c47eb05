"""The product that is held out: chosen by a yardstick alone, closed to whoever may not offer it."""

from __future__ import annotations

import numpy as np

from agents.clairvoyant import TrueHeads
from agents.random_states import random_states
from benchmarks.held_product import KINDS, YARDSTICK, chosen, closed
from envs.world import load_world

BANK = load_world("bank")


def test_of_each_kind_the_product_is_held_out_that_the_yardstick_misses_most() -> None:
    catalogue = BANK.catalogue
    lost = {product: np.full(3, float(k)) for k, product in enumerate(catalogue.product_ids)}
    assert chosen(catalogue, lost) == ["pension", "credit_card"]  # saving and protecting: named once
    lost |= {"wealth": np.full(3, 99.0), "insurance": np.full(3, 50.0), "consumer_loan": np.full(3, 20.0)}
    found = chosen(catalogue, lost)
    assert found == ["wealth", "consumer_loan", "insurance"]
    features = [catalogue.products[catalogue.product_ids.index(product)].features for product in found]
    assert all(own[kind] for own, kind in zip(features, KINDS, strict=True))


def test_a_closed_product_is_never_offered_and_nothing_else_changes() -> None:
    rule, catalogue = TrueHeads(BANK, YARDSTICK), BANK.catalogue
    states = random_states(BANK, 300, seed=1)
    own = np.array([product == "consumer_loan" for product in (None, *(t.product for t in catalogue.treatments))])
    open_to_all, without = (
        policy.probabilities(*states) for policy in (rule, closed(rule, catalogue, "consumer_loan"))
    )
    assert open_to_all[:, own].sum() > 0
    assert without[:, own].sum() == 0
    elsewhere = open_to_all[:, own].sum(axis=1) == 0
    np.testing.assert_array_equal(without[elsewhere], open_to_all[elsewhere])
