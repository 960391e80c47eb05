"""An artifact may come from anybody: whatever is in it, it is a policy or is refused in one line, soon and cheaply."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from serving_kit import CATALOGUE, ENCODER, graph_bytes, kit_network, network_bytes, write_kit

from agents import network_file
from agents.artifact import FILES, load_policy
from agents.artifact_files import DEEPEST, LARGEST_TEXT
from agents.bounded import memory_bounded, time_bounded
from agents.manifest import policy_digest
from agents.network_file import load_network
from agents.onnx_guard import LARGEST, NAMES, OPERATORS, OPSETS, TYPES, check_network
from envs.errors import InputError

FIELDS, TREATMENTS = len(ENCODER.fields), len(CATALOGUE.treatment_ids)
FILE = Path("policy.onnx")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_kit(tmp_path / "policy")
    return tmp_path / "policy"


def fault(path: Path) -> str:
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_policy(path)
    assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused(model: onnx.ModelProto | bytes) -> str:
    raw = model if isinstance(model, bytes) else model.SerializeToString()
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(InputError) as caught:
        load_network(raw, FIELDS, TREATMENTS, FILE)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    return str(caught.value)


def model(raw: bytes | None = None) -> onnx.ModelProto:
    return onnx.load_from_string(raw or kit_network())


def flat(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """The same probability for everything allowed, times whatever the nodes make of `scale`."""
    mine = [
        *nodes,
        helper.make_node("Cast", ["mask"], ["open"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["open", "scale"], ["scaled"]),
        helper.make_node("ReduceSum", ["scaled", "axes"], ["total"], keepdims=1),
        helper.make_node("Div", ["scaled", "total"], ["probabilities"]),
    ]
    return model(graph_bytes(mine, {"axes": np.array([1]), **constants}, FIELDS, TREATMENTS))


ONE = helper.make_node("Constant", [], ["scale"], value=onnx.numpy_helper.from_array(np.float32(1)))


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
        ("name: " + "9" * 10_000, "must hold values that can be used"),
        ("name: 2026-99-99", "must hold values that can be used"),
        ("name: !!python/object/apply:os.system [id]", "is not YAML"),
        ("name: [", "is not YAML"),
        ("name: \0", "special characters are not allowed"),
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


# --- the network, before it runs


def test_a_network_that_is_too_large_is_refused() -> None:
    assert "must be at most 64 MiB" in refused(bytes(LARGEST + 1))


def test_tensors_that_claim_more_than_the_file_holds_are_refused() -> None:
    huge = model()
    huge.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    assert "found one that claims 1.21e+24 numbers" in refused(huge)
    minus = model()
    minus.graph.initializer[0].dims[:] = [-1]
    assert "found one that claims" in refused(minus)


def test_sparse_tensors_are_refused() -> None:
    values = helper.make_tensor("weights", TensorProto.FLOAT, [1], [1.0])
    sparse = helper.make_sparse_tensor(values, helper.make_tensor("at", TensorProto.INT64, [1], [3]), [10**6, 10**6])
    one = model()
    one.graph.sparse_initializer.append(sparse)
    assert "found a sparse one" in refused(one)
    node = helper.make_node("Constant", [], ["loose"], sparse_value=sparse)
    assert "found a sparse one" in refused(flat(ONE, node))


def test_operators_of_others_are_refused() -> None:
    mine = model()
    mine.graph.node[0].domain = "com.example"
    assert "found one of domain 'com.example'" in refused(mine)
    imported = model()
    imported.opset_import.append(helper.make_opsetid("com.example", 1))
    assert "found domain 'com.example'" in refused(imported)
    unknown = model()
    unknown.graph.node[0].op_type = "Backdoor"
    assert "found 'Backdoor'" in refused(unknown)


def test_functions_and_trainings_of_its_own_are_refused() -> None:
    mine = model()
    body = [helper.make_node("Relu", ["x"], ["y"])]
    mine.functions.append(helper.make_function("mine", "f", ["x"], ["y"], body, [helper.make_opsetid("", 17)]))
    assert "must hold one graph alone" in refused(mine)
    trained = model()
    trained.training_info.add()
    assert "must hold one graph alone" in refused(trained)


@pytest.mark.parametrize("version", [0, 7, 12, 99, 1 << 40])
def test_an_opset_that_nobody_looked_through_is_refused(version: int) -> None:
    other = model()
    other.opset_import[0].version = version
    assert f"must be of opset {OPSETS[0]} to {OPSETS[1]}, is of {version}" in refused(other)


def test_operators_without_or_with_two_opsets_are_refused() -> None:
    none, two = model(), model()
    del none.opset_import[:]
    two.opset_import.append(helper.make_opsetid("", 17))
    assert "found 0 times" in refused(none)
    assert "found 2 times" in refused(two)


def loop() -> onnx.NodeProto:
    """Turns for ever: the condition stays true and the number of turns is left open."""
    ports = [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", 9, [])]
    outs = [helper.make_tensor_value_info("still", 9, [])]
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["still"])], "body", ports, outs)
    return helper.make_node("Loop", ["", "forever"], [], body=body)


def branch() -> onnx.NodeProto:
    out = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [])]
    inner = helper.make_graph([helper.make_node("Constant", [], ["out"], value_float=1.0)], "inner", [], out)
    return helper.make_node("If", ["forever"], ["scale"], then_branch=inner, else_branch=inner)


@pytest.mark.parametrize("node", [loop(), branch()])
def test_loops_and_branches_are_refused(node: onnx.NodeProto) -> None:
    assert f"found {node.op_type!r}" in refused(flat(ONE, node, forever=np.array(True)))
    node.op_type = "Identity"  # as a harmless operator, a graph inside is still one
    assert "must have no graphs inside operators" in refused(flat(ONE, node, forever=np.array(True)))


@pytest.mark.parametrize("name", ["RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"])
def test_operators_that_draw_are_refused(name: str) -> None:
    assert f"found '{name}'" in refused(flat(ONE, helper.make_node(name, ["scale"], ["drawn"])))


def test_every_operator_that_is_let_through_exists_and_holds_no_graph() -> None:
    known = {schema.name: schema for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    assert set(known) >= OPERATORS
    assert len(NAMES.split()) == len(OPERATORS)
    graphs = (onnx.defs.OpSchema.AttrType.GRAPH, onnx.defs.OpSchema.AttrType.GRAPHS)
    for name in OPERATORS:
        assert all(attribute.type not in graphs for attribute in known[name].attributes.values()), name
    assert set(TYPES) <= set(TensorProto.DataType.values())


@pytest.mark.parametrize("where", ["initializer", "constant", "float_data"])
def test_weights_that_are_no_numbers_are_refused(where: str) -> None:
    weights = np.ones((FIELDS, TREATMENTS), np.float32)
    weights[3, 2] = np.nan
    tensor = onnx.numpy_helper.from_array(weights, "weights")
    bad = model()
    if where == "constant":
        bad.graph.node.append(helper.make_node("Constant", [], ["loose"], value=tensor))
    else:
        if where == "float_data":
            tensor = helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel().tolist())
        bad.graph.initializer[0].CopyFrom(tensor)
    assert "found NaN among its weights" in refused(bad)


def test_infinite_weights_are_found_by_trying() -> None:
    weights = np.full((FIELDS, TREATMENTS), np.inf, np.float32)
    bad = model()
    bad.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, "weights"))
    assert "must sum to 1 in a trial decision" in refused(bad)


def test_texts_and_other_types_are_refused() -> None:
    words = model()
    words.graph.initializer.append(helper.make_tensor("words", TensorProto.STRING, [1], [b"rm -rf"]))
    assert "must hold numbers of usual types" in refused(words)


def test_a_network_of_very_many_operators_is_refused() -> None:
    many = [helper.make_node("Identity", ["scale"], [f"x{i}"]) for i in range(5001)]
    assert "must have at most 5000 operators" in refused(flat(ONE, *many))


# --- the network, as it runs


def test_a_network_that_takes_memory_without_end_is_refused() -> None:
    """Ten billion numbers out of one: as a constant, and as a broadcast of weights that do stand in the file."""
    filled = helper.make_node("ConstantOfShape", ["size"], ["filled"])
    total = helper.make_node("ReduceSum", ["filled"], ["sum"], keepdims=0)
    scale = helper.make_node("Exp", ["sum"], ["scale"])
    said = refused(flat(filled, total, scale, size=np.array([10**10])))
    assert "must answer 256 trial decisions within 20 s and 1024 MiB" in said
    row, column = np.ones((1, 50_000), np.float32), np.ones((50_000, 1), np.float32)
    outer = helper.make_node("Mul", ["column", "row"], ["outer"])
    largest = helper.make_node("ReduceMax", ["outer"], ["scale"], keepdims=0)
    assert "1024 MiB" in refused(flat(outer, largest, row=row, column=column))


def test_a_network_that_takes_time_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices that are small to hold and long to multiply, again and again."""
    monkeypatch.setattr(network_file, "SECONDS", 0.5)
    ones = helper.make_node("ConstantOfShape", ["size"], ["m0"], value=helper.make_tensor("v", 1, [1], [1e-4]))
    powers = [helper.make_node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(200)]
    scale = helper.make_node("ReduceMax", ["m200"], ["scale"], keepdims=0)
    started = time.monotonic()
    assert "must answer 256 trial decisions within 0.5 s" in refused(
        flat(ones, *powers, scale, size=np.array([1500] * 2))
    )
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("low", [0.0, 5.0])
def test_a_network_that_goes_wrong_for_some_observations_is_found(low: float) -> None:
    """Half of all, or one in twenty, make it answer with the square root of less than nothing."""
    nodes = [
        helper.make_node("Slice", ["observation", "zero", "one", "one"], ["first"]),
        helper.make_node("Add", ["first", "low"], ["above"]),
        helper.make_node("Sqrt", ["above"], ["scale"]),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "low": np.array([low], np.float32)}
    assert "must sum to 1 in a trial decision" in refused(flat(*nodes, **constants))


def test_a_harmless_network_passes() -> None:
    flat_network = load_network(flat(ONE).SerializeToString(), FIELDS, TREATMENTS, FILE)
    answer = flat_network(np.zeros((3, FIELDS), np.float32), np.ones((3, TREATMENTS), np.bool_))
    np.testing.assert_allclose(answer, 1 / TREATMENTS, rtol=1e-6)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_network_or_refused(data: st.DataObject) -> None:
    raw = kit_network()
    for _ in range(data.draw(st.integers(1, 3))):
        at, gone = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 30))
        raw = raw[:at] + data.draw(st.binary(max_size=6)) + raw[at + gone :]
    said = ""
    try:
        network = load_network(raw, FIELDS, TREATMENTS, FILE)
        answer = network(np.zeros((1, FIELDS), np.float32), np.ones((1, TREATMENTS), np.bool_))
        assert answer.sum() == pytest.approx(1, abs=1e-3)
    except InputError as refusal:
        said = str(refusal)
    assert "\n" not in said


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_network_that_is_cut_short_is_refused(share: float) -> None:
    raw = network_bytes(FIELDS, TREATMENTS)
    assert "policy.onnx: must be" in refused(raw[: int(share * len(raw))]) or share == 0.0


def test_what_was_registered_is_what_it_says(artifact: Path) -> None:
    """A network and a manifest that are each right, but not each other's."""
    (artifact / "policy.onnx").write_bytes(kit_network(seed=5))
    found = hashlib.sha256(kit_network(seed=5)).hexdigest()
    assert f"must be {found}" in fault(artifact)


# --- the bounds themselves


def test_memory_is_bounded_inside_and_free_after() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), memory_bounded(64 << 20):
        np.ones(1 << 28)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert np.ones(1 << 20).sum() == 1 << 20


def test_time_is_bounded_and_what_is_quick_is_left_alone() -> None:
    stopped: list[bool] = []
    with time_bounded(0.05, lambda: stopped.append(True)):
        time.sleep(0.3)
    assert stopped == [True]
    with time_bounded(0.2, lambda: stopped.append(True)):
        pass
    time.sleep(0.3)
    assert stopped == [True]


def test_bytes_that_say_nothing_are_no_model() -> None:
    with pytest.raises(ValueError, match="found 0 times"):
        check_network(b"")
