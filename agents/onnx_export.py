"""Export of a trained network as ONNX."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from agents.network import Exported, ScoringPolicy


def export_onnx(policy: ScoringPolicy, temperature: float, floor: float) -> bytes:
    """The policy's network, with temperature and floor, as the bytes of an ONNX file with a free batch axis."""
    scorer = policy.mlp_extractor
    graph = Exported(scorer, temperature, floor).eval()  # type: ignore[arg-type]  # typed as MlpExtractor by the library
    fields, treatments = policy.features_dim, scorer.latent_dim_pi
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
        return path.read_bytes()


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
