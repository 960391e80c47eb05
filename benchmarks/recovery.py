"""Recovery: does calibration find coefficients, customers' effects and half-lives of worlds whose truth is known?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.kit import ROOT, Options, Result, main, show
from envs.response import Coefficients, Head, Hidden, Term
from envs.schema import Fading
from envs.tables import write_tables
from envs.world import World, load_world
from training.calibrate import Calibration, calibrate
from training.configs import CalibrateConfig
from training.half_life_profile import reencoded
from training.random_log import random_log

WORLD = ROOT / "benchmarks" / "worlds" / "recovery"
CUSTOMERS, DECISIONS = 12_500, 16  # a log of 200,000 decisions, less those after churn
SEEDS, FADING_SEEDS = 20, 8
ENOUGH = 200  # events from which a head counts
EFFECTS = {"engaged": 0.8, "purchased": 0.5}  # sigma of the customer's effect
WRONG = Fading(recency=3, pressure=40, engagement=10, intent=4, refusal=10, complaint=30, purchase=40)
FADING_LOG = (4_000, 25)  # customers and decisions, two days apart
TARGET = 0.93


def recovery(options: Options, result: Result) -> None:
    """Simulate logs of known worlds under random treatments, calibrate, count the truths inside 95 % intervals."""
    seeds, few = (2, 1) if options.quick else (SEEDS, FADING_SEEDS)
    world = load_world(WORLD)
    plain = pl.concat([_coefficients(world, options, seed) for seed in range(options.seed, options.seed + seeds)])
    show("Coverage by head, right form, unshrunk", by(plain, "head"))
    _coverage(plain, result)
    effects = pl.concat([_effects(world, options, seed) for seed in range(options.seed, options.seed + seeds)])
    sigma = by(effects.filter(pl.col("feature") == "latent.frailty"), "head")
    show("Spread of the customer's effect", sigma)
    _coverage(effects, result, "with_effects_")
    result.figures["sigma"] = sigma.to_dicts()
    fading = pl.concat([_half_lives(world, options, seed) for seed in range(options.seed, options.seed + few)])
    half_lives = fading.group_by("half-life", maintain_order=True).agg(
        pl.col("truth", "told").first(),
        pl.len().alias("logs"),
        pl.col("identified").sum(),
        pl.col("inside").sum().alias("truth inside"),
        pl.col("chosen").filter("identified").median().alias("median"),
    )
    show("Half-lives, days: found where the schema says otherwise", half_lives)
    result.figures |= {"half_lives": half_lives.to_dicts(), "half_life_intervals": fading.to_dicts()}
    known = fading["inside"].drop_nulls()
    slack = 2 * (0.95 * 0.05 / max(len(known), 1)) ** 0.5
    words = f"95 % intervals of half-lives cover, within two standard errors: {known.sum()} of {len(known)}"
    result.target("half_lives", words, float(known.mean() or 0.0) >= 0.95 - slack)  # type: ignore[arg-type]
    result.conditions |= {"decisions": CUSTOMERS * DECISIONS, "seeds": seeds, "half_life_seeds": few}


def _coverage(rows: pl.DataFrame, result: Result, prefix: str = "") -> None:
    """Coverage over all coefficients, with an interval over seeds, and bias."""
    seeds = rows.group_by("seed").agg(pl.col("inside").mean(), pl.col("penalised_inside").mean())["inside"]
    share, half = float(seeds.mean() or 0.0), 1.96 * float(seeds.std() or 0.0) / len(seeds) ** 0.5  # type: ignore[arg-type]
    result.figures |= {
        f"{prefix}coverage": share,
        f"{prefix}coverage_interval": [share - half, share + half],
        f"{prefix}penalised_coverage": rows["penalised_inside"].mean(),
        f"{prefix}coefficients": rows.height,
        f"{prefix}mean_z": rows["z"].mean(),
        f"{prefix}sd_z": rows["z"].std(),
        f"{prefix}slope": float((rows["found"] * rows["truth"]).sum() / (rows["truth"] ** 2).sum()),
        f"{prefix}held": int(rows["held"].sum()),
    }
    words = f"{TARGET:.0%} of the coefficients inside their 95 % intervals: {share:.1%} ± {half:.1%} over seeds"
    result.target(f"{prefix}coverage", words, share >= TARGET)


def by(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Coverage, bias and spread of the standardised errors, by head."""
    return rows.group_by(name, maintain_order=True).agg(
        pl.col("events").mean(),
        pl.len().alias("intervals"),
        pl.col("inside").mean().alias("covered"),
        pl.col("penalised_inside").mean().alias("covered, penalised"),
        pl.col("truth").mean(),
        pl.col("found").mean(),
        (pl.col("found") - pl.col("truth")).mean().alias("bias"),
        pl.col("se").mean(),
        pl.col("z").mean().alias("mean z"),
        pl.col("z").std().alias("sd z"),
    )


def _coefficients(world: World, options: Options, seed: int) -> pl.DataFrame:
    return against_the_truth(world, _calibrated(world, options, seed, CUSTOMERS, DECISIONS), seed)


def _effects(world: World, options: Options, seed: int) -> pl.DataFrame:
    hidden = with_effects(world)
    return against_the_truth(hidden, _calibrated(hidden, options, seed, CUSTOMERS, DECISIONS, effects=True), seed)


def with_effects(world: World) -> World:
    """The world whose customers differ for good."""
    heads: dict[str, Head] = dict(world.coefficients.heads)
    for name, sigma in EFFECTS.items():
        effect = Term(feature="latent.frailty", value=sigma)
        heads[name] = heads[name].model_copy(update={"terms": (*heads[name].terms, effect)})
    hidden = Hidden(care_heals=0, factors=1, own_taste=0, own_reach=0)
    return replace(world, coefficients=Coefficients(name="recovery-effects", heads=heads, hidden=hidden))


def _calibrated(
    world: World, options: Options, seed: int, customers: int, decisions: int, *, effects: bool = False
) -> Calibration:
    folder = options.work / ("effects" if effects else "plain")
    write_tables(random_log(world, customers, decisions, seed), folder / "tables")
    return calibrate(CalibrateConfig(
        tables=folder / "tables", form=str(WORLD), estimate="debiased", random_effects=effects, replicates=0,
        seed=seed, out=folder / "world",
    ))  # fmt: skip


def against_the_truth(world: World, found: Calibration, seed: int) -> pl.DataFrame:
    """A row per coefficient of a head with enough events, beside its true value."""
    rows = []
    for head in found.heads:
        true = {term.feature: term.value for term in world.coefficients.heads[head.name].terms}
        for e in head.estimates if head.events >= ENOUGH else ():
            truth = true.get(e.feature, 0.0)
            low, high = e.interval or (np.nan, np.nan)
            rows.append({
                "seed": seed, "head": head.name, "events": head.events, "feature": e.feature, "truth": truth,
                "found": e.debiased, "se": e.debiased_se, "z": (e.debiased - truth) / e.debiased_se, "held": e.held,
                "inside": low <= truth <= high,
                "penalised_inside": abs(e.penalised - truth) <= 1.96 * e.penalised_se,
            })  # fmt: skip
    return pl.DataFrame(rows)


def _half_lives(world: World, options: Options, seed: int) -> pl.DataFrame:
    """A log with decisions two days apart, handed over with half-lives that are wrong."""
    task = world.schema.task.model_copy(update={"cadence_days": 2, "window_days": 2})
    true = replace(world, schema=world.schema.model_copy(update={"task": task}))
    folder: Path = options.work / "fading"
    write_tables(reencoded(random_log(true, *FADING_LOG, seed), WRONG), folder / "tables")
    found = calibrate(CalibrateConfig(
        tables=folder / "tables", form=str(WORLD), half_lives="estimate", replicates=0, seed=seed, out=folder / "world",
    ))  # fmt: skip
    truth = true.schema.fading.model_dump()
    rows = [
        {
            "seed": seed, "half-life": h.name, "truth": truth[h.name], "told": h.default, "chosen": h.chosen,
            "lower": h.lower, "upper": h.upper, "identified": h.identified,
            "inside": (h.lower or 0.0) <= truth[h.name] <= (h.upper or np.inf) if h.identified else None,
        }
        for h in found.half_lives if h.days
    ]  # fmt: skip
    kinds = {"lower": pl.Float64, "upper": pl.Float64, "inside": pl.Boolean}
    return pl.DataFrame(rows, schema_overrides=kinds)


if __name__ == "__main__":
    main("recovery", recovery)
