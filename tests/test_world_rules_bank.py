"""The built-in bank's rule books and the examples of the guide."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from envs.catalogue import load_catalogue
from envs.history import History
from envs.population import PopulationSpec
from envs.rule_text import BUILT_IN
from envs.rules import RuleBook, Situation, load_rules, mask_one
from envs.schema import Schema, load_schema
from training.configs import ValidateConfig
from training.validate import validate

ROOT = Path(__file__).resolve().parent.parent
BANK = ROOT / "envs" / "worlds" / "bank"
CATALOGUE, SCHEMA = load_catalogue(BANK / "catalogue.yaml"), load_schema(BANK / "schema.yaml")
GUIDE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
WHOLE, LOWER, LEVELS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("name", ["rules", "silo_rules", "levels/east", "levels/east_old_town"])
def test_the_banks_books_fit_its_catalogue_and_schema(name: str) -> None:
    file = BANK / f"{name}.yaml"
    book = RuleBook(load_rules(file), CATALOGUE, SCHEMA)
    history = History.fresh(CATALOGUE, SCHEMA, np.full(2, 20_458))
    mask = book.mask(Situation(np.zeros((2, book._fields), np.float32), history, np.array([-1, 3])))
    assert mask[:, 0].all()
    assert 1 < mask[0].sum() < mask[1].sum() < mask.shape[1]
    assert validate(ValidateConfig(path=file)).kind == "rule book"


def test_one_voice_is_stricter_than_the_silos_about_every_cap_they_share() -> None:
    coordinated, silos = (load_rules(BANK / f"{name}.yaml") for name in ("rules", "silo_rules"))
    own = {cap.name: cap for cap in silos.caps}
    shared = [cap for cap in coordinated.caps if cap.name in own]
    assert len(shared) >= 3
    assert all(set(own[cap.name].channels) <= set(cap.channels) for cap in shared)
    assert all(cap.most <= own[cap.name].most and cap.days >= own[cap.name].days for cap in shared)


def test_the_guides_examples_are_what_it_says(tmp_path: Path) -> None:
    said = SCHEMA.model_dump(mode="json")
    for column in said["columns"]:
        column["role"] = "feature" if column["name"] == "region" else column["role"]
    schema = Schema.model_validate(said)
    (tmp_path / "levels").mkdir()
    (tmp_path / "rules.yaml").write_text(LEVELS + WHOLE)
    (tmp_path / "levels" / "east.yaml").write_text(LOWER)
    (tmp_path / "levels" / "west.yaml").write_text("extends: ../rules.yaml\nonce: true\n")
    rules = load_rules(tmp_path / "rules.yaml")
    book = RuleBook(rules, CATALOGUE, schema)
    assert rules.levels is not None
    assert rules.levels.rules["east"].origins == dict.fromkeys(
        ["calls_a_quarter", "complaint", "contacts_a_week"], "east"
    )
    assert book.compiled.levels.size == 3
    sections = {section for section, _ in rules.named()}
    assert sections == {"quiet_times", "limits", "ownerships", "caps", "bans", "hand_overs"}


def test_the_guide_lists_the_built_in_rules_in_their_order_of_names() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)
    assert sorted(listed) == sorted(BUILT_IN)


def test_a_situation_of_another_world_is_refused() -> None:
    book = RuleBook(load_rules(BANK / "rules.yaml"), CATALOGUE, SCHEMA)
    history = History.fresh(CATALOGUE, SCHEMA, np.full(2, 20_458))
    profile = np.zeros((2, book._fields), np.float32)
    for wrong in (Situation(profile[:, 1:], history, np.zeros(2, int)), Situation(profile, history, np.zeros(3, int))):
        with pytest.raises(ValueError, match="must fit 2 customers of this catalogue and schema"):
            book.mask(wrong)


def test_the_kernel_of_one_customer_writes_his_row() -> None:
    book = RuleBook(load_rules(BANK / "rules.yaml"), CATALOGUE, SCHEMA)
    history = History.fresh(CATALOGUE, SCHEMA, np.full(3, 20_458))
    history.record("opted_out", np.array([1]), channel=np.array([2]))
    at = Situation(np.zeros((3, book._fields), np.float32), history, np.array([-1, 0, 1]))
    mask, out = book.mask(at), np.zeros(len(CATALOGUE.treatment_ids), bool)
    for i in range(3):
        mask_one(book.compiled, history, at.profile, i, int(at.trigger[i]), -1, out)
        assert (out == mask[i]).all()


def test_the_owner_is_who_the_population_says() -> None:
    spec = PopulationSpec.model_validate(yaml.safe_load((BANK / "population.yaml").read_text()))
    owned = load_rules(BANK / "rules.yaml").ownerships[0]
    column = next(column for column in spec.columns if column.column == owned.column)
    assert 0 < (column.share or 0) < 0.2
    assert owned.at_least == 1
