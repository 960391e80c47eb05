"""The README's commands: all parse, and the fenced ones run in their order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import nextbest
from envs.flags import config_from_flags

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = [line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
INDENTED = re.findall(r"^    (nextbest .+)$", README, re.MULTILINE)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def _configured(line: str) -> tuple[str, object]:
    """The verb that a command names, and the configuration it builds."""
    words = shlex.split(line, comments=True)[1:]
    verb = max((v for v in nextbest.VERBS if words[: len(v.name.split())] == v.name.split()), key=lambda v: len(v.name))
    _, bound, _ = nextbest.build(words).parse_args(words, print_error=False, exit_on_error=False)
    flags = dict(bound.arguments)
    return verb.name, config_from_flags(nextbest.resolve(verb.config), flags, verb.fixed)


@pytest.mark.parametrize("line", [*FENCED, *INDENTED])
def test_every_command_names_a_verb_and_fields_that_exist(line: str) -> None:
    name, config = _configured(line)
    assert line.startswith(f"nextbest {name}")
    assert config is not None


def test_there_are_commands_to_test() -> None:
    verbs = {_configured(line)[0] for line in [*FENCED, *INDENTED]}
    assert {"simulate", "calibrate", "train", "evaluate", "apply", "promote", "serve", "decide"} <= verbs


@pytest.mark.slow
@pytest.mark.parametrize("code", PYTHON)
def test_python_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_commands_of_the_readme_run_in_their_order(tmp_path: Path) -> None:
    binaries = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "NEXTBEST_RUNS": str(tmp_path)}
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        environment.pop(variable, None)
    for line in FENCED:
        done = subprocess.run(
            shlex.split(line), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "runs/" in done.stdout
    assert (tmp_path / "runs" / "report" / "report.html").stat().st_size > 1000
