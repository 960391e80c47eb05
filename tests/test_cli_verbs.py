"""The command line: help is light and complete, flags and files agree, bad input is one line and exit code 2."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nextbest
from envs.config import Config, describe
from envs.errors import InputError
from envs.flags import config_from_flags
from envs.lazy import lazy_verbs
from training.configs import EvaluateConfig, TrainConfig

HEAVY = {
    "torch",
    "stable_baselines3",
    "sb3_contrib",
    "mlflow",
    "polars",
    "scipy",
    "sklearn",
    "matplotlib",
    "onnxruntime",
}
NAMES = [verb.name for verb in nextbest.VERBS]


class Ranged(Config):
    """A pair of numbers."""

    span: tuple[float, float] = (0.0, 1.0)
    """From, to."""


def _python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", [["--help"], *([*name.split(), "--help"] for name in ("train", "import starbucks"))])
def test_help_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    code = (
        "import json, sys, nextbest\n"
        f"code = nextbest.run({words!r})\n"
        "print(json.dumps([code, sorted({m.partition('.')[0] for m in sys.modules})]), file=sys.stderr)"
    )
    done = _python(code, tmp_path)
    exit_code, modules = json.loads(done.stderr.splitlines()[-1])
    assert exit_code == 0
    assert not HEAVY & set(modules)


def test_top_help_lists_every_verb_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert nextbest.run(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in nextbest.VERBS:
        assert f" {verb.name.split()[0]} " in out
        assert verb.page.splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_verb_teaches(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb = next(verb for verb in nextbest.VERBS if verb.name == name)
    assert nextbest.run([*name.split(), "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for word in ("Reads:", "Writes:", "Example: nextbest " + name, "--config", "--set"):
        assert word in out
    for row in describe(nextbest.resolve(verb.config)):
        if row.field not in (*verb.fixed, *verb.hidden):
            assert "--" + row.field.replace("_", "-").split(".")[0] in out
        assert len(row.sentence) > 8, f"{name}: {row.field} has no sentence"


@pytest.mark.parametrize("name", NAMES)
def test_every_verb_is_an_importable_call(name: str) -> None:
    verb = next(verb for verb in nextbest.VERBS if verb.name == name)
    assert callable(nextbest.resolve(verb.call))


def test_flags_win_over_the_file_and_set_wins_over_flags(tmp_path: Path) -> None:
    file = tmp_path / "training.yaml"
    file.write_text("world: w\nsteps: 1\nenvs: 2\nclip: 0.1\n", encoding="utf-8")
    flags = {"config_file": file, "envs": "3", "clip": "0.3", "overrides": ["clip=0.4"]}
    config = config_from_flags(TrainConfig, flags, {})
    assert (config.steps, config.envs, config.clip) == (1, 3, 0.4)


def test_flags_read_pairs_mappings_lists_and_none() -> None:
    flags: dict[str, Any] = {"tables": "t", "policy": ["a", "b"], "pool_prices": "{branch: 2}", "world": "none"}
    config = config_from_flags(EvaluateConfig, flags, {})
    assert (config.policy, config.pool_prices, config.world) == ([Path("a"), Path("b")], {"branch": 2.0}, None)
    words = {"tables": "t", "pool_prices": "branch=2, agents=0.5", "overrides": ["settings.effect=0.1"]}
    assert config_from_flags(EvaluateConfig, words, {}).pool_prices == {"branch": 2.0, "agents": 0.5}
    assert config_from_flags(Ranged, {"span": "0, 5"}, {}).span == (0.0, 5.0)
    assert config_from_flags(Ranged, {"span": "[1, 2]"}, {}).span == (1.0, 2.0)


@pytest.mark.parametrize(
    ("words", "need"),
    [
        ("branch", "must read name=value"),
        ("branch=2,", "must read name=value"),
        ("branch=1,branch=2", "must name each of them once"),
        ("branch=two", "must be a valid number"),
    ],
)
def test_a_mapping_in_words_that_cannot_be_read_is_refused(words: str, need: str) -> None:
    with pytest.raises(InputError, match=f"^pool_prices.*{need}"):
        config_from_flags(EvaluateConfig, {"tables": "t", "pool_prices": words}, {})


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["evaluate"], "nextbest: tables, must be given"),
        (["evaluate", "t", "--seed", "-3"], "seed == '-3', must be greater than or equal to 0"),
        (["evaluate", "t", "--set", "sead=1"], "sead, is not a field, must be one of: tables, "),
        (["evaluate", "t", "--set", "seed"], "--set == 'seed', must read key=value"),
        (["evaluate", "t", "--config", "no.yaml"], "no.yaml: cannot be read"),
        (["evaluate", "t", "--sead", "1"], "Unknown option: --sead"),
        (["traan"], 'Unknown command "traan"'),
        (["import", "starbucks"], "source, must be given"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nextbest.run(words) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.startswith("nextbest: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_interrupt_ends_with_130(tmp_path: Path) -> None:
    code = (
        "import os, signal, threading, time, sys, nextbest, training\n"
        "def init(config):\n"
        "    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    time.sleep(20)\n"
        "training.init = init\n"
        "sys.exit(nextbest.run(['init', 'x']))"
    )
    done = _python(code, tmp_path)
    assert done.returncode == 130
    assert done.stderr == "nextbest: interrupted\n"


def test_verbs_stay_functions_after_their_module_was_imported() -> None:
    module = importlib.import_module("training.promote")
    training = importlib.import_module("training")
    assert training.promote is module.promote


def test_lazy_package_refuses_unknown_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        lazy_verbs("training", {})("fly")
