"""Tuned baselines on test customers, one by one; what stands in a folder is taken.

A file's name says what it was made with: seed, budget, days, customers, their luck, and the digest of the frozen bank.

Seeds can be worked out side by side, or before the policies that they are compared with:

    python -m benchmarks.measured_baselines FOLDER SEED
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from agents.baselines import parameters
from benchmarks.trained import customer_days
from envs.frozen import check_frozen
from envs.world import BUILT_IN, load_world
from evaluation.frontier import Frontier, Measured
from evaluation.simulation import Totals
from evaluation.trial import Dialled, Trial
from training.configs import TrainConfig
from training.evaluate import FIRST_COMPARED
from training.tuned import NAMES, BaselinesConfig, Name, tuned_baselines

DAYS, CUSTOMERS, SEEDS, TUNED = 91, 4000, 5, 3  # seeds of trainings, and of the search of baselines
KINDS = tuple(field.name for field in fields(Totals))


class Forgotten:
    """A policy of which only what it did is kept."""

    name = "forgotten"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        raise TypeError("only what this policy did was kept: it can decide nothing more")


def measured_baselines(
    folder: Path, names: Sequence[Name], budget: int, trial: Trial, seed: int
) -> dict[str, Measured]:
    """Each by name, tuned in the bank with a budget of customer-days and measured on the trial's customers."""
    bank = check_frozen(BUILT_IN / "bank", parameters())
    made_with = f"{seed}-{budget}-{trial.days}-{len(trial.customers)}-{trial.seed}-{bank.digest[:12]}"
    files = {name: folder / f"{name}-{made_with}.npz" for name in names}
    missing = tuple(name for name in names if not files[name].is_file())
    if missing:
        config = BaselinesConfig(names=missing, customer_days=budget, days=trial.days, seed=seed)
        for name, frontier in tuned_baselines(config).frontiers.items():
            _write(files[name], frontier.measured(trial))
    return {name: _read(file) for name, file in files.items()}


def _write(file: Path, measured: Measured) -> None:
    frontier, runs = measured.frontier, [*measured.totals, measured.silence]
    kinds = zip(*(astuple(totals) for totals in runs), strict=True)
    arrays = {kind: np.stack(parts) for kind, parts in zip(KINDS, kinds, strict=True)}
    settings = np.array([corner.name for corner in frontier.corners])
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_suffix(".part.npz")
    np.savez_compressed(
        made, name=frontier.name, settings=settings, chosen=[frontier.annoyance, frontier.gain], **arrays
    )
    made.rename(file)


def _read(file: Path) -> Measured:
    with np.load(file) as kept:
        arrays = {kind: kept[kind] for kind in KINDS}
        name, settings, (annoyance, gain) = str(kept["name"]), kept["settings"].tolist(), kept["chosen"]
    runs = [Totals(*(arrays[kind][k] for kind in KINDS)) for k in range(len(settings) + 1)]
    corners = tuple(Dialled(setting, Forgotten()) for setting in settings)
    return Measured(Frontier(name, corners, annoyance, gain), tuple(runs[:-1]), runs[-1])


if __name__ == "__main__":
    bank = load_world("bank")
    tested = Trial(bank, FIRST_COMPARED + np.arange(CUSTOMERS), DAYS)
    budget = customer_days(TrainConfig(world="bank"))
    measured_baselines(Path(sys.argv[1]), NAMES, budget, tested, int(sys.argv[2]))
