"""A network in an ONNX file, checked against what the manifest says, run by onnxruntime on one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from agents.bounded import memory_bounded, time_bounded
from agents.onnx_guard import Refused, check_network
from envs.errors import InputError

Network = Callable[[np.ndarray, np.ndarray], np.ndarray]  # observation, mask -> float32 (batch, treatments)
SUM_TOLERANCE = 1e-3  # of a float32 row of probabilities; assumed
TRIALS = 256  # decisions of the trial
MEMORY = 1 << 30  # bytes that loading and trying may take; assumed: a hundred times what a network of a training takes
SECONDS = 20.0  # that the trial may take; assumed: a thousand times what it does
UNFOLDED = ["ConstantFolding"]
REFUSALS = (
    faults.Fail,
    faults.InvalidArgument,
    faults.InvalidGraph,
    faults.InvalidProtobuf,
    faults.NoModel,
    faults.NotImplemented,
    faults.RuntimeException,
    MemoryError,
    UnicodeDecodeError,  # of a name in the file that is no text
)


def load_network(raw: bytes, fields: int, treatments: int, file: Path) -> Network:
    """The network as a function, after it was looked through, and has answered a trial rightly within bounds.

    raw: the ONNX file; fields, treatments: widths of `observation` and `mask`; file: for error messages
    """
    try:
        check_network(raw)
    except Refused as fault:
        raise InputError(str(fault), file=file) from None
    except ValueError as fault:
        raise InputError(f"must be an ONNX model ({fault})", file=file) from None
    with memory_bounded(MEMORY):
        trial = _session(raw, file, UNFOLDED)  # folding runs operators; the trial runs them first, and can be stopped
        _check_ports(trial, fields, treatments, file)
        _try(trial, fields, treatments, file)
        session = _session(raw, file)

    def network(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(["probabilities"], {"observation": observation, "mask": mask})[0])

    return network


def _session(raw: bytes, file: Path, without: list[str] | None = None) -> Any:
    """without: optimisations that are not made."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # faults are raised; nothing needs to be printed as well
    try:
        return onnxruntime.InferenceSession(
            raw, options, providers=["CPUExecutionProvider"], disabled_optimizers=without, enable_fallback=False
        )
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


def _try(session: Any, fields: int, treatments: int, file: Path) -> None:
    """Decisions on any observations, some with everything allowed, some with silence alone: each a distribution."""
    random = np.random.default_rng(0)
    observation = random.normal(0, 3, (TRIALS, fields)).astype(np.float32)
    observation[:2] = 0
    mask = random.random((TRIALS, treatments)) < random.random((TRIALS, 1))
    mask[0], mask[1], mask[:, 0] = True, False, True
    answer = _answered(session, observation, mask, file)
    if answer.shape != mask.shape:
        raise InputError(f"must be {mask.shape} in a trial", file=file, field="probabilities", value=answer.shape)
    sums = answer.sum(axis=1)
    wrong = np.flatnonzero(~(np.abs(sums - 1) < SUM_TOLERANCE))  # also catches NaN
    if wrong.size:
        value = float(sums[wrong[0]])
        raise InputError("must sum to 1 in a trial decision", file=file, field="probabilities", value=value)
    if answer[~mask].any() or (answer < 0).any():
        worst = float(answer[~mask].max(initial=0.0))
        need = "must be 0 where masked in a trial decision"
        raise InputError(need, file=file, field="probabilities", value=worst)


def _answered(session: Any, observation: np.ndarray, mask: np.ndarray, file: Path) -> np.ndarray:
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4

    def stop() -> None:
        options.terminate = True

    try:
        with time_bounded(SECONDS, stop):
            asked = {"observation": observation, "mask": mask}
            return np.asarray(session.run(["probabilities"], asked, options)[0])
    except REFUSALS as fault:
        late = f"within {SECONDS:g} s and {MEMORY >> 20} MiB"
        raise InputError(f"must answer {TRIALS} trial decisions {late} ({_short(fault)})", file=file) from None


def _short(fault: Exception) -> str:
    return " ".join(str(fault).split())[:160]
