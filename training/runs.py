"""Where a verb writes: run directories, files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from envs.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota, limit of a file's size


def runs_root() -> Path:
    """The folder of all runs: $NEXTBEST_RUNS, else runs/ in the working directory; absolute."""
    return Path(os.environ.get("NEXTBEST_RUNS", "runs")).absolute()


def run_directory(verb: str, out: Path | None = None) -> Path:
    """The directory a verb writes into, created: `out`, else runs/<time>-<verb>/."""
    directory = out if out is not None else unused_directory(verb)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        need = f"must be a directory that can be written ({fault.strerror})"
        raise InputError(need, file=directory, field="out") from None
    return directory


def check_writable(directory: Path | None) -> None:
    """Refuse, before any work, a place where nothing could be written; nothing is created. None: under runs/"""
    place = (runs_root() if directory is None else directory).absolute()
    there = next(one for one in (place, *place.parents) if one.exists())
    if not there.is_dir():
        raise InputError(f"must be a directory that can be written ({there} is a file)", file=place, field="out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"must be a directory that can be written ({there} is closed)", file=place, field="out")


def unused_directory(verb: str) -> Path:
    """A name for a verb's outputs that nothing has yet: runs/<time>-<verb>; not created."""
    root, stem = runs_root(), f"{datetime.now():%Y%m%d-%H%M%S}-{verb}"
    names = [stem, *(f"{stem}-{n}" for n in range(2, 1000))]
    return next(root / name for name in names if not (root / name).exists())


class NotWritten(InputError, OSError):
    """A file could not be written; what stood there before still does."""

    def __init__(self, fault: OSError, file: Path, size: int) -> None:
        InputError.__init__(self, _room(fault, size), file=file)
        self.errno, self.strerror = fault.errno, fault.strerror

    def __str__(self) -> str:
        return str(InputError(self.need, file=self.file))

    def __reduce__(self) -> tuple[object, ...]:
        return InputError(self.need, file=self.file).__reduce__()


def atomic_write(path: Path, data: str | bytes) -> Path:
    """Write a file that readers see whole or not at all: a temporary file beside it, synced, then renamed.

    NotWritten, which names file and need, where the disk is full or the folder cannot be written.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as fault:
        raise NotWritten(fault, path, len(raw)) from None
    return path


def write_picture(path: Path, figure: Figure) -> Path:
    """Write a figure as PNG, whole or not at all."""
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    return atomic_write(path, picture.getvalue())


def write_frame(path: Path, frame: pl.DataFrame) -> Path:
    """Write a frame as Parquet, whole or not at all."""
    content = BytesIO()
    frame.write_parquet(content)
    return atomic_write(path, content.getvalue())


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a loss of power; some file systems have no such thing for folders (EINVAL, fsync(2))."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as fault:
        if fault.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _room(fault: OSError, size: int) -> str:
    wanted = f"must have room for {max(1, round(size / 1024)):,} KiB" if fault.errno in FULL else "must be written"
    return f"{wanted} ({fault.strerror}); what stood there before still does"
