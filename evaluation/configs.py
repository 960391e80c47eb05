"""What the verbs of evaluation can be told: one frozen model per verb, a sentence per field."""

from __future__ import annotations

from pathlib import Path

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
    batch: int = Field(8192, ge=1)
    """Decisions per call of the network."""
    out: Path | None = None
    """Parquet file to write; by default decisions.parquet under runs/."""
