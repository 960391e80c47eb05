"""Export of a trained network as ONNX."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from agents.network import Exported, ScoringPolicy
from agents.random_states import States

PARITY = 1e-5  # largest difference of probabilities from the network
STATES = 10_000  # random states on which they are to be compared


def export_onnx(policy: ScoringPolicy, temperature: float, floor: float, states: States) -> bytes:
    """The policy's network, with temperature and floor, as the bytes of an ONNX file with a free batch axis.

    states: random ones, on which both must say the same
    """
    scorer = policy.mlp_extractor
    graph = Exported(scorer, temperature, floor).eval()  # type: ignore[arg-type]  # typed as MlpExtractor by the library
    return export_graph(graph, states)


def export_graph(graph: torch.nn.Module, states: States) -> bytes:
    """Any module (observation, mask) -> probabilities, checked on random states."""
    fields, treatments = states.observation.shape[1], states.mask.shape[1]
    example = (torch.zeros(2, fields), torch.ones(2, treatments, dtype=torch.bool))
    batch = torch.export.Dim("batch", min=1)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "policy.onnx"
        torch.onnx.export(
            graph,
            example,
            str(path),
            input_names=["observation", "mask"],
            output_names=["probabilities"],
            dynamic_shapes={"observation": {0: batch}, "mask": {0: batch}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        raw = _without_origins(onnx.load(path))
    _check_parity(raw, graph, torch.as_tensor(states.observation), torch.as_tensor(states.mask))
    return raw


def _without_origins(model: onnx.ModelProto) -> bytes:
    """Without the exporter's notes on where nodes come from: paths of this machine, that would change the digest."""
    parts = [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info]
    for part in [*parts, *model.graph.initializer, *model.functions]:
        part.ClearField("metadata_props")
    return bytes(model.SerializeToString(deterministic=True))


def _check_parity(raw: bytes, graph: torch.nn.Module, observation: torch.Tensor, mask: torch.Tensor) -> None:
    """The file must say what the network says, on random states; RuntimeError where it does not."""
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    exported = session.run(None, {"observation": observation.numpy(), "mask": mask.numpy()})[0]
    with torch.no_grad():
        apart = float(np.abs(exported - graph(observation, mask).numpy()).max())
    if not apart <= PARITY:
        raise RuntimeError(
            f"the exported network differs from the trained one by {apart:.2g}, must be at most {PARITY}"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own internals and of torchvision's absence."""
    talk = logging.getLogger("torch.onnx")
    level = talk.level
    talk.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        talk.setLevel(level)
