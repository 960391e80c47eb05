"""Kernels: compiled once, and the same whatever the widths of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.jit import OPTIONS, Kernel, kernel


def _plus(number: int, share: float) -> float:
    return number * 2.0 + share


_inner: Any = Kernel(_plus, targetoptions=OPTIONS)  # nothing kept from an earlier run: versions are counted


def _many(small: np.ndarray, wide: np.ndarray, single: np.ndarray) -> float:
    return float(_inner(3, 0.5) + _inner(-1, 0.25) + _inner(small[0], wide[0]) + _inner(np.int32(7), single[0]))


_outer: Any = Kernel(_many, targetoptions=OPTIONS)


def test_a_kernel_has_one_version_for_integers_of_all_widths_and_constants() -> None:
    small, wide, single = np.array([300], np.int16), np.array([1.5]), np.array([0.25], np.float32)
    expected = 6.5 - 1.75 + 601.5 + 14.25
    assert _outer(small, wide, single) == expected
    assert {str(types) for types in _inner.overloads} == {"(int64, float64)", "(int64, float32)"}
    assert _plus(3, 0.5) == _inner(3, 0.5) == 6.5


def test_divisions_by_zero_are_those_of_numpy() -> None:
    def ratio(above: float, below: float) -> float:
        return above / below

    compiled: Any = kernel(ratio)
    assert compiled(1.0, 0.0) == np.inf
    assert np.isnan(compiled(0.0, 0.0))
