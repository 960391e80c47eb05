"""What may stand in an ONNX file: a look into its bytes before anything runs them.

A tensor of an ONNX file may point to another file on disk ("external data"), and a runtime would read that file. An
artifact holds all of its numbers, so such a pointer is refused. The walk follows the wire format of protocol buffers
(https://protobuf.dev/programming-guides/encoding) through the messages of onnx.proto that can hold a tensor; it needs
no library.
"""

from __future__ import annotations

from collections.abc import Iterator

EXTERNAL_DATA, DATA_LOCATION = 13, 14  # fields of TensorProto
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
DEEPEST = 64  # nested graphs; assumed: far more than any exporter writes

# Message -> number of a field -> the message in it (onnx.proto, IR version 10).
CHILDREN: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}


def points_outside(raw: bytes) -> bool:
    """True if a tensor of the model lies in another file. Raises ValueError for bytes that are not a model."""
    return _outside(memoryview(raw), "ModelProto", 0)


def _outside(message: memoryview, kind: str, depth: int) -> bool:
    if depth > DEEPEST:
        raise ValueError("graphs nested too deeply")
    children = CHILDREN.get(kind, {})
    for number, content in fields_of(message):
        if kind == "TensorProto" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and content)):
            return True
        inner = children.get(number)
        if inner and isinstance(content, memoryview) and _outside(content, inner, depth + 1):
            return True
    return False


def fields_of(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and content of each field: bytes, or the value of a varint."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = varint(message, at)
            yield number, value
            continue
        if wire == BYTES:
            size, at = varint(message, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("cut short")
        if wire == BYTES:
            yield number, message[at : at + size]
        at += size


def varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("cut short")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
