"""Run directories and files: named, never overwritten, whole or not at all; progress shows only when it takes long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from envs.errors import InputError
from training.runs import atomic_write, progress, run_directory


def test_runs_stand_under_the_runs_folder_and_never_share_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTBEST_RUNS", str(tmp_path))
    first, second = run_directory("train"), run_directory("train")
    assert first != second
    assert first.parent == second.parent == tmp_path
    assert "-train" in first.name
    assert first.is_dir()


def test_a_named_directory_is_used_as_named(tmp_path: Path) -> None:
    assert run_directory("train", tmp_path / "a" / "b") == tmp_path / "a" / "b"
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="must be a directory that can be written"):
        run_directory("train", tmp_path / "file")


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    file = atomic_write(tmp_path / "deep" / "note.txt", "first")
    assert file.read_text(encoding="utf-8") == "first"
    with pytest.raises(TypeError):
        atomic_write(file, 3)  # type: ignore[arg-type]  # neither text nor bytes
    assert file.read_text(encoding="utf-8") == "first"
    assert [path.name for path in file.parent.iterdir()] == ["note.txt"]


def test_progress_is_silent_for_short_work_and_speaks_for_long(capfd: pytest.CaptureFixture[str]) -> None:
    with progress("short work", total=2) as advance:
        advance(1)
    assert capfd.readouterr().err == ""
    with progress("long work", total=2, patience=0.02) as advance:
        time.sleep(0.2)
        advance(1)
    assert "long work" in capfd.readouterr().err
