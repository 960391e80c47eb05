"""Named features become numbers, heads become probabilities and amounts, and what nobody knows is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from world_kit import CATALOGUE, heads, named, small_schema, small_world

from envs.errors import InputError
from envs.features import SCALARS, TASTE, latent_columns, parse_feature, product_options, treatment_options
from envs.observation import Encoder
from envs.response import Coefficients, Head, compile_head, design_matrix, load_coefficients, logistic
from envs.world import BUILT_IN, load_world, save_world

ENCODER = Encoder(CATALOGUE, small_schema())
OPTIONS = treatment_options(CATALOGUE)
PRODUCTS = product_options(CATALOGUE)
NAMES = ENCODER.names
OPTION = np.arange(len(OPTIONS))


def random_observation(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (rows, len(NAMES))).astype(np.float32)


def observation(**fields: float) -> np.ndarray:
    """One observation for every treatment, zero but for some fields (`__` stands for a colon)."""
    row = np.zeros(len(NAMES), np.float32)
    for name, value in fields.items():
        row[NAMES.index(name.replace("__", ":"))] = value
    return np.tile(row, (len(OPTIONS), 1))


def of_each(name: str, seen: np.ndarray, latent: np.ndarray | None = None) -> list[float]:
    """The value of a feature for silence and each treatment."""
    head = compile_head(Head(link="linear", terms=named({name: 1.0})), OPTIONS, ENCODER)
    return [round(float(v), 6) for v in head.linear(seen, OPTION, latent)]


def latents(rows: int, seed: int = 1) -> np.ndarray:
    """Hidden states of some customers, (rows, latent states) float32."""
    return np.random.default_rng(seed).normal(size=(rows, latent_columns(CATALOGUE))).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("1", [1, 1, 1, 1, 1, 1, 1]),
        ("contact", [0, 1, 1, 1, 1, 1, 1]),
        ("channel=sms", [0, 1, 1, 1, 0, 0, 0]),
        ("benefit=bonus", [0, 0, 1, 0, 0, 0, 0]),
        ("age", [2, 2, 2, 2, 2, 2, 2]),
        ("age * product=fund", [0, 0, 0, 0, 2, 0, 2]),
        ("age*age * contact", [0, 4, 4, 4, 4, 4, 4]),
        ("own_channel.pressure", [0, 0.5, 0.5, 0.5, 0, 0.25, 0.25]),
        ("own_product.intent", [0, 0.75, 0.75, 0, 0, 0.75, 0]),
        ("own_product.intent * channel=app", [0, 0, 0, 0, 0, 0.75, 0]),
        ("conflict", [0, 0.125, 0.125, 0.25, 0.25, 0.125, 0.25]),
    ],
)
def test_a_name_is_what_the_grammar_says(name: str, values: list[float]) -> None:
    fields = {
        "age": 2,
        "channel__sms__pressure": 0.5,
        "channel__app__pressure": 0.25,
        "product__loan__intent": 0.75,
        "product__loan__offered": 0.25,
        "product__fund__offered": 0.125,
        "product__care__offered": 0.9,  # care offers nothing: no conflict
    }
    assert of_each(name, observation(**fields)) == values


def test_conflict_is_the_strongest_offer_of_the_others_also_when_two_are_alike() -> None:
    assert of_each("conflict", observation(product__loan__offered=0.5, product__fund__offered=0.5)) == [0] + [0.5] * 6
    assert of_each("conflict", observation(product__fund__offered=0.5)) == [0, 0.5, 0.5, 0.5, 0, 0.5, 0]


def test_hidden_states_are_picked_by_own_product_and_channel_and_only_a_simulator_has_them() -> None:
    seen, latent = observation(), latents(len(OPTIONS))
    rows, first = OPTION[1:], TASTE + len(CATALOGUE.products)
    taste = [0, *latent[rows, TASTE + CATALOGUE.product_of[1:]]]
    reach = [0, *latent[rows, first + CATALOGUE.channel_of[1:]]]
    np.testing.assert_allclose(of_each("latent.taste", seen, latent), taste, atol=1e-6)
    np.testing.assert_allclose(of_each("latent.reach", seen, latent), reach, atol=1e-6)
    for name, column in SCALARS.items():
        np.testing.assert_allclose(of_each(f"latent.{name}", seen, latent), latent[:, column], atol=1e-6)
    with pytest.raises(ValueError, match=r"latent.taste is a hidden state: only a simulator"):
        of_each("latent.taste", seen)


@pytest.mark.parametrize(
    "name",
    ["agee", "channel=fax", "own_channel.intent", "own_product.pressure", "latent.soul", "age * ", "", "2 * age"],
)
def test_a_name_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"coefficients.yaml: feature == .*must be 1, a treatment attribute"):
        parse_feature(name, OPTIONS, ENCODER)


def test_a_name_with_more_factors_than_kernels_multiply_is_refused_at_the_door() -> None:
    assert of_each("age * vip * rating * contact * channel=sms", observation(age=2, vip=1, rating=3))[1] == 6
    with pytest.raises(InputError, match=r"feature == 'age \* age \* age \* vip', must have at most 3 factors besides"):
        parse_feature("age * age * age * vip", OPTIONS, ENCODER)


TERMS = {
    "1": -1.0,
    "contact": 0.4,
    "channel=sms": 0.3,
    "age": 0.7,
    "age * channel=sms": -0.6,
    "own_channel.pressure": -0.5,
    "own_channel.pressure * own_product.intent": 0.8,
    "conflict * contact": 0.9,
    "vip * product=fund": 0.25,
    "price:annoyance * age * contact": 0.1,
}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_eta_of_the_chosen_option_is_the_sum_of_terms_and_one_of_all_etas(seed: int, rows: int) -> None:
    head = compile_head(Head(link="logit", terms=named(TERMS)), OPTIONS, ENCODER)
    seen = random_observation(rows, seed)
    option = np.random.default_rng(seed).integers(0, len(OPTIONS), rows)
    chosen = head.linear(seen, option)
    matrix = design_matrix(head.features, seen, option)
    assert matrix.shape == (rows, len(TERMS))
    np.testing.assert_allclose(chosen, matrix @ np.array(list(TERMS.values())), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(chosen, head.linear_all(seen)[np.arange(rows), option])


def test_the_logistic_function_to_its_ends() -> None:
    eta = np.concatenate([np.linspace(-40, 40, 2001), [-800.0, 800.0, 0.0]])
    np.testing.assert_allclose(logistic(eta), expit(eta), rtol=1e-15, atol=0)
    assert logistic(eta)[-3:].tolist() == [0.0, 1.0, 0.5]


def test_eta_with_hidden_states_agrees_too() -> None:
    words = {"latent.taste": 0.5, "latent.reach * age": 0.3, "latent.irritation * contact": -0.2, "latent.frailty": 0.1}
    head = compile_head(Head(link="logit", terms=named(words)), OPTIONS, ENCODER)
    seen, latent = random_observation(50), latents(50)
    option = np.arange(50) % len(OPTIONS)
    every = head.linear_all(seen, latent)
    np.testing.assert_array_equal(head.linear(seen, option, latent), every[np.arange(50), option])


def test_what_is_narrower_than_the_features_reach_is_refused() -> None:
    head = compile_head(Head(link="logit", terms=named({"conflict": 1.0, "latent.taste": 0.5})), OPTIONS, ENCODER)
    seen, latent = random_observation(7), latents(7)
    head.linear(seen, OPTION, latent)
    with pytest.raises(ValueError, match=r"observation: shape \(7, 10\), must be \(7, at least "):
        head.linear_all(seen[:, :10], latent)
    with pytest.raises(ValueError, match=r"latent states: shape \(7, 6\), must be \(7, at least 8\)"):
        head.linear(seen, OPTION, latent[:, :6])
    with pytest.raises(ValueError, match=r"latent states: shape \(6, 11\), must be \(7, at least 8\)"):
        head.linear_all(seen, latent[:6])
    for option in (OPTION - 1, OPTION + 1):
        with pytest.raises(ValueError, match=r"option: .* must be from 0 to 6"):
            head.linear(seen, option, latent)
    with pytest.raises(ValueError, match=r"option: shape \(3,\), must be \(7,\)"):
        design_matrix(head.features[:1], seen, OPTION[:3])
    with pytest.raises(ValueError, match="latent states"):
        design_matrix(head.features, seen, OPTION)


def test_eta_of_products_has_one_column_per_product() -> None:
    head = compile_head(
        Head(link="rate", per="product", terms=named({"product=fund": 1.0, "own_product.intent": 2.0})),
        PRODUCTS,
        ENCODER,
    )
    seen = observation(product__loan__intent=0.5)[:1]
    assert head.linear_all(seen).tolist() == [[1.0, 1.0, 0.0]]


def compiled(link: str, **more: Any) -> Any:
    return compile_head(Head(link=link, terms=named({"1": 0.0}), **more), OPTIONS, ENCODER)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-700, 700), min_size=1, max_size=20), st.integers(1, 30))
def test_probabilities_are_probabilities(etas: list[float], days: int) -> None:
    eta = np.array(etas)
    p = compiled("logit").mean(eta)
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_allclose(p + compiled("logit").mean(-eta), 1, rtol=1e-12)
    with np.errstate(over="ignore"):
        q = compiled("rate").mean(eta, days)
    assert ((q >= 0) & (q <= 1)).all()


def test_a_rate_over_some_days_is_at_least_one_of_as_many_days() -> None:
    head, eta = compiled("rate"), np.array([-6.0, -2.0, 0.5])
    one = head.mean(eta, 1)
    np.testing.assert_allclose(head.mean(eta, 7), 1 - (1 - one) ** 7, rtol=1e-12)


def test_the_mean_of_a_lognormal_amount_is_exp_eta() -> None:
    head = compiled("lognormal", sigma=0.8)
    normal = np.random.default_rng(0).normal(size=400_000)
    amounts = head.amount(np.full(normal.shape, 2.0), normal)
    error = amounts.std() / np.sqrt(len(amounts))
    assert abs(amounts.mean() - np.exp(2.0)) < 4 * error
    assert head.mean(np.array([2.0]))[0] == pytest.approx(np.exp(2.0))
    assert compiled("linear").mean(np.array([-1.0, 2.0])).tolist() == [0.0, 2.0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"clicked": {"link": "logit", "terms": named({"1": 0})}},
            "head 'clicked': unknown, must be one of: delivered",
        ),
        (
            {"engaged": {"link": "logit", "given": "purchased", "terms": named({"1": 0})}},
            "given == 'purchased', must be",
        ),
        ({"opted_out": {"link": "logit", "given": "always", "terms": named({"1": 0})}}, "given == 'always', must be"),
        ({"organic": {"link": "rate", "terms": named({"1": 0})}}, "head 'organic': per == 'decision', must be product"),
        (
            {"churned": {"link": "rate", "per": "product", "terms": named({"1": 0})}},
            "per == 'product', must be decision",
        ),
        (
            {"satisfaction_rated": {"link": "rate", "terms": named({"1": 0})}},
            "head 'satisfaction_rated': must have a head 'satisfaction_value', which says how satisfied",
        ),
        ({"stage:new": {"link": "rate", "terms": named({"1": 0})}}, "head 'stage:new': unknown, must be one of"),
        (
            {"cancelled": {"link": "rate", "terms": named({"1": 0})}},
            "head 'cancelled': per == 'decision', must be product",
        ),
        ({"engaged": None}, "head 'converted': given == 'engaged', must have a head 'engaged' before it"),
        ({"churned": None}, "head 'churned_value': given == 'churned', must have a head 'churned' before it"),
    ],
)
def test_heads_that_the_simulator_would_not_simulate_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Coefficients.model_validate({"name": "x", "heads": heads(**changed)})


def test_a_loading_per_hidden_factor() -> None:
    with pytest.raises(ValueError, match=r"taste.loan: 2 loadings, must be 3, one per factor"):
        Coefficients.model_validate({"name": "x", "heads": {}, "hidden": {"factors": 3, "taste": {"loan": [1, 2]}}})


def test_a_world_is_written_and_read_without_loss(tmp_path: Path) -> None:
    world = small_world()
    save_world(world, tmp_path / "world")
    again = load_world(tmp_path / "world")
    assert again.digest == world.digest
    assert again.coefficients == load_coefficients(tmp_path / "world" / "coefficients.yaml") == world.coefficients
    numbers = np.arange(40)
    for mine, theirs in zip(*(w.population.start(numbers, 1, ("loan",)) for w in (again, world)), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not [p for p in (tmp_path / "world").iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("file", "path", "value", "said"),
    [
        (
            "coefficients",
            ("heads", "engaged", "terms", 0, "feature"),
            "moon",
            "feature == 'moon', must be 1, a treatment",
        ),
        ("coefficients", ("heads", "engaged", "colour"), "red", "heads.engaged.colour, is not a field"),
        ("coefficients", ("hidden", "taste", "yacht"), [1, 1, 1], "hidden.taste == 'yacht', must be one of: deposit"),
        ("coefficients", ("hidden", "reach", "fax"), [1, 1, 1], "hidden.reach == 'fax', must be one of: app_push"),
        (
            "coefficients",
            ("hidden", "factor_profile", "iq"),
            [1, 1, 1],
            "hidden.factor_profile == 'iq', must be one of",
        ),
        ("coefficients", ("hidden", "taste", "wealth"), [1], "taste.wealth: 1 loadings, must be 3"),
        (
            "coefficients",
            ("heads", "trigger:eclipse"),
            {"link": "logit", "terms": [{"feature": "1", "value": 0}]},
            "heads.trigger == 'eclipse', must be one of: inbound_call",
        ),
        ("population", ("holds", "yacht"), 0.5, "holds == 'yacht', must be one of: deposit"),
        ("population", ("first_day",), "someday", "first_day == 'someday', must be"),
        (
            "population",
            ("columns", 1, "depends"),
            {"luck": 0.5},
            "depends on 'luck', must be a column listed before it",
        ),
        ("rules", ("suitability",), "mood", "suitability == 'mood', must be one of"),
        ("schema", ("task", "kind"), "endless", "task.kind == 'endless', must be"),
    ],
)
def test_what_is_wrong_in_a_world_is_one_line_with_file_field_and_value(
    tmp_path: Path, file: str, path: tuple[Any, ...], value: Any, said: str
) -> None:
    shutil.copytree(BUILT_IN / "bank", tmp_path / "bank")
    target = tmp_path / "bank" / f"{file}.yaml"
    content = yaml.safe_load(target.read_text())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    target.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(InputError) as caught:
        load_world(tmp_path / "bank")
    line = str(caught.value)
    assert f"{file}.yaml" in line
    assert said in line
    assert "\n" not in line


def test_a_world_that_is_nowhere_is_refused_with_the_names_of_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"world == .*must be a directory, or one of: bank"):
        load_world(tmp_path / "nowhere")
    shutil.copytree(BUILT_IN / "bank", tmp_path / "bank")
    (tmp_path / "bank" / "population.yaml").unlink()
    with pytest.raises(InputError, match=r"bank: must hold population.yaml or customers.parquet"):
        load_world(tmp_path / "bank")
