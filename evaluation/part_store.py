"""Parts of a log between two passes over them: one is held, several lie in files and are read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from evaluation.part import Part


class _Arrays(Mapping[str, np.ndarray]):
    """Arrays in a file, each read when it is asked for."""

    def __init__(self, file: Path, arrays: Mapping[str, np.ndarray]) -> None:
        np.savez(file, allow_pickle=False, **arrays)
        self._file, self._names = file, tuple(arrays)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        with np.load(self._file, allow_pickle=False) as arrays:
            return np.asarray(arrays[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


class PartStore:
    """Parts in the order of their customers; call it to go through them."""

    def __init__(self, folder: Path | None) -> None:
        """folder: for the files, None: parts are held."""
        self._folder, self._parts = folder, list[Part]()

    def add(self, part: Part) -> None:
        """The next customers."""
        if self._folder is not None:
            part = replace(part, arrays=_Arrays(self._folder / f"part-{len(self._parts):06d}.npz", part.arrays))
        self._parts.append(part)

    def __call__(self) -> Iterator[Part]:
        return iter(self._parts)
