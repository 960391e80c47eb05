"""Kernels: loops over customers that numba compiles, one thread, no fast-math, so that a customer's bits stay the same.

Compiled code is kept in a cache beside the user's other caches, in a folder named after the sources of `envs`: a kernel
that calls one of another file is compiled anew when that file changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba import types
from numba.core.registry import CPUDispatcher

P = ParamSpec("P")
R = TypeVar("R")


def _cache() -> Path:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    name = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "nextbest" / f"kernels-{name}"


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(_cache())  # type: ignore[attr-defined]
OPTIONS: dict[str, Any] = {"nopython": True, "error_model": "numpy", "_nrt": False}


class Kernel(CPUDispatcher):
    """A function that numba compiles once, whatever the widths of the integers with which other kernels call it.

    numba by itself compiles a version for every width, and for every constant.
    """

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """The version for a call from a kernel: its integers are converted to 64 bits."""
        return super().get_call_template([_wide(a) for a in args], {name: _wide(a) for name, a in kws.items()})


def _wide(kind: Any) -> Any:
    plain = types.unliteral(kind)  # type: ignore[no-untyped-call]
    return types.int64 if isinstance(plain, types.Integer) and plain in types.signed_domain else plain


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function on its first call. Divisions by zero give inf or nan, as in numpy.

    References are not counted, so a kernel makes no arrays: it writes into those that it is handed.
    """
    compiled = Kernel(function, targetoptions=OPTIONS)
    compiled.enable_caching()
    return cast(Callable[P, R], compiled)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """A small kernel that others call often: put into the place of the call by the compiler."""
    return cast(Callable[P, R], Kernel(function, targetoptions=OPTIONS | {"forceinline": True}))
