"""What the verbs of evaluation can be told: one frozen model per verb, a sentence per field."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from envs.config import Config


class ApplyConfig(Config):
    """Write a policy's probabilities for every logged decision point, for anyone's own check."""

    tables: Path
    """Directory of canonical tables; the customers may be new to the policy."""
    policy: Path
    """Artifact directory of the policy."""
    annoyance_price: float | None = Field(None, ge=0.0)
    """Annoyance price shown to the policy; none keeps the price logged with each decision."""
    pool_prices: dict[str, float] = {}
    """Price per pool shown to the policy, by the pool's id; pools not named keep the logged price."""
    prices_outside: Literal["refuse", "clamp"] = "refuse"
    """What to do with a price outside the range on which the policy was trained; what is clamped is warned of."""
    batch: int = Field(8192, ge=1)
    """Decisions per call of the network."""
    out: Path | None = None
    """Parquet file to write; by default decisions.parquet under runs/."""


class WatchConfig(Config):
    """Measure what a bank watches on a log: indicators, and process figures per channel and hand-over."""

    tables: Path
    """Directory of canonical tables."""
    patience: float = Field(7.0, gt=0.0)
    """Days for which a lead stays open until somebody takes it up."""
    assets: str | None = None
    """Column of customers.parquet with the assets under management at the start; none: not known."""
    blocks: int = Field(40, ge=2)
    """Blocks of customers that the intervals are computed from, by leaving out one at a time."""
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    """Of the intervals."""
    out: Path | None = None
    """Directory for indicators.html, indicators.json and two CSV files; by default under runs/."""
