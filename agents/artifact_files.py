"""The files of an artifact before anything is read from them: plain, of a size, and YAML that does not grow.

An artifact may come from anybody. A link would lead out of its directory, a pipe would wait for ever, an alias in YAML
can stand for a billion nodes, and a number of a million digits is none that a policy needs.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from envs.errors import InputError

LARGEST_TEXT = 8 << 20  # bytes of a manifest or a book; assumed: a hundred times the built-in bank's
DEEPEST = 40  # nested lists and mappings; assumed: five times what a book has
# Of values that no rule of a book names, and of characters that YAML does not know.
FAULTS = (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, yaml.YAMLError)

T = TypeVar("T")


def check_plain(directory: Path, largest: int) -> None:
    """Every entry is a file of its own, no larger than `largest` bytes, texts than LARGEST_TEXT."""
    for entry in sorted(directory.iterdir()):
        found = entry.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError("must be a plain file: no link, folder or pipe", file=entry)
        most = LARGEST_TEXT if entry.suffix in (".json", ".yaml") else largest
        if found.st_size > most:
            raise InputError(f"must be at most {most >> 20} MiB", file=entry, field="size", value=found.st_size)


def read_book(load: Callable[[Path], T], file: Path) -> T:
    """What `load` makes of a YAML file that is plain; InputError for whatever is wrong with it."""
    _check_yaml(file)
    return guarded(lambda: load(file), file)


def guarded(make: Callable[[], T], file: Path) -> T:
    """What `make` makes of a file's content; InputError where its values are such that nothing can be made of them."""
    try:
        return make()
    except InputError:
        raise
    except FAULTS as fault:
        reason = " ".join(str(fault).split())[:120] or type(fault).__name__
        raise InputError(f"must hold values that can be used ({reason})", file=file) from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are each there once; ValueError otherwise: readers differ in which one they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands there twice")
    return found


def _check_yaml(file: Path) -> None:
    """No aliases, and nothing nested too deeply; what is no YAML at all is for the reader to say."""
    depth = 0
    try:
        for event in yaml.parse(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.AliasEvent):
                raise InputError(f"must not use aliases, found *{event.anchor}", file=file)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise InputError(f"must be nested at most {DEEPEST} deep", file=file)
    except yaml.YAMLError:
        return
