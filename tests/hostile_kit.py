"""Artifacts and networks that mean harm, and what becomes of them."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from serving_kit import CATALOGUE, ENCODER, graph_bytes, kit_network

from agents.artifact import load_policy
from agents.network_file import load_network
from envs.errors import InputError

FIELDS, TREATMENTS = len(ENCODER.fields), len(CATALOGUE.treatment_ids)
FILE = Path("policy.onnx")


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
