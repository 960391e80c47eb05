"""A policy in MLflow's words: its signature, its tags, and the MLmodel file beside its artifact.

The flavour is `onnx` alone: MLflow then knows how to read the network and has nothing to unpickle. The signature's form
is that of mlflow.models.ModelSignature.to_dict (MLflow 3.17); `import mlflow` stands in training/tracking.py alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import yaml

from agents.artifact import NETWORK
from agents.expiry import last_day
from agents.manifest import Manifest

FILE = "MLmodel"
POLICY = "policy"  # the artifact's folder beside the file


def signature(manifest: Manifest) -> dict[str, str]:
    """Inputs and outputs: observation (batch, fields) float32, mask (batch, treatments) bool -> probabilities."""
    fields, treatments = len(manifest.observation_schema), len(manifest.treatments)
    inputs = [_tensor("observation", "float32", fields), _tensor("mask", "bool", treatments)]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps([_tensor("probabilities", "float32", treatments)])}


def version_tags(manifest: Manifest) -> dict[str, str]:
    """What the registry says of a version: digests, signature, price range, expiry."""
    digests = {key: str(value) for key, value in manifest if value and key.endswith(("_digest", "_sha256"))}
    ends = last_day(manifest)
    tags = {"price_range": json.dumps(manifest.price_range), "signature": json.dumps(signature(manifest))}
    return digests | tags | ({} if ends is None else {"expires": ends.isoformat()})


def write_mlmodel(folder: Path, artifact: Path, manifest: Manifest, beside: Iterable[Path] = ()) -> Path:
    """Lay out what is registered: MLmodel, the artifact in policy/, further files beside them."""
    shutil.copytree(artifact, folder / POLICY)
    for file in beside:
        shutil.copy(file, folder / file.name)
    content: dict[str, object] = {
        "flavors": _flavours(manifest),
        "metadata": {"policy_digest": manifest.policy_digest, "price_range": json.dumps(manifest.price_range)},
        "mlflow_version": version("mlflow"),
        "signature": {**signature(manifest), "params": None},
        "utc_time_created": manifest.created,
    }
    (folder / FILE).write_text(yaml.safe_dump(content, sort_keys=True), encoding="utf-8")
    return folder


def _flavours(manifest: Manifest) -> dict[str, object]:
    """Rules have no network, and no flavour of MLflow."""
    if manifest.kind != "onnx":
        return {}
    network = {"data": f"{POLICY}/{NETWORK}", "onnx_version": version("onnx"), "providers": ["CPUExecutionProvider"]}
    return {"onnx": network}


def _tensor(name: str, kind: str, width: int) -> dict[str, object]:
    return {"name": name, "type": "tensor", "tensor-spec": {"dtype": kind, "shape": [-1, width]}}
