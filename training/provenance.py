"""Provenance: who ran a verb, with which code and which packages."""

from __future__ import annotations

import getpass
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

from evaluation.origin import CHANGED, UNKNOWN

HERE = Path(__file__).resolve()
GIT_SECONDS = 20  # assumed: git has told the state of a working tree by then, also on a slow disk
PROJECT = "nextbest"


@dataclass(frozen=True)
class Code:
    """The state of the code that runs."""

    commit: str | None  # None: not known
    dirty: bool | None  # files differ from the commit; None: not known
    missing: str = ""  # why it is not known

    def __str__(self) -> str:
        if self.commit is None:
            return UNKNOWN.format(why=self.missing)
        return CHANGED.format(commit=self.commit) if self.dirty else self.commit


def login_name() -> str:
    """Who runs this process, as the system knows them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return f"uid {os.getuid()}"


def code(file: Path = HERE) -> Code:
    """The commit that a source file belongs to, and whether its working tree has other changes."""
    try:
        commit = _git(file.parent, "rev-parse", "HEAD")
        _git(file.parent, "ls-files", "--error-unmatch", file.name)  # a repository that merely surrounds the package
        return Code(commit, bool(_git(file.parent, "status", "--porcelain")))
    except FileNotFoundError:
        return Code(None, None, "git is not installed")
    except subprocess.CalledProcessError:
        return Code(None, None, "the code is not in a git repository")
    except (OSError, subprocess.TimeoutExpired) as fault:
        return Code(None, None, f"git did not answer: {fault}")


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=GIT_SECONDS
    )
    return done.stdout.strip()


def main_packages() -> dict[str, str]:
    """Version of this project, of Python and of every package that the project itself asks for."""
    try:
        asked = [line for line in requires(PROJECT) or () if "extra ==" not in line]
    except PackageNotFoundError:  # run from a folder of sources alone
        asked = []
    names = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in asked]
    found = {name: installed for name in (PROJECT, *names) if (installed := _version(name))}
    return {"python": platform.python_version(), **found}


def all_packages() -> str:
    """Every installed distribution as `name==version`, one a line: a requirements file."""
    found = {dist.metadata["Name"]: dist.version for dist in distributions() if dist.metadata["Name"]}
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found, key=str.casefold))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
