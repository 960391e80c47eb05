"""Memory that is kept: a process that was told so meets its freed pages again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from training.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def work():
    for _ in range(200):
        several = [np.ones(200_000) for _ in range(4)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_pages_are_not_asked_for_again() -> None:
    faults = {}
    for said in ("kept", "usual"):
        run = subprocess.run(
            [sys.executable, "-c", COUNT, said], capture_output=True, text=True, check=True, timeout=60
        )
        faults[said] = int(run.stdout)
    assert faults["kept"] < 0.1 * faults["usual"], faults
