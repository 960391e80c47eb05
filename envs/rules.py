"""The rule book: rules compiled against a catalogue and a schema, one mask for a batch and for one customer.

Rules are written in YAML (envs/rule_kinds.py, envs/rule_text.py), inherited from level to level (envs/rule_levels.py)
and evaluated by the same kernels everywhere (envs/rule_kernels.py). Silence is always allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from envs.catalogue import Catalogue
from envs.digest import digest_of
from envs.history import History
from envs.profile import profile_fields
from envs.rule_checks import check_names
from envs.rule_compile import compile_book
from envs.rule_kernels import levels_all, mask_all, mask_one, reasons_all
from envs.rule_kinds import Ban, Cap, HandOver, Limit, Ownership, QuietTime, Selection
from envs.rule_levels import load_rules
from envs.rule_tables import Book
from envs.rule_text import Levels, Rules
from envs.schema import Schema

__all__ = [
    "Ban",
    "Book",
    "Cap",
    "HandOver",
    "Levels",
    "Limit",
    "Ownership",
    "QuietTime",
    "RuleBook",
    "Rules",
    "Selection",
    "Situation",
    "load_rules",
    "mask_one",
]


class Situation(NamedTuple):
    """What the rules look at, for a batch."""

    profile: np.ndarray  # (batch, profile fields) float32
    history: History
    trigger: np.ndarray  # (batch,) int, position in schema.triggers, -1: outbound
    busy: np.ndarray | None = None  # (batch,) int, position of the channel on which a delayed contact waits, -1: none


@dataclass(frozen=True)
class RuleBook:
    """Rules compiled against a catalogue and a schema."""

    rules: Rules
    catalogue: Catalogue
    schema: Schema

    def __post_init__(self) -> None:
        check_names(self.rules, self.catalogue, self.schema)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rules, those of the levels below included."""
        return digest_of(self.rules.model_dump(mode="json"))

    @cached_property
    def compiled(self) -> Book:
        """Plain arrays for kernels: see `mask_one`."""
        return self._compiled[0]

    @cached_property
    def _compiled(self) -> tuple[Book, tuple[tuple[str, ...], ...]]:
        return compile_book(self.rules, self.catalogue, self.schema)

    def mask(self, at: Situation) -> np.ndarray:
        """True where a treatment is allowed. -> (batch, treatments) bool."""
        out = np.empty((at.history.batch, len(self.catalogue.treatment_ids)), bool)
        mask_all(self.compiled, at.history, *self._arrays(at), out)
        return out

    def reasons(self, at: Situation) -> list[dict[str, list[str]]]:
        """For each customer: treatment id -> names of the rules that mask it, a lower level's with its name."""
        book, ids, batch = self.compiled, self.catalogue.treatment_ids, at.history.batch
        names = self._shown
        closed = np.zeros((batch, max(map(len, names)), book.words.shape[1]), np.uint64)
        profile, trigger, busy = self._arrays(at)
        reasons_all(book, at.history, profile, trigger, busy, closed)
        levels = np.zeros(batch, np.int64)
        levels_all(book, profile, levels)
        bits = np.unpackbits(closed.astype("<u8").view(np.uint8), axis=2, bitorder="little")
        out: list[dict[str, list[str]]] = [{} for _ in range(batch)]
        for row, treatment, rule in zip(*np.nonzero(bits.transpose(0, 2, 1)), strict=True):
            out[row].setdefault(ids[treatment], []).append(names[levels[row]][rule])
        return out

    @cached_property
    def _shown(self) -> tuple[tuple[str, ...], ...]:
        """For each level: the names of its rules as reasons show them."""
        below = () if self.rules.levels is None else tuple(self.rules.levels.rules.values())
        return tuple(
            tuple(f"{name} ({rules.origins[name]})" if name in rules.origins else name for name in names)
            for rules, names in zip((self.rules, *below), self._compiled[1], strict=True)
        )

    def _arrays(self, at: Situation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Profile, trigger and busy as the kernels take them, which check nothing."""
        batch, history = at.history.batch, at.history
        busy = np.full(batch, -1) if at.busy is None else at.busy
        sizes = (at.profile.shape, at.trigger.shape, busy.shape, history.channel.shape[1], history.product.shape[1])
        channels, products = len(self.catalogue.channel_ids), len(self.catalogue.product_ids)
        if sizes != ((batch, self._fields), (batch,), (batch,), channels, products):
            raise ValueError(f"a situation of sizes {sizes}, must fit {batch} customers of this catalogue and schema")
        profile = np.ascontiguousarray(at.profile, np.float32)
        return profile, np.asarray(at.trigger, np.int64), np.asarray(busy, np.int64)

    @cached_property
    def _fields(self) -> int:
        return sum(1 for _ in profile_fields(self.schema, lambda name, *_: name))
