"""The study of a search: kept in SQLite, one process at a time, and what a killed process left is repeated."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.digest import digest_of
from envs.errors import InputError
from training.tune_configs import TuneConfig

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

FILE = "study.db"
FREE = {"trials", "minutes", "track", "experiment", "out", "startup", "pruner"}  # may differ when a search goes on
FAULT = "fault"  # a trial's: why its training failed, which it would do again
RUN = "run_id"  # a trial's and the study's: its MLflow run
NEED = "install the extra `tune` of this project"


@contextmanager
def opened(config: TuneConfig, directory: Path, world_digest: str) -> Iterator[Study]:
    """The study in a directory, ready to go on; InputError if another process has it, or another search is in it."""
    try:
        import optuna
    except ImportError:
        raise InputError(f"must be installed: {NEED}", field="optuna") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _locked(directory / "study.lock"):
        storage = f"sqlite:///{(directory / FILE).absolute()}"
        try:
            study = optuna.create_study(
                study_name="tune", storage=storage, pruner=_pruner(config), direction="maximize", load_if_exists=True
            )
        except Exception as fault:
            if not _of_storage(fault):
                raise
            raise InputError("must be the study of a search", file=directory / FILE) from None
        _same_search(study, config, directory, world_digest)
        drawn = len(study.get_trials(deepcopy=False))  # a search that goes on does not draw the same again
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=max(1, config.startup), seed=config.seed + drawn)
        yield study


def mend(study: Study) -> list[str]:
    """Mark the trials that a killed or interrupted process left as failed, and queue them again; their MLflow runs."""
    from optuna.trial import TrialState

    left = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in left:
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(dict(trial.params), user_attrs={"repeats": trial.number})
    return [str(trial.user_attrs[RUN]) for trial in left if RUN in trial.user_attrs]


def begin_with(study: Study, settings: dict[str, Any]) -> None:
    """Queue the training's own settings as the first trial."""
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(settings)


def settled(study: Study) -> list[FrozenTrial]:
    """Trials that are done with: complete, ended early, or failed for a reason of their own."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    done = (TrialState.COMPLETE, TrialState.PRUNED)
    return [t for t in trials if t.state in done or (t.state is TrialState.FAIL and FAULT in t.user_attrs)]


def complete(study: Study) -> list[FrozenTrial]:
    """Trials that were judged."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def suggested(trial: Trial, config: TuneConfig) -> dict[str, object]:
    """The settings that a trial is to try, by field."""
    found: dict[str, object] = {}
    for name, span in config.searched.items():
        if span.choices:
            found[name] = trial.suggest_categorical(name, list(span.choices))
        elif config.is_whole(name):
            found[name] = trial.suggest_int(name, int(span.low or 0), int(span.high or 0), log=span.log)
        else:
            found[name] = trial.suggest_float(name, span.low or 0.0, span.high or 0.0, log=span.log)
    return found


def _same_search(study: Study, config: TuneConfig, directory: Path, world_digest: str) -> None:
    said = config.model_dump(mode="json", exclude=FREE) | {"train": _training(config), "world_digest": world_digest}
    said["space"] = {name: span.model_dump(mode="json") for name, span in config.searched.items()}
    own, before = digest_of(said), study.user_attrs.get("search")
    if before is None:
        study.set_user_attr("search", own)
    elif before != own:
        need = "must be a new directory: the search in it has another world, training, space, judge or seed"
        raise InputError(need, file=directory, field="out")


def _training(config: TuneConfig) -> dict[str, Any]:
    return config.train.model_dump(mode="json", exclude={"out", "track", "register_policy", "experiment", "trained_by"})


def _pruner(config: TuneConfig) -> BasePruner:
    from optuna import pruners

    if config.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=config.startup)
    if config.pruner == "hyperband":
        return pruners.HyperbandPruner(
            min_resource=max(1, config.train.steps // 9), max_resource=max(2, config.train.steps)
        )
    return pruners.NopPruner()


def _of_storage(fault: Exception) -> bool:
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(fault, OptunaError | SQLAlchemyError | RuntimeError)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Alone in a directory: the lock is the process's, and goes with it however it ends."""
    with file.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("must not be in use: another search runs in it", file=file.parent, field="out") from None
        yield
