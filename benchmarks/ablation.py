"""What the parts of a training are each worth, at equal steps and seconds: warm start, network, prices, rewards.

Trainings by the defaults but for the number of decisions, and each of them with one thing taken away:

    cold start         no teacher, no imitation; and once more with decisions for as many seconds as the whole takes
    plain network      stable-baselines3's perceptron with an output per treatment, as wide and deep; else the same
    told no heads      the network must learn by itself what treatments bring, which the world's heads say
    not told prices    prices are drawn and charged all the same; the network sees the usual ones, always
    sampled rewards    learns from what happens instead of from what can be expected
    deaf to histories  the teacher takes hidden states at their mean instead of learning what histories say of them

All are judged on the same customers and luck, those that trainings are validated on, mean over four prices of annoyance
(`benchmarks/curves.py`). Seconds are of a processor, one thread: they hold teacher and imitation, not the judging, and
not what else runs on the machine. Variants take turns, seed by seed.
Worth: the whole's gain less the variant's, paired by customer, intervals over customers and seeds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from agents.network import ScoringPolicy
from agents.policy import greedy
from agents.teacher import Teacher
from benchmarks.curves import Curve, judge_of, trained, warm_up
from benchmarks.curves_picture import curves_figure
from benchmarks.judged import Judge
from benchmarks.kit import Options, Result, main, show, within
from benchmarks.networks import PlainPolicy, UntoldPolicy, parameters, unpriced
from envs.world import World, load_world
from evaluation.intervals import pooled_ratio, pooled_seeds
from training.configs import TrainConfig
from training.course import Training

STEPS, SEEDS, POINTS = 400_000, 3, 12
COLD = {"imitation_steps": 0, "tuning_customers": 0, "foresight_customers": 0}
WHOLE, AS_LONG = "whole", "cold start, as long"
NEAR = 0.9  # of the teacher's gain: how far learning may fall after the warm start; assumed
SMALL = {"steps": 40_000, "imitation_steps": 20_000, "tuning_customers": 30, "horizon": 28, "validation_customers": 40,
         "foresight_customers": 500}  # fmt: skip
Curves = dict[str, list[Curve]]  # by variant, one per seed


@dataclass(frozen=True)
class Variant:
    """What is changed."""

    told: Mapping[str, Any] = field(default_factory=dict)
    network: type[ScoringPolicy] = ScoringPolicy


def variants(world: World) -> dict[str, Variant]:
    """By name; the whole first."""
    return {
        WHOLE: Variant(),
        "cold start": Variant(COLD),
        "plain network": Variant(network=PlainPolicy),
        "told no heads": Variant(network=UntoldPolicy),
        "not told prices": Variant(network=unpriced(world)),
        "sampled rewards": Variant({"expected_rewards": False}),
        "deaf to histories": Variant({"foresight_customers": 0}),
    }


@dataclass(frozen=True)
class Taught:
    """A teacher as a policy: its best treatment."""

    teacher: Teacher
    name: str = "teacher"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return greedy(self.teacher.scores(observation), mask)


def ablation(options: Options, result: Result) -> None:
    """Train every variant of every seed in turn, then compare."""
    torch.set_num_threads(1)
    world, quick = load_world("bank"), options.quick
    config = TrainConfig(world="bank", track=False, register_policy=False, **(SMALL if quick else {"steps": STEPS}))
    seeds, points = (1, 2) if quick else (SEEDS, POINTS)
    judge, named = judge_of(world, config, options.seed), variants(world)
    warm_up(world, config, judge, options.work / "ablation")
    curves: Curves = {name: [] for name in [*named, AS_LONG]}
    teachers: list[np.ndarray] = []
    sizes: dict[str, int] = {}
    for seed in range(options.seed, options.seed + seeds):
        own = config.model_copy(update={"seed": seed, "out": options.work / "ablation"})
        for name, variant in named.items():
            training, curve = _run(world, variant, own, judge, points)
            curves[name].append(curve)
            sizes[name] = parameters(training.policy)
            if name == WHOLE:
                teachers.append(judge.gain(Taught(training.teacher)).mean(axis=1))
        longer = int(config.steps * _end(curves[WHOLE][-1]) / _end(curves["cold start"][-1]))
        curves[AS_LONG].append(_run(world, Variant({**COLD, "steps": longer}), own, judge, points)[1])
    teacher = np.stack(teachers)
    _table(curves, sizes, result)
    _prices(curves, judge, result)
    _near_teacher(curves, teacher, result)
    picture = curves_figure(curves, world.catalogue.currency, {"teacher": float(teacher.mean())})
    picture.savefig(options.work / "ablation.png", dpi=150)
    result.conditions |= {"seeds": seeds, "steps": config.steps, "customers": config.validation_customers}


def _run(world: World, variant: Variant, config: TrainConfig, judge: Judge, points: int) -> tuple[Training, Curve]:
    """One training of a variant."""
    told = config.model_copy(update=dict(variant.told))
    return trained(world, told, judge, config.out or Path(), points, variant.network, time.process_time)


def _end(curve: Curve) -> float:
    return float(curve.seconds[-1])


def _table(curves: Curves, sizes: Mapping[str, int], result: Result) -> None:
    """Gain at a quarter and at the whole of the decisions, and at equal seconds; each less than the whole's by."""
    least = min(curve.decisions[-1] for some in curves.values() for curve in some)
    shortest = min(_end(curve) for some in curves.values() for curve in some)
    as_whole = min(_end(curve) for name in (WHOLE, AS_LONG) for curve in curves[name])
    places = {
        f"after {least / 4:,.0f}": [c.at_decisions(least / 4) for c in _flat(curves)],
        f"after {least:,.0f}": [c.at_decisions(least) for c in _flat(curves)],
        f"at {shortest:.0f} s": [c.at_seconds(shortest) for c in _flat(curves)],
        f"at {as_whole:.0f} s": [c.at_seconds(as_whole) for c in _flat(curves)],
    }
    rows: list[dict[str, object]] = []
    for place, gains in places.items():
        seeds = len(curves[WHOLE])
        by_name = {name: np.stack(gains[k * seeds : (k + 1) * seeds]) for k, name in enumerate(curves)}
        for name, gain in by_name.items():
            rows.append({"variant": name, "place": place} | pooled_seeds(gain).named("gain")
                        | pooled_seeds(by_name[WHOLE] - gain).named("worth"))  # fmt: skip
    wide = [
        {"variant": name}
        | {row["place"]: within(row, "gain", 0) for row in rows if row["variant"] == name}
        | {"seconds": f"{np.mean([_end(c) for c in curves[name]]):.0f}", "numbers": sizes.get(name, "")}
        for name in curves
    ]
    show("Gain over silence, CNY per customer, mean over prices and seeds, 95 %", pl.DataFrame(wide))
    wide = [
        {"taken away": name} | {row["place"]: within(row, "worth", 0) for row in rows if row["variant"] == name}
        for name in curves
        if name != WHOLE
    ]
    show("What is lost by it, paired (a variant that has ended keeps its last gain)", pl.DataFrame(wide))
    result.figures |= {
        "places": rows,
        "parameters": dict(sizes),
        "curves": {name: [curve.plain for curve in some] for name, some in curves.items()},
    }


def _flat(curves: Curves) -> list[Curve]:
    return [curve for some in curves.values() for curve in some]


def _prices(curves: Curves, judge: Judge, result: Result) -> None:
    """At the end, by price: what it is worth to be told."""
    rows = []
    for k, price in enumerate(judge.annoyance):
        told, deaf = (np.stack([c.by_price[:, k] for c in curves[name]]) for name in (WHOLE, "not told prices"))
        rows.append({"price": price} | pooled_seeds(told).named("told") | pooled_seeds(deaf).named("not told")
                    | pooled_seeds(told - deaf).named("worth"))  # fmt: skip
    short = [{"price": r["price"]} | {name: within(r, name, 0) for name in ("told", "not told", "worth")} for r in rows]
    show("Gain at each price of annoyance at the end, told it or not, CNY per customer", pl.DataFrame(short), 0)
    result.figures["prices"] = rows


def _near_teacher(curves: Curves, teacher: np.ndarray, result: Result) -> None:
    """How near the teacher learning starts, and how far below it it falls. teacher: (seeds, customers)"""
    rows: list[dict[str, object]] = []
    for name, some in curves.items():
        begins = np.stack([c.gain[0] for c in some])
        lowest = np.stack([c.gain[c.mean.argmin()] for c in some])
        rows.append({"variant": name} | pooled_ratio(begins, teacher).named("start")
                    | pooled_ratio(lowest, teacher).named("lowest"))  # fmt: skip
    short = [{"variant": r["variant"]} | {name: within(r, name, 2) for name in ("start", "lowest")} for r in rows]
    title = f"Gain when learning starts, and the lowest since, over the teacher's ({teacher.mean():.0f} CNY)"
    show(title, pl.DataFrame(short))
    result.figures |= {"near_teacher": rows, "teacher": vars(pooled_seeds(teacher))}
    words = f"surely never below {NEAR} of the teacher's gain after the warm start: lower bound of the lowest point"
    words += f" ({within(rows[0], 'lowest', 2)})"
    result.target("near the teacher", words, float(str(rows[0]["lowest_lo"])) >= NEAR)


if __name__ == "__main__":
    main("ablation", ablation)
