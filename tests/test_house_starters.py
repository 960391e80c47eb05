"""`init` writes files that `validate` accepts, and `validate` tells what anything else lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from gate_kit import write_log, write_report
from serving_kit import write_kit

from envs.config import load_config
from envs.errors import InputError
from evaluation.settings import EvaluationSettings
from training.configs import EvaluateConfig, InitConfig, ValidateConfig
from training.init import CONFIGS, FILES, START, commented_yaml, init
from training.validate import validate

ROOT = Path(__file__).resolve().parent.parent


def _kind(path: Path) -> str:
    return validate(ValidateConfig(path=path)).kind


@pytest.fixture
def starters(tmp_path: Path) -> Path:
    init(InitConfig(directory=tmp_path / "bank"))
    return tmp_path / "bank"


def test_every_starter_file_is_commented_and_valid(starters: Path) -> None:
    kinds = {file.stem: _kind(file) for file in starters.iterdir()}
    assert kinds == {
        "catalogue": "catalogue",
        "schema": "schema",
        "rules": "rule book",
        "mapping": "mapping",
        "training": "training file",
        "evaluation": "evaluation file",
    }
    for file in starters.iterdir():
        assert file.read_text(encoding="utf-8").lstrip().startswith("#"), file.name


@pytest.mark.parametrize("verb", CONFIGS)
def test_a_verb_file_is_the_defaults_field_by_field(starters: Path, verb: str) -> None:
    config = CONFIGS[verb]
    assert load_config(config, starters / FILES[verb]) == config.model_validate(START[verb])
    text = commented_yaml(config, f"nextbest {verb}", {})
    for name in config.model_fields:
        assert f"\n{name}:" in text or f"\n# {name}:" in text  # what has no default stands as a comment
    assert set(yaml.safe_load(text)) <= set(config.model_fields)


def test_every_threshold_of_a_report_stands_in_the_file_with_its_reason(starters: Path) -> None:
    file = starters / FILES["evaluate"]
    text = file.read_text(encoding="utf-8")
    told = " ".join(line.strip().lstrip("# ") for line in text.splitlines())
    for name, info in EvaluationSettings.model_fields.items():
        assert f"\n  {name}:" in text or f"\n  # {name}:" in text
        assert " ".join((info.description or "?").split()) in told, name
    file.write_text(text.replace("  min_ess: 100.0", "  min_ess: 250"), encoding="utf-8")
    assert load_config(EvaluateConfig, file).settings.min_ess == 250


def test_init_keeps_files_that_are_there(starters: Path) -> None:
    (starters / "rules.yaml").write_text("caps: []\n", encoding="utf-8")
    with pytest.raises(InputError, match="already holds catalogue"):
        init(InitConfig(directory=starters))
    assert (starters / "rules.yaml").read_text(encoding="utf-8") == "caps: []\n"
    init(InitConfig(directory=starters, overwrite=True))
    assert _kind(starters / "rules.yaml") == "rule book"


def test_directories_are_recognised(tmp_path: Path) -> None:
    write_kit(tmp_path / "artifact")
    write_log(tmp_path / "tables")
    write_report(tmp_path / "report", tmp_path / "artifact")
    assert _kind(tmp_path / "artifact") == _kind(tmp_path / "artifact" / "manifest.json") == "policy artifact"
    assert _kind(tmp_path / "tables") == "set of canonical tables"
    assert _kind(tmp_path / "report") == "evaluation report"
    assert _kind(ROOT / "envs" / "worlds" / "bank") == "world"
    assert _kind(ROOT / "mlflow" / "promotion.yaml") == "gate"


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        ("catalogue", "products:", "colour: red\nproducts:", "colour, is not a field"),
        ("catalogue", 'channel: "partner"', "channel: fax", "unknown channel 'fax', must be one of:"),
        ("training", "steps: ", "steps: minus ", "steps == 'minus "),
        ("mapping", "Asia/Shanghai", "Asia/Atlantis", "'Asia/Atlantis' must be a time zone"),
        ("mapping", "    at: CONTACT_TIME\n", "", "decisions.columns must name at"),
        ("mapping", "    event: EVENT_CODE", "    event: EVENT_CODE\n    mood: M", "mood is not a column"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file(starters: Path, name: str, old: str, new: str, line: str) -> None:
    file = starters / f"{name}.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as fault:
        validate(ValidateConfig(path=file))
    assert line in str(fault.value)
    assert str(file) in str(fault.value)


def test_rules_are_checked_against_the_catalogue_beside_them(starters: Path) -> None:
    file = starters / "rules.yaml"
    file.write_text("caps:\n- {name: few, channels: [fax], most: 1, days: 7}\n", encoding="utf-8")
    with pytest.raises(InputError, match="fax"):
        validate(ValidateConfig(path=file))


def test_strangers_are_told_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        _kind(tmp_path / "nothing")
    with pytest.raises(InputError, match="is not recognised, must be one of: policy artifact"):
        _kind(tmp_path)
