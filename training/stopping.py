"""A training that is stopped says how to go on with it: nothing that it learned is lost."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envs.errors import InputError


def again(directory: Path) -> str:
    """The command that goes on with a training."""
    return f"nextbest train --resume {shlex.quote(str(directory))}"


@contextmanager
def interruptible(file: Path) -> Iterator[None]:
    """An interrupt of the block names the command that goes on, once the training's configuration stands in `file`."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"; go on with: {again(file.parent)}" if file.is_file() else ""
        raise KeyboardInterrupt(f"interrupted{kept}") from None


@contextmanager
def learned(directory: Path) -> Iterator[None]:
    """What comes after learning: a full disk or a store that is gone is an InputError that names the command, too."""
    kept = f"what was learned is kept, go on with: {again(directory)}"
    try:
        yield
    except InputError as fault:
        need = f"{fault.need}; {kept}"
        raise InputError(need, file=fault.file, field=fault.field, value=fault.value, row=fault.row) from None
    except OSError as fault:
        need = f"must be written ({fault.strerror or fault}); {kept}"
        raise InputError(need, file=fault.filename or directory) from None
