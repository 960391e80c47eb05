"""Watch: the indicators and process figures of a log, as frames, as files and as one page."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from envs.catalogue import Catalogue
from envs.counting import blocks_of
from envs.counts import Counts, total
from envs.indicators import indicators_with_intervals
from envs.observed import Period, period_of
from envs.process import process_figures
from envs.tables import read_tables
from evaluation.configs import WatchConfig


@dataclass(frozen=True)
class Watched:
    """What was measured on a log."""

    catalogue: Catalogue
    period: Period
    counts: Counts
    indicators: pl.DataFrame  # indicator, value, low, high, unit, formula, note
    process: pl.DataFrame  # figure, from, to, value, unit, formula
    config: WatchConfig

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is undefined is None."""
        return {
            "tables": str(self.config.tables),
            "from": self.period.start.isoformat(),
            "to": self.period.end.isoformat(),
            "customers": self.counts.customers,
            "patience_days": self.config.patience,
            "confidence": self.config.confidence,
            "indicators": self.indicators.to_dicts(),
            "process": self.process.drop("formula").to_dicts(),
        }

    def to_html(self) -> str:
        """Everything as one self-contained page."""
        from evaluation.watch_page import page

        return page(self)

    def write(self, directory: Path) -> Path:
        """Write indicators.html, indicators.json, indicators.csv and process.csv, each whole or not at all."""
        texts = {
            "indicators.html": self.to_html(),
            "indicators.json": json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            "indicators.csv": self.indicators.write_csv(),
            "process.csv": self.process.write_csv(),
        }
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (directory / f".{name}").write_text(text, encoding="utf-8")
            os.replace(directory / f".{name}", directory / name)
        return directory

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.table import Table

        table = Table(title=f"{self.counts.customers:,} customers, {told(self.period)}", title_justify="left")
        for title in ("indicator", "value", "interval", "unit, or why there is none"):
            table.add_column(title, justify="right" if title in ("value", "interval") else "left", no_wrap=True)
        for row in self.indicators.iter_rows(named=True):
            between = "" if row["low"] is None else f"{shown(row['low'])} to {shown(row['high'])}"
            table.add_row(row["indicator"], shown(row["value"]), between, row["note"] or row["unit"])
        yield table

    def _repr_html_(self) -> str:
        shown = self.indicators.drop("formula")._repr_html_()
        return f"<p>{self.counts.customers:,} customers, {told(self.period)}</p>{shown}"


def told(period: Period) -> str:
    """A period in words."""
    return f"{period.start:%Y-%m-%d} to before {period.end:%Y-%m-%d}"


def shown(value: float | None) -> str:
    """A value as text: four significant digits, whole numbers as such, a dash for what is undefined."""
    from evaluation.digits import number

    if value is None:
        return "–"
    return f"{value:,.0f}" if value == round(value) else number(value)


def watch(config: WatchConfig) -> Watched:
    """Count a log's events, by blocks of customers, and compute every indicator and process figure."""
    tables = read_tables(config.tables)
    period = period_of(tables)
    blocks = blocks_of(tables, config.blocks, period=period, patience=config.patience, assets=config.assets)
    counts = total(blocks)
    frame = indicators_with_intervals(blocks, tables.catalogue, config.confidence)
    found = Watched(tables.catalogue, period, counts, frame, process_figures(counts, tables.catalogue), config)
    if config.out is not None:
        found.write(config.out)
    return found
