"""Run directories and files: named, never overwritten, whole or not at all; progress shows only when it takes long."""

from __future__ import annotations

import errno
import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from envs.errors import InputError
from training.progress import progress
from training.runs import atomic_write, run_directory

ROOT = Path(__file__).resolve().parent.parent


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


WRITE = """
import json, os, resource, sys
from pathlib import Path
from training.runs import atomic_write
file, size, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
atomic_write(file, b"first")
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    atomic_write(file, bytes(size))
    said = ""
except ValueError as fault:
    said = [type(fault).__name__, str(fault), fault.errno]
print(json.dumps([said, file.read_bytes().decode(), os.listdir(file.parent)]))
"""


def _written(words: list[str], file: Path, size: int, limit: int) -> list[Any]:
    done = subprocess.run(
        [*words, sys.executable, "-c", WRITE, str(file), str(size), str(limit)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def test_a_file_that_grows_beyond_its_limit_leaves_the_old_one(tmp_path: Path) -> None:
    said, kept, beside = _written([], tmp_path / "state.bin", 1 << 20, 64 << 10)
    line = f"{tmp_path}/state.bin: must have room for 1,024 KiB (File too large); what stood there before still does"
    assert said == ["NotWritten", line, errno.EFBIG]
    assert (kept, beside) == ("first", ["state.bin"])


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    """A disk of 64 KiB, in a name space of its own."""
    inside = f'mount -t tmpfs -o size=64k none {tmp_path} && exec "$@"'
    small = ["unshare", "--map-root-user", "--mount", "sh", "-c", inside, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*small, "true"], capture_output=True).returncode != 0:
        pytest.skip("a disk of its own cannot be mounted here")
    said, kept, beside = _written(small, tmp_path / "state.bin", 1 << 20, 0)
    need = "must have room for 1,024 KiB (No space left on device); what stood there before still does"
    assert said == ["NotWritten", f"{tmp_path}/state.bin: {need}", errno.ENOSPC]
    assert (kept, beside) == ("first", ["state.bin"])


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"file/note\.txt: must be written \(.*\)") as said:
        atomic_write(tmp_path / "file" / "note.txt", "x")
    assert isinstance(said.value, OSError)
    assert str(pickle.loads(pickle.dumps(said.value))) == str(said.value)


def test_an_interrupt_leaves_a_whole_file(tmp_path: Path) -> None:
    """Stopped by Ctrl-C while it is written again and again, the file is one of those that were written."""
    words = (
        "import sys; from pathlib import Path; from training.runs import atomic_write\n"
        "for i in range(10**9): atomic_write(Path(sys.argv[1]), f'{i} ' * 20_000)"
    )
    for wait in (0.05, 0.11, 0.17):
        file = tmp_path / f"{wait}" / "state"
        writer = subprocess.Popen([sys.executable, "-c", words, str(file)], cwd=ROOT, stderr=subprocess.DEVNULL)
        while not file.exists():
            time.sleep(0.005)
        time.sleep(wait)
        writer.send_signal(signal.SIGINT)
        writer.wait(20)
        numbers = file.read_text(encoding="utf-8").split()
        assert len(numbers) == 20_000
        assert len(set(numbers)) == 1


def test_progress_is_silent_for_short_work_and_speaks_for_long(capfd: pytest.CaptureFixture[str]) -> None:
    with progress("short work", total=2) as advance:
        advance(1)
    assert capfd.readouterr().err == ""
    with progress("long work", total=2, patience=0.02) as advance:
        time.sleep(0.2)
        advance(1)
        advance.now("figures of the moment")
    assert "long work" in capfd.readouterr().err


def test_lines_that_stay_are_shown_with_long_work_in_their_order(capfd: pytest.CaptureFixture[str]) -> None:
    with progress("short work") as bar:
        bar.keep("nobody waits for this")
    assert capfd.readouterr().err == ""
    with progress("long work", patience=0.02) as bar:
        bar.keep("first [0.1, 0.2]")
        time.sleep(0.2)
        bar.keep("second")
    assert capfd.readouterr().err.split("\n") == ["long work …", "first [0.1, 0.2]", "second", ""]
