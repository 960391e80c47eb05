"""Inheritance of rules: headquarters -> region -> branch, where a lower level may only tighten."""

from __future__ import annotations

from pathlib import Path

from envs.config import load_config
from envs.rule_text import Rules


def load_rules(path: Path) -> Rules:
    """Read `rules.yaml`; raise InputError that names file, line, field and need."""
    return load_config(Rules, path)
