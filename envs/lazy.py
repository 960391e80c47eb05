"""Verbs of a package that load their module on first use, so that importing the package stays light."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


def lazy_verbs(package: str, verbs: Mapping[str, str]) -> Callable[[str], Any]:
    """A module-level `__getattr__` that resolves each name from its module.

    package: the package's `__name__`
    verbs:   name -> module that defines it, e.g. {"train": "training.train"}

    A verb may stand in a submodule of its own name: `training.train` is then always the function, although
    the import system binds submodules to their package (PEP 562 gives the hook, the class below the rule).
    """

    class Package(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            if not (name in verbs and isinstance(value, ModuleType)):
                super().__setattr__(name, value)

    sys.modules[package].__class__ = Package

    def resolve(name: str) -> Any:
        if name not in verbs:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(verbs[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return resolve
