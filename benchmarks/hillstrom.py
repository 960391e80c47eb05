"""Hillstrom's randomised e-mail test: do the intervals of off-policy estimates cover what was measured?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from agents.baselines import Fixed
from agents.myopic import Myopic
from agents.policy import Policy
from benchmarks.kit import Options, Result, data, main, show
from envs.world import load_world
from evaluation.evaluate import evaluate
from evaluation.intervals import Interval, estimate_interval
from evaluation.log import Log
from evaluation.onestep import snips
from evaluation.reading import read_log
from evaluation.resampling import resample
from training.calibrate import calibrate
from training.configs import CalibrateConfig, ImportConfig
from training.import_log import import_log

REPLICATIONS = 200
KEEP = {"silence": 0.9, "mens_email": 0.35, "womens_email": 0.6}  # at the middle of the covariate; see `thinned`
ARMS = ("silence", "mens_email", "womens_email")


def hillstrom(options: Options, result: Result) -> None:
    """Draw customers with replacement, thin the log to be non-uniform, estimate each arm, count covered truths."""
    tables = options.work / "tables"
    import_log(ImportConfig(kind="hillstrom", source=data("hillstrom"), outcome="visit", out=tables))
    everyone = read_log(tables, "all")
    replications = 10 if options.quick else REPLICATIONS
    random = np.random.default_rng(options.seed)
    truth = {arm: _mean(everyone, position) for arm, position in _positions(everyone).items()}
    covered = dict.fromkeys(truth, 0)
    widths = dict.fromkeys(truth, 0.0)
    kept = 0.0
    for _ in range(replications):
        log = thinned(everyone, random)
        kept += len(log) / len(everyone) / replications
        for arm, position in _positions(log).items():
            found = arm_value(log, position, random)
            covered[arm] += found.lo <= truth[arm] <= found.hi
            widths[arm] += (found.hi - found.lo) / replications
    rows = [(arm, truth[arm], covered[arm] / replications, widths[arm]) for arm in truth]
    frame = pl.DataFrame(rows, orient="row", schema=["policy", "mean of the rows at hand", "covered", "mean width"])
    show(f"Hillstrom, visit: {replications} logs thinned to {kept:.0%}, 95 % intervals (SNIPS)", frame, digits=4)
    learned = _learned(options, everyone)
    show("A learned policy on held-out customers (visits per customer)", learned, digits=4)
    result.figures |= {"covered": {a: c / replications for a, c in covered.items()}, "truth": truth}
    result.figures["learned"] = learned.to_dicts()
    result.conditions |= {"replications": replications, "rows": len(everyone), "kept": kept}
    slack = 2 * np.sqrt(0.95 * 0.05 / replications)
    for arm, count in covered.items():
        share = count / replications
        result.target(
            arm, f"covers in 95 % of logs within two standard errors ({slack:.3f})", abs(share - 0.95) <= slack
        )


def _positions(log: Log) -> dict[str, int]:
    return {arm: log.treatments.index(arm) for arm in ARMS}


def _mean(log: Log, position: int) -> float:
    return float(log.reward()[log.treatment == position].mean())


def thinned(log: Log, random: np.random.Generator) -> Log:
    """Customers drawn with replacement; each kept with a probability by arm and covariate; propensities follow.

    Keeping a row of arm a and covariate x with probability k(a, x) makes the log's propensities p(a) k(a, x) / sum_b.
    """
    drawn = random.integers(0, len(log), len(log))
    tilt = 1 / (1 + np.exp(-(log.observation[drawn, 0] - log.observation[:, 0].mean())))
    keep = np.empty((len(drawn), len(log.treatments)))
    for arm, position in _positions(log).items():
        level = KEEP[arm]
        keep[:, position] = level * (0.7 + 0.6 * (tilt if arm != "mens_email" else 1 - tilt)).clip(0, 1)
    keep = keep.clip(0.05, 1.0)
    chosen = random.random(len(drawn)) < keep[np.arange(len(drawn)), log.treatment[drawn]]
    rows, shares = drawn[chosen], (keep / keep.sum(axis=1, keepdims=True))[chosen]
    propensity = shares[np.arange(len(rows)), log.treatment[rows]]
    fields = ("observation", "mask", "treatment", "margin", "cost", "annoyance", "effort", "gap_days", "terminated")
    taken = {name: getattr(log, name)[rows] for name in (*fields, "step", "at", "logged_prices")}
    names = np.array([f"copy-{i:06d}" for i in range(len(rows))])
    ids = {"customer": np.arange(len(rows)), "customer_id": names, "decision_id": names}
    return replace(log, **taken, **ids, propensity=propensity, behaviour=shares)


def arm_value(log: Log, position: int, random: np.random.Generator) -> Interval:
    """The value of always choosing one arm, self-normalised."""
    weight = (log.treatment == position) / log.propensity
    terms = snips(weight, log.reward())
    return estimate_interval(terms, resample(log.customers, 400, random))


def _learned(options: Options, everyone: Log) -> pl.DataFrame:
    """The myopic rule of a calibrated world, evaluated on customers that it never saw."""
    tables, world = options.work / "tables", options.work / "world"
    calibrate(CalibrateConfig(tables=tables, out=world, replicates=0, seed=options.seed))
    policies: dict[str, Policy] = {"learned": Myopic(load_world(world), name="learned")}
    policies |= {f"always {arm}": Fixed(p, f"always {arm}") for arm, p in _positions(everyone).items()}
    report = evaluate(read_log(tables, "test"), policies, training_log=read_log(tables, "train"), seed=options.seed)
    return report.frame.select("policy", "value", "lo", "hi", "difference", "difference_lo", "difference_hi", "ess")


if __name__ == "__main__":
    main("hillstrom", hillstrom)
