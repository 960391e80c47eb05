"""The built-in bank is frozen: it and the baselines beside it change with a new version and a reason only."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
import yaml

from agents.baselines import parameters
from envs.errors import InputError
from envs.frozen import FILES, check_frozen, freeze, load_version
from envs.world import BUILT_IN
from training.configs import ValidateConfig
from training.validate import validate

BANK = BUILT_IN / "bank"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the bank."""
    shutil.copytree(BANK, tmp_path / "bank")
    return tmp_path / "bank"


def test_the_bank_is_as_it_was_frozen() -> None:
    """If this fails: undo the change, or freeze a new version with its reason (docs/bank.md, "Versions")."""
    frozen = check_frozen(BANK, parameters())
    assert frozen.version >= 2
    assert set(frozen.files) == set(FILES)
    assert set(frozen.baselines) == {"siloed_campaigns", "coordinated_rules"}
    assert [past.version for past in frozen.history] == list(range(1, frozen.version))
    assert all(len(said.reason) > 40 for said in (frozen, *frozen.history))


@pytest.mark.parametrize("name", FILES)
def test_a_changed_number_is_named(copy: Path, name: str) -> None:
    file = copy / name
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["changed"] = 1
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(InputError, match=rf"files\.{name} == .*a change needs a new version and a reason"):
        check_frozen(copy, parameters())


def test_a_missing_file_and_a_changed_baseline_are_named(copy: Path) -> None:
    louder = {**parameters(), "siloed_campaigns": {"app_push": ((0, 1, 2), 0.9)}}
    with pytest.raises(InputError, match=r"baselines\.siloed_campaigns == .*differs from version"):
        check_frozen(copy, louder)
    (copy / "silo_rules.yaml").unlink()
    with pytest.raises(InputError, match=r"files\.silo_rules\.yaml == 'gone'"):
        check_frozen(copy, parameters())


def test_comments_and_layout_are_free(copy: Path) -> None:
    for name in FILES:
        file = copy / name
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        file.write_text("# said otherwise\n" + yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert check_frozen(copy, parameters()) == load_version(BANK)


def test_a_new_version_keeps_the_history_and_its_reason(copy: Path) -> None:
    before = load_version(copy)
    (copy / "silo_rules.yaml").write_text("name: silos\n", encoding="utf-8")
    after = freeze(copy, parameters(), "Silos without rules, to see what they do.", date(2027, 1, 4))
    assert check_frozen(copy, parameters()) == after == load_version(copy)
    assert (after.version, after.history[:-1]) == (before.version + 1, before.history)
    assert after.history[-1].reason == before.reason


def test_validate_tells_the_version_and_refuses_what_differs(copy: Path) -> None:
    assert f"version {load_version(BANK).version}, frozen on" in validate(ValidateConfig(path=BANK)).summary
    rules = (copy / "rules.yaml").read_text(encoding="utf-8")
    (copy / "rules.yaml").write_text(rules.replace("most: 3", "most: 4"), encoding="utf-8")
    with pytest.raises(InputError, match=r"files\.rules\.yaml"):
        validate(ValidateConfig(path=copy))
