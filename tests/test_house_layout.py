"""The house: packages stand where they should, imports go down, the README tells the truth about the files."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import nextbest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("envs", "agents", "evaluation", "training", "serving")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _tracked(*patterns: str) -> list[str]:
    command = ["git", "ls-files", "--", *patterns]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def _origin(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None, f"{name} is a folder without code: something shadows it"
    return Path(spec.origin).resolve()


@pytest.mark.parametrize("name", [*PACKAGES, "nextbest"])
def test_our_packages_resolve_inside_the_repository(name: str) -> None:
    assert _origin(name).parent.relative_to(ROOT) == Path(name if name in PACKAGES else ".")


def test_mlflow_resolves_outside_the_repository() -> None:
    environment = Path(sys.prefix).resolve()
    assert environment in _origin("mlflow").parents
    assert ROOT / "mlflow" not in _origin("mlflow").parents


def test_no_python_in_mlflow_and_no_package_in_tests() -> None:
    assert not [file for file in (ROOT / "mlflow").rglob("*") if file.suffix in (".py", ".pyc", ".ipynb")]
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not [path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"]


def test_imports_go_down_and_mlflow_stands_in_one_file() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("package", ["envs", "evaluation", "serving", "agents"])
def test_floors_import_without_torch_mlflow_and_babel(package: str) -> None:
    names = [
        ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")
        for file in _tracked(f"{package}/*.py")
        if package != "agents" or Path(file).stem in ("__init__", "policy", "artifact", "manifest", "baselines")
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(*sorted({'torch', 'stable_baselines3', 'sb3_contrib', 'mlflow', 'babel'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("\n", 0), done.stderr[-2000:]


def test_readme_names_the_two_commands_and_the_environment() -> None:
    for word in ("make demo", "make test", "nextbest/Bank-v0"):
        assert word in README


def _row(file: str) -> str:
    """The row that the file map lacks, with the first line of the module as its phrase."""
    text = ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or ""
    phrase = text.partition("\n")[0].rstrip(".")
    return f"| `{file}` | {phrase[:1].lower()}{phrase[1:]} |"


def test_the_file_map_names_every_file_with_a_phrase() -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.{8,}) \|$", README, flags=re.MULTILINE))
    missing = [_row(file) for file in _tracked("*.py") if not file.startswith("tests/") and file not in rows]
    assert missing == [], "rows to add to the file map in README.md:\n" + "\n".join(missing)
    assert [file for file in rows if not (ROOT / file).exists()] == []


def test_every_pinned_version_is_exact_and_portable() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.!\-]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
    assert len({pin.partition("==")[0].lower().replace("_", "-") for pin in pins}) == len(pins)


def test_the_service_is_required_nothing_that_the_package_does_not_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {re.split(r"[<>=\[ ]", text)[0].lower() for text in project["dependencies"]}
    lines = (ROOT / "serving" / "requirements.txt").read_text(encoding="utf-8").lower().splitlines()
    service = {line for line in lines if line and not line.startswith("#")}
    assert service < base
    assert not service & {"torch", "stable-baselines3", "sb3-contrib", "mlflow"}


def test_continuous_integration_makes_a_fresh_environment_and_calls_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert text.rstrip().endswith("make test")
    assert "mktemp -d" in text


def test_mlflow_project_names_verbs_that_exist() -> None:
    project = yaml.safe_load((ROOT / "mlflow" / "MLproject").read_text(encoding="utf-8"))
    verbs = {verb.name for verb in nextbest.VERBS}
    for name, entry in project["entry_points"].items():
        assert name in verbs
        assert f"nextbest {name}" in entry["command"]
