"""What is kept of a training comes back from the store: curves, digests, code, machine, pictures, card, signature."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import mlflow.onnx
import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient
from mlflow.models import ModelSignature, get_model_info
from serving_kit import write_kit

from agents.artifact import load_policy
from envs.errors import InputError
from envs.world import load_world
from training import provenance, registry, tracking
from training.configs import TrainConfig
from training.meter import Meter
from training.mlmodel import signature
from training.model_card import NO_RESULTS, Result, read_card
from training.provenance import all_packages, code, login_name, main_packages
from training.stores import tracking_uri
from training.track_training import RUN, Recorded, begin, fidelity_of, own_run, record_run, register_run, trainer

ROOT = Path(__file__).resolve().parent.parent
GAIN = Result(name="gain", value=1.5, low=1.0, high=2.0, unit="CNY per customer", source="validation customers")


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """A training of the small bank's policy, told in another world's name."""
    world = load_world("bank")
    config = TrainConfig(world="bank", tables=tmp_path / "tables", trained_by=" Ann  Lee ", ensemble=0, seed=7)
    lineage = {"valid_days": 90, "tables_digest": "t" * 64, "seed": 7, "levers": {"cost": 1.0}}
    manifest = write_kit(tmp_path / "run" / "policy", lineage=lineage)
    curves = pl.DataFrame(
        {
            "seed": 7,
            "decisions": np.arange(1500.0),
            "return": np.arange(1500.0) * 2,
            "loss": [None, float("nan"), *range(1498)],
        }
    )
    figure, axis = plt.subplots()
    axis.plot([1, 2], [2, 1])
    plt.close(figure)
    return Recorded(
        config, world, manifest, tmp_path / "run" / "policy", tmp_path / "run", curves, begin(config, world),
        figures={"learning": figure}, results=(GAIN,),
    )  # fmt: skip


def test_everything_that_was_recorded_comes_back(store: Path, recorded: Recorded) -> None:
    with tracking.track("bank", "train") as tracker:
        kept = record_run(tracker, recorded)
    client = MlflowClient(tracking_uri())
    run = client.get_run(tracker.run_id)
    digest = recorded.manifest.policy_digest
    tags = run.data.tags
    assert (tags["policy_digest"], tags["tables_digest"], tags["seed"]) == (digest, "t" * 64, "7")
    assert (tags["trained_by"], tags["mlflow.user"], tags["fidelity"]) == ("Ann Lee", "Ann Lee", "not known")
    assert run.data.params["package/numpy"] == np.__version__
    for name in ("seconds", "cpu_seconds", "peak_memory_mib", "cores"):
        assert run.data.metrics[f"system/{name}"] > 0
    assert run.data.metrics["result/gain"] == 1.5
    points = client.get_metric_history(tracker.run_id, "return")
    assert [(p.step, p.value) for p in points] == [(i, 2.0 * i) for i in range(1500)]
    assert len(client.get_metric_history(tracker.run_id, "loss")) == 1498
    read = {item.tags[0].value: item.dataset for item in run.inputs.dataset_inputs}
    assert {name: data.digest for name, data in read.items()} == {
        "world": recorded.world.digest[:36], "training": "t" * 36
    }  # fmt: skip
    files = {item.path for folder in ("", "figures", "model", "model/policy")
             for item in client.list_artifacts(tracker.run_id, folder) if not item.is_dir}  # fmt: skip
    assert files >= {"requirements.txt", "figures/learning.png", "model/MLmodel",
                     "model/model_card.html", "model/policy/policy.onnx", "model/policy/manifest.json"}  # fmt: skip
    assert read_card(recorded.directory / "model_card.json") == kept.card


def test_curves_of_every_seed_are_kept_and_none_of_their_points_twice(store: Path, recorded: Recorded) -> None:
    parts = [recorded.curves.head(40).with_columns(seed=pl.lit(seed)) for seed in (7, 8, 9)]
    validations = pl.DataFrame({"seed": [7, 8, 9], "decisions": [5.0, 5.0, 6.0], "gain": [1.0, 2.0, 3.0]})
    several = replace(recorded, curves=pl.concat(parts), validations=validations)
    with tracking.track("bank", "train") as tracker:
        record_run(tracker, replace(several, curves=several.curves.filter(pl.col("decisions") < 10)))
        record_run(tracker, several)  # an earlier session had come so far
    client = MlflowClient(tracking_uri())
    for start in ("", "seed-8/", "seed-9/"):
        points = client.get_metric_history(tracker.run_id, f"{start}return")
        assert sorted((p.step, p.value) for p in points) == [(i, 2.0 * i) for i in range(40)]
    said = client.get_run(tracker.run_id).data.metrics
    gains = {name: value for name, value in said.items() if name.endswith("validation/gain")}
    assert gains == {"validation/gain": 1.0, "seed-8/validation/gain": 2.0, "seed-9/validation/gain": 3.0}
    assert not any("seed" in name.split("/")[-1] for name in said)


def test_a_training_that_goes_on_does_so_in_its_own_run(
    store: Path, recorded: Recorded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client, going_on = MlflowClient(tracking_uri()), recorded.config.model_copy(update={"resume": tmp_path})
    with own_run(recorded.config, tmp_path) as first:
        first.params({"steps": 10, "machine": "one"})
    with own_run(going_on, tmp_path) as second:
        assert client.get_run(second.run_id).info.status == "RUNNING"
        second.params({"machine": "another", "package/numpy": "3"})  # a parameter is set once
    run = client.get_run(first.run_id)
    assert (second.run_id, run.info.status) == (first.run_id, "FINISHED")
    assert run.data.params == {"steps": "10", "machine": "one", "package/numpy": "3"}
    with own_run(recorded.config, tmp_path) as anew:  # the same directory, from the start
        assert anew.run_id != first.run_id
    assert not caplog.records
    client.delete_run(anew.run_id)
    with own_run(going_on, tmp_path) as instead:
        assert instead.run_id not in (first.run_id, anew.run_id)
    assert f"the training's run {anew.run_id} is not in" in caplog.text
    (tmp_path / RUN).write_text("a" * 32, encoding="utf-8")  # of another store
    with own_run(going_on, tmp_path) as other:
        assert (tmp_path / RUN).read_text(encoding="utf-8").strip() == other.run_id != "a" * 32


def test_a_store_that_is_gone_in_the_end_is_told_in_one_line(store: Path, recorded: Recorded) -> None:
    def run() -> None:
        with tracking.track("bank", "train") as tracker:
            store.write_bytes(b"no database any more")
            record_run(tracker, recorded)

    with pytest.raises(InputError, match=r"MLFLOW_TRACKING_URI == .*must be reachable"):
        run()


def test_the_registered_version_tells_signature_digest_prices_and_term(
    store: Path, recorded: Recorded, tmp_path: Path
) -> None:
    with tracking.track("bank", "train") as tracker:
        kept = record_run(tracker, recorded)
    version = register_run(tracker, kept)
    assert version == registry.find("challenger")
    assert version.run_id == tracker.run_id
    assert version.policy_digest == recorded.manifest.policy_digest
    assert json.loads(version.tags["price_range"]) == {"annoyance": [0.0, 20.0], "seats": [0.0, 2.0]}
    assert (version.tags["expires"], version.tags["trained_by"]) == (kept.card.expires, "Ann Lee")
    info = get_model_info("models:/contact-policy@challenger")
    fields, treatments = len(recorded.manifest.observation_schema), len(recorded.manifest.treatments)
    assert [(i.name, i.type.name, i.shape) for i in info.signature.inputs] == [
        ("observation", "float32", (-1, fields)), ("mask", "bool", (-1, treatments))
    ]  # fmt: skip
    assert [(o.name, o.shape) for o in info.signature.outputs] == [("probabilities", (-1, treatments))]
    assert info.signature == ModelSignature.from_dict(json.loads(version.tags["signature"]))
    assert set(info.flavors) == {"onnx"}  # nothing that unpickles
    assert mlflow.onnx.load_model(version.source).graph.name == "policy"
    assert load_policy(registry.fetch(version, tmp_path / "fetched")).digest == version.policy_digest
    assert MlflowClient().get_model_version("contact-policy", version.version).description == kept.card.markdown()


def test_rules_are_registered_without_a_flavour(store: Path, tmp_path: Path) -> None:
    from serving_kit import CATALOGUE, RULES, SCHEMA

    from agents.artifact import write_artifact

    books = {"catalogue": CATALOGUE, "schema": SCHEMA, "rules": RULES}
    manifest = write_artifact(tmp_path / "rules", name="coordinated_rules", **books)
    version = registry.register(tmp_path / "rules")
    info = get_model_info("models:/contact-policy@challenger")
    assert info.flavors == {}
    assert info.signature == ModelSignature.from_dict(signature(manifest))
    assert load_policy(registry.fetch(version, tmp_path / "fetched")).digest == manifest.policy_digest


def test_the_card_says_what_was_and_was_not_done(recorded: Recorded) -> None:
    card = record_run(tracking.Tracker(None, ""), recorded).card
    assert (card.policy_digest, card.trained_by, card.seed) == (recorded.manifest.policy_digest, "Ann Lee", 7)
    assert card.results == (GAIN,)
    assert NO_RESULTS not in card.limits
    assert [text for text in card.limits if "fidelity" in text] != []
    assert [text for text in card.limits if "best estimate" in text] != []
    assert not (recorded.directory / "figures").exists()  # nothing is kept without tracking, but the card is written
    assert (recorded.directory / "model_card.html").is_file()


def test_the_trainer_is_who_was_named_or_logged_in() -> None:
    assert trainer(TrainConfig(world="bank", trained_by="Ann")) == "Ann"
    assert trainer(TrainConfig(world="bank")) == trainer(TrainConfig(world="bank", trained_by=" ")) == login_name()


def test_fidelity_is_that_of_the_world_or_refused(tmp_path: Path) -> None:
    world, file = load_world("bank"), tmp_path / "fidelity.json"
    config = TrainConfig(world="bank", fidelity=tmp_path)
    with pytest.raises(InputError, match=r"must be the fidelity.json"):
        begin(config, world)
    file.write_text(json.dumps({"world_digest": "other", "verdict": "adequate", "adequate": True}), encoding="utf-8")
    with pytest.raises(InputError, match="world_digest == 'other', must be"):
        begin(config, world)
    for adequate in (True, False, None):
        said = {"world_digest": world.digest, "verdict": "As it is.", "adequate": adequate}
        file.write_text(json.dumps(said), encoding="utf-8")
        assert fidelity_of(config, world) == ("As it is.", adequate)
    assert fidelity_of(TrainConfig(world="bank"), world) == (None, None)


def git(folder: Path, *words: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *options, *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_commit_is_told_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("1\n", encoding="utf-8")
    assert code(file).commit is None
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    assert (code(file).commit, code(file).dirty) == (git(tmp_path, "rev-parse", "HEAD"), False)
    file.write_text("2\n", encoding="utf-8")
    assert code(file).dirty
    assert "not committed" in str(code(file))
    (tmp_path / "site-packages").mkdir()
    stranger = tmp_path / "site-packages" / "code.py"
    stranger.write_text("1\n", encoding="utf-8")
    assert str(code(stranger)) == "unknown (the code is not in a git repository)"


def test_without_git_the_commit_is_unknown_and_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(code()) == "unknown (git is not installed)"


def test_a_user_without_a_name_is_told_by_number() -> None:
    words = "import os; from training.provenance import login_name; os.setuid(43210); print(login_name())"
    names = ("LOGNAME", "USER", "LNAME", "USERNAME")
    if os.getuid() != 0:
        pytest.skip("only root can become a user without a name")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, env=kept, capture_output=True, text=True)
    assert done.stdout == "uid 43210\n", done.stderr


def test_packages_are_those_that_are_installed() -> None:
    found = main_packages()
    assert {"python", "torch", "mlflow", "numpy"} <= set(found)
    lines = all_packages().splitlines()
    assert f"numpy=={found['numpy']}" in lines
    names = [line.partition("==")[0].casefold() for line in lines]
    assert names == sorted(names)
    assert provenance.code().missing in ("", "the code is not in a git repository", "git is not installed")


def test_the_meter_counts_work() -> None:
    meter = Meter()
    total = sum(i * i for i in range(1_000_000))
    used = meter.read()
    assert total > 0
    assert 0 < used.cpu_seconds <= used.seconds * max(used.cores, 8) + 1
    assert used.peak_memory_mib > 50
    assert used.cores >= 1
