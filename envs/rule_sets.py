"""Tables of a compiled rule book in the making, and the sets of treatments that rules choose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from envs.catalogue import Catalogue
from envs.profile import profile_fields
from envs.rule_kinds import Selection
from envs.schema import Schema


@dataclass
class Compiler:
    """Tables in the making."""

    catalogue: Catalogue
    schema: Schema
    words: list[np.ndarray] = field(default_factory=list)  # rows of (treatments,) bool
    gates: list[tuple[int, ...]] = field(default_factory=list)
    clauses: list[tuple[float, ...]] = field(default_factory=list)
    hand_overs: list[tuple[int, ...]] = field(default_factory=list)
    marks: list[np.ndarray] = field(default_factory=list)
    ints: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = len(self.catalogue.treatment_ids)
        self.fields = list(profile_fields(self.schema, lambda name, *_: name))
        self.columns = {column.name: column for column in self.schema.columns}
        products = self.catalogue.products
        self.verifying = self.of_products(p.id for p in products if p.clears_hold)
        self.outbound = self.of_channels(c.id for c in self.catalogue.channels if c.inbound is None)

    def of_products(self, ids: Iterable[str]) -> np.ndarray:  # (treatments,) bool
        wanted = set(ids)
        return np.array([False, *(t.product in wanted for t in self.catalogue.treatments)])

    def of_channels(self, ids: Iterable[str]) -> np.ndarray:  # (treatments,) bool
        wanted = set(ids)
        return np.array([False, *(t.channel in wanted for t in self.catalogue.treatments)])

    def row(self, treatments: np.ndarray) -> int:
        """Keep a set of treatments, (treatments,) bool. -> its row"""
        self.words.append(treatments)
        return len(self.words) - 1

    def list_of(self, values: Iterable[int]) -> tuple[int, int]:
        """Keep a list of integers. -> its first position and its size"""
        first = len(self.ints)
        self.ints += [int(value) for value in values]
        return first, len(self.ints) - first

    def channels_of(self, chosen: Selection, inbound: bool) -> np.ndarray:
        """Channels of a selection, inbound ones only where they are asked for or named. -> (channels,) bool"""
        return np.array(
            [
                (not chosen.channels or c.id in chosen.channels)
                and (not chosen.families or c.family in chosen.families)
                and (inbound or c.inbound is None or c.id in chosen.channels)
                for c in self.catalogue.channels
            ]
        )

    def treatments_of(self, chosen: Selection, inbound: bool = True) -> np.ndarray:
        """The treatments of a selection. -> (treatments,) bool"""
        channels = self.channels_of(chosen, inbound)
        return np.array(
            [
                False,
                *(
                    bool(channels[c])
                    and (not chosen.treatments or t.id in chosen.treatments)
                    and (not chosen.products or t.product in chosen.products)
                    and (not chosen.benefits or t.benefit in chosen.benefits)
                    for t, c in zip(self.catalogue.treatments, self.catalogue.channel_of[1:], strict=True)
                ),
            ]
        )
