"""Adding: records of sums over customers, put together part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field, fields
from functools import reduce
from typing import Any, TypeVar

import numpy as np

Record = TypeVar("Record")
LARGEST: dict[str, Any] = {"join": np.maximum}  # metadata of a field: the larger of two is kept, element by element
SMALLEST: dict[str, Any] = {"join": np.minimum}  # the smaller; other fields are added


def added(several: Iterable[Record]) -> Record:
    """One record of several dataclasses of the same kind, field by field; a field that is None stays None.

    Fields hold numbers, arrays of one shape, or tuples of such records.
    """
    return reduce(_two, several)


def _two(a: Record, b: Record) -> Record:
    return type(a)(**{f.name: _joined(f, getattr(a, f.name), getattr(b, f.name)) for f in fields(a)})  # type: ignore[arg-type]


def _joined(told: Field[Any], a: Any, b: Any) -> Any:
    join = told.metadata.get("join", np.add)
    if a is None or b is None:
        return None
    if isinstance(a, tuple):
        return tuple(_two(x, y) for x, y in zip(a, b, strict=True))
    return a + b if join is np.add else join(a, b)
