"""What came of a population that shares pools: one record, as frames, as JSON, as figures and as one HTML file."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from envs.catalogue import Catalogue
from envs.counts import Counts, total
from envs.indicators import indicators, indicators_with_intervals
from envs.process import process_figures
from evaluation.pooled import PooledRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIDENCE = 0.95


@dataclass(frozen=True)
class PopulationReport:
    """A run, and every figure that is computed from it."""

    run: PooledRun = field(repr=False)
    world: str  # its name, as it was given

    @property
    def catalogue(self) -> Catalogue:
        return self.run.setting.world.catalogue

    @property
    def cleared(self) -> bool:
        """True if the pools' prices were found anew every morning."""
        return self.run.setting.clearing is not None

    @cached_property
    def counts(self) -> Counts:
        """Of all customers."""
        return total(self.run.counts)

    @cached_property
    def blocks(self) -> list[Counts]:
        """Blocks with customers in them, from which intervals are computed."""
        return [block for block in self.run.counts if block.customers]

    @cached_property
    def indicators(self) -> pl.DataFrame:
        """indicator, value, low, high, unit, formula, note; no intervals where all customers stand in one block."""
        if len(self.blocks) < 2:
            return indicators(self.counts, self.catalogue)
        return indicators_with_intervals(self.blocks, self.catalogue, CONFIDENCE)

    @cached_property
    def process(self) -> pl.DataFrame:
        """figure, from, to, value, unit, formula."""
        return process_figures(self.counts, self.catalogue)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row per region and pool, over all days."""
        return pooled(self.run.days, ("region", "pool"))

    @cached_property
    def pools(self) -> pl.DataFrame:
        """One row per pool, over all days and regions."""
        return pooled(self.run.days, ("pool",))

    @cached_property
    def days(self) -> pl.DataFrame:
        """One row per region, day and pool. Of a stock: what was left, and the share that was gone by night."""
        return by_day(self.run.days, ("region", "pool"))

    @cached_property
    def bank_days(self) -> pl.DataFrame:
        """The same of all regions together: one row per day and pool."""
        return by_day(self.run.days, ("pool",))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is undefined is None."""
        setting = self.run.setting
        return {
            "world": self.world,
            "world_digest": setting.world.digest,
            "policy": setting.policy.name,
            "policy_digest": getattr(setting.policy, "digest", None),
            "told_of_pools": setting.told,
            "customers": len(setting.customers),
            "days": setting.days,
            "cadence_days": setting.cadence_days,
            "by": setting.by,
            "share": setting.share,
            "more": dict(zip(self.catalogue.pool_ids, setting.more or (), strict=False)),
            "prices_cleared": self.cleared,
            "seed": setting.seed,
            "confidence": CONFIDENCE,
            "blocks": len(self.blocks),
            "pools": self.pools.to_dicts(),
            "regions": self.frame.to_dicts(),
            "pool_days": self.bank_days.to_dicts(),
            "region_days": self.days.to_dicts(),
            "indicators": self.indicators.to_dicts(),
            "process": self.process.drop("formula").to_dicts(),
        }

    def figures(self) -> dict[str, Figure]:
        """The pictures of the page, by name."""
        from evaluation.population_figures import FIGURES

        return {name: draw(self) for name, draw in FIGURES.items()}

    def to_html(self) -> str:
        """Everything as one self-contained page."""
        from evaluation.population_page import page

        return page(self)

    def texts(self) -> dict[str, str]:
        """Name of a file -> what is in it."""
        data = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        return {"population.json": data + "\n", "population.html": self.to_html()}

    @property
    def sentences(self) -> list[str]:
        """A sentence or more per pool, in plain words."""
        from evaluation.population_words import sentences

        return sentences(self)

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in self.sentences)
        return f"<ul>{lines}</ul>{self.frame._repr_html_()}"


def pooled(days: pl.DataFrame, keys: Iterable[str]) -> pl.DataFrame:
    """Sums and shares over all days, lowest, mean and highest price. A share of nothing is null."""
    granted, refused, worth = (pl.col(name).sum() for name in ("granted", "refused", "worth"))
    lacking = pl.col("day").filter(pl.col("requests_refused") > 0)
    frame = days.group_by(*keys, "unit", "stock", maintain_order=True).agg(
        capacity=pl.col("offered").sum(),
        granted=granted,
        utilisation=granted / pl.col("offered").sum(),
        days=pl.col("day").n_unique(),
        days_exhausted=lacking.n_unique(),
        first_exhausted=lacking.min(),
        refused=refused,
        requests_refused=pl.col("requests_refused").sum(),
        refused_share=refused / (granted + refused),
        shadow_value=worth / pl.col("sampled").sum(),
        price=_mean_price(),
        price_low=pl.col("price").min(),
        price_high=pl.col("price").max(),
        days_short=pl.col("day").filter(pl.col("short")).n_unique(),
    )
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def by_day(days: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    """The same per day; the utilisation of a stock is the share of it that was gone by the end of the day."""
    granted, refused = pl.col("granted").sum(), pl.col("refused").sum()
    frame = days.group_by(*keys, "day", "unit", "stock", maintain_order=True).agg(
        capacity=pl.col("capacity").sum(),
        granted=granted,
        refused=refused,
        requests_refused=pl.col("requests_refused").sum(),
        refused_share=refused / (granted + refused),
        shadow_value=pl.col("worth").sum() / pl.col("sampled").sum(),
        price=_mean_price(),
        expected=pl.when(pl.col("expected").is_not_null().any()).then(pl.col("expected").sum()),
        short=pl.col("short").any(),
        offered=pl.col("offered").sum(),
    )
    so_far = [pl.col(name).cum_sum().over(keys, order_by="day") for name in ("granted", "offered")]
    utilisation = (
        pl.when("stock").then(so_far[0] / so_far[1]).otherwise(pl.col("granted") / pl.col("offered"))
    )  # fmt: skip
    return (
        frame.with_columns(utilisation=utilisation, exhausted=pl.col("requests_refused") > 0)
        .drop("offered")
        .with_columns(pl.col(pl.Float64).fill_nan(None))
        .sort("day", maintain_order=True)
    )


def _mean_price() -> pl.Expr:
    """Mean price, by what there was to pay for."""
    there = pl.col("capacity") + 1e-9
    return (pl.col("price") * there).sum() / there.sum()
