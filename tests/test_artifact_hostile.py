"""An artifact may come from anybody: whatever is in it, it is a policy or is refused in one line, soon and cheaply."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml
from hostile_kit import fault
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_kit import kit_network, write_kit

from agents.artifact import FILES, load_policy
from agents.artifact_files import DEEPEST, LARGEST_TEXT
from agents.manifest import policy_digest
from envs.errors import InputError


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_kit(tmp_path / "policy")
    return tmp_path / "policy"


# --- the directory


def test_links_pipes_and_folders_are_refused(artifact: Path, tmp_path: Path) -> None:
    network = (artifact / "policy.onnx").rename(tmp_path / "elsewhere.onnx")
    (artifact / "policy.onnx").symlink_to(network)
    assert "policy.onnx: must be a plain file" in fault(artifact)
    (artifact / "policy.onnx").unlink()
    os.mkfifo(artifact / "policy.onnx")
    assert "policy.onnx: must be a plain file" in fault(artifact)
    (artifact / "policy.onnx").unlink()
    (artifact / "policy.onnx").mkdir()
    assert "policy.onnx: must be a plain file" in fault(artifact)


def test_a_manifest_that_is_a_link_or_a_device_is_not_read(artifact: Path) -> None:
    (artifact / "manifest.json").unlink()
    (artifact / "manifest.json").symlink_to("/dev/zero")
    assert "manifest.json: must be a plain file" in fault(artifact)


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_beyond_any_size_are_not_read(artifact: Path, name: str) -> None:
    with (artifact / name).open("r+b") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    assert f"{name}: size == {1 << 40}, must be at most" in fault(artifact)


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_can_be_changed_and_the_policy_be_another(artifact: Path, data: st.DataObject) -> None:
    """Cut short, or with some bytes exchanged, each file is refused, or says what it said before."""
    digest = load_policy(artifact).digest
    file = artifact / data.draw(st.sampled_from(sorted(FILES)))
    raw = file.read_bytes()
    at = data.draw(st.integers(0, len(raw) - 1))
    other = data.draw(st.binary(max_size=8))
    file.write_bytes(raw[:at] + other + raw[at + data.draw(st.integers(0, len(raw))) :])
    said = ""
    try:
        assert load_policy(artifact).digest == digest
    except InputError as refusal:
        said = str(refusal)
    finally:
        file.write_bytes(raw)
    assert "\n" not in said


# --- manifest and books


def rewrite(artifact: Path, text: str) -> None:
    (artifact / "manifest.json").write_text(text, encoding="utf-8", errors="surrogatepass")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"floor": 0.0', '"floor": 0.0, "floor": 0.5', "must be JSON ('floor' stands there twice)"),
        ('"data": "by hand"', '"data": 1, "data": 2', "must be JSON ('data' stands there twice)"),
        ('"floor": 0.0', '"floor": 1e999', "floor == inf, must be"),
        ('"data": "by hand"', '"data": 1e999', "lineage.data.float == inf, must be a finite number"),
        ('"data": "by hand"', '"data": "\\ud800"', "must hold values that can be used"),
        ('"data": "by hand"', f'"data": {"9" * 5000}', "must be JSON"),
        ('"temperature": 1.0', f'"temperature": 1{"0" * 400}', "temperature == "),
        ('"temperature": 1.0', '"temperature": true, "x": 1', "x, is not a field"),
        ('"temperature": 1.0', '"temperature": "warm"', "temperature == 'warm', must be a valid number"),
        ('"data": "by hand"', f'"data": {"[" * 100_000}{"]" * 100_000}', "manifest.json: "),
    ],
)
def test_a_manifest_with_twins_giants_or_abysses_is_refused(artifact: Path, old: str, new: str, said: str) -> None:
    text = (artifact / "manifest.json").read_text(encoding="utf-8")
    assert old in text
    rewrite(artifact, text.replace(old, new))
    assert said in fault(artifact)


@pytest.mark.parametrize("raw", [b"\xff\xfe{}", b'{"a": \xff}', b"{" * 1000])
def test_bytes_that_are_no_text_are_refused(artifact: Path, raw: bytes) -> None:
    (artifact / "manifest.json").write_bytes(raw)
    assert "manifest.json: must be JSON" in fault(artifact)


@pytest.mark.parametrize(
    "field", ["observation_digest", "catalogue_digest", "schema_digest", "rules_digest", "onnx_sha256"]
)
def test_each_digest_is_compared(artifact: Path, field: str) -> None:
    file = artifact / "manifest.json"
    content = json.loads(file.read_text()) | {field: "../../etc/passwd"}
    file.write_text(json.dumps(content | {"policy_digest": policy_digest(content)}))
    assert f"{field} == '../../etc/passwd', must be" in fault(artifact)


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "os:system", "agents.baselines:coordinated_rules"])
def test_a_name_is_never_a_path_or_an_import(artifact: Path, name: str) -> None:
    file = artifact / "manifest.json"
    content = json.loads(file.read_text()) | {"name": name, "kind": "rules", "onnx_sha256": None}
    file.write_text(json.dumps(content | {"policy_digest": policy_digest(content)}))
    (artifact / "policy.onnx").unlink()
    assert "must be one of: coordinated_rules" in fault(artifact)


BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True))


@pytest.mark.parametrize("name", ["catalogue.yaml", "schema.yaml", "rules.yaml"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "must not use aliases, found *a"),
        ("name: " + "[" * 2000 + "]" * 2000, f"must be nested at most {DEEPEST} deep"),
        ("name: " + "9" * 10_000, "holds a value that is not YAML"),
        ("name: 2026-99-99", "holds a value that is not YAML (month must be in 1..12)"),
        ("name: !!python/object/apply:os.system [id]", "is not YAML"),
        ("name: [", "is not YAML"),
        ("name: \0", "line 1, character 7: holds a control character (U+0000)"),
        ("", ".yaml: "),
    ],
)
def test_a_book_that_grows_or_runs_is_refused(artifact: Path, name: str, text: str, said: str) -> None:
    (artifact / name).write_text(text, encoding="utf-8")
    if text or name != "rules.yaml":  # no rules at all are rules
        found = fault(artifact)
        assert said in found
        assert name in found


def test_our_own_books_have_no_aliases(artifact: Path) -> None:
    for name in ("catalogue.yaml", "schema.yaml", "rules.yaml"):
        text = (artifact / name).read_text(encoding="utf-8")
        assert not [event for event in yaml.parse(text) if isinstance(event, yaml.AliasEvent)]
        assert len(text) * 20 < LARGEST_TEXT


def test_what_was_registered_is_what_it_says(artifact: Path) -> None:
    """A network and a manifest that are each right, but not each other's."""
    (artifact / "policy.onnx").write_bytes(kit_network(seed=5))
    found = hashlib.sha256(kit_network(seed=5)).hexdigest()
    assert f"must be {found}" in fault(artifact)
