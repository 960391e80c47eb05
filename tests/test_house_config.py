"""Configuration: the last word wins, and every fault is one line with file, field, value and need."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from pydantic import Field, model_validator

from envs.config import Config, describe, load_config, parse_override
from envs.errors import InputError


class Layer(Config):
    """A nested model."""

    width: int = Field(64, ge=1)
    """Units of the layer."""


class Net(Config):
    """A model with one field of each kind."""

    rate: float = 3e-4
    """Step size."""
    layer: Layer = Layer()
    """The first layer."""
    more: tuple[Layer, ...] = ()
    """Further layers."""
    name: str
    """What it is called."""
    at: Path | None = None
    """Where it stands."""

    @model_validator(mode="after")
    def _name_is_short(self) -> Net:
        if len(self.name) > 8:
            raise ValueError(f"name {self.name!r} has {len(self.name)} letters, must have 8 at most")
        return self


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    file = tmp_path / "net.yaml"
    file.write_text("# a net\nname: small\nlayer:\n  width: 32\n", encoding="utf-8")
    return file


def test_override_wins_over_file_and_file_over_default(yaml_file: Path) -> None:
    net = load_config(Net, yaml_file, ["layer.width=16"])
    assert (net.name, net.layer.width, net.rate) == ("small", 16, 3e-4)
    assert load_config(Net, yaml_file).layer.width == 32


def test_last_override_wins() -> None:
    assert load_config(Net, None, ["name=a", "name=b"]).name == "b"


def test_scientific_notation_without_a_dot_is_a_number() -> None:
    assert parse_override("rate=1e-3") == ("rate", 0.001)
    assert parse_override("name=e1") == ("name", "e1")


def test_values_with_equals_signs_survive() -> None:
    assert parse_override("at=a=b") == ("at", "a=b")


@pytest.mark.parametrize(
    ("text", "overrides", "line"),
    [
        ("name: a\nlayer:\n  width: many\n", [], "line 3: layer.width == 'many', must be a valid integer"),
        ("name: a\nlayer:\n  width: 0\n", [], "line 3: layer.width == 0, must be greater than or equal to 1"),
        ("name: a\ncolour: red\n", [], "line 2: colour, is not a field, must be one of: rate, layer, more, name, at"),
        ("name: a\nmore:\n- width: 1\n  depth: 2\n", [], "line 4: more.0.depth, is not a field, must be one of: width"),
        ("rate: 1.0\n", [], "name, must be given"),
        ("name: alexandrina\n", [], "name 'alexandrina' has 11 letters, must have 8 at most"),
        ("name: [\n", [], "is not YAML"),
        ("- 1\n", [], "must be a mapping of fields"),
        ("name: a\n", ["layer.depth=2"], "layer.depth, is not a field, must be one of: width"),
        ("name: a\n", ["rate.x=2"], "must be"),
    ],
)
def test_each_fault_is_one_line(tmp_path: Path, text: str, overrides: list[str], line: str) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as fault:
        load_config(Net, file, overrides)
    assert line in str(fault.value)
    assert "\n" not in str(fault.value)
    assert (str(file) in str(fault.value)) == (not overrides)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"name: a\nat: b\x07c\n", "net.yaml: line 2, character 6: holds a control character (U+0007), must be text"),
        (b"name: a\nat: b\xffc\n", "net.yaml: line 2, character 6: holds the byte 0xFF, must be text in UTF-8"),
        ("at: 银行\x01".encode(), "net.yaml: line 1, character 7: holds a control character (U+0001), must be text"),
        ("at: 银行".encode()[:-1], "net.yaml: line 1, character 6: holds the byte 0xE8, must be text in UTF-8"),
        (b"at: 2026-13-45\n", "net.yaml: holds a value that is not YAML (month must be in 1..12)"),
        (b"at: " + b"[" * 3000, "net.yaml: is nested too deeply, must be a mapping of fields"),
    ],
)
def test_what_is_no_text_is_told_with_its_place(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "net.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError) as fault:
        load_config(Net, file)
    assert str(fault.value).endswith(line)


def test_a_date_that_does_not_exist_is_no_value() -> None:
    with pytest.raises(InputError, match="value must be YAML"):
        parse_override("at=2026-13-45")


def test_missing_file_and_bad_override_are_told() -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot be read"):
        load_config(Net, Path("nowhere.yaml"))
    with pytest.raises(InputError, match="must read key=value"):
        load_config(Net, None, ["steps"])
    with pytest.raises(InputError, match="must not go into name, which holds a single value"):
        load_config(Net, None, ["name=a", "name.first=b"])


def test_describe_gives_a_sentence_for_every_field() -> None:
    rows = {row.field: row for row in describe(Net)}
    assert rows["layer.width"] == ("layer.width", "int", "64", "Units of the layer.", False)
    assert rows["name"].default == "required"
    assert rows["at"].type == "path or none"


def test_error_line_names_file_field_value_row_and_need() -> None:
    fault = InputError("must be in (0, 1]", file="decisions.parquet", field="propensity", value=0.0, row=17)
    assert str(fault) == "decisions.parquet: propensity == 0.0 (row 17), must be in (0, 1]"
    copy = pickle.loads(pickle.dumps(fault))
    assert (str(copy), copy.row, copy.field) == (str(fault), 17, "propensity")


def test_error_line_is_short_and_single() -> None:
    line = str(InputError("must be\nshort", field="x", value="a\n" * 500))
    assert "\n" not in line
    assert len(line) < 120
