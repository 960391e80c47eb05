"""Tune: search for training settings that earn more on validation customers, by trials that can be gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import yaml

from agents.price_range import inside
from envs.world import load_world
from evaluation.intervals import Interval, mean_interval
from training import tracking
from training.runs import atomic_write, run_directory, write_picture
from training.train import price_range, train
from training.tune_configs import TuneConfig, with_settings
from training.tune_judge import FIRST_TESTED, Judge, judge_of
from training.tune_study import FAULT, RUN, begin_with, complete, mend, opened, settled, suggested

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

STATES = {"COMPLETE": "judged", "PRUNED": "ended early", "FAIL": "failed"}  # Optuna's words, and ours
FAULTS = (ValueError, RuntimeError, ArithmeticError)  # InputError among them: numbers that are none, too little memory
BEST = "best.yaml"  # the training that was found, for `nextbest train --config`


class EndedEarly(Exception):
    """A trial is behind the others."""


@dataclass(frozen=True)
class Tuned:
    """What a search found so far."""

    directory: Path
    frame: pl.DataFrame  # a row per trial: number, state, gain, its settings
    settings: dict[str, Any]  # of the best trial; empty: none was judged yet
    gain: Interval | None  # of the best on the customers by whom it was chosen: too good to be true
    tested: Interval | None  # the best less the training's own settings, paired, on other customers
    importances: dict[str, float]
    currency: str

    @cached_property
    def file(self) -> Path:
        """The training that was found."""
        return self.directory / BEST

    def __str__(self) -> str:
        if self.gain is None:
            return f"{len(self.frame)} trials, none judged yet; the same command goes on"
        named = ", ".join(f"{name} {_short(value)}" for name, value in self.settings.items())
        unit = f"{self.currency} per customer"
        return "\n".join(
            [
                f"best of {len(self.frame)} trials: {named}",
                f"gain over silence {_told(self.gain)} {unit} on the customers by whom it was chosen",
                f"less that of the training's own settings, on other customers: {_told(self.tested)} {unit}",
                f"train with it: nextbest train --config {self.file}",
            ]
        )

    def _repr_html_(self) -> str:
        return f"<pre>{self}</pre>{self.frame._repr_html_()}"


def tune(config: TuneConfig) -> Tuned:
    """Search, or go on with the search in `out`; what was found stands in best.yaml, with pictures beside it."""
    world = load_world(config.train.world)
    judge, test = judge_of(config, world), judge_of(config, world, FIRST_TESTED)
    trained = price_range(config.train, world)
    for prices in judge.prices:
        for name, value in prices.named(world.catalogue).items():
            inside(trained, name, value)
    directory = run_directory("tune", config.out)
    with ExitStack() as stack:
        stack.enter_context(_repeatable())
        study = stack.enter_context(opened(config, directory, world.digest))
        left = mend(study)
        begin_with(study, {name: getattr(config.train, name) for name in config.searched})
        whole = stack.enter_context(
            tracking.track(
                config.experiment, f"tune-{directory.name}", enabled=config.track, run_id=study.user_attrs.get(RUN)
            )
        )
        _begun(study, config, whole, left)
        deadline = np.inf if config.minutes is None else time.monotonic() + 60 * config.minutes
        while len(settled(study)) < config.trials and time.monotonic() < deadline:
            _try(study, config, judge, directory, whole)
        tuned = _found(study, config, judge, test, directory)
        _keep(tuned, study, config, whole)
    return tuned


@contextmanager
def _repeatable() -> Iterator[None]:
    """An interrupt says that it is the search that goes on, not the training that it struck."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on with the search") from None


def watcher(trial: Trial) -> Callable[[int, float], bool]:
    """What a training tells its validations to: it goes on unless the pruner finds the trial behind the others."""

    def watch(decisions: int, gain: float) -> bool:
        trial.report(gain, decisions)
        return not trial.should_prune()

    return watch


def _try(study: Study, config: TuneConfig, judge: Judge, directory: Path, whole: tracking.Tracker) -> None:
    """One trial. A training that cannot end well fails for good; an interrupt leaves the trial to be repeated."""
    from optuna.trial import TrialState

    trial = study.ask()
    name = f"trial-{trial.number:04d}"
    with tracking.track(config.experiment, name, enabled=config.track, parent=whole.run_id or None) as tracker:
        trial.set_user_attr(RUN, tracker.run_id)
        settings = suggested(trial, config)
        tracker.params(settings)
        try:
            gains = _gains(trial, config, settings, judge, directory / "trials" / name)
        except EndedEarly:
            study.tell(trial, state=TrialState.PRUNED)
            state = "ended early"
        except FAULTS as fault:
            if not complete(study) and settings == _own(config):
                raise  # not these settings are wrong
            trial.set_user_attr(FAULT, " ".join(str(fault).split())[:500])
            study.tell(trial, state=TrialState.FAIL)
            state = f"failed: {fault}"
        else:
            found, state = mean_interval(gains), "judged"
            trial.set_user_attr("interval", asdict(found))
            study.tell(trial, found.value)
            tracker.metrics({"gain": found.value, "gain_lo": found.lo, "gain_hi": found.hi})
        for step, value in study.trials[trial.number].intermediate_values.items():
            tracker.metrics({"validation_gain": value}, step=step)
        tracker.tags({"state": state, "trial": trial.number})


def _gains(trial: Trial, config: TuneConfig, settings: dict[str, object], judge: Judge, folder: Path) -> np.ndarray:
    """Gain of each validation customer, mean over seeds. (customers,) float64; the first seed alone is watched."""
    parts = []
    for k in range(config.seeds):
        own: dict[str, object] = {
            **settings,
            "seed": config.train.seed + k,
            "out": folder / f"seed-{config.train.seed + k}",
            "track": False,
            "register_policy": False,
        }
        run = train(with_settings(config.train, own), watch=watcher(trial) if k == 0 else None)
        if k == 0 and trial.should_prune():
            raise EndedEarly
        parts.append(judge.gain(run.policy))
    return np.asarray(np.mean(parts, axis=0))


def _begun(study: Study, config: TuneConfig, whole: tracking.Tracker, left: list[str]) -> None:
    """Note the search's run, and end the runs of trials that were cut off."""
    if whole.keeps and RUN not in study.user_attrs:
        study.set_user_attr(RUN, whole.run_id)
        whole.params({name: span.model_dump_json(exclude_defaults=True) for name, span in config.searched.items()})
    for run_id in left:
        whole.cut_off(run_id)


def _found(study: Study, config: TuneConfig, judge: Judge, test: Judge, directory: Path) -> Tuned:
    """The best trial, and how much more than the training's own settings it earns on customers that chose nothing."""
    from training.tune_figures import importances

    frame, judged = _frame(study, config), complete(study)
    if not judged:
        return Tuned(directory, frame, {}, None, None, {}, judge.world.catalogue.currency)
    best = max(judged, key=lambda t: t.value if t.value is not None else -np.inf)
    first = next((t for t in judged if t.params == _own(config)), None)
    tested = None
    if first is not None:
        tested = mean_interval(
            _tested(best.number, config, test, directory) - _tested(first.number, config, test, directory)
        )
    gain = Interval(**best.user_attrs["interval"])
    settings = {name: config.typed(name, value) for name, value in best.params.items()}
    return Tuned(
        directory, frame, settings, gain, tested, importances(study, config.seed), judge.world.catalogue.currency
    )


def _own(config: TuneConfig) -> dict[str, Any]:
    return {name: getattr(config.train, name) for name in config.searched}


def _tested(number: int, config: TuneConfig, test: Judge, directory: Path) -> np.ndarray:
    """The gain of a trial's policies on the test's simulated customers, mean over seeds. (customers,) float64"""
    from agents.artifact import load_policy

    folder = directory / "trials" / f"trial-{number:04d}"
    seeds = (config.train.seed + k for k in range(config.seeds))
    return np.asarray(np.mean([test.gain(load_policy(folder / f"seed-{seed}")) for seed in seeds], axis=0))


def _frame(study: Study, config: TuneConfig) -> pl.DataFrame:
    rows = []
    for trial in settled(study):
        found = trial.user_attrs.get("interval", {})
        row = {"trial": trial.number, "state": STATES[trial.state.name], "fault": trial.user_attrs.get(FAULT)}
        row |= {"gain": found.get("value"), "gain_lo": found.get("lo"), "gain_hi": found.get("hi")}
        rows.append(row | {name: trial.params.get(name) for name in config.searched})
    return pl.DataFrame(rows, infer_schema_length=None)


def _keep(tuned: Tuned, study: Study, config: TuneConfig, whole: tracking.Tracker) -> None:
    """Write trials.csv, pictures and best.yaml; keep them with the search's run."""
    from training.tune_figures import history_figure, importance_figure

    files = [atomic_write(tuned.directory / "trials.csv", tuned.frame.write_csv())]
    if tuned.gain is not None:
        chosen = with_settings(config.train, tuned.settings).model_dump(
            mode="json", exclude={"out"}, exclude_defaults=True
        )
        text = f"# nextbest train --config {BEST}: found by nextbest tune\n{yaml.safe_dump(chosen, sort_keys=False)}"
        files.append(atomic_write(tuned.file, text))
        whole.metrics({"gain": tuned.gain.value, **{f"importance/{n}": v for n, v in tuned.importances.items()}})
        if tuned.tested is not None:
            lower, value = tuned.tested.lo, tuned.tested.value
            whole.metrics({"tested_difference": value, "tested_difference_lo": lower})
    pictures = {
        "importance": importance_figure(tuned.importances, len(complete(study))),
        "history": history_figure(study, tuned.currency),
    }
    for name, figure in pictures.items():
        files.append(write_picture(tuned.directory / f"{name}.png", figure))
    for file in files:
        whole.artifact(file)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _told(found: Interval | None) -> str:
    return "not known" if found is None else f"{found.value:.2f} [{found.lo:.2f}, {found.hi:.2f}]"
