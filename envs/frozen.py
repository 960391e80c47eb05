"""Frozen worlds: `VERSION.yaml` says which version a world is, why, and the digest of everything that makes it.

A world on which policies are compared must not move under them. What is frozen: the content of each YAML file (comments
and layout are free) and the parameters of the baselines that belong to the world. A change needs a new version and a
reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from envs.config import Config, load_config
from envs.digest import digest_of
from envs.errors import InputError

NAME = "VERSION.yaml"
FILES = ("catalogue.yaml", "schema.yaml", "rules.yaml", "silo_rules.yaml", "coefficients.yaml", "population.yaml")


class Past(Config):
    """An earlier version."""

    version: int = Field(ge=1)
    date: date
    reason: str = Field(min_length=1, description="Why it was made, and what became of it.")


class Version(Config):
    """What a world was frozen as."""

    version: int = Field(ge=1)
    date: date
    reason: str = Field(min_length=1, description="Why this version was made.")
    files: dict[str, str] = Field(description="File -> SHA-256 of its content.")
    baselines: dict[str, str] = Field(default_factory=dict, description="Baseline -> SHA-256 of its parameters.")
    history: tuple[Past, ...] = Field((), description="Earlier versions, oldest first.")

    @property
    def digest(self) -> str:
        """SHA-256 of all that is frozen, whatever it is called and why it was made."""
        return digest_of({"files": self.files, "baselines": self.baselines})

    def __str__(self) -> str:
        return f"version {self.version}, frozen on {self.date}"


def load_version(folder: Path) -> Version:
    """Read `VERSION.yaml` of a world."""
    return load_config(Version, folder / NAME)


def digests(folder: Path) -> dict[str, str]:
    """File -> digest of its content, of those files of a world that are there."""
    found = [name for name in FILES if (folder / name).is_file()]
    return {name: digest_of(_plain(yaml.safe_load((folder / name).read_text(encoding="utf-8")))) for name in found}


def parameters_digests(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Baseline -> digest of its parameters, plain values."""
    return {name: digest_of(_plain(values)) for name, values in parameters.items()}


def check_frozen(folder: Path, parameters: Mapping[str, Any]) -> Version:
    """Raise an InputError that names what differs from the frozen world. parameters: baseline -> plain values."""
    frozen = load_version(folder)
    for field, was, now in (
        ("files", frozen.files, digests(folder)),
        ("baselines", frozen.baselines, parameters_digests(parameters)),
    ):
        for name in sorted({*was, *now}):
            if was.get(name) != now.get(name):
                need = f"differs from {frozen}: a change needs a new version and a reason (envs.frozen.freeze)"
                raise InputError(
                    need, file=folder / NAME, field=f"{field}.{name}", value=(now.get(name) or "gone")[:12]
                )
    return frozen


def freeze(folder: Path, parameters: Mapping[str, Any], reason: str, day: date) -> Version:
    """Write the next version of a world as it stands; the last one goes into its history."""
    last = load_version(folder) if (folder / NAME).is_file() else None
    history = () if last is None else (*last.history, Past(version=last.version, date=last.date, reason=last.reason))
    number = 1 if last is None else last.version + 1
    frozen = Version(
        version=number,
        date=day,
        reason=reason,
        files=digests(folder),
        baselines=parameters_digests(parameters),
        history=history,
    )
    temporary = folder / f".{NAME}"
    text = yaml.safe_dump(frozen.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder / NAME)
    return frozen


def _plain(value: Any) -> Any:
    """Values that JSON knows: dates as words, ranges and tuples as lists, keys as words."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(part) for part in value]
    return value.isoformat() if isinstance(value, date) else value
