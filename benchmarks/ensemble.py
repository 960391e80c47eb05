"""Policies judged in worlds that are not quite the bank: its coefficients drawn anew, as a log would estimate them.

A member of the ensemble is the built-in bank with every coefficient moved by chance, by the standard error that a log
of 30,000 customers has (`envs/members.py`, `envs/worlds/bank/standard_errors.yaml`). Policies are trained on the bank's
own coefficients and, beside it, on as many members as the trainer takes side by side (four). They are judged in members
that none was trained in, each on customers of its own, at prices that selection customers of the *unperturbed* bank
chose. In each member: the published pilot's figures over siloed campaigns; gain at equal annoyance over propensity x
margin, which learned and was tuned in the unperturbed bank with the same budget.

Members differ in coefficients, customers and luck, so that an interval over members (Student's t) holds all three. The
seeds of trainings are averaged within a member: their chance is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import stdtrit

from agents.artifact import ArtifactPolicy
from agents.baselines import parameters
from benchmarks.kit import Options, Result, main, show
from benchmarks.pilot import NEEDED, SELECTION
from benchmarks.silos import PILOT, SPENT, Silos, as_they_are, offered
from benchmarks.trained import customer_days, price_frontier, trained
from envs.frozen import check_frozen
from envs.members import load_standard_errors, member
from envs.prices import Prices
from envs.world import BUILT_IN, World, load_world, save_world
from evaluation.frontier import Frontier, equal_annoyance
from evaluation.trial import Trial
from training.calibration_ensemble import write_members
from training.configs import TrainConfig
from training.evaluate import FIRST_COMPARED
from training.tuned import BaselinesConfig, Name, tuned_baselines

DAYS, CUSTOMERS, SEEDS, MEMBERS = 91, 2000, 2, 8
LEVELS = (0.15, 0.3, 0.6, 1.0)  # opt-outs per customer in the quarter
FIRST_JUDGED = 100  # number of the first member that is judged; training has those from 0 on
REFERENCE: Name = "propensity_margin"
MARGIN = 0.25  # gain to be had over it, as a share


@dataclass(frozen=True)
class Candidate:
    """A policy as it is judged: its prices and its frontier were chosen in the bank."""

    kind: str
    policy: ArtifactPolicy
    prices: Prices  # of the pilot's figures
    frontier: Frontier


def ensemble(options: Options, result: Result) -> None:
    """Train, choose prices in the bank, judge in members."""
    quick, bank = options.quick, load_world("bank")
    result.conditions["bank"] = str(check_frozen(BUILT_IN / "bank", parameters()))
    errors = load_standard_errors(BUILT_IN / "bank")
    seeds, members, days, count = (1, 2, 28, 200) if quick else (SEEDS, MEMBERS, DAYS, CUSTOMERS)
    taken = [member(bank, errors, k, options.seed) for k in range(TrainConfig().ensemble)]
    world = _with_members(bank, taken, options.work / "world")
    chosen = Trial(bank, SELECTION + np.arange(count), days, options.seed)
    candidates = [
        _candidate(kind, trained(options.work / f"{folder}-{seed}", where, seed, days, quick=quick), chosen)
        for kind, folder, where in (("bank", "training", "bank"), ("members", "members", str(world)))
        for seed in range(options.seed, options.seed + seeds)
    ]
    theirs = _reference(options, days)
    rows = []
    for k in range(members):
        there = member(bank, errors, FIRST_JUDGED + k, options.seed)
        customers = FIRST_COMPARED + k * count + np.arange(count)
        rows += _judged(k, Trial(there, customers, days, options.seed), candidates, theirs)
    _tell(pl.DataFrame(rows), result)
    result.conditions |= {"members": members, "customers": count, "days": days, "seeds": seeds}


def _with_members(bank: World, members: Sequence[World], folder: Path) -> Path:
    """The bank as a directory with an ensemble beside it, as a calibration writes one: training learns in all of it."""
    save_world(bank, folder)
    write_members(folder, [one.coefficients for one in members])
    return folder


def _candidate(kind: str, policy: ArtifactPolicy, chosen: Trial) -> Candidate:
    prices = Silos(chosen, as_they_are(chosen.world)).affordable(offered(policy, chosen))
    return Candidate(kind, policy, prices, price_frontier(policy, chosen))


def _reference(options: Options, days: int) -> Frontier:
    budget = 250_000 if options.quick else customer_days(TrainConfig(world="bank"))
    config = BaselinesConfig(names=(REFERENCE,), customer_days=budget, days=days, seed=options.seed)
    return tuned_baselines(config).frontiers[REFERENCE]


def _judged(k: int, trial: Trial, candidates: Sequence[Candidate], theirs: Frontier) -> list[dict[str, object]]:
    """One row per policy in a member, and one of the coordinated rules."""
    silos, reference = Silos(trial, as_they_are(trial.world)), theirs.measured(trial)
    rows: list[dict[str, object]] = [{"member": k, "policy": "coordinated rules"} | _figures(silos.designed())]
    for one in candidates:
        row: dict[str, object] = {"member": k, "policy": f"ppo, trained in {one.kind}"}
        row |= _figures(silos.beside(one.policy, one.prices))
        measured = one.frontier.measured(trial)
        for level in LEVELS:
            found = equal_annoyance(measured, reference, level)
            row |= {f"more at {level:g}": found.difference.value, f"reference at {level:g}": found.theirs.value}
        rows.append(row)
    return rows


def _figures(row: Mapping[str, float]) -> dict[str, float]:
    """Means only, ratios as logarithms: intervals are over members."""
    return {name: float(np.log(row[name])) for name in PILOT} | {name: row[name] for name in SPENT if name in row}


def over_members(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of independent members (members,) with its 95 % interval: Student's t."""
    mean, count = float(values.mean()), len(values)
    half = float(stdtrit(count - 1, 0.975)) * float(values.std(ddof=1)) / count**0.5
    return mean, mean - half, mean + half


def share_over_members(more: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """The members' mean gain beyond the reference over its mean, each (members,); the delta method's interval."""
    share = float(more.mean() / reference.mean())
    _, lo, hi = over_members((more - share * reference) / reference.mean())
    return share, share + lo, share + hi


def _tell(rows: pl.DataFrame, result: Result) -> None:
    """Per policy: means over members, seeds averaged within each."""
    means = rows.group_by("member", "policy", maintain_order=True).mean()
    table, figures = [], []
    for (policy,), own in means.group_by("policy", maintain_order=True):
        found = {name: tuple(np.exp(over_members(own[name].to_numpy()))) for name in PILOT}
        if own["cost"].null_count() == 0:
            found |= {f"{name}, less the silos'": over_members(own[name].to_numpy()) for name in SPENT}
            for level in LEVELS:
                more, reference = (own[f"{name} at {level:g}"].to_numpy() for name in ("more", "reference"))
                found[f"over {REFERENCE} at {level:g}"] = share_over_members(more, reference)
        figures.append({"policy": policy} | found)
        table.append({"policy": policy} | {name: "{:.2f} [{:.2f}, {:.2f}]".format(*f) for name, f in found.items()})
    names = [name for name in figures[-1] if name != "policy"]
    wide = {"figure": names} | {str(row["policy"]): [row.get(name, "") for name in names] for row in table}
    show(
        "Over the silos, and over propensity x margin at equal annoyance: means over members, 95 %", pl.DataFrame(wide)
    )
    result.figures |= {"over_members": figures, "members": rows.to_dicts()}
    _of_training(means, result)
    for row in figures:
        if str(row["policy"]).startswith("ppo"):
            _aim(str(row["policy"]), row, result)


def _of_training(means: pl.DataFrame, result: Result) -> None:
    """What training in members is worth in others, at equal annoyance, paired by member."""
    inside, outside = (means.filter(policy=f"ppo, trained in {kind}").sort("member") for kind in ("members", "bank"))
    rows = [
        (level, *over_members((inside[name] - outside[name]).to_numpy()))
        for level, name in ((level, f"more at {level:g}") for level in LEVELS)
    ]
    frame = pl.DataFrame(rows, orient="row", schema=["level", "difference", "lo", "hi"])
    show("Trained in members less trained in the bank: gain at equal annoyance, CNY per customer, 95 %", frame, 2)
    result.figures["of_training_in_members"] = frame.to_dicts()


def _aim(policy: str, row: Mapping[str, tuple[float, float, float]], result: Result) -> None:
    """What is aimed at in the bank, asked of the mean over members."""
    for figure, need in NEEDED.items():
        mean = row[figure][0]
        result.target(f"{figure}, {policy}", f"at least {need} x the silos' (mean {mean:.2f})", mean >= need)
    dearest = max(row[f"{name}, less the silos'"][2] for name in SPENT)
    words = f"upper bounds of cost and annoyance over members at most the silos' (highest {dearest:.2f})"
    result.target(f"no dearer, {policy}", words, dearest <= 0)
    least = min(row[f"over {REFERENCE} at {level:g}"][0] for level in LEVELS)
    words = f"at least {MARGIN:+.0%} at every level (least {least:+.1%})"
    result.target(f"over {REFERENCE}, {policy}", words, least >= MARGIN)


if __name__ == "__main__":
    main("ensemble", ensemble)
