"""Export of a trained network as ONNX."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from agents.network import Exported, ScoringPolicy

PARITY = 1e-5  # largest difference of probabilities from the network
STATES = 10_000  # random states on which they are compared


def export_onnx(policy: ScoringPolicy, temperature: float, floor: float) -> bytes:
    """The policy's network, with temperature and floor, as the bytes of an ONNX file with a free batch axis."""
    scorer = policy.mlp_extractor
    graph = Exported(scorer, temperature, floor).eval()  # type: ignore[arg-type]  # typed as MlpExtractor by the library
    return export_graph(graph, policy.features_dim, scorer.latent_dim_pi)


def export_graph(graph: torch.nn.Module, fields: int, treatments: int) -> bytes:
    """Any module (observation, mask) -> probabilities, checked on random states."""
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
        raw = path.read_bytes()
    _check_parity(raw, graph, fields, treatments)
    return raw


def _check_parity(raw: bytes, graph: torch.nn.Module, fields: int, treatments: int) -> None:
    """The file must say what the network says, on random states; RuntimeError where it does not."""
    random = torch.Generator().manual_seed(0)
    observation = torch.rand(STATES, fields, generator=random)
    mask = torch.rand(STATES, treatments, generator=random) < 0.5
    mask[:, 0] = True  # silence is always allowed
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
