"""A search goes on where it was left, killed or not, ends what is behind, and is judged by customers of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from serving_kit import write_kit

from agents.artifact import load_policy
from agents.baselines import Silence
from envs.config import build_config, load_config
from envs.errors import InputError
from envs.world import load_world
from evaluation.intervals import mean_interval
from training.configs import TrainConfig
from training.evaluate import FIRST_COMPARED
from training.stores import tracking_uri
from training.tune import Tuned, tune, watcher
from training.tune_configs import SPACE, Span, TuneConfig
from training.tune_figures import FEWEST, history_figure, importance_figure, importances
from training.tune_judge import FIRST_JUDGED, FIRST_TESTED, judge_of
from training.tune_study import FAULT, begin_with, complete, mend, opened, settled

ROOT = Path(__file__).resolve().parent.parent
SMALL = TrainConfig(
    world="exact", steps=512, imitation_steps=128, imitation_epochs=1, envs=64, rollout=2, batch=128,
    tuning_customers=0, horizon=7, ensemble=0, trained_by="ann", learning_rate=3e-4,
    validations=1, validation_customers=8,
)  # fmt: skip
TWO: dict[str, Any] = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "epochs": {"low": 1, "high": 4}}


def config(out: Path, **more: Any) -> TuneConfig:
    said = {"train": SMALL, "trials": 2, "customers": 32, "days": 7, "startup": 9, "space": TWO, "track": False}
    return TuneConfig(**(said | {"out": out} | more))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Two trials, untracked."""
    return tune(config(tmp_path_factory.mktemp("tune") / "search"))


def test_the_best_trial_is_written_as_a_training_that_can_be_run(searched: Tuned) -> None:
    best = searched.frame.filter(pl.col("gain") == pl.col("gain").max()).row(0, named=True)
    found = load_config(TrainConfig, searched.file)
    assert (found.learning_rate, found.epochs) == (best["learning_rate"], best["epochs"])
    same = {name for name in TrainConfig.model_fields if getattr(found, name) == getattr(SMALL, name)}
    assert set(TrainConfig.model_fields) - same <= {"learning_rate", "epochs"}
    assert {file.name for file in searched.directory.iterdir()} >= {"trials.csv", "importance.png", "history.png"}
    assert pl.read_csv(searched.directory / "trials.csv").height == 2
    assert "nextbest train --config" in str(searched)


def test_the_first_trial_has_the_trainings_own_settings(searched: Tuned) -> None:
    first = searched.frame.row(0, named=True)
    assert (first["trial"], first["learning_rate"], first["epochs"]) == (0, SMALL.learning_rate, SMALL.epochs)


def test_a_trial_is_worth_what_its_policy_earns_beside_silence(searched: Tuned) -> None:
    row = searched.frame.row(1, named=True)
    judge = judge_of(config(searched.directory), load_world("exact"))
    policy = load_policy(searched.directory / "trials" / "trial-0001" / "seed-0")
    found = mean_interval(judge.gain(policy))
    assert (row["gain"], row["gain_lo"], row["gain_hi"]) == (found.value, found.lo, found.hi)
    np.testing.assert_array_equal(judge.gain(Silence()), 0)


def test_the_same_command_goes_on_and_does_what_is_left(searched: Tuned) -> None:
    before = searched.frame.to_dicts()
    more = tune(config(searched.directory, trials=3))
    assert more.frame.to_dicts()[:2] == before
    assert more.frame.height == 3
    assert more.frame["learning_rate"].n_unique() == 3  # it does not draw the same again
    again = tune(config(searched.directory, trials=3))
    assert again.frame.equals(more.frame)


@pytest.mark.parametrize("change", [{"seed": 1}, {"customers": 33}, {"space": {"epochs": {"low": 1, "high": 4}}}])
def test_another_search_in_the_same_place_is_refused(searched: Tuned, change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="out, must be a new directory: the search in it has another"):
        tune(config(searched.directory, **change))


def test_customers_that_choose_are_none_that_learn_or_test() -> None:
    far = 1_000_000
    assert FIRST_COMPARED + far < FIRST_JUDGED < FIRST_TESTED - far
    world = load_world("exact")
    judge, test = judge_of(config(Path("x")), world), judge_of(config(Path("x")), world, FIRST_TESTED)
    assert (judge.first, test.first) == (FIRST_JUDGED, FIRST_TESTED)
    assert judge.prices == test.prices


def test_prices_are_those_that_are_named(tmp_path: Path) -> None:
    world = load_world("bank")
    usual = world.schema.prices["annoyance"].default
    said = [prices.annoyance for prices in judge_of(config(tmp_path), world).prices]
    assert said == [usual * times for times in (0.25, 1, 5, 15)]
    named = judge_of(config(tmp_path, annoyance_prices=[3.0], pool_prices={"agents": 2.0}), world).prices
    assert [prices.named(world.catalogue)["agents"] for prices in named] == [2.0]
    with pytest.raises(InputError, match="prices == 'nobody', must be one of"):
        judge_of(config(tmp_path, pool_prices={"nobody": 2.0}), world)


@pytest.mark.parametrize(
    ("space", "line"),
    [
        ({"colour": {"low": 1, "high": 2}}, "space.colour, is not a field to search, must be one of: steps"),
        ({"world": {"choices": ["a"]}}, "space.world, is not a field to search"),
        ({"epochs": {"low": 1}}, "must be low < high"),
        ({"epochs": {"low": 3, "high": 2}}, "must be low < high"),
        ({"epochs": {"low": 1, "high": 4, "choices": [3]}}, "must have low and high, or choices"),
        ({"epochs": {}}, "must have low and high, or choices"),
        ({"learning_rate": {"low": 0, "high": 1, "log": True}}, "log must stand with a range above 0"),
        ({"epochs": {"low": 0, "high": 4}}, "greater than or equal to 1"),
        ({"epochs": {"low": 1.5, "high": 4}}, "integer"),
        ({"clip": {"low": 0.3, "high": 0.4}}, "space.clip must hold 0.2, the training's own value"),
        ({"width": {"choices": [64, 256]}}, "space.width must hold 128"),
    ],
)
def test_a_space_that_cannot_be_searched_is_told(space: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as fault:
        build_config(TuneConfig, {"train": SMALL.model_dump(), "space": space})
    assert line in str(fault.value)
    assert "\n" not in str(fault.value)


def test_the_usual_space_holds_the_usual_training() -> None:
    usual = TuneConfig(train=TrainConfig(world="bank"))
    assert usual.searched == SPACE
    assert Span(choices=(True, False)).holds(True)


def test_the_guides_file_is_a_search(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "tune.md").read_text(encoding="utf-8")
    file = tmp_path / "tune.yaml"
    file.write_text(guide.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    found = load_config(TuneConfig, file)
    assert (found.trials, found.seeds, len(found.searched)) == (40, 2, 4)
    for name in SPACE:
        assert f"`{name}`" in guide


def test_what_a_killed_process_left_is_failed_and_repeated_first(tmp_path: Path) -> None:
    with opened(config(tmp_path), tmp_path, "w") as study:
        begin_with(study, {"learning_rate": 3e-4, "epochs": 4})
        trial = study.ask()
        tried = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True), trial.suggest_int("epochs", 1, 4)
        trial.set_user_attr("run_id", "r17")  # and here the process dies
    with opened(config(tmp_path), tmp_path, "w") as study:
        assert mend(study) == ["r17"]
        assert mend(study) == []
        begin_with(study, {"learning_rate": 3e-4, "epochs": 4})
        assert study.trials[0].state is TrialState.FAIL
        assert settled(study) == []  # it does not count
        again = study.ask()
        assert again.suggest_float("learning_rate", 1e-4, 1e-2, log=True) == tried[0] == 3e-4
        assert again.suggest_int("epochs", 1, 4) == tried[1]
        study.tell(again, 1.0)
        other = study.ask()
        other.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        other.set_user_attr(FAULT, "loss == nan")
        study.tell(other, state=TrialState.FAIL)
        assert [t.number for t in settled(study)] == [1, 2]
        assert [t.number for t in complete(study)] == [1]


def test_a_search_is_one_processes_alone(tmp_path: Path) -> None:
    with (
        opened(config(tmp_path), tmp_path, "w"),
        pytest.raises(InputError, match="must not be in use: another search runs in it"),
        opened(config(tmp_path), tmp_path, "w"),
    ):
        pass


def test_a_file_that_is_no_study_and_another_world_are_refused(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("dear diary, " * 100, encoding="utf-8")
    with (
        pytest.raises(InputError, match=r"study\.db: must be the study of a search"),
        opened(config(tmp_path), tmp_path, "w"),
    ):
        pass
    (tmp_path / "study.db").unlink()
    with opened(config(tmp_path), tmp_path, "w"):
        pass
    with pytest.raises(InputError, match="another world"), opened(config(tmp_path), tmp_path, "other"):
        pass


@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_a_trial_behind_the_others_is_told_to_stop(tmp_path: Path, pruner: str) -> None:
    with opened(config(tmp_path, pruner=pruner, startup=2), tmp_path, "w") as study:
        for gain in (5.0, 6.0, 7.0, 8.0):
            trial = study.ask()
            watch = watcher(trial)
            assert all(watch(step, gain) for step in (32, 64, 128)) or pruner == "hyperband"
            study.tell(trial, gain)
        good, bad = watcher(study.ask()), watcher(study.ask())
        assert good(32, 9.0)
        assert [bad(step, -1.0) for step in (32, 64, 128)].count(False) > 0 or pruner == "none"
        if pruner == "median":
            assert not watcher(study.ask())(64, 5.0)


def test_importance_finds_the_setting_that_matters(tmp_path: Path) -> None:
    with opened(config(tmp_path), tmp_path, "w") as study:
        assert importances(study, 0) == {}
        for _ in range(20):
            trial = study.ask()
            rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
            trial.suggest_int("epochs", 1, 4)
            study.tell(trial, -((np.log(rate) + 7) ** 2))
            if len(complete(study)) < FEWEST:
                assert importances(study, 0) == {}
        found = importances(study, 0)
        assert sum(found.values()) == pytest.approx(1)
        assert next(iter(found)) == "learning_rate"
        assert found["learning_rate"] > 0.8
        importance_figure(found, 20).savefig(tmp_path / "importance.png")
        history_figure(study, "CNY").savefig(tmp_path / "history.png")
    assert (tmp_path / "importance.png").stat().st_size > 5000
    assert (tmp_path / "history.png").stat().st_size > 5000


@pytest.mark.slow
def test_the_search_and_its_trials_stand_in_mlflow_one_inside_the_other(store: Path, tmp_path: Path) -> None:
    tuned = tune(config(tmp_path / "search", track=True, trials=1))
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("nextbest-tune")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"tune-search", "trial-0000"}
    whole = runs.pop("tune-search")
    for name, run in runs.items():
        row = tuned.frame.row(int(name[-4:]), named=True)
        assert run.data.tags["mlflow.parentRunId"] == whole.info.run_id
        assert (run.data.metrics["gain"], run.data.tags["state"]) == (row["gain"], "judged")
        assert float(run.data.params["learning_rate"]) == row["learning_rate"]
    files = {item.path for item in client.list_artifacts(whole.info.run_id)}
    assert files >= {"best.yaml", "trials.csv", "importance.png", "history.png"}
    assert tuned.gain is not None
    assert whole.data.metrics["gain"] == tuned.gain.value
    tune(config(tmp_path / "search", track=True, trials=2))
    names = [run.info.run_name for run in client.search_runs([experiment.experiment_id])]
    assert sorted(names) == ["trial-0000", "trial-0001", "tune-search"]


@pytest.mark.slow
def test_a_training_that_cannot_end_well_fails_its_trial_alone(tmp_path: Path) -> None:
    """A learning rate that destroys the weights: the search goes on without it."""
    wild = {"learning_rate": {"choices": [3e-4, 1e30]}}
    tuned = tune(config(tmp_path / "search", space=wild, trials=3, startup=3))
    wrong = tuned.frame.filter(pl.col("learning_rate") == 1e30)
    assert tuned.frame.height == 3
    assert tuned.settings["learning_rate"] == 3e-4
    assert wrong["state"].to_list() == ["failed"] * wrong.height
    assert all(wrong["fault"].is_not_null())


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on(store: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "nextbest", "tune", "--trials", "3", "--customers", "32", "--days", "7", "--startup",
             "9", "--space", "{epochs: {low: 1, high: 4}}", "--out", str(tmp_path / "search")]  # fmt: skip
    for name, value in SMALL.model_dump(exclude_defaults=True).items():
        words += [f"--train.{name.replace('_', '-')}", str(value)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    victim = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, deadline = f"sqlite:///{tmp_path / 'search' / 'study.db'}", time.monotonic() + 240
    while not (tmp_path / "search" / "trials" / "trial-0001").exists():
        assert victim.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait(30)
    left = optuna.load_study(study_name="tune", storage=url).trials
    assert [trial.state for trial in left] == [TrialState.COMPLETE, TrialState.RUNNING]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    trials = optuna.load_study(study_name="tune", storage=url).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert trials[2].params == left[1].params
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("nextbest-tune")
    assert experiment is not None
    found = {r.info.run_name: r.info.status for r in client.search_runs([experiment.experiment_id])}
    assert found == {"tune-search": "FINISHED", "trial-0000": "FINISHED", "trial-0001": "KILLED",
                     "trial-0002": "FINISHED", "trial-0003": "FINISHED"}  # fmt: skip


def test_a_policy_of_another_bank_is_no_trial(tmp_path: Path) -> None:
    write_kit(tmp_path / "kit")
    with pytest.raises(InputError, match="observation"):
        judge_of(config(tmp_path), load_world("exact")).gain(load_policy(tmp_path / "kit"))


def test_a_training_that_cannot_even_begin_is_told_at_once(tmp_path: Path) -> None:
    train = SMALL.model_copy(update={"fidelity": tmp_path / "nowhere.json"})
    with pytest.raises(InputError, match=r"must be the fidelity\.json"):
        tune(config(tmp_path / "search", train=train))
