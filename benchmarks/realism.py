"""The built-in bank: are its base rates plausible, and what do coordinated rules gain over silos in it?

No target is set: the bank is frozen, and the published pilot stands beside what comes out (KPMG 2023: conversion +74 %,
productivity about 2 x, base customers of pilot branches over three months).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
from scipy.special import stdtrit

from agents.baselines import CoordinatedRules, Silence, SiloedCampaigns, parameters
from benchmarks.base_rates import RANGES, measured
from benchmarks.kit import Options, Result, main, show
from benchmarks.watched import watched
from envs.catalogue import Catalogue
from envs.counts import KINDS, Counts, total
from envs.frozen import check_frozen
from envs.indicators import INDICATORS, human_hours, values_of
from envs.world import BUILT_IN, World, load_world
from training.simulate import under_silos

DAYS = 91
FIRST = 1_000_000  # number of the first customer; logs and training use lower ones
Figure = Callable[[Counts, Catalogue], float]


def realism(options: Options, result: Result) -> None:
    """Silence, the silos of today and the coordinated rules on the same customers, daily over a quarter."""
    world = load_world("bank")
    result.conditions["bank"] = str(check_frozen(BUILT_IN / "bank", parameters()))
    customers = FIRST + np.arange(1000 if options.quick else 20_000)
    silos = under_silos(world)
    blocks = {
        "silence": watched(world, Silence(), customers, DAYS, options.seed),
        "silos": watched(silos, SiloedCampaigns(silos.catalogue, silos.encoder), customers, DAYS, options.seed),
        "coordinated": watched(world, CoordinatedRules(world.catalogue, world.encoder), customers, DAYS, options.seed),
    }
    result.conditions |= {"customers": len(customers), "days": DAYS}
    _base_rates(world, {name: total(parts) for name, parts in blocks.items()}, result)
    _indicators(world, blocks, result)
    _gains(world, blocks["silos"], blocks["coordinated"], result)


def _base_rates(world: World, counts: Mapping[str, Counts], result: Result) -> None:
    """Each range beside what was measured."""
    found = {name: measured(counts[name], world.catalogue, DAYS) for name in ("silence", "silos")}
    rows = [(r.figure, r.under, found[r.under][r.figure], r.low, r.high) for r in RANGES]
    frame = pl.DataFrame(rows, orient="row", schema=["figure", "under", "measured", "from", "to"])
    inside = frame.with_columns(plausible=pl.col("measured").is_between(pl.col("from"), pl.col("to")))
    show("Base rates beside the ranges written down before", inside, digits=4)
    result.figures["base_rates"] = inside.to_dicts()
    result.target("base rates", f"all {len(RANGES)} within their ranges", bool(inside["plausible"].all()))


def _indicators(world: World, blocks: Mapping[str, Sequence[Counts]], result: Result) -> None:
    """Every indicator under each policy."""
    columns = {name: values_of(total(parts), world.catalogue) for name, parts in blocks.items()}
    frame = pl.DataFrame({"indicator": [i.name for i in INDICATORS], **columns, "unit": [i.unit for i in INDICATORS]})
    show(f"Indicators over {DAYS} days, one decision a day", frame)
    result.figures["indicators"] = frame.to_dicts()


def _gains(world: World, silos: Sequence[Counts], coordinated: Sequence[Counts], result: Result) -> None:
    """Coordinated rules over silos, as ratios, beside the pilot."""
    rows = []
    for name, (figure, pilot) in COMPARED.items():
        before, after = (figure(total(parts), world.catalogue) for parts in (silos, coordinated))
        rows.append((name, before, after, *paired_ratio(figure, silos, coordinated, world.catalogue), pilot))
    names = ["figure", "silos", "coordinated", "ratio", "lo", "hi", "pilot (KPMG 2023)"]
    frame = pl.DataFrame(rows, orient="row", schema=names)
    show("Coordinated rules / silos, same customers, same luck, 95 % intervals", frame)
    result.figures["coordinated_over_silos"] = frame.to_dicts()


def paired_ratio(
    figure: Figure, below: Sequence[Counts], above: Sequence[Counts], catalogue: Catalogue, confidence: float = 0.95
) -> tuple[float, float, float]:
    """The ratio of a figure of two policies on the same blocks of customers, with its interval.

    A jackknife over the blocks of the ratio's logarithm, Student's t: Kott (2001), J. of Official Statistics 17(4).
    """

    def log_ratio(without: int | None) -> float:
        parts = [[b for k, b in enumerate(blocks) if k != without] for blocks in (above, below)]
        over, under = (figure(total(some), catalogue) for some in parts)
        return float(np.log(over / under))

    whole, count = log_ratio(None), len(below)
    left = np.array([log_ratio(k) for k in range(count)])
    spread = np.sqrt((count - 1) / count * ((left - left.mean()) ** 2).sum())
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * spread
    return float(np.exp(whole)), float(np.exp(whole - half)), float(np.exp(whole + half))


def _asked_for(counts: Counts, catalogue: Catalogue) -> float:
    return float(counts.number("converted", slice(0, len(catalogue.channels))))


def _of_people(kind: str, counts: Counts, catalogue: Catalogue) -> float:
    """Sum of an event's values on channels where people work."""
    people = [place for place, channel in enumerate(catalogue.channels) if channel.features.get("human")]
    return float(counts.values[KINDS.index(kind), people].sum())


def _contribution(counts: Counts, catalogue: Catalogue) -> float:
    return (float(counts.margin.sum()) - counts.contact_cost - counts.benefit_cost) / counts.customers


# Figure -> formula, and what the pilot says of it: chosen before anything was measured. It does not define its words.
COMPARED: dict[str, tuple[Figure, float | None]] = {
    "customers who converted": (lambda n, c: 1 - n.conversions_histogram[0] / n.customers, 1.74),
    "conversions per customer": (lambda n, c: n.number("converted") / n.customers, 1.74),
    "conversions after a contact, per customer": (lambda n, c: _asked_for(n, c) / n.customers, 1.74),
    "conversions after a contact, per contact": (lambda n, c: _asked_for(n, c) / n.number("contacted"), 1.74),
    "margin per human hour": (lambda n, c: float(n.margin.sum()) / human_hours(n, c), 2.0),
    "volume per human hour": (lambda n, c: n.value("balance_changed") / human_hours(n, c), 2.0),
    "margin of people's contacts per human hour": (lambda n, c: _of_people("converted", n, c) / human_hours(n, c), 2.0),
    "volume of people's contacts per human hour": (
        lambda n, c: _of_people("balance_changed", n, c) / human_hours(n, c),
        2.0,
    ),
    "human hours per 1,000 customers": (lambda n, c: 1000 * human_hours(n, c) / n.customers, None),
    "contribution per customer": (_contribution, None),
    "contacts per customer": (lambda n, c: n.number("contacted") / n.customers, None),
    "annoyance per customer": (lambda n, c: n.annoyance / n.customers, None),
}


if __name__ == "__main__":
    main("realism", realism)
