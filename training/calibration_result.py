"""A calibrated world and what is known about it: how it prints, and how it is written."""

from __future__ import annotations

import html
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from envs.world import World, save_world
from training.calibration_ensemble import write_ensemble
from training.calibration_figures import calibration_figure, half_life_figure
from training.calibration_findings import Finding
from training.calibration_heads import FittedHead
from training.half_lives import HalfLife
from training.runs import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 24  # findings that are printed; all stand in calibration.json


@dataclass(frozen=True)
class Calibration:
    """A calibrated world and what is known about it."""

    path: Path  # directory of the world, with ensemble/, calibration.json and calibration.svg
    world: World
    heads: tuple[FittedHead, ...]
    customers: int  # all training customers; the coefficients use them
    heldout_customers: int
    reward: pl.DataFrame | None  # predicted and logged reward by treatment, customers held out
    half_lives: tuple[HalfLife, ...]  # where they were estimated
    identification: tuple[Finding, ...]  # what the log cannot tell, and what is assumed instead
    tables: Path | None  # the tables encoded anew, where half-lives were estimated
    tables_digest: str
    seconds: float

    @property
    def frame(self) -> pl.DataFrame:
        """A row per head: form, size, and the held-out log-likelihood against a model of base rates alone."""
        rows = [
            {
                "head": h.name,
                "link": h.head.link,
                "given": h.head.given,
                "per": h.head.per,
                "rows": h.rows,
                "events": h.events,
                "terms": len(h.head.terms),
                "effect": None if h.effect is None else h.effect.sigma,
                "log_likelihood": h.fidelity.log_likelihood,
                "base_rates": h.fidelity.base,
                "gain": h.fidelity.gain,
                "gain_se": h.fidelity.gain_se,
            }
            for h in self.heads
        ]
        return pl.DataFrame(rows, schema_overrides={"effect": pl.Float64})

    @property
    def coefficients(self) -> pl.DataFrame:
        """A row per coefficient: head, feature, value and se as the world has them, and the debiased interval."""
        rows = []
        for h in self.heads:
            known = {e.feature: e for e in h.estimates}
            for t in h.head.terms:
                e = known.get(t.feature)
                low, high = (e.interval if e is not None else None) or (None, None)
                more = (None, None, None) if e is None else (e.debiased, e.debiased_se, e.held)
                rows.append((h.name, t.feature, t.value, t.se, *more, low, high))
        numbers = ("value", "se", "debiased", "debiased_se")
        schema = {"head": pl.String, "feature": pl.String, **dict.fromkeys(numbers, pl.Float64)}
        schema |= {"held": pl.Boolean, "lower": pl.Float64, "upper": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def figure(self) -> Figure:
        """Calibration plots: predicted against observed, in tenths of the held-out rows."""
        return calibration_figure(self.heads)

    def half_life_figure(self) -> Figure:
        """The profile of each half-life."""
        return half_life_figure(self.half_lives)

    def __str__(self) -> str:
        lines = [
            f"calibrated on {self.customers:,} training customers, measured on {self.heldout_customers:,} of them "
            f"held out, {self.seconds:.0f} s",
            f"{'head':24} {'rows':>7} {'events':>7} {'terms':>5}  held-out log-likelihood per row, over base rates",
        ]
        for h in self.heads:
            f = h.fidelity
            gain = f"{f.log_likelihood:9.4f}  {f.gain:+.4f} (se {f.gain_se:.4f})" if f.rows else "too rare to measure"
            e = h.effect
            effect = f"  customers differ by {e.sigma:.2f} (se {e.se:.2f}, p {e.p:.1g})" if e is not None else ""
            lines.append(f"{h.name:24} {h.rows:7,} {h.events:7,} {len(h.head.terms):5}  {gain}{effect}")
        lines += [str(half_life) for half_life in self.half_lives]
        lines.append(f"what this log cannot tell ({len(self.identification)}):")
        lines += [f"  {finding}" for finding in self.identification[:SHOWN]]
        if len(self.identification) > SHOWN:
            lines.append(f"  and {len(self.identification) - SHOWN} more in {self.path / 'calibration.json'}")
        if self.tables is not None:
            lines.append(f"tables with these half-lives, to train and evaluate on: {self.tables}")
        return "\n".join([*lines, f"world: {self.path}"])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def write(self) -> None:
        """The world, its ensemble, calibration.json and the figures, each file whole or not at all."""
        save_world(self.world, self.path)
        write_ensemble(self.path, self.world.coefficients, self.heads)
        atomic_write(self.path / "calibration.json", json.dumps(self._account(), indent=2, allow_nan=False) + "\n")
        figures = {"calibration": self.figure()}
        if self.half_lives:
            figures["half_lives"] = self.half_life_figure()
        for name, figure in figures.items():
            temporary = self.path / f".{name}.svg"
            figure.savefig(temporary, format="svg")
            os.replace(temporary, self.path / f"{name}.svg")

    def _account(self) -> dict[str, Any]:
        return {
            "tables_digest": self.tables_digest,
            "world_digest": self.world.digest,
            "customers": self.customers,
            "heldout_customers": self.heldout_customers,
            "seconds": self.seconds,
            "heads": {h.name: _head(h) for h in self.heads},
            "half_lives": [asdict(h) for h in self.half_lives],
            "identification": [asdict(finding) for finding in self.identification],
            "reward_by_treatment": None if self.reward is None else self.reward.to_dicts(),
        }


def _head(h: FittedHead) -> dict[str, Any]:
    return {
        "rows": h.rows,
        "events": h.events,
        "shape": None if h.shape is None else asdict(h.shape),
        "fidelity": _known(asdict(h.fidelity)),
        "effect": None if h.effect is None else asdict(h.effect),
        "coefficients": [asdict(e) | {"interval": e.interval} for e in h.estimates],
    }


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """NaN, where nothing was held out, as null: JSON has no NaN."""
    return {name: None if value != value else value for name, value in values.items()}
