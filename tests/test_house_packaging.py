"""Packaging: the wheel holds what runs, and the service installs and imports without torch and mlflow."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("nextbest-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_packages_data_and_the_gate_and_nothing_called_mlflow(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert top == {"envs", "agents", "evaluation", "training", "serving", "nextbest.py"}
    for name in (
        "evaluation/locale/zh.po",
        "training/promotion.yaml",
        "training/starters/mapping.yaml",
        "envs/worlds/bank/catalogue.yaml",
    ):
        assert name in names


@pytest.mark.slow
def test_the_service_installs_and_imports_without_torch_and_mlflow(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    words = [make, "serving", f"VENV={tmp_path / 'v'}", f"PYTHON={sys.executable}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    python = tmp_path / "v-serving" / "bin" / "python"
    code = (
        "import importlib.util as u, serving.app, agents.artifact\n"
        "print([n for n in ('torch', 'stable_baselines3', 'sb3_contrib', 'mlflow') if u.find_spec(n)])"
    )
    done = subprocess.run([python, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr[-3000:]
    help_ = subprocess.run(
        [python.with_name("nextbest"), "serve", "--help"], capture_output=True, text=True, timeout=60
    )
    assert help_.returncode == 0, help_.stderr[-2000:]
