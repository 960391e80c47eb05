"""A network in an ONNX file, checked against what the manifest says, run by onnxruntime on one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from agents.onnx_file import points_outside
from envs.errors import InputError

Network = Callable[[np.ndarray, np.ndarray], np.ndarray]  # observation, mask -> float32 (batch, treatments)
SUM_TOLERANCE = 1e-3  # of a float32 row of probabilities; assumed
REFUSALS = (
    faults.Fail,
    faults.InvalidArgument,
    faults.InvalidGraph,
    faults.InvalidProtobuf,
    faults.NoModel,
    faults.NotImplemented,
    faults.RuntimeException,
)


def load_network(raw: bytes, fields: int, treatments: int, file: Path) -> Network:
    """The network as a function, after it has answered a trial rightly.

    raw: the ONNX file; fields, treatments: widths of `observation` and `mask`; file: for error messages
    """
    try:
        if points_outside(raw):
            raise InputError("must hold all of its tensors, found one that lies in another file", file=file)
    except ValueError as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(f"must be an ONNX model ({fault})", file=file) from None
    session = _session(raw, file)
    _check_ports(session, fields, treatments, file)

    def network(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(["probabilities"], {"observation": observation, "mask": mask})[0])

    _try(network, fields, treatments, file)
    return network


def _session(raw: bytes, file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # faults are raised; nothing needs to be printed as well
    try:
        return onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except REFUSALS as fault:
        raise InputError(f"must be an ONNX model that onnxruntime can run ({_short(fault)})", file=file) from None


def _check_ports(session: Any, fields: int, treatments: int, file: Path) -> None:
    """Names, types and shapes of inputs and outputs."""
    needs = {
        "observation": ("tensor(float)", fields),
        "mask": ("tensor(bool)", treatments),
        "probabilities": ("tensor(float)", treatments),
    }
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = (sorted(port.name for port in inputs), [port.name for port in outputs])
    if names != (["mask", "observation"], ["probabilities"]):
        need = "must map observation and mask to probabilities, and have no other inputs and outputs"
        raise InputError(need, file=file, field="inputs, outputs", value=", ".join(names[0] + names[1]))
    for port in (*inputs, *outputs):
        kind, width = needs[port.name]
        free = len(port.shape) == 2 and not isinstance(port.shape[0], int)
        if port.type != kind or not free or port.shape[1] != width:
            found = f"{port.type} {port.shape}"
            raise InputError(f"must be {kind} of shape [batch, {width}]", file=file, field=port.name, value=found)


def _try(network: Network, fields: int, treatments: int, file: Path) -> None:
    """Two decisions, one with everything allowed, one with silence alone: the answers must be distributions."""
    mask = np.ones((2, treatments), np.bool_)
    mask[1, 1:] = False
    try:
        answer = network(np.zeros((2, fields), np.float32), mask)
    except REFUSALS as fault:
        raise InputError(f"must answer a trial decision ({_short(fault)})", file=file) from None
    sums = answer.sum(axis=1)
    if not (np.abs(sums - 1) < SUM_TOLERANCE).all():  # also catches NaN
        raise InputError("must sum to 1 in a trial decision", file=file, field="probabilities", value=float(sums[0]))
    if answer[~mask].any() or (answer < 0).any():
        worst = float(answer[~mask].max(initial=0.0))
        need = "must be 0 where masked in a trial decision"
        raise InputError(need, file=file, field="probabilities", value=worst)


def _short(fault: Exception) -> str:
    return " ".join(str(fault).split())[:160]
