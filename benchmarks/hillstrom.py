"""Hillstrom's randomised e-mail test: do the intervals of off-policy estimates cover what was measured?

Visits by all customers, 2,000 times; conversions (one in a hundred) and what they spend by the number of customers,
500 times. A report claims nothing of an arm behind which fewer customers than `settings.min_positives` have a
positive outcome, counted by their weights; coverage is that of the claims it makes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from agents.baselines import Fixed
from agents.myopic import Myopic
from agents.policy import Policy
from benchmarks.kit import Options, Result, data, main, show
from envs.world import load_world
from evaluation.diagnostics import kish
from evaluation.evaluate import evaluate
from evaluation.intervals import Interval, estimate_interval
from evaluation.log import Log
from evaluation.onestep import snips
from evaluation.reading import read_log
from evaluation.resampling import resample
from evaluation.settings import EvaluationSettings
from training.calibrate import calibrate
from training.configs import CalibrateConfig, ImportConfig
from training.import_log import import_log

REPLICATIONS = {"visit": 2000, "conversion": 500, "spend": 500}
SIZES = (2_000, 8_000, 64_000)  # customers that are drawn; visit in the last size alone
SHARE = {"silence": 0.5, "mens_email": 0.2, "womens_email": 0.3}  # propensity at the middle of the covariate
TILT = 0.8  # log odds by which a standard deviation of it moves men's e-mails against the others
ARMS = ("silence", "mens_email", "womens_email")
WITHIN = (0.93, 0.97)


def hillstrom(options: Options, result: Result) -> None:
    """Draw customers with replacement, thin the log to be non-uniform, estimate each arm, count covered truths."""
    rows = []
    for outcome, replications in REPLICATIONS.items():
        tables = options.work / f"tables-{outcome}"
        import_log(ImportConfig(kind="hillstrom", source=data("hillstrom"), outcome=outcome, out=tables))
        everyone = read_log(tables, "all")
        for size in SIZES[-1:] if outcome == "visit" else SIZES:
            random = np.random.default_rng([options.seed, size])
            found = [replication(everyone, size, random) for _ in range(10 if options.quick else replications)]
            rows += [_covered(outcome, size, arm, [one[arm] for one in found]) for arm in ARMS]
    frame = pl.DataFrame(rows)
    show("Hillstrom: logs thinned to be non-uniform, 95 % intervals of each arm (SNIPS)", frame, digits=4)
    learned = _learned(options, read_log(options.work / "tables-visit", "all"))
    show("A learned policy on held-out customers (visits per customer)", learned, digits=4)
    result.figures |= {"covered": rows, "learned": learned.to_dicts()}
    result.conditions |= {"replications": REPLICATIONS}
    for row in rows:
        share, claimed = float(str(row["covered"])), float(str(row["claimed"]))
        words = (
            f"covered {share:.3f} (aimed at {WITHIN[0]} to {WITHIN[1]}); a claim is made on {claimed:.0%} of the logs"
        )
        holds = claimed == 0 or WITHIN[0] <= share <= WITHIN[1]
        result.target(f"{row['outcome']}, {row['customers']:,} customers, {row['arm']}", words, holds)


class Found(NamedTuple):
    """One replication's answer for one arm."""

    truth: float
    interval: Interval
    positives: float  # effective number of customers with a positive outcome


def replication(everyone: Log, size: int, random: np.random.Generator) -> dict[str, Found]:
    """Customers drawn with replacement; each kept with the propensity of its arm and covariate over the largest of all.

    Arms were drawn evenly, so that the kept log has these propensities, and covariates are those of everybody: the
    truth of an arm is its mean over the rows at hand.
    """
    x = everyone.observation[:, 0].astype(np.float64)
    positions = [everyone.treatments.index(arm) for arm in ARMS]
    drawn = random.integers(0, len(everyone), size)
    z = (x[drawn] - x.mean()) / x.std()
    scores = np.log([SHARE[arm] for arm in ARMS]) + np.outer(z, [0.0, TILT, 0.0])
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    arm = np.argmax(everyone.treatment[drawn][:, None] == positions, axis=1)
    own = p[np.arange(size), arm]
    kept = random.random(size) < own / p.max()
    reward, every = everyone.reward(), everyone.treatment
    found = {}
    for place, name in enumerate(ARMS):
        weight, amount = (arm[kept] == place) / own[kept], reward[drawn][kept]
        terms = snips(weight, amount)
        one = estimate_interval(terms, resample(int(kept.sum()), 400, random))
        truth = float(reward[every == positions[place]].mean())
        found[name] = Found(truth, one, float(kish(weight * (amount > 0))))
    return found


def _covered(outcome: str, size: int, arm: str, found: list[Found]) -> dict[str, object]:
    """Share of the truths inside, among logs in which a report would make a claim: enough positive outcomes."""
    claimed = [f for f in found if f.positives >= EvaluationSettings().min_positives]
    inside = [f.interval.lo <= f.truth <= f.interval.hi for f in claimed]
    everywhere = [f.interval.lo <= f.truth <= f.interval.hi for f in found]
    share = float(np.mean(inside)) if inside else float("nan")
    return {
        "outcome": outcome, "customers": size, "arm": arm, "truth": found[0].truth, "logs": len(found),
        "positives": float(np.mean([f.positives for f in found])), "claimed": len(claimed) / len(found),
        "covered": share, "error": float(np.sqrt(0.95 * 0.05 / max(len(claimed), 1))),
        "covered, refused ones too": float(np.mean(everywhere)),
        "width": float(np.mean([f.interval.hi - f.interval.lo for f in found])),
    }  # fmt: skip


def _learned(options: Options, everyone: Log) -> pl.DataFrame:
    """The myopic rule of a calibrated world, evaluated on customers that it never saw."""
    tables, world = options.work / "tables-visit", options.work / "world"
    calibrate(CalibrateConfig(tables=tables, out=world, replicates=0, seed=options.seed))
    policies: dict[str, Policy] = {"learned": Myopic(load_world(world), name="learned")}
    policies |= {f"always {arm}": Fixed(everyone.treatments.index(arm), f"always {arm}") for arm in ARMS}
    report = evaluate(read_log(tables, "test"), policies, training_log=read_log(tables, "train"), seed=options.seed)
    return report.frame.select("policy", "value", "lo", "hi", "difference", "difference_lo", "difference_hi", "ess")


if __name__ == "__main__":
    main("hillstrom", hillstrom)
