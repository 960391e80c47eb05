"""What was asked of a region's pools on a day, what of it was granted and refused, and what it cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from agents.clearing import Cleared
from agents.turns import Turns
from envs.pools import Pools
from envs.prices import Prices, prices_from
from envs.world import World
from evaluation.shadow import Shadow


class Ledger:
    """What was asked of the pools on a day."""

    def __init__(self, world: World, pools: Pools, told: Prices | None, cleared: Cleared | None) -> None:
        """told: prices that stay as they are, None: the schema's; cleared: today's, where they are found anew."""
        self._effort, self._pools, self._catalogue = pools.effort, pools, world.catalogue
        self._prices, self._cleared = told or prices_from(None, world.catalogue, world.schema), cleared
        self._had = pools.left.copy()
        self._refused = np.zeros(len(pools.left))
        self._requests = np.zeros(len(pools.left), np.int64)

    def note(self, turns: Turns, alive: np.ndarray) -> None:
        """Requests that a pool lacked the effort for, at their turn."""
        for pool in range(len(self._refused)):
            lacking = turns.short[pool] & alive[:, None]
            self._refused[pool] += self._effort[turns.wanted[lacking], pool].sum()
            self._requests[pool] += lacking.sum()

    def frame(self, region: str, day: int, shadow: Shadow) -> pl.DataFrame:
        """One row per pool."""
        worth, sampled = shadow.value()
        pools = self._catalogue.pools
        return pl.DataFrame(
            {
                "region": [region] * len(pools),
                "day": [day] * len(pools),
                "pool": [pool.id for pool in pools],
                "unit": [pool.unit for pool in pools],
                "stock": self._pools.stock,
                "capacity": self._had,
                "offered": np.where(self._pools.stock & (day > 0), 0.0, self._had),
                "granted": self._had - self._pools.left,
                "refused": self._refused,
                "requests_refused": self._requests,
                "worth": worth,
                "sampled": sampled,
                **self._priced(),
            }
        )

    def _priced(self) -> dict[str, Any]:
        """Columns that say what the pools cost."""
        cleared = self._cleared
        if cleared is None:
            nothing = pl.Series([None] * len(self._refused), dtype=pl.Float64)
            return {"price": np.array(self._prices.pools), "expected": nothing, "short": nothing.cast(pl.Boolean)}
        return {"price": cleared.prices, "expected": cleared.demand, "short": cleared.short()}
