"""One policy and its prices, exactly: how far is it from the optimum and from specialists, does it listen?

The exact preset, whose optimum is computed. The one policy is told the price of annoyance; a specialist is trained at
one price with the same budget and settings. Prices and reference point were written down before a specialist was
trained; the number of steps and how it learns after some ten single trainings had been seen (most of seed 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from agents.artifact import ArtifactPolicy
from agents.steering import Steered, hypervolume, regret, steered
from benchmarks.kit import Options, Result, main, show
from benchmarks.trained import learned
from envs.exact import build
from envs.world import load_world
from evaluation.intervals import mean_interval
from training.configs import TrainConfig

PRICES = (0.0, 20.0, 60.0, 100.0, 200.0)  # CNY per opt-out, as in `benchmarks.exact`
STEPS, SEEDS = 5_000_000, 5
LEARNING = {
    "entropy": 0.1,
    "gae_lambda": 0.8,
    "learning_rate": 1e-3,
    "rollout": 32,
}  # eight decisions, few states: not the bank's
REFERENCE = (0.0, 1.0)  # profit in CNY, annoyance in opt-outs per customer: worse than any policy compared
NEEDED, HYPERVOLUME = 0.97, 0.97


def steering(options: Options, result: Result) -> None:
    """Train one policy per seed and a specialist per price, then evaluate all of them exactly."""
    model, seeds = build(load_world("exact")), 1 if options.quick else SEEDS
    own = [steered(model, _trained(options, options.seed + k, None), PRICES) for k in range(seeds)]
    _shares(own, result)
    _told(own, result)
    prices = PRICES[1:3] if options.quick else PRICES
    theirs = {price: steered(model, _trained(options, options.seed, price), PRICES) for price in prices}
    if not options.quick:
        _beside(own, theirs, result)
    result.conditions |= {
        "seeds": seeds,
        "steps": _steps(options),
        **LEARNING,
        "prices": PRICES,
        "states": model.states,
    }


def _steps(options: Options) -> int:
    return 20_000 if options.quick else STEPS


def _trained(options: Options, seed: int, price: float | None) -> ArtifactPolicy:
    """One policy for all prices, or the specialist of one; what stands in the folder is taken."""
    out = options.work / (f"one-{seed}" if price is None else f"specialist-{price:g}-{seed}")
    fixed = {} if price is None else {"random_prices": False, "prices": {"annoyance": price}}
    return learned(TrainConfig(world="exact", steps=_steps(options), seed=seed, out=out, track=False,
                               register_policy=False, **LEARNING, **fixed))  # fmt: skip


def _shares(own: Sequence[Steered], result: Result) -> None:
    table = np.stack([one.share for one in own])
    rows = [
        {"seed": k} | {f"at {p:g}": float(s) for p, s in zip(PRICES, row, strict=True)} for k, row in enumerate(table)
    ]
    show("Share of (optimum - silence) that one policy reaches, exactly", pl.DataFrame(rows))
    result.figures["share"] = rows
    result.figures["share_interval"] = [vars(mean_interval(column)) for column in table.T] if len(table) > 1 else []
    least = float(table.mean(axis=0).min())
    words = f"at least {NEEDED} at every price, mean of the seeds (least {least:.3f}; of any seed {table.min():.3f})"
    result.target("share of the optimum", words, least >= NEEDED)


def _told(own: Sequence[Steered], result: Result) -> None:
    """The cross-price test, and whether levers are monotone."""
    wrong = np.stack([one.wrongly_told for one in own])
    frame = pl.DataFrame(own[0].cross, schema=[f"told {p:g}" for p in PRICES]).insert_column(
        0, pl.Series("judged at", PRICES)
    )
    show("Value per customer by the price judged at and the price told, first seed, CNY", frame)
    result.figures |= {"cross": [one.cross.tolist() for one in own], "wrongly_told": wrong.tolist()}
    worst = float(wrong.mean(axis=0).max())
    words = f"telling a wrong price does not pay, mean of the seeds (most {worst:+.4f} of optimum - silence)"
    result.target("cross-price", words, worst <= 0)
    monotone = sum(one.monotone for one in own)
    result.target("monotone", f"a higher price never raises annoyance ({monotone} of {len(own)})", monotone == len(own))


def _beside(own: Sequence[Steered], theirs: Mapping[float, Steered], result: Result) -> None:
    """Specialists with the same budget each: hypervolume and regret."""
    profit = np.array([one.profit[PRICES.index(price)] for price, one in theirs.items()])
    annoyance = np.array([one.annoyance[PRICES.index(price)] for price, one in theirs.items()])
    area = hypervolume(profit, annoyance, REFERENCE)
    ratio = np.array([hypervolume(one.profit, one.annoyance, REFERENCE) / area for one in own])
    missed = np.stack([regret(one, theirs) for one in own])
    special = {f"at {p:g}": float(theirs[p].share[k]) for k, p in enumerate(PRICES)}
    rows = [{"policy": "specialists, share of the optimum"} | special]
    rows += [
        {"policy": f"one, seed {k}: regret"} | dict(zip(special, map(float, row), strict=True))
        for k, row in enumerate(missed)
    ]
    show("Specialists, and what the one policy misses of them (share of optimum - silence)", pl.DataFrame(rows))
    result.figures |= {"specialists": special, "regret": missed.tolist(), "hypervolume": ratio.tolist()}
    measured = f"{ratio.mean():.3f}; worst regret {missed.max():.3f}"
    words = f"at least {HYPERVOLUME} of five specialists', mean of the seeds ({measured})"
    result.target("hypervolume", words, float(ratio.mean()) >= HYPERVOLUME)


if __name__ == "__main__":
    main("steering", steering)
