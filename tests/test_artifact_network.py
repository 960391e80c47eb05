"""A network may come from anybody: what could harm is refused before it runs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hostile_kit import FIELDS, ONE, TREATMENTS, flat, model, refused
from onnx import TensorProto, helper

from agents.onnx_guard import LARGEST, NAMES, OPERATORS, OPSETS, TYPES


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
