"""Tracking and registry on a real SQLite store: what goes in comes out, and what cannot be reached is told soon."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from serving_kit import kit_network, write_kit

from agents.artifact import load_policy
from envs.errors import InputError
from training import registry, tracking
from training.stores import tracking_uri, ui_command


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_kit(tmp_path / "artifact")
    return tmp_path / "artifact"


def test_a_run_keeps_params_metrics_tags_and_files(store: Path, artifact: Path) -> None:
    with tracking.track("bank", "first") as tracker:
        tracker.params({"steps": 10, "world": "bank"})
        tracker.metrics({"loss": 2.0, "value|ppo": 1.5}, step=3)
        tracker.metrics({f"m{i}": float(i) for i in range(2100)})
        tracker.tags({"seed": 4})
        tracker.artifact(artifact / "manifest.json", "notes")
    run = MlflowClient(tracking_uri()).get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"steps": "10", "world": "bank"}
    assert (run.data.metrics["loss"], run.data.metrics["value_ppo"], run.data.metrics["m2099"]) == (2.0, 1.5, 2099.0)
    assert run.data.tags["seed"] == "4"
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_absolute()
    assert (store.parent / "mlartifacts" / "bank" / tracker.run_id / "artifacts/notes/manifest.json").is_file()


def test_a_run_that_raises_is_failed_and_may_be_continued(store: Path) -> None:
    with pytest.raises(RuntimeError), tracking.track("bank", "breaks") as tracker:
        raise RuntimeError("broken")
    assert MlflowClient(tracking_uri()).get_run(tracker.run_id).info.status == "FAILED"
    with tracking.track("bank", "again", run_id=tracker.run_id) as same:
        same.metrics({"loss": 1.0})
    assert MlflowClient(tracking_uri()).get_run(tracker.run_id).data.metrics == {"loss": 1.0}


def test_without_tracking_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTBEST_RUNS", str(tmp_path / "runs"))
    with tracking.track("bank", "off", enabled=False) as tracker:
        tracker.params({"a": 1})
        tracker.metrics({"b": 2.0})
        tracker.artifact(tmp_path)
    assert not (tmp_path / "runs").exists()


def test_a_registered_policy_comes_back_file_by_file(store: Path, artifact: Path, tmp_path: Path) -> None:
    registered = registry.register(artifact, tags={"made_by": "test"})
    found = registry.find("challenger")
    digest = load_policy(artifact).digest
    assert found == registered
    assert (found.version, found.policy_digest, found.tags["made_by"]) == ("1", digest, "test")
    fetched = registry.fetch(found, tmp_path / "fetched")
    assert {file.name: file.read_bytes() for file in fetched.iterdir()} == {
        file.name: file.read_bytes() for file in artifact.iterdir()
    }
    assert load_policy(fetched).digest == digest


def test_aliases_move_and_versions_count_up(store: Path, artifact: Path, tmp_path: Path) -> None:
    first = registry.register(artifact)
    write_kit(tmp_path / "second", kit_network(seed=1))
    second = registry.register(tmp_path / "second")
    assert (first.version, second.version, registry.find("challenger").version) == ("1", "2", "2")
    assert registry.find_alias("champion") is None
    registry.set_alias(first, "champion")
    registry.tag(first, {"gate": "passed"})
    champion = registry.find_alias("champion")
    assert champion is not None
    assert (champion.version, champion.tags["gate"]) == ("1", "passed")
    assert registry.find("2").policy_digest == second.policy_digest


@pytest.mark.parametrize(("reference", "kind"), [("champion", "alias"), ("7", "version"), ("no such", "alias")])
def test_unknown_policies_are_told(store: Path, artifact: Path, reference: str, kind: str) -> None:
    registry.register(artifact)
    with pytest.raises(InputError, match=f"policy == '{reference}', must be a known {kind} of contact-policy"):
        registry.find(reference)


def test_an_empty_registry_says_to_train_first(store: Path) -> None:
    with pytest.raises(InputError, match="must hold a model called contact-policy; train one first"):
        registry.find("champion")


def test_only_artifacts_are_registered(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="manifest"):
        registry.register(tmp_path)
    assert MlflowClient(tracking_uri()).search_registered_models() == []


@pytest.mark.parametrize(
    ("variable", "uri", "line"),
    [
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "MLFLOW_TRACKING_URI == 'http://127.0.0.1:9', must be reachable"),
        ("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9", "MLFLOW_REGISTRY_URI == 'http://127.0.0.1:9', must be reachable"),
        (
            "MLFLOW_REGISTRY_URI",
            "postgresql://me:secret@127.0.0.1:9/db",
            "'postgresql://127.0.0.1:9/db', must be reach",
        ),
        ("MLFLOW_REGISTRY_URI", "sqlite:////nowhere/at/all.db", "must be in a folder that can be written: /nowhere/at"),
        ("MLFLOW_TRACKING_URI", "no-such-scheme://x", "MLFLOW_TRACKING_URI == 'no-such-scheme://x', must be reachable"),
    ],
)
def test_unreachable_stores_are_told_within_seconds(
    store: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch, variable: str, uri: str, line: str
) -> None:
    before = store.read_bytes()
    monkeypatch.setenv(variable, uri)
    started = time.monotonic()
    with pytest.raises(InputError) as fault:
        registry.register(artifact)
    assert line in str(fault.value)
    assert "secret" not in str(fault.value)
    assert time.monotonic() - started < 20
    assert store.read_bytes() == before


def test_the_environment_names_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEXTBEST_RUNS", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    assert f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db" in ui_command()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example")
    assert ui_command() == "open https://mlflow.example"


def test_migrations_are_quiet(
    migrated_store: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert migrated_store.is_file()
    assert logging.getLogger("alembic").level >= logging.WARNING
    out = capfd.readouterr()
    assert "INFO" not in out.out + out.err
