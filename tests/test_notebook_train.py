"""The notebook on training, from top to bottom: what its cells computed, not just that they ran."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "train_a_policy.ipynb"
PROBE = """
print(json.dumps({
    "reached": reached["ppo"].to_list(), "myopic": reached["myopic"].to_list(), "cross": cross.tolist(),
    "annoyance": annoyance, "same": again.manifest.onnx_sha256 == run.manifest.onnx_sha256,
    "gains": run.validations["gain"].to_list(),
}))
"""


@pytest.mark.slow
def test_the_notebook_trains_dials_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = tmp_path / "jupyter" / "kernels" / "here"
    kernel.mkdir(parents=True)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": launch, "display_name": "here", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("NEXTBEST_RUNS", str(tmp_path / "runs"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import json\n" + PROBE))
    NotebookClient(
        notebook, timeout=900, kernel_name="here", resources={"metadata": {"path": NOTEBOOK.parent}}
    ).execute()
    found: dict[str, Any] = json.loads(notebook.cells[-1].outputs[0]["text"])
    assert max(found["gains"]) > found["gains"][0]  # better than what was imitated
    assert all(0.3 < share <= 1 + 1e-9 for share in found["reached"])
    assert found["reached"][1] > found["myopic"][1]
    assert found["annoyance"][0] > 2 * found["annoyance"][-1]
    cross = np.array(found["cross"])
    told_right = np.diag(cross)
    assert (told_right >= cross[:, 0] - 0.5)[1:].all()  # being told that annoyance is free does not pay
    assert found["same"]
