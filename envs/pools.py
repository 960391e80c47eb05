"""Pools that customers share: what is left of each today, and which treatments nobody can have any more."""

from __future__ import annotations

import numpy as np

from envs.catalogue import Catalogue

PER = 10_000  # customers for whom a pool's capacity is stated
ROUNDING = 1e-9  # of a sum of efforts, in the pool's unit


class Pools:
    """The pools of some customers, say of one region. A daily pool fills up every morning, a stock never.

    Attributes, each (pools,) float64, in the pool's unit:
        capacity   of a day, or of the whole campaign for a stock
        left       of it, now

    stock is (pools,) bool, effort (treatments, pools) float64.
    """

    def __init__(self, catalogue: Catalogue, customers: int, share: float = 1.0) -> None:
        """customers: who share the pools; share: of the catalogue's capacity."""
        self.effort = catalogue.effort
        self.stock = np.array([pool.stock for pool in catalogue.pools], bool)
        self.capacity = np.array([pool.capacity for pool in catalogue.pools]) * (share * customers / PER)
        self.left = self.capacity.copy()

    def morning(self) -> None:
        """A new day: daily pools are full again."""
        self.left[~self.stock] = self.capacity[~self.stock]

    @property
    def lacking(self) -> np.ndarray:  # (pools, treatments) bool
        """Pools without enough left for one contact of a treatment."""
        return self.left[:, None] + ROUNDING < self.effort.T

    def serve(self, treatment: np.ndarray) -> int:
        """Grant one after another until some treatment is lacking that was not before. -> how many, the last counted.

        treatment: (requests,) int, none of which is lacking now
        """
        needing = np.asarray((self.effort > 0).any(axis=1))
        asking = np.flatnonzero(needing[treatment])
        need = self.effort[treatment[asking]]
        fewer = (self.left - need.cumsum(axis=0) + ROUNDING < self._largest(self.lacking)).any(axis=1)
        last = int(fewer.argmax()) + 1 if fewer.any() else len(need)
        self.left = self.left - need[:last].sum(axis=0)
        return int(asking[last - 1]) + 1 if fewer.any() else len(treatment)

    def _largest(self, lacking: np.ndarray) -> np.ndarray:  # (pools,)
        """The largest effort of a treatment that a pool can still give."""
        return np.asarray(np.where(lacking, 0.0, self.effort.T).max(axis=1, initial=0.0))
