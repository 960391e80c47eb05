"""The network scores treatments by what they are, keeps masks exact, and leaves as the same function in ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from world_kit import CATALOGUE, small_world

from agents.layout import Layout, Reading
from agents.learning import Learning, Shape, new_learner
from agents.network import Exported, ScoringPolicy, TreatmentScorer
from agents.network_file import Network, load_network
from agents.onnx_export import export_onnx
from agents.policy import softened
from agents.random_states import States, random_states
from agents.sb3_env import SimulatorVecEnv
from envs.catalogue import Catalogue
from envs.errors import InputError
from envs.observation import Encoder
from envs.vector import BankVectorEnv
from envs.world import World, load_world

TEMPERATURE, FLOOR = 0.7, 0.05
SHAPE, LEARNING = Shape(32, 2, 16), Learning(1e-3, 4, 64, 2, 0.2, 0.01, 0.95, 0.99)


def scorer(encoder: Encoder, seed: int = 0, scale: float = 1.0, reading: Reading | None = None) -> TreatmentScorer:
    torch.manual_seed(seed)
    network = TreatmentScorer(Layout.of(encoder, reading), width=32, layers=2, embedding=16)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)
    return network.eval()


def states(encoder: Encoder, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random observations within the fields' ranges, and masks that allow silence."""
    rng = np.random.default_rng(seed)
    low, high = (np.array([getattr(f, end) for f in encoder.fields]) for end in ("low", "high"))
    observation = (low + (np.minimum(high, 5) - low) * rng.random((rows, len(low)))).astype(np.float32)
    mask = rng.random((rows, len(encoder.catalogue.treatment_ids))) < rng.random((rows, 1))
    mask[:, 0] = True
    return observation, mask


def scores(network: TreatmentScorer, observation: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network.forward_actor(torch.as_tensor(observation)).numpy()


def with_treatments(treatments: list[dict[str, Any]]) -> Encoder:
    content = CATALOGUE.model_dump(mode="json") | {"treatments": treatments}
    return Encoder(Catalogue.model_validate(content), small_world().schema)


OWN = CATALOGUE.model_dump(mode="json")["treatments"]


def test_treatments_that_are_alike_have_the_same_score() -> None:
    twin = {**OWN[3], "id": "twin", "message": "another copy", "external_id": "x-77"}
    encoder = with_treatments([*OWN, twin])
    found = scores(scorer(encoder), states(encoder, 500)[0])
    np.testing.assert_allclose(found[:, 4], found[:, 7], atol=1e-6)
    assert np.abs(found[:, 4] - found[:, 1]).min() > 0  # others differ
    assert not found[:, 0].any()  # silence is what the others are measured by


def test_the_order_of_treatments_means_nothing() -> None:
    order = [4, 0, 5, 2, 1, 3]
    plain, turned = with_treatments(OWN), with_treatments([OWN[i] for i in order])
    network, other = scorer(plain), scorer(turned, seed=1)
    own = dict(network.named_parameters())
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter.copy_(own[name])
    observation = states(plain, 500)[0]
    positions = [0, *(i + 1 for i in order)]
    np.testing.assert_allclose(scores(other, observation), scores(network, observation)[:, positions], atol=1e-5)


def with_products(count: int) -> Encoder:
    """The small catalogue with more products of the same kind, each with a treatment of its own."""
    content = CATALOGUE.model_dump(mode="json")
    more = [{**content["products"][0], "id": f"more_{k}"} for k in range(count)]
    own = [{**OWN[0], "id": f"more_{k}", "product": f"more_{k}"} for k in range(count)]
    content |= {"products": [*content["products"], *more], "treatments": [*OWN, *own]}
    return Encoder(Catalogue.model_validate(content), small_world().schema)


def test_no_parameter_belongs_to_a_treatment_a_product_or_a_channel() -> None:
    shapes = [{n: tuple(p.shape) for n, p in scorer(with_products(k)).named_parameters()} for k in (0, 20)]
    assert shapes[0] == shapes[1]


def test_a_treatment_is_added_without_touching_the_others() -> None:
    plain, more = with_treatments(OWN[:5]), with_treatments(OWN)
    made = Reading.of(more)
    small, large = scorer(plain, reading=made), scorer(more, seed=9, reading=made)
    large.load_state_dict(small.state_dict())
    observation = states(plain, 200)[0]
    np.testing.assert_allclose(scores(large, observation)[:, :6], scores(small, observation), atol=1e-6)


def test_places_of_products_mean_nothing() -> None:
    """The same customer with two products in each other's place: the scores change places, too."""
    content = CATALOGUE.model_dump(mode="json")
    turned = content | {"products": [content["products"][k] for k in (1, 0, 2)]}
    plain, other = (Encoder(Catalogue.model_validate(c), small_world().schema) for c in (content, turned))
    network, same = scorer(plain), scorer(other, seed=4)
    same.load_state_dict(network.state_dict())
    observation = states(plain, 200)[0]
    places = [plain.names.index(name) for name in other.names]
    np.testing.assert_allclose(scores(same, observation[:, places]), scores(network, observation), atol=1e-5)


def test_what_a_network_was_not_made_to_read_is_refused() -> None:
    content = CATALOGUE.model_dump(mode="json")
    content["treatments"][0]["format"] = "hologram"
    strange = Encoder(Catalogue.model_validate(content), small_world().schema)
    with pytest.raises(InputError, match="format=hologram"):
        Layout.of(strange, Reading.of(small_world().encoder))
    with pytest.raises(InputError, match="must be there for the network"):
        Layout.of(load_world("exact").encoder, Reading.of(small_world().encoder))


def test_a_treatment_is_moved_by_the_fields_of_its_own_product_and_channel_only_through_the_trunk() -> None:
    encoder = small_world().encoder
    network = scorer(encoder)
    with torch.no_grad():
        for layer in network.trunk:
            for parameter in layer.parameters():
                parameter.zero_()  # the trunk says nothing: only own fields are left
    before = states(encoder, 50)[0]
    after = before.copy()
    after[:, encoder.names.index("product:fund:intent")] += 1
    moved = (scores(network, before) != scores(network, after)).any(axis=0)
    assert moved.tolist() == [False, False, False, False, True, False, True]
    after = before.copy()
    after[:, encoder.names.index("channel:sms:pressure")] += 1
    moved = (scores(network, before) != scores(network, after)).any(axis=0)
    assert moved.tolist() == [False, True, True, True, False, False, False]


@pytest.fixture(scope="module")
def learner() -> Any:
    environment = SimulatorVecEnv([BankVectorEnv(16, load_world("bank"), horizon=10)])
    return new_learner(environment, SHAPE, LEARNING, seed=0)


def test_what_is_masked_has_probability_zero_in_the_learner(learner: Any) -> None:
    policy: ScoringPolicy = learner.policy
    observation, mask = states(load_world("bank").encoder, 300)
    with torch.no_grad():
        distribution = policy.get_distribution(torch.as_tensor(observation), action_masks=mask)
    assert distribution.distribution is not None
    p = distribution.distribution.probs.numpy()
    assert (p[~mask] == 0).all()
    assert (p[mask] > 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    for _ in range(5):
        action, _ = learner.predict(observation, action_masks=mask, deterministic=False)
        assert mask[np.arange(300), action].all()


def test_values_and_probabilities_come_from_one_trunk(learner: Any) -> None:
    policy: ScoringPolicy = learner.policy
    observation, mask = states(load_world("bank").encoder, 20)
    seen = torch.as_tensor(observation)
    with torch.no_grad():
        action, value, log_probability = policy(seen, action_masks=mask)
        again, log_again, entropy = policy.evaluate_actions(seen, action, torch.as_tensor(mask))
        alone = policy.predict_values(seen)
    np.testing.assert_allclose(value, again, rtol=1e-5)
    np.testing.assert_allclose(value, alone, rtol=1e-5)
    np.testing.assert_allclose(log_probability, log_again, rtol=1e-5, atol=1e-6)
    assert (entropy >= 0).all()
    names = {name.split(".")[0] for name, p in policy.named_parameters() if p.requires_grad}
    assert names == {"mlp_extractor", "value_net"}
    optimised = {id(p) for group in policy.optimizer.param_groups for p in group["params"]}
    assert optimised == {id(p) for p in policy.parameters()}


@pytest.fixture(scope="module")
def exported(learner: Any) -> tuple[World, ScoringPolicy, Network]:
    world = load_world("bank")
    with torch.no_grad():
        for name, parameter in learner.policy.mlp_extractor.named_parameters():
            if name.startswith(("score", "blend")):
                parameter.mul_(10)  # confident, so that differences show
    raw = export_onnx(learner.policy, TEMPERATURE, FLOOR, States(*states(world.encoder, 100)))
    assert b".py" not in raw  # where the exporter found its nodes is nobody's business, and would change the digest
    network = load_network(raw, len(world.encoder.fields), len(world.catalogue.treatment_ids), Path("policy.onnx"))
    return world, learner.policy, network


def test_onnx_answers_as_torch_does(exported: tuple[World, ScoringPolicy, Network]) -> None:
    world, policy, network = exported
    observation, mask = random_states(world, 10_000, seed=1)
    graph = Exported(policy.mlp_extractor, TEMPERATURE, FLOOR).eval()
    with torch.no_grad():
        expected = graph(torch.as_tensor(observation), torch.as_tensor(mask)).numpy()
    found = network(observation, mask)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found[~mask] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert expected.max() > 0.9
    assert (mask.sum(axis=1) > 1).mean() > 0.5
    np.testing.assert_allclose(network(observation[:1], mask[:1]), found[:1], atol=1e-6)


def test_temperature_and_floor_are_inside_the_graph(exported: tuple[World, ScoringPolicy, Network]) -> None:
    world, policy, network = exported
    observation, mask = states(world.encoder, 300, seed=2)
    by_hand = softened(scores(policy.mlp_extractor, observation), mask, TEMPERATURE, FLOOR)
    np.testing.assert_allclose(network(observation, mask), by_hand, atol=1e-5)
    lowest = np.where(mask, network(observation, mask), 1).min(axis=1)
    assert (lowest >= FLOOR / mask.sum(axis=1) * (1 - 1e-5)).all()
    silent = np.zeros_like(mask)
    silent[:, 0] = True
    np.testing.assert_array_equal(network(observation, silent)[:, 0], 1)


def test_the_layout_points_at_the_fields_it_names() -> None:
    encoder = small_world().encoder
    layout = Layout.of(encoder)
    names = np.array(encoder.names)
    assert names[layout.product[1]].tolist() == [
        f"product:fund:{f}" for f in ("intent", "lead", "offered", "abandoned", "refusals", "holds", "pending")
    ]
    assert names[layout.channel[2]].tolist() == [
        f"channel:app:{f}" for f in ("recency", "pressure", "engagements", "consent")
    ]
    product, channel = np.divmod(layout.pair, 3)
    assert product.tolist() == [0, 0, 2, 1, 0, 1]
    assert channel.tolist() == [0, 0, 0, 1, 2, 2]
    every = np.concatenate([layout.general, layout.product.ravel(), layout.channel.ravel()])
    assert sorted(every.tolist()) == list(range(len(names)))
