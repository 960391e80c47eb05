"""What a network may be made of: a look into an ONNX file before anything runs it.

Only operators that end, give the same answer each time and need nothing outside the file: no loops, no branches, no
draws, no operators of other domains, no functions. Only numbers that stand in the file as they are: nothing sparse,
nothing larger than the file, no NaN. Numbers of fields: onnx.proto, IR version 10.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agents.onnx_file import fields_of, points_outside, varint

LARGEST = 64 << 20  # bytes of the file; assumed: a hundred times what a training here writes
MOST_NODES = 5000  # assumed: a hundred times what an export here has
OPSETS = (13, 28)  # from the first with today's Softmax to the last that was looked through
TYPES = {1: "<f4", 2: "|u1", 3: "|i1", 6: "<i4", 7: "<i8", 9: "|b1", 10: "<f2", 11: "<f8"}  # TensorProto.DataType
NAMES = """
    Abs Add And ArgMax ArgMin BatchNormalization Cast CastLike Ceil Clip Concat Constant ConstantOfShape CumSum Div
    Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual
    HardSigmoid HardSwish Identity LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max Mean Min Mod
    Mul Neg Not OneHot Or PRelu Pad Pow Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape RMSNormalization Round ScatterElements
    ScatterND Selu Shape Sigmoid Sign Size Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Swish Tanh
    ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
"""
OPERATORS = frozenset(NAMES.split())
NATIVE = ("", "ai.onnx")  # names of ONNX's own domain


class Refused(ValueError):
    """The file holds what a policy's network may not."""


def check_network(raw: bytes) -> None:
    """Raise Refused, saying what would be right, for what may not be run; ValueError for bytes that are no model."""
    if len(raw) > LARGEST:
        raise Refused(f"must be at most {LARGEST >> 20} MiB, is {len(raw) >> 20}")
    if points_outside(raw):
        raise Refused("must hold all of its tensors, found one that lies in another file")
    versions, nodes = [], 0
    for number, content in fields_of(memoryview(raw)):
        if number in (20, 25):  # training_info, functions
            raise Refused("must hold one graph alone, found functions or training of its own")
        if number == 8:
            versions.append(_opset(_message(content)))
        if number == 7:
            nodes += _graph(_message(content), len(raw))
    if len(versions) != 1:
        raise Refused(f"must name the operators of ONNX once, found {len(versions)} times")
    if nodes > MOST_NODES:
        raise Refused(f"must have at most {MOST_NODES} operators, has {nodes}")


def _opset(opset: memoryview) -> int:
    version = 0
    for number, content in fields_of(opset):
        if number == 1 and _text(content) not in NATIVE:
            raise Refused(f"must use ONNX's own operators alone, found domain {_text(content)!r}")
        version = content if number == 2 and isinstance(content, int) else version
    if not OPSETS[0] <= version <= OPSETS[1]:
        raise Refused(f"must be of opset {OPSETS[0]} to {OPSETS[1]}, is of {version}")
    return version


def _graph(graph: memoryview, size: int) -> int:
    """Check a graph of a file of `size` bytes; the number of its nodes."""
    nodes = 0
    for number, content in fields_of(graph):
        if number == 1:
            nodes += 1
            _node(_message(content), size)
        elif number == 5:
            _tensor(_message(content), size)
        elif number == 15:
            raise Refused("must hold its tensors in full, found a sparse one")
    return nodes


def _node(node: memoryview, size: int) -> None:
    for number, content in fields_of(node):
        if number == 7 and _text(content) not in NATIVE:
            raise Refused(f"must use ONNX's own operators alone, found one of domain {_text(content)!r}")
        if number == 4 and _text(content) not in OPERATORS:
            raise Refused(f"must use operators that end and give one answer, found {_text(content)!r}")
        if number == 5:
            _attribute(_message(content), size)


def _attribute(attribute: memoryview, size: int) -> None:
    for number, content in fields_of(attribute):
        if number in (6, 11):
            raise Refused("must have no graphs inside operators")
        if number in (22, 23):
            raise Refused("must hold its tensors in full, found a sparse one")
        if number in (5, 10):
            _tensor(_message(content), size)


def _tensor(tensor: memoryview, size: int) -> None:
    """Its type is known, its numbers are no more than the file can hold, and each is one."""
    kind, count = 1, 1
    for number, content in fields_of(tensor):
        if number == 2 and isinstance(content, int):
            kind = content
        if number == 1:
            for dimension in _integers(content):
                count *= dimension
    if kind not in TYPES:
        raise Refused(f"must hold numbers of usual types, found type {kind}")
    if count > size:
        raise Refused(f"must hold its tensors in full, found one that claims {count:.3g} numbers")
    packed = {4: "<f4", 10: "<f8", 9: TYPES[kind]}  # float_data, double_data, raw_data
    for number, content in fields_of(tensor):
        if number in packed and isinstance(content, memoryview) and np.dtype(packed[number]).kind == "f":
            whole = len(content) // np.dtype(packed[number]).itemsize * np.dtype(packed[number]).itemsize
            if np.isnan(np.frombuffer(content[:whole], packed[number])).any():
                raise Refused("must hold numbers, found NaN among its weights")


def _integers(content: memoryview | int) -> Iterator[int]:
    """A repeated integer, one by one or packed."""
    if isinstance(content, int):
        yield content
        return
    at = 0
    while at < len(content):
        value, at = varint(content, at)
        yield value


def _message(content: memoryview | int) -> memoryview:
    if isinstance(content, int):
        raise ValueError("a number where a message belongs")
    return content


def _text(content: memoryview | int) -> str:
    return bytes(_message(content)).decode("utf-8", "replace")[:40]
