"""Fixtures that several files of tests share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("nextbest", deadline=None)  # a busy machine is no fault
settings.load_profile("nextbest")


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking database; migrating one takes seconds, copying it milliseconds."""
    from training import tracking

    folder = tmp_path_factory.mktemp("migrated")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.delenv(variable, raising=False)
        patch.setenv("NEXTBEST_RUNS", str(folder))
        tracking.connect()
    return folder / "mlflow.db"


@pytest.fixture
def store(migrated_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tracking store and registry of the test's own, under the runs directory `tmp_path / "runs"`."""
    runs = tmp_path / "runs"
    runs.mkdir()
    shutil.copy(migrated_store, runs / "mlflow.db")
    monkeypatch.setenv("NEXTBEST_RUNS", str(runs))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    return runs / "mlflow.db"
