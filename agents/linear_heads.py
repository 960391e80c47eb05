"""The linear predictors of response heads inside a network: one matrix over fields and products of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from envs.features import CONFLICT, LATENT, Factor
from envs.response import CompiledHead
from envs.world import World

Key = tuple[int, ...]  # columns whose product is meant, rising; () is the constant


class LinearHeads(nn.Module):
    """eta of every treatment by some heads of a world, hidden states at their mean: 0."""

    _columns: torch.Tensor  # (factors, terms) int, of the observation, then conflicts, then the constant
    _weights: torch.Tensor  # (terms, heads x treatments)
    _offered: torch.Tensor  # (selling,) int, fields `offered`
    _others: torch.Tensor  # (products, selling) bool, True where it is another product's

    def __init__(self, world: World, heads: Mapping[str, CompiledHead]) -> None:
        """heads: by name; those per product are asked for each treatment's own"""
        super().__init__()
        catalogue, width = world.catalogue, len(world.encoder.names)
        self.names, self.treatments = tuple(heads), len(catalogue.treatment_ids)
        places: dict[Key, int] = {}
        entries: list[tuple[int, int, float]] = []
        for number, head in enumerate(heads.values()):
            option = catalogue.product_of if head.head.per == "product" else np.arange(self.treatments)
            for place, treatment, weight in _entries(head, option, width, places):
                entries.append((place, number * self.treatments + treatment, weight))
        weights = np.zeros((len(places), len(heads) * self.treatments))
        for place, column, weight in entries:
            weights[place, column] += weight
        constant = width + len(catalogue.products)
        deepest = max(map(len, places))
        columns = np.array([key + (constant,) * (deepest - len(key)) for key in places]).T
        selling = [k for k, product in enumerate(catalogue.products) if product.selling]
        names = world.encoder.names
        offered = [names.index(f"product:{catalogue.product_ids[k]}:offered") for k in selling]
        others = np.arange(len(catalogue.products))[:, None] != np.array(selling)
        self.register_buffer("_columns", torch.as_tensor(columns), persistent=False)
        self.register_buffer("_weights", torch.as_tensor(weights, dtype=torch.float32), persistent=False)
        self.register_buffer("_offered", torch.as_tensor(offered, dtype=torch.int64), persistent=False)
        self.register_buffer("_others", torch.as_tensor(others), persistent=False)

    def forward(self, observation: torch.Tensor) -> dict[str, torch.Tensor]:
        """(batch, fields) -> by head, (batch, treatments)."""
        offered = observation.index_select(1, self._offered)
        conflict = torch.where(self._others, offered[:, None], 0.0).amax(dim=2)
        seen = torch.cat([observation, conflict, torch.ones_like(observation[:, :1])], dim=1)
        terms = seen.index_select(1, self._columns[0])
        for columns in self._columns[1:]:
            terms = terms * seen.index_select(1, columns)
        etas = (terms @ self._weights).reshape(-1, len(self.names), self.treatments)
        return {name: etas[:, k] for k, name in enumerate(self.names)}


def _entries(
    head: CompiledHead, option: np.ndarray, width: int, places: dict[Key, int]
) -> list[tuple[int, int, float]]:
    """(term, treatment, weight) of one head; new products of columns get a place. option: (treatments,), -1: none"""
    found = []
    for term, feature in zip(head.head.terms, head.features, strict=True):
        if any(factor.source == LATENT for factor in feature.factors):
            continue
        for treatment, own in enumerate(option):
            weight = term.value * float(feature.weights[own]) if own >= 0 else 0.0
            columns = [_column(factor, int(own), width) for factor in feature.factors]
            if weight and min(columns, default=0) >= 0:
                place = places.setdefault(tuple(sorted(columns)), len(places))
                found.append((place, treatment, weight))
    return found


def _column(factor: Factor, option: int, width: int) -> int:
    """Of a factor for an option, among the observation's columns and the conflicts after them; -1: its value is 0."""
    column = int(factor.columns[option])
    return column + width if factor.source == CONFLICT and column >= 0 else column
