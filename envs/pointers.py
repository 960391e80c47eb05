"""Arrays as kernels reach them: a record of addresses and sizes, passed as one pointer.

A step touches some thirty arrays of a world and its customers. Handed to numba one by one, or as a tuple, they are
copied at every call, which costs more than the work itself. So a kernel is handed a record (`reach`) with the address
of each array, and reads element k as `place(DTYPE)(record.name, k)`: a pointer, nothing else. Nothing checks bounds or
lifetimes, therefore records are made here only, from arrays whose type and order are checked, and whoever makes one
keeps the arrays for as long as the record is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

SINGLE, DOUBLE, LONG, BYTE = (np.dtype([("value", kind)]) for kind in ("f4", "f8", "i8", "u1"))


def place(dtype: np.dtype[Any]) -> Any:
    """A kernel (address, k) -> element k, a record of `dtype` that can be read and written."""
    record = numba.from_dtype(dtype)

    @intrinsic
    def element(context: Any, address: Any, k: Any) -> Any:
        def build(target: Any, builder: Any, signature: Any, given: Any) -> Any:
            start = builder.inttoptr(given[0], target.get_value_type(record))
            return builder.gep(start, [given[1]])

        return record(types.uint64, types.int64), build

    return element


single_at, double_at, long_at, byte_at = place(SINGLE), place(DOUBLE), place(LONG), place(BYTE)


def reach_type(arrays: Mapping[str, Any], numbers: Mapping[str, str]) -> np.dtype[Any]:
    """The type of a record of addresses (name -> dtype of the elements) and numbers (name -> kind)."""
    return np.dtype([(name, "u8") for name in arrays] + list(numbers.items()), align=True)


def reach(
    dtype: np.dtype[Any], arrays: Mapping[str, tuple[np.ndarray, Any]], numbers: Mapping[str, float]
) -> np.ndarray:  # (1,) dtype
    """The record. arrays: name -> (array, dtype of its elements)."""
    record = np.zeros(1, dtype)
    for name, (array, kind) in arrays.items():
        record[name] = address(array, kind)
    for name, number in numbers.items():
        record[name] = number
    return record


def address(array: np.ndarray, kind: Any) -> int:
    """Where an array's elements stand; it must be in C order and of the type that kernels will read."""
    expected = np.dtype(kind)
    plain = expected["value"] if expected.names == ("value",) else expected
    if array.dtype != plain or not array.flags.c_contiguous:
        raise TypeError(f"an array of {array.dtype}, must be of {plain} in C order")
    return int(array.__array_interface__["data"][0])
