"""Heads that are drawn for every product: eta, luck and a first look at all products at once, so that few need more.

A strip is one term of such a head, for all products: weights times up to three rows of values. Rows that several heads
read are filled once a day. Widths are rounded up to full vectors of the processor; what is beyond the products can
never happen. eta sums the same terms in the same order as `envs.model.eta_of`: the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from envs.features import FACTORS, Factor
from envs.jit import kernel
from envs.model import CONFLICT_FROM, Part, conflict, factor_at, grouped, odds_against, place_of
from envs.pointers import DOUBLE, LONG, double_at, long_at, place
from envs.randomness import uniform

LANES = 8  # float64 in a vector of the processor
NEVER = -1e6  # eta of what cannot happen
ROW = np.dtype([("first", "i8"), ("step", "i8")])  # place of the first product's value, and steps between products
STRIP = np.dtype([("factors", "i8"), ("row", "i8", (FACTORS,))])
STRIP_ARRAYS = {
    "rows": ROW,
    "values": DOUBLE,  # (rows, width), filled once a day
    "strips": STRIP,
    "strip_starts": LONG,  # (heads + 1,), the first strip of each head
    "strip_weights": DOUBLE,  # (strips, width)
    "bases": DOUBLE,  # (width,), eta before any term
    "etas": DOUBLE,  # (width,)
    "draws": DOUBLE,  # (width,); one call at a time works on these: a kernel holds the interpreter's lock
}
STRIP_NUMBERS = dict.fromkeys(("row_count", "products", "width"), "i8")
row_at, strip_at = place(ROW), place(STRIP)


class Strips(NamedTuple):
    """Some heads over the same products."""

    own: dict[str, np.ndarray]  # STRIP_ARRAYS
    numbers: dict[str, int]  # STRIP_NUMBERS

    @property
    def arrays(self) -> dict[str, tuple[np.ndarray, np.dtype[Any]]]:
        """For `reach`."""
        return {name: (self.own[name], kind) for name, kind in STRIP_ARRAYS.items()}


def strips_of(parts: Mapping[int, Part], heads: int, products: int) -> Strips:
    """parts: by the number of their head, those that are drawn for every product; heads: number of all heads."""
    width = -(-products // LANES) * LANES
    rows: dict[tuple[int, int], int] = {}
    strips, weights, starts = [], [], [0]
    for head in range(heads):
        for weight, feature in grouped(parts[head]) if head in parts else []:
            if all((factor.columns >= 0).all() for factor in feature.factors):  # else its value is 0
                strip = np.zeros(1, STRIP)
                strip["factors"] = len(feature.factors)
                for number, factor in enumerate(feature.factors):
                    strip["row"][0, number] = rows.setdefault(_row(factor), len(rows))
                strips.append(strip)
                weights.append(np.concatenate([weight, np.zeros(width - products)]))
        starts.append(len(strips))
    own = {
        "rows": np.array(list(rows), np.int64).reshape(-1, 2).view(ROW)[:, 0],
        "values": np.zeros((len(rows), width)),
        "strips": np.concatenate([np.zeros(0, STRIP), *strips]),
        "strip_starts": np.array(starts, np.int64),
        "strip_weights": np.array(weights, np.float64).reshape(-1, width),
        "bases": np.where(np.arange(width) < products, 0.0, NEVER),
        "etas": np.zeros(width),
        "draws": np.zeros(width),
    }
    return Strips(own, {"row_count": len(rows), "products": products, "width": width})


def _row(factor: Factor) -> tuple[int, int]:
    """A row of values: its first place, and the step from one product to the next."""
    places = np.array([place_of(factor, option) for option in range(len(factor.columns))])
    steps = np.diff(places)
    if len(steps) and (steps != steps[0]).any():
        raise ValueError(f"factor {factor.name!r}: its columns must stand evenly spaced, product by product")
    return int(places[0]), int(steps[0]) if len(steps) else 0


@kernel
def look(m: Any, seen: Any, latent: Any) -> None:
    """Fill the rows of values. m: a record with the fields of MODEL and of strips; seen, latent: as for `eta_of`."""
    for k in range(m.row_count):
        row, values = row_at(m.rows, k), m.values + np.uint64(8 * k * m.width)
        first, step = row.first, row.step
        for p in range(m.products):
            at = first + p * step
            if first >= CONFLICT_FROM:
                double_at(values, p).value = conflict(m, at - CONFLICT_FROM, seen)
            else:
                double_at(values, p).value = factor_at(at, seen, latent)


@kernel
def etas_of(m: Any, head: int) -> None:
    """eta of every product, into m.etas; the rows of values must be filled."""
    width, etas = m.width, m.etas
    for p in range(width):
        double_at(etas, p).value = double_at(m.bases, p).value
    for k in range(long_at(m.strip_starts, head).value, long_at(m.strip_starts, head + 1).value):
        strip, weights = strip_at(m.strips, k), m.strip_weights + np.uint64(8 * k * width)
        one = m.values + np.uint64(8 * width * strip.row[0])
        two = m.values + np.uint64(8 * width * strip.row[1])
        three = m.values + np.uint64(8 * width * strip.row[2])
        if strip.factors == 0:
            for p in range(width):
                double_at(etas, p).value += double_at(weights, p).value
        elif strip.factors == 1:
            for p in range(width):
                double_at(etas, p).value += double_at(weights, p).value * double_at(one, p).value
        elif strip.factors == 2:
            for p in range(width):
                part = double_at(weights, p).value * double_at(one, p).value
                double_at(etas, p).value += part * double_at(two, p).value
        else:
            for p in range(width):
                part = double_at(weights, p).value * double_at(one, p).value * double_at(two, p).value
                double_at(etas, p).value += part * double_at(three, p).value


@kernel
def draw_all(m: Any, key: np.uint64, first: int, days: float) -> bool:
    """Luck of every product, into m.draws. -> False if nothing can happen to any of them, by their etas."""
    width, etas, draws, near = m.width, m.etas, m.draws, 0
    for p in range(width):
        double_at(draws, p).value = uniform(key, first + p)
    for p in range(width):
        near += 1 if double_at(draws, p).value * odds_against(double_at(etas, p).value) < days else 0
    return near > 0
