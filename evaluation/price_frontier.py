"""One policy under one price of annoyance after the other: what it earns, spends and annoys, all with the same luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from agents.policy import Policy
from envs.prices import Prices
from evaluation.drawing import INK, PALETTE, WIDTH, styled
from evaluation.intervals import mean_interval
from evaluation.simulation import Progress, Totals
from evaluation.trial import Dialled, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POSITIONS = 7
SPAN = 1000.0  # the dearest price over the cheapest
PARTS = ("gain", "margin", "cost", "annoyance", "contacts", "conversions")


def positions(high: float) -> tuple[float, ...]:
    """Prices of annoyance that a policy is asked at, evenly spaced on a logarithmic scale. high: end of its range.

    >>> [round(price, 1) for price in positions(1000.0)]
    [1.0, 3.2, 10.0, 31.6, 100.0, 316.2, 1000.0]
    """
    return tuple(np.geomspace(high / SPAN, high, POSITIONS).tolist())


@dataclass(frozen=True)
class PriceFrontier:
    """What one policy did to the same customers at each price of annoyance."""

    prices: tuple[float, ...]  # currency per opt-out, as given
    totals: tuple[Totals, ...] = field(repr=False)  # one per price
    silence: Totals = field(repr=False)
    currency: str = ""

    @property
    def frame(self) -> pl.DataFrame:
        """One row per price: per customer, beyond silence on the same customers, with 95 % intervals.

        gain = margin - cost, in currency; annoyance in opt-outs
        """
        return pl.DataFrame([self._row(price, t) for price, t in zip(self.prices, self.totals, strict=True)])

    def _row(self, price: float, totals: Totals) -> dict[str, float]:
        row = {"price": price}
        for part in PARTS:
            name = "profit" if part == "gain" else part
            found = mean_interval(getattr(totals, name) - getattr(self.silence, name))
            row |= {part: found.value, f"{part}_lo": found.lo, f"{part}_hi": found.hi}
        return row

    def figure(self) -> Figure:
        """Margin and gain over the annoyance that is caused for them, cost below; one point per price."""
        from matplotlib.figure import Figure

        rows, unit = self.frame, f" ({self.currency})" if self.currency else ""
        figure = Figure(figsize=(WIDTH, 5.0), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        for part, axes, colour, shape in (
            ("margin", above, PALETTE[2], "s"), ("gain", above, PALETTE[0], "o"), ("cost", below, PALETTE[5], "D"),
        ):  # fmt: skip
            _line(axes, rows, part, colour, shape)
        for price, x, y in rows.select("price", "annoyance", "gain").iter_rows():
            told = f"{price:,.0f}" if price >= 10 else f"{price:.3g}"
            above.annotate(told, (x, y), (4, -10), textcoords="offset points", fontsize=7, color=INK)
        below.set_xlabel("annoyance per customer beyond silence (opt-outs); beside the points: price of annoyance")
        figure.supylabel(f"per customer beyond silence{unit}", fontsize=10, color=INK)
        for axes in (above, below):
            styled(axes)
            axes.axhline(0, color=PALETTE[7], linewidth=0.8)
            axes.legend(loc="upper left", frameon=False, labelcolor=INK, fontsize=8)
        return figure


def _line(axes: Any, rows: pl.DataFrame, part: str, colour: str, shape: str) -> None:
    """A part over annoyance with bars of both intervals."""
    x, y = rows["annoyance"].to_numpy(), rows[part].to_numpy()
    across, along = (
        np.abs(np.stack([rows[f"{name}_{end}"].to_numpy() - middle for end in ("lo", "hi")]))
        for name, middle in (("annoyance", x), (part, y))
    )
    look = {"color": colour, "marker": shape, "markersize": 4, "linewidth": 1.2, "elinewidth": 0.8}
    axes.errorbar(x, y, xerr=across, yerr=along, label=part, **look)


def price_frontier(
    policy: Policy, trial: Trial, prices: Sequence[float], pools: Sequence[float], progress: Progress | None = None
) -> PriceFrontier:
    """Run a policy at each price of annoyance on the trial's customers.

    prices: of annoyance, currency per opt-out; pools: one price for each of the catalogue's pools
    """
    runs = tuple(
        trial.run(Dialled(f"price {price:g}", policy, Prices(price, tuple(pools))), progress) for price in prices
    )
    return PriceFrontier(tuple(prices), runs, trial.silence, trial.world.catalogue.currency)
