"""(Customer, treatment) pairs as features: what the customer is, the state of *that* product and channel, what it is.

Only pairs that the mask allows are ever written down, so that a batch costs what it is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from envs.catalogue import Catalogue
from envs.encoding import CHANNEL_FIELDS, PRODUCT_FIELDS
from envs.observation import Encoder

PAIRS = 400_000  # written at a time: bounds memory
CATEGORIES = 2  # the first columns: product and channel, by position, -1 for silence


@dataclass(frozen=True)
class Pairs:
    """How a catalogue's pairs are written."""

    encoder: Encoder

    @property
    def catalogue(self) -> Catalogue:
        return self.encoder.catalogue

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: categories, own fields, general fields."""
        names = self.encoder.names
        return ("product", "channel", *self.own_names, *(names[k] for k in self.general))

    @property
    def own_names(self) -> tuple[str, ...]:
        """Names of the fields of a pair's own product, channel and treatment."""
        channel, product = ([name for name, *_ in table] for table in (CHANNEL_FIELDS, PRODUCT_FIELDS))
        own = [f"own_channel.{name}" for name in channel] + [f"own_product.{name}" for name in product]
        return ("benefit_cost", "cost", "conflict", *own)

    @cached_property
    def general(self) -> np.ndarray:  # (general fields,) int
        """Columns of the observation that belong to the whole customer, prices left out."""
        names, taken = self.encoder.names, ("channel:", "product:", "price:")
        return np.array([k for k, name in enumerate(names) if not name.startswith(taken)], np.int64)

    def written(self, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        """observation: (batch, fields); row, treatment: (m,) int -> (m, columns) float32."""
        out = np.empty((len(row), len(self.names)), np.float32)
        out[:, 0], out[:, 1] = self.catalogue.product_of[treatment], self.catalogue.channel_of[treatment]
        self._own_into(out[:, CATEGORIES:], observation, row, treatment)
        out[:, CATEGORIES + len(self.own_names) :] = np.ascontiguousarray(observation[:, self.general])[row]
        return out

    def own(self, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> np.ndarray:
        """Only the fields of a pair's own product, channel and treatment. -> (m, own columns) float32."""
        out = np.empty((len(row), len(self.own_names)), np.float32)
        self._own_into(out, observation, row, treatment)
        return out

    def _own_into(self, out: np.ndarray, observation: np.ndarray, row: np.ndarray, treatment: np.ndarray) -> None:
        catalogue = self.catalogue
        product, channel = catalogue.product_of[treatment], catalogue.channel_of[treatment]
        out[:, 0], out[:, 1] = catalogue.benefit_cost[treatment], catalogue.cost[treatment]
        out[:, 2] = self._conflict(observation)[row, product]
        at = 3
        for table, chosen in ((self._channel, channel), (self._product, product)):
            for columns in table:
                out[:, at] = np.where(chosen < 0, 0.0, observation[row, columns[chosen]])
                at += 1

    @cached_property
    def _channel(self) -> np.ndarray:  # (channel fields, channels) int
        names = self.encoder.names
        ids = self.catalogue.channel_ids
        return np.array([[names.index(f"channel:{c}:{f}") for c in ids] for f, *_ in CHANNEL_FIELDS])

    @cached_property
    def _product(self) -> np.ndarray:  # (product fields, products) int
        names = self.encoder.names
        ids = self.catalogue.product_ids
        return np.array([[names.index(f"product:{p}:{f}") for p in ids] for f, *_ in PRODUCT_FIELDS])

    def _conflict(self, observation: np.ndarray) -> np.ndarray:  # (batch, products + 1) float32, the last: silence
        """The strongest trace of an offer of another product that sells."""
        products = self.catalogue.products
        field = [name for name, *_ in PRODUCT_FIELDS].index("offered")
        traces = observation[:, self._product[field]] * np.array([p.selling for p in products], np.float32)
        out = np.zeros((len(observation), len(products) + 1), np.float32)
        for position in range(len(products)):
            others = [k for k in range(len(products)) if k != position]
            out[:, position] = traces[:, others].max(axis=1, initial=0.0)
        return out
