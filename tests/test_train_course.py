"""A training can be stopped anywhere and goes on bit for bit; it keeps the best state; it never loses anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from mlflow import MlflowClient
from simulator_kit import hidden_world
from world_kit import small_world

from agents.artifact import load_policy
from agents.checkpoint import Checkpoint, put_weights, read_checkpoint, weights
from agents.random_states import random_states
from envs.errors import InputError
from envs.world import World, load_world, save_world
from training.configs import TrainConfig
from training.course import CHECKPOINT, Training
from training.learning_figures import figures_said
from training.resuming import identity
from training.stores import tracking_uri
from training.track_training import RUN
from training.train import train
from training.validation import Validation


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    save_world(small_world(), folder)
    return folder


def config(world: Path, out: Path, **changed: Any) -> TrainConfig:
    said: dict[str, Any] = {
        "world": str(world), "out": out, "steps": 1500, "envs": 16, "rollout": 8, "batch": 64, "epochs": 2, "width": 16,
        "embedding": 4, "imitation_steps": 300, "imitation_epochs": 2, "tuning_customers": 20, "horizon": 14,
        "validations": 4, "validation_customers": 20, "patience": 0, "track": False, "register_policy": False,
        "price_walk": 0.1,
    }  # fmt: skip
    return TrainConfig(**{**said, **changed})


class Stopped(Exception):
    pass


def stopping_after(updates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next trainings are struck dead in the middle of the update after so many."""
    from agents.learning import Course

    whole, done = Course.update, [0]

    def update(self: Course) -> dict[str, float]:
        done[0] += 1
        if done[0] > updates:
            self.learner.collect_rollouts(  # half an update: simulator and generators have moved on
                self.learner.env, self._callback, self.learner.rollout_buffer, 3
            )
            raise Stopped
        return whole(self)

    monkeypatch.setattr(Course, "update", update)


@pytest.fixture(scope="module")
def hiding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world with hidden states: a teacher that learns what histories say, a critic that is told."""
    folder = tmp_path_factory.mktemp("hiding")
    save_world(hidden_world(), folder)
    return folder


@pytest.mark.parametrize(
    ("folder", "updates"),
    [("world", 3), ("hiding", 2), pytest.param("world", 0, marks=pytest.mark.slow),
     pytest.param("world", 7, marks=pytest.mark.slow)],
)  # fmt: skip
def test_what_goes_on_is_bit_for_bit_what_was_never_stopped(
    folder: str, updates: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    world = request.getfixturevalue(folder)
    whole = train(config(world, tmp_path / "whole", foresight_customers=40))
    with monkeypatch.context() as struck:
        stopping_after(updates, struck)
        with pytest.raises(Stopped):
            train(config(world, tmp_path / "cut", foresight_customers=40))
    assert not (tmp_path / "cut" / "policy").exists()
    np.random.seed(1)  # noqa: NPY002  # whoever goes on has another process, with other generators
    torch.manual_seed(99)
    gone_on = train(TrainConfig(resume=tmp_path / "cut"))
    one, other = (read_checkpoint(run.directory / CHECKPOINT) for run in (whole, gone_on))
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)
    beside = ["steps_per_second"]
    assert whole.curves.drop(beside).equals(gone_on.curves.drop(beside))
    assert whole.validations.equals(gone_on.validations)
    assert whole.manifest.onnx_sha256 == gone_on.manifest.onnx_sha256
    seen = random_states(load_world(str(world)), 20, 0).observation
    np.testing.assert_array_equal(whole.teacher.scores(seen), gone_on.teacher.scores(seen))
    assert any(name.startswith("foresight/") for name in one.arrays) == (folder == "hiding")


def test_the_first_phase_is_kept_before_anything_is_learned(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Struck in the first validation, a training goes on from what was imitated, bit for bit."""
    there, own = load_world(world), config(world, tmp_path, steps=300, random_prices=True)
    runs = {name: Training(own, there, tmp_path / name) for name in ("whole", "cut", "gone on")}
    runs["whole"].run()
    with monkeypatch.context() as struck:
        struck.setattr(Validation, "gain", lambda self, policy: (_ for _ in ()).throw(Stopped()))
        with pytest.raises(Stopped):
            runs["cut"].run()
    kept = read_checkpoint(tmp_path / "cut" / CHECKPOINT)
    assert (kept.said["curves"], kept.said["validations"]) == ([], [])
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(99)
    runs["gone on"].directory = tmp_path / "cut"
    with monkeypatch.context() as struck:
        struck.setattr("training.course.demonstrate", lambda *args: pytest.fail("the first phase is done again"))
        runs["gone on"].run()
    one, other = (read_checkpoint(tmp_path / name / CHECKPOINT).arrays for name in ("whole", "cut"))
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert runs["whole"].so_far.validations == runs["gone on"].so_far.validations


def test_a_disk_that_is_full_after_learning_is_told_and_only_the_export_is_done_again(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a run"
    (out / "curves.parquet").mkdir(parents=True)  # nothing can be written there
    with pytest.raises(InputError, match=r"curves\.parquet: must be written .*--resume '.*a run'"):
        train(config(world, out, steps=128, validations=1))
    (out / "curves.parquet").rmdir()
    monkeypatch.setattr("agents.learning.Course.update", lambda self: pytest.fail("learned again"))
    monkeypatch.setattr(Validation, "gain", lambda self, policy: pytest.fail("judged again"))
    run = train(TrainConfig(resume=out))
    assert pl.read_parquet(out / "curves.parquet").equals(run.curves)
    assert run.validations["decisions"].to_list() == [0.0, 128.0]
    assert {file.name for file in out.iterdir()} >= {"policy", "validations.parquet", "model_card.json"}


def command_line(world: Path, out: Path, **changed: Any) -> list[str]:
    flags = {k.replace("_", "-"): v for k, v in config(world, out, **changed).model_dump().items()}
    kept = ("world", "out", "steps", "envs", "rollout", "batch", "width", "embedding", "horizon", "validations",
            "imitation-steps", "tuning-customers", "validation-customers")  # fmt: skip
    told = [word for name in kept for word in (f"--{name}", str(flags[name]))]
    return [sys.executable, "-m", "nextbest", "train", *told, "--no-track", "--no-register-policy"]


def interrupted_once(command: list[str], reached: Callable[[], bool], runs: Path) -> str:
    """A real SIGINT to a process as soon as it reached something; what it said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NEXTBEST_RUNS": str(runs)}
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        while not reached():
            assert running.poll() is None, running.communicate()
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 130, said
    return said.replace("\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["first", "learning", "export"])
def test_an_interrupt_at_any_time_names_the_command_that_goes_on(
    world: Path, tmp_path: Path, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    file, steps = out / CHECKPOINT, 400_000 if phase == "learning" else 128

    def reached() -> bool:
        if phase == "first":
            return (out / "config.yaml").exists()
        return file.exists() and (phase == "learning" or len(read_checkpoint(file).said["validations"]) == 2)

    said = interrupted_once(command_line(world, out, steps=steps, validations=1), reached, tmp_path / "runs")
    assert f"interrupted; go on with: nextbest train --resume {out}" in said
    assert not (out / "policy").exists()
    assert file.exists() == (phase != "first")
    if phase == "learning":
        assert read_checkpoint(file).said["config"]["steps"] == 400_000
        return
    if phase == "export":
        monkeypatch.setattr("agents.learning.Course.update", lambda self: pytest.fail("learned again"))
    assert train(TrainConfig(resume=out)).curves["decisions"].to_list() == [128.0]


@pytest.mark.slow
def test_a_tracked_training_of_several_seeds_goes_on_in_its_own_run(
    store: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as struck:
        stopping_after(1, struck)
        with pytest.raises(Stopped):
            train(config(world, tmp_path / "run", steps=256, seeds=2, track=True, register_policy=True))
    run_id = (tmp_path / "run" / RUN).read_text(encoding="utf-8").strip()
    done = train(TrainConfig(resume=tmp_path / "run"))
    client = MlflowClient(tracking_uri())
    assert done.registered is not None
    assert done.registered.run_id == run_id
    assert len(client.search_runs([client.get_run(run_id).info.experiment_id])) == 1
    assert client.get_run(run_id).info.status == "FINISHED"
    for start in ("", "seed-1/"):
        steps = [point.step for point in client.get_metric_history(run_id, f"{start}value_loss")]
        assert steps == [128, 256]
    train(TrainConfig(resume=tmp_path / "run"))  # nothing is left to learn
    assert (
        len(client.get_metric_history(run_id, "validation/gain")) == done.validations.filter(pl.col("seed") == 0).height
    )


def judged_as(values: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Validations find these gains, the same for every customer up to a little."""
    left = iter(values)
    monkeypatch.setattr(Validation, "gain", lambda self, policy: next(left) + np.linspace(-1e-3, 1e-3, 20)[:, None])


def test_what_leaves_is_the_last_state_that_is_not_surely_worse(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as([1.0, 3.0, 2.0, 3.0, 1.0, 0.5, 0.2, 0.1, 0.0], monkeypatch)
    run = train(config(world, tmp_path / "run", validations=4))
    assert run.validations["kept"].to_list() == [1.0, 1.0, 0.0, 1.0, 0.0]
    kept = read_checkpoint(run.directory / CHECKPOINT)
    best, last = (
        {n.removeprefix(start): a for n, a in kept.arrays.items() if n.startswith(start)}
        for start in ("best/", "network/")
    )
    assert best.keys() == last.keys()
    assert any(not np.array_equal(best[name], last[name]) for name in last)
    leaves = run.validations.filter(pl.col("kept") > 0)["decisions"][-1]
    assert run.spread["decisions"].to_list() == [leaves]
    assert leaves < run.curves["decisions"][-1]


def test_whoever_watches_may_stop_it(world: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(decisions: int, gain: float) -> bool:
        seen.append(decisions)
        return len(seen) < 3

    run = train(config(world, tmp_path / "run"), watch)
    assert run.stopped == "told to stop"
    assert len(seen) == 3 == run.validations.height
    assert run.curves["decisions"][-1] == seen[-1] < 1500


def test_learning_stops_when_it_has_long_been_worse(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as([3.0, 2.0, 3.5, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0], monkeypatch)
    run = train(config(world, tmp_path / "run", patience=2, validations=8))
    assert run.stopped == "worse in 2 validations"
    assert run.validations["gain"].round(2).to_list() == [3.0, 2.0, 3.5, 2.0, 1.0]
    assert run.curves["decisions"][-1] < 1500
    assert "stopped early" in str(run)


@pytest.mark.slow
def test_several_seeds_are_told_apart_and_the_first_is_the_one_that_leaves(world: Path, tmp_path: Path) -> None:
    several = train(config(world, tmp_path / "several", seeds=2, steps=600))
    alone = train(config(world, tmp_path / "alone", seed=1, steps=600))
    assert several.spread["seed"].to_list() == [0, 1]
    own = several.validations.filter(pl.col("seed") == 1)
    assert own.equals(alone.validations)
    assert several.manifest.onnx_sha256 != alone.manifest.onnx_sha256
    assert str(several).count("validation gain") == 2


def damage(kind: str, file: Path) -> None:
    kept = read_checkpoint(file)
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:-200])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "version":
        text = json.dumps({"format": "nextbest-checkpoint/0"}).encode()
        np.savez(file, said=np.frombuffer(text, np.uint8))
    elif kind == "catalogue":
        file.write_bytes(Checkpoint({**kept.said, "catalogue_digest": "0" * 64}, kept.arrays).to_bytes())
    elif kind == "torch":
        said = {**kept.said, "versions": {**kept.said["versions"], "torch": "1.0"}}
        file.write_bytes(Checkpoint(said, kept.arrays).to_bytes())
    elif kind == "weights":
        arrays = {n: a for n, a in kept.arrays.items() if n != "network/mlp_extractor.gate.bias"}
        file.write_bytes(Checkpoint(kept.said, arrays).to_bytes())
    else:
        np.savez(file, said=np.array([object()]), allow_pickle=True)


@pytest.mark.parametrize(
    ("kind", "need"),
    [
        ("cut", "must be a whole checkpoint"),
        ("empty", "must be a whole checkpoint"),
        ("pickle", "must be a whole checkpoint"),
        ("version", "must be nextbest-checkpoint/1"),
        ("catalogue", "catalogue_digest"),
        ("torch", "versions.torch == '1.0'"),
        ("weights", "mlp_extractor.gate.bias"),
    ],
)
def test_a_checkpoint_that_does_not_belong_here_is_refused_and_left_as_it_is(
    world: Path, tmp_path: Path, kind: str, need: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as struck:
        stopping_after(1, struck)
        with pytest.raises(Stopped):
            train(config(world, tmp_path))
    damage(kind, tmp_path / CHECKPOINT)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(InputError, match=need) as told:
        train(TrainConfig(resume=tmp_path))
    assert CHECKPOINT in str(told.value)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_resume_of_nothing_says_what_is_missing(world: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.yaml"):
        train(TrainConfig(resume=tmp_path / "nowhere"))
    with pytest.raises(InputError, match="world, must be given"):
        train(TrainConfig())


def test_a_full_disk_is_told_and_the_last_checkpoint_stands(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first checkpoint that does not fit raises; the one before it is whole, and the training goes on from it."""
    import training.course as course

    whole, written = course.atomic_write, [0]

    def full(path: Path, data: str | bytes) -> Path:
        written[0] += 1
        if written[0] == 4:
            raise OSError(28, "No space left on device")
        return whole(path, data)

    with monkeypatch.context() as struck:
        struck.setattr(course, "atomic_write", full)
        with pytest.raises(InputError, match=r"No space left on device.*the last checkpoint stands.*--resume"):
            train(config(world, tmp_path / "run"))
    assert read_checkpoint(tmp_path / "run" / CHECKPOINT).said["curves"][-1]["decisions"] == 128
    done = train(TrainConfig(resume=tmp_path / "run"))
    assert done.curves["decisions"][-1] >= 1500
    load_policy(done.artifact)


def test_what_is_not_finite_leaves_the_last_good_checkpoint_and_no_policy(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agents.learning import Course

    whole, done = Course.update, [0]

    def poisoned(self: Course) -> dict[str, float]:
        done[0] += 1
        if done[0] == 3:
            with torch.no_grad():
                self.learner.policy.value_net[0].bias[0] = float("nan")  # type: ignore[index]
        return whole(self)

    with monkeypatch.context() as struck:
        struck.setattr(Course, "update", poisoned)
        with pytest.raises(InputError, match=r"must be finite: learning stopped; .*checkpoint\.npz is from before it"):
            train(config(world, tmp_path / "run"))
    kept = read_checkpoint(tmp_path / "run" / CHECKPOINT)
    assert len(kept.said["curves"]) == 2
    assert all(np.isfinite(a).all() for a in kept.arrays.values() if a.dtype.kind == "f")
    assert not (tmp_path / "run" / "policy").exists()


@pytest.mark.parametrize("step_size", [100.0, 1e20])
def test_the_last_step_of_an_update_that_breaks_the_network_leaves_the_checkpoint_before_it(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_size: float
) -> None:
    """One step an update: nothing comes after it that would stumble over what it did."""
    from agents.learning import Course

    sane = config(world, tmp_path / "run", batch=128, epochs=1, steps=600, validations=0)
    with monkeypatch.context() as struck:
        stopping_after(2, struck)
        with pytest.raises(Stopped):
            train(sane)
    good, whole = (tmp_path / "run" / CHECKPOINT).read_bytes(), Course.update

    def broken(self: Course) -> dict[str, float]:
        self.learner.lr_schedule = lambda left: step_size
        return whole(self)

    with monkeypatch.context() as struck:
        struck.setattr(Course, "update", broken)
        with pytest.raises(InputError, match=r"must be finite: learning stopped; .*checkpoint\.npz is from before it"):
            train(TrainConfig(resume=tmp_path / "run"))
    assert (tmp_path / "run" / CHECKPOINT).read_bytes() == good
    assert not (tmp_path / "run" / "policy").exists()
    going_on = Training(sane, load_world(world), tmp_path / "run")
    going_on.run()
    assert going_on.so_far.curves[-1]["decisions"] >= 600


def test_a_check_of_what_was_learned_changes_nothing(world: Path, tmp_path: Path) -> None:
    from agents.finite import check_learned
    from agents.learning import Course

    training = Training(config(world, tmp_path, steps=128, validations=0), load_world(world), tmp_path)
    training.run()
    before, drawn = weights(training.learner), torch.get_rng_state()
    Course(training.learner, training.environment, 128, lambda units: None).check()
    for name, array in weights(training.learner).items():
        np.testing.assert_array_equal(array, before[name])
    assert torch.equal(torch.get_rng_state(), drawn)
    observation, mask = np.asarray(training.learner._last_obs), training.environment.action_masks()
    for weight in training.policy.parameters():
        with torch.no_grad():
            kept = weight.view(-1)[0].clone()
            weight.view(-1)[0] = float("inf")
        with pytest.raises(InputError, match=r"weights of .* == inf, must be finite"):
            check_learned(training.policy, observation, mask)
        with torch.no_grad():
            weight.view(-1)[0] = kept
    check_learned(training.policy, observation, mask)


def test_weights_of_another_shape_are_refused_by_name(world: Path, tmp_path: Path) -> None:
    there: World = load_world(world)
    small, wide = (Training(config(world, tmp_path, width=w, steps=0), there, tmp_path / str(w)) for w in (16, 24))
    for training in (small, wide):
        training.directory.mkdir()
        training.run()
    with pytest.raises(InputError, match="shape"):
        put_weights(wide.learner, weights(small.learner))
    assert identity(small.config, there) != identity(wide.config, there)


def test_a_training_tells_how_it_goes(world: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
                                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("training.progress.progress.__wrapped__.__defaults__", (None, 0.0))  # a bar at once
    run = train(config(world, tmp_path / "run"))
    told = [line for line in capfd.readouterr().err.splitlines() if "validation gain" in line]
    assert [int(line.split()[0].replace(",", "")) for line in told] == run.validations["decisions"].to_list()
    for figure in ("return", "annoyance", "KL", "entropy", "explained variance", "decisions/s"):
        assert figure in told[-1]
    assert figures_said({"return": float("nan"), "entropy_loss": -0.25, "steps_per_second": 12_000.0}) == (
        "entropy 0.250, 12,000 decisions/s"
    )
