"""The response model as kernels see it: per head and option a list of terms, each a weight times up to three factors.

eta of a head and option = the sum of its terms in float64, in a fixed order: the same bits for one customer and for a
batch, for one option and for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from envs.features import CONFLICT, FACTORS, LATENT, NOTHING, Factor, Feature
from envs.jit import inlined, kernel
from envs.pointers import LONG, place, reach, reach_type, single_at

LOGIT, RATE, LOGNORMAL, LINEAR = range(4)
LINKS = {"logit": LOGIT, "rate": RATE, "lognormal": LOGNORMAL, "linear": LINEAR}
HEAD = np.dtype([("exists", "?"), ("link", "i4"), ("given", "i4"), ("sigma", "f8")], align=True)
TERM = np.dtype([("weight", "f8"), ("at", "i4", (FACTORS,)), ("simple", "i4")], align=True)
# Where a factor stands: a column of the observation, or one of these plus a column of the latent states, or a product.
NO_FACTOR, LATENT_FROM, CONFLICT_FROM = -1, 1 << 20, 1 << 21
MODEL_ARRAYS = {"heads": HEAD, "terms": TERM, "starts": LONG, "offered": LONG}
MODEL_NUMBERS = {"options": "i8", "offers": "i8"}
MODEL = reach_type(MODEL_ARRAYS, MODEL_NUMBERS)
head_at, term_at, start_at = place(HEAD), place(TERM), place(LONG)


class Model(NamedTuple):
    """Some heads over one observation. A head that does not exist never happens."""

    heads: np.ndarray  # (heads,) HEAD
    terms: np.ndarray  # (terms,) TERM
    starts: np.ndarray  # (heads x options + 1,) int64, the first term of each head and option
    offered: np.ndarray  # (products,) int64, the field `offered` of each product that sells, -1: it does not
    options: int
    read: np.ndarray  # (places,) int64, where its factors stand, each once
    seen: int  # fields that its factors reach: an observation must be as wide
    latent: int  # latent states that they reach

    @property
    def arrays(self) -> dict[str, tuple[np.ndarray, np.dtype[Any]]]:
        """For `reach`."""
        return {name: (getattr(self, name), kind) for name, kind in MODEL_ARRAYS.items()}

    @property
    def numbers(self) -> dict[str, int]:
        """For `reach`."""
        return {"options": self.options, "offers": len(self.offered)}

    def reach(self) -> np.ndarray:  # (1,) MODEL
        return reach(MODEL, self.arrays, self.numbers)


class Part(NamedTuple):
    """A head to be packed: terms that share factors are added up."""

    link: str
    given: int
    sigma: float
    terms: tuple[tuple[float, Feature], ...]  # coefficient, feature


def pack(parts: Sequence[Part | None]) -> Model:
    """The arrays of some heads, in order; None: a head that does not exist."""
    heads = np.zeros(len(parts), HEAD)
    options = max([1, *(len(f.weights) for part in parts if part is not None for _, f in part.terms)])
    terms: list[np.ndarray] = []
    starts = [0]
    offered = NOTHING
    for head, part in zip(heads, parts, strict=True):
        groups = grouped(part) if part is not None else []
        if part is not None:
            head["exists"], head["link"], head["given"] = True, LINKS[part.link], part.given
            head["sigma"] = part.sigma
        offered = next((f.offered for _, feature in groups for f in feature.factors if f.source == CONFLICT), offered)
        for option in range(options):
            terms += [
                _term(weights, feature, option) for weights, feature in groups if _counts(weights, feature, option)
            ]
            starts.append(len(terms))
    table = np.concatenate(terms) if terms else np.zeros(0, TERM)
    seen, latent = max([_width(table, 0, LATENT_FROM), *(offered + 1)]), _width(table, LATENT_FROM, CONFLICT_FROM)
    read = np.unique(table["at"])
    read = read[read >= 0].astype(np.int64)
    return Model(heads, table, np.array(starts, np.int64), offered.astype(np.int64), options, read, seen, latent)


def _width(table: np.ndarray, first: int, stop: int) -> int:
    """Columns of a source that the terms reach. first, stop: its places."""
    at = table["at"]
    return int((at - first)[(at >= first) & (at < stop)].max(initial=-1)) + 1


def _counts(weights: np.ndarray, feature: Feature, option: int) -> bool:
    """Whether a term can be other than 0."""
    if option >= len(weights) or weights[option] == 0:
        return False
    return all(factor.columns[option] >= 0 for factor in feature.factors)


def _term(weights: np.ndarray, feature: Feature, option: int) -> np.ndarray:
    term = np.zeros(1, TERM)
    term["weight"], term["at"] = weights[option], NO_FACTOR
    for number, factor in enumerate(feature.factors):
        term["at"][0, number] = place_of(factor, option)
    term["simple"] = len(feature.factors) < FACTORS and term["at"].max() < CONFLICT_FROM
    return term


def place_of(factor: Factor, option: int) -> int:
    """Where the value of a factor stands for one option; -1 in `columns`: nowhere."""
    return int(factor.columns[option]) + {LATENT: LATENT_FROM, CONFLICT: CONFLICT_FROM}.get(factor.source, 0)


def grouped(part: Part) -> list[tuple[np.ndarray, Feature]]:
    """Weights and factors of the terms of a head: those that share factors are added up."""
    groups: dict[tuple[str, ...], tuple[np.ndarray, Feature]] = {}
    for value, feature in part.terms:
        key = tuple(factor.name for factor in feature.factors)
        before = groups[key][0] if key in groups else np.zeros_like(feature.weights)
        groups[key] = (before + value * feature.weights, feature)
    return list(groups.values())


@kernel
def conflict(m: Any, product: int, seen: int) -> float:
    """The strongest trace of an offer of another product than this one; 0 without a product."""
    strongest = 0.0
    if product >= 0:
        for other in range(m.offers):
            column = start_at(m.offered, other).value
            if other != product and column >= 0:
                strongest = max(strongest, np.float64(single_at(seen, column).value))
    return strongest


@inlined
def factor_at(place: int, seen: Any, latent: Any) -> float:
    """The value of a factor that stands in the observation or the latent states; 1 without a factor."""
    column, start = max(place, 0), seen
    if place >= LATENT_FROM:
        column, start = place - LATENT_FROM, latent
    value = np.float64(single_at(start, column).value)
    return 1.0 if place < 0 else value


@inlined
def value_at(m: Any, place: int, seen: Any, latent: Any) -> float:
    """The value of any factor."""
    if place >= CONFLICT_FROM:
        return conflict(m, place - CONFLICT_FROM, seen)
    return factor_at(place, seen, latent)


@kernel
def eta_of(m: Any, head: int, option: int, seen: Any, latent: Any) -> float:
    """eta of one option. m: a MODEL record; seen, latent: addresses of observation and latent states, float32."""
    eta = 0.0
    place = head * m.options + option
    for k in range(start_at(m.starts, place).value, start_at(m.starts, place + 1).value):
        term = term_at(m.terms, k)
        if term.simple:
            eta += term.weight * factor_at(term.at[0], seen, latent) * factor_at(term.at[1], seen, latent)
        else:
            part = term.weight
            for f in range(FACTORS):
                part *= value_at(m, term.at[f], seen, latent)
            eta += part
    return eta


@inlined
def exists(m: Any, head: int) -> bool:
    """True if the world has this head."""
    return bool(head_at(m.heads, head).exists)


@kernel
def mean_of(link: int, eta: float, days: float) -> float:
    """Probability (logit, rate), mean amount (lognormal) or value (linear) from eta."""
    if link == LOGIT:
        return 1.0 / (1.0 + np.exp(-eta))
    if link == RATE:
        return -np.expm1(-days * np.exp(eta))
    if link == LOGNORMAL:
        return np.exp(eta)
    return max(eta, 0.0)


@inlined
def odds_against(eta: float) -> float:
    """A number not above exp(-eta), and 1 where eta > 0: (1 + x / 8 + x^2 / 128)^8 <= exp(x) for x >= 0."""
    x = max(-eta, 0.0)
    root = 1.0 + x * (0.125 + x * 0.0078125)
    square = root * root
    fourth = square * square
    return fourth * fourth


@inlined
def occurs(link: int, eta: float, days: float, u: float) -> bool:
    """Does it happen, given the draw u? Mostly without an exponential: P <= exp(eta), by rate <= days exp(eta)."""
    if u * odds_against(eta) >= (days if link == RATE else 1.0):
        return False
    return u < mean_of(link, eta, days)


@kernel
def chosen_etas(at: np.ndarray, option: np.ndarray, seen: np.ndarray, latent: np.ndarray, out: np.ndarray) -> None:
    """eta of head 0 of one option per row. at: (1,) MODEL; seen, latent: C order; out: (rows,) float64."""
    for i in range(out.shape[0]):
        out[i] = eta_of(at[0], 0, option[i], seen[i].ctypes.data, latent[i].ctypes.data)


@inlined
def line_of(place: int, fields: int, latent: int, lines: int) -> int:
    """Which line of a block a factor reads: fields, latent states, conflicts by product, and last ones."""
    if place < 0:
        return lines - 1
    if place >= CONFLICT_FROM:
        return fields + latent + place - CONFLICT_FROM
    return fields + place - LATENT_FROM if place >= LATENT_FROM else place


@kernel
def every_eta(
    at: np.ndarray,
    read: np.ndarray,
    seen: np.ndarray,
    latent: np.ndarray,
    lines: np.ndarray,
    total: np.ndarray,
    out: np.ndarray,
) -> None:
    """eta of head 0 of every option. out: (rows, options) float64.

    Rows go in blocks, so that a term is added to a whole block at once; each row's sum is that of `eta_of`, to the bit.
    read: of the MODEL; lines: (fields + latent states + products + 1, block) float64 and total: (block,), for what is
    written in between
    """
    m, fields, hidden, height, block = at[0], seen.shape[1], latent.shape[1], lines.shape[0], total.shape[0]
    lines[-1] = 1.0
    for start in range(0, out.shape[0], block):
        size = min(block, out.shape[0] - start)
        for factor in read:
            line = lines[line_of(factor, fields, hidden, height)]
            for i in range(size):
                line[i] = value_at(m, factor, seen[start + i].ctypes.data, latent[start + i].ctypes.data)
        for option in range(out.shape[1]):
            total[:size] = 0.0
            for k in range(start_at(m.starts, option).value, start_at(m.starts, option + 1).value):
                term = term_at(m.terms, k)
                weight = term.weight
                one = lines[line_of(term.at[0], fields, hidden, height)]
                two = lines[line_of(term.at[1], fields, hidden, height)]
                three = lines[line_of(term.at[2], fields, hidden, height)]
                for i in range(size):
                    total[i] += weight * one[i] * two[i] * three[i]
            for i in range(size):
                out[start + i, option] = total[i]


@kernel
def every_head(at: np.ndarray, option: np.ndarray, seen: np.ndarray, latent: np.ndarray, out: np.ndarray) -> None:
    """eta of each head of one option per row. out: (rows, heads) float64."""
    for i in range(out.shape[0]):
        for head in range(out.shape[1]):
            out[i, head] = eta_of(at[0], head, option[i], seen[i].ctypes.data, latent[i].ctypes.data)
