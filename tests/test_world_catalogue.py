"""The catalogue is checked at the door, named by its content, and the built-in bank is as rich as promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from world_kit import CATALOGUE

from envs.attributes import descriptive, identifying
from envs.catalogue import Catalogue, load_catalogue
from envs.digest import digest_of
from envs.errors import InputError
from envs.world import BUILT_IN, World, load_world

CONTENT: dict[str, Any] = CATALOGUE.model_dump(mode="json")


@pytest.fixture(scope="module")
def bank() -> World:
    return load_world("bank")


def written(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "catalogue.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def changed(**fields: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(CONTENT)), **fields}


def treatment(**fields: Any) -> dict[str, Any]:
    """A catalogue whose second treatment is changed."""
    content = changed()
    content["treatments"][1] |= fields
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(colour="red"), ["colour", "is not a field"]),
        (treatment(colour="red"), ["treatments.1.colour", "is not a field"]),
        (treatment(channel="pigeon"), ["sms-loan-bonus", "channel 'pigeon'", "must be one of: sms, call, app"]),
        (treatment(product="yacht"), ["sms-loan-bonus", "product 'yacht'", "must be one of: loan, fund, care"]),
        (treatment(benefit="cake"), ["sms-loan-bonus", "benefit 'cake'", "must be one of: none, bonus"]),
        (treatment(effort={"sweat": 1}), ["sms-loan-bonus", "pool 'sweat'", "must be one of: minutes"]),
        (treatment(id="sms-loan"), ["treatment ids must be unique", "sms-loan"]),
        (treatment(id="silence"), ["treatment ids must be unique", "silence"]),
        (changed(channels=CONTENT["channels"] + CONTENT["channels"][:1]), ["channel ids must be unique", "sms"]),
        (treatment(cost=-1), ["treatments.1.cost == -1", "must be"]),
        (treatment(effort={"minutes": -2}), ["treatments.1.effort.minutes == -2", "must be"]),
        (treatment(cost=float("inf")), ["treatments.1.cost == inf", "must be a finite number"]),
        (changed(treatments=[]), ["treatments", "must be", "at least 1"]),
        (changed(channels=[{"id": "post", "family": "aerial"}]), ["channels.0.family == 'aerial'", "'online'"]),
    ],
)
def test_what_is_wrong_is_one_line_that_names_file_field_and_value(tmp_path: Path, content: Any, said: Any) -> None:
    file = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        load_catalogue(file)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(file))
    for part in said:
        assert part in line


def test_the_line_of_the_file_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, treatment(colour="red"))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), start=1) if "colour" in text)
    with pytest.raises(InputError, match=rf"catalogue.yaml, line {line}: treatments.1.colour, is not a field"):
        load_catalogue(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.yaml: must be there"):
        load_catalogue(tmp_path / "nowhere.yaml")


def reversed_keys(value: Any) -> Any:
    """The same content with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def test_the_digest_depends_on_the_content_not_on_the_order_of_keys(tmp_path: Path) -> None:
    turned = load_catalogue(written(tmp_path, reversed_keys(CONTENT)))
    assert turned.digest == CATALOGUE.digest == load_catalogue(written(tmp_path, CONTENT)).digest
    dearer = Catalogue.model_validate(treatment(cost=0.2))
    swapped = Catalogue.model_validate(changed(treatments=CONTENT["treatments"][::-1]))
    assert len({CATALOGUE.digest, dearer.digest, swapped.digest}) == 3


def test_a_digest_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of({"x": float("nan")})


def test_the_columns_of_a_catalogue_are_those_of_its_file() -> None:
    assert CATALOGUE.treatment_ids[0] == "silence"
    assert CATALOGUE.product_of.tolist() == [-1, 0, 0, 2, 1, 0, 1]
    assert CATALOGUE.channel_of.tolist() == [-1, 0, 0, 0, 1, 2, 2]
    assert CATALOGUE.cost.tolist() == [0, 0.1, 0.1, 0.1, 3, 0, 0]
    assert CATALOGUE.benefit_cost.tolist() == [0, 0, 5, 0, 0, 0, 0]
    assert CATALOGUE.contact_annoyance.tolist() == [0, 0.1, 0.1, 0.1, 0.3, 0.01, 0.01]
    assert CATALOGUE.effort.tolist() == [[0], [0], [0], [0], [5], [0], [0]]
    assert CATALOGUE.selling.tolist() == [False, True, True, False, True, True, True]


def test_a_catalogue_without_pools_has_efforts_of_width_zero() -> None:
    content = changed(pools=[])
    content["treatments"][3]["effort"] = {}
    assert Catalogue.model_validate(content).effort.shape == (7, 0)


def test_attributes_that_identify_say_who_is_who_and_silence_is_nobody() -> None:
    found = identifying(CATALOGUE)
    assert found.column("contact").tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert found.column("channel=app").tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert found.column("benefit=bonus").tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert not [name for name in found.names if name.startswith("format=")]  # all the same: left to `contact`
    assert not found.values[0].any()


def test_attributes_that_describe_hold_no_names_and_lie_between_minus_one_and_one() -> None:
    found = descriptive(CATALOGUE)
    assert not [name for name in found.names for word in ("loan", "sms", "bonus") if word in name]
    assert np.abs(found.values).max() == 1
    assert not found.values[0].any()
    assert found.column("effort.minutes").tolist() == [0, 0, 0, 0, 1, 0, 0]
    np.testing.assert_allclose(found.column("product.complexity"), [0, 0.25, 0.25, 0, 1, 0.25, 1])


def test_the_built_in_bank_has_the_channels_that_were_promised(bank: World) -> None:
    channels = {c.id: c for c in bank.catalogue.channels}
    assert len(channels) >= 9
    assert {c.family for c in channels.values()} == {"online", "remote", "offline"}
    assert channels["wechat"].family == "online"
    assert channels["wecom"].family == "remote"
    assert channels["partner"].inbound in bank.schema.triggers
    used = set(bank.catalogue.channel_of[1:].tolist())
    assert used == set(range(len(channels))), "every channel has a treatment"


def test_the_built_in_bank_has_the_products_and_treatments_that_were_promised(bank: World) -> None:
    catalogue = bank.catalogue
    sold = {catalogue.product_ids[p] for p in catalogue.product_of[catalogue.selling]}
    assert len(sold) >= 7
    care = catalogue.product_ids.index("care")
    assert not catalogue.products[care].selling
    assert care in catalogue.product_of
    referral = [t for t in catalogue.treatments if t.product == "referral"]
    assert referral
    assert all(t.benefit == "referral_reward" for t in referral)
    assert 40 <= len(catalogue.treatments) <= 80
    assert len({t.benefit for t in catalogue.treatments}) >= 4
    assert len({t.format for t in catalogue.treatments}) >= 4
    assert len({t.daypart for t in catalogue.treatments}) >= 3
    assert (catalogue.cost[1:] > 0).all()
    assert (catalogue.effort.sum(axis=0) > 0).all(), "every pool is drawn from"


def test_every_coefficient_of_the_built_in_bank_has_a_source(bank: World) -> None:
    without = [
        f"{name}: {term.feature}"
        for name, head in bank.coefficients.heads.items()
        for term in head.terms
        if not term.source.strip()
    ]
    assert without == []
    assert bank.coefficients.hidden is not None
    assert bank.coefficients.hidden.source
    spec = load_world("bank").population.spec  # type: ignore[attr-defined]  # the bank's population is described
    assert all(column.source for column in spec.columns)


def test_both_rule_books_of_the_built_in_bank_fit_its_catalogue(bank: World) -> None:
    from envs.rules import RuleBook, load_rules

    for name in ("rules.yaml", "silo_rules.yaml"):
        RuleBook(load_rules(BUILT_IN / "bank" / name), bank.catalogue, bank.schema)
