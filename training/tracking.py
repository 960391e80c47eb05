"""Experiment tracking: the connection to mlflow's stores and what a run keeps; the only file that imports mlflow.

mlflow is imported when a function first needs it (2 to 3 s). Which stores: training/stores.py. What is registered:
training/registry.py.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from agents.manifest import FILE, read_manifest
from envs.errors import InputError
from training.mlmodel import write_mlmodel
from training.progress import progress
from training.stores import check_reachable, registry_uri, shown, sqlite_file, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_FOLDER = "model"  # where a run keeps what it registers
BATCH = 900  # metrics per call; the tracking API takes at most 1,000
LONGEST_DIGEST = 36  # characters of a data set's digest that the tracking store takes

# An unreachable server is a user's mistake to be told of soon, not after mlflow's default of many minutes.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Tracker:
    """One run: parameters, metrics, artifacts. Without a client it takes everything and keeps nothing."""

    def __init__(self, client: MlflowClient | None, run_id: str) -> None:
        self.client, self.run_id = client, run_id

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all."""
        return self.client is not None

    def params(self, values: Mapping[str, object]) -> None:
        """Record parameters; a value is kept as its text. What the run has of an earlier session stays."""
        if self.client is None:
            return
        from mlflow.entities import Param

        said = self.client.get_run(self.run_id).data.params
        items = [Param(key, str(value)[:6000]) for key, value in values.items() if key not in said]
        for chunk in _chunks(items, 100):
            self.client.log_batch(self.run_id, params=chunk)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record metrics at a step, in one call."""
        self._points((key, float(value), step) for key, value in values.items())

    def curves(self, frame: pl.DataFrame, step: str) -> None:
        """Record every column of numbers as a curve over the column `step`; what is not finite has no point.

        Points that the run has of an earlier session are not recorded twice.
        """
        steps = frame[step].cast(pl.Int64).to_list()
        names = [name for name, kind in frame.schema.items() if name != step and kind.is_numeric()]
        there = self._there(names)
        self._points(
            (name, float(value), at)
            for name in names
            for value, at in zip(frame[name].to_list(), steps, strict=True)
            if value is not None and math.isfinite(value) and (name, at) not in there
        )

    def _there(self, names: Iterable[str]) -> set[tuple[str, int]]:
        """The points (name, step) of these curves that the run has."""
        if self.client is None:
            return set()
        said = self.client.get_run(self.run_id).data.metrics
        own = {name: _metric_name(name) for name in names}
        found = {n: self.client.get_metric_history(self.run_id, kept) for n, kept in own.items() if kept in said}
        return {(name, point.step) for name, points in found.items() for point in points}

    def _points(self, points: Iterable[tuple[str, float, int]]) -> None:
        """Points of curves (name, value, step), as many as the API takes in each call."""
        if self.client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for chunk in _chunks([Metric(_metric_name(name), value, now, at) for name, value, at in points], BATCH):
            self.client.log_batch(self.run_id, metrics=chunk)

    def tags(self, values: Mapping[str, object]) -> None:
        """Set tags of the run."""
        if self.client is None:
            return
        from mlflow.entities import RunTag

        self.client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in values.items()])

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file, or all files of a directory, with the run."""
        if self.client is None:
            return
        keep = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        keep(self.run_id, str(path), folder)

    def beside(self, run_id: str) -> Tracker:
        """Another run of the same store."""
        return Tracker(self.client, run_id)

    def cut_off(self, run_id: str) -> None:
        """Mark another run of the same store as killed: nobody will end it."""
        if self.client is not None:
            self.client.set_terminated(run_id, "KILLED")

    def data(self, context: str, name: str, digest: str, source: str) -> None:
        """Name a set of data that the run reads, by its digest; context: what for."""
        if self.client is None:
            return
        from mlflow.entities import Dataset, DatasetInput, InputTag

        read = Dataset(name, digest[:LONGEST_DIGEST], "local", source)
        tag = InputTag("mlflow.data.context", context)
        self.client.log_inputs(self.run_id, datasets=[DatasetInput(read, [tag])])

    def model(self, artifact: Path, beside: Iterable[Path] = ()) -> None:
        """Keep an artifact as it is registered: with its MLmodel file, and further files beside."""
        if self.client is None:
            return
        with TemporaryDirectory() as folder:
            whole = write_mlmodel(Path(folder), artifact, read_manifest(artifact / FILE), beside)
            self.client.log_artifacts(self.run_id, str(whole), MODEL_FOLDER)


@contextmanager
def track(
    experiment: str, name: str, *, enabled: bool = True, run_id: str | None = None, parent: str | None = None
) -> Iterator[Tracker]:
    """A run that ends FINISHED, or FAILED when the block raises; `run_id` goes on with an earlier run.

    parent: the run inside which this one is shown; by default $MLFLOW_RUN_ID, which `mlflow run` sets
    Unreachable tracking raises InputError here, before any work is done.
    """
    if not enabled:
        yield Tracker(None, "")
        return
    client, parent = connect(), parent or os.environ.get("MLFLOW_RUN_ID")
    if run_id is None:
        with told("MLFLOW_TRACKING_URI", tracking_uri()):
            place = client.get_run(parent).info.experiment_id if parent else _experiment_id(client, experiment)
            tags = {"mlflow.parentRunId": parent} if parent else None
            run_id = client.create_run(place, run_name=name, tags=tags).info.run_id
    else:
        client.update_run(run_id, "RUNNING")
    with told("MLFLOW_TRACKING_URI", tracking_uri(), disk=False):
        status = "FAILED"
        try:
            yield Tracker(client, run_id)
            status = "FINISHED"
        finally:
            client.set_terminated(run_id, status)


def has_run(run_id: str) -> bool:
    """Whether the store has a run that was not deleted."""
    from mlflow.exceptions import MlflowException

    client = connect()
    with told("MLFLOW_TRACKING_URI", tracking_uri()):
        try:
            return str(client.get_run(run_id).info.lifecycle_stage) == "active"
        except MlflowException as fault:
            if fault.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise


def connect() -> MlflowClient:
    """A client of tracking and registry that have answered; else InputError, within seconds."""
    for key, value in SETTINGS.items():
        os.environ.setdefault(key, value)
    tracking, registry = tracking_uri(), registry_uri()
    for variable, uri in {"MLFLOW_TRACKING_URI": tracking, "MLFLOW_REGISTRY_URI": registry}.items():
        check_reachable(variable, uri)
    with progress("preparing the tracking store"):
        for noisy in ("alembic", "mlflow.store.db.utils", "mlflow"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        import mlflow

        with told("MLFLOW_TRACKING_URI", tracking):
            mlflow.set_tracking_uri(tracking)
            mlflow.set_registry_uri(registry)
            client = mlflow.MlflowClient(tracking, registry)
            client.search_experiments(max_results=1)
        with told("MLFLOW_REGISTRY_URI", registry):
            client.search_registered_models(max_results=1)
    return client


def download(source: str, into: Path) -> Path:
    """Copy what stands at a place of a store below a folder of this machine. -> where it stands."""
    import mlflow.artifacts

    return Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(into)))


def runs_of(policy_digest: str) -> list[str]:
    """Ids of the runs that made a policy, the newest first; none where it was trained elsewhere."""
    client = connect()
    with told("MLFLOW_TRACKING_URI", tracking_uri()):
        places = [one.experiment_id for one in client.search_experiments()]
        found = client.search_runs(places, f"tags.policy_digest = '{policy_digest}'")
    return [str(run.info.run_id) for run in found]


def _experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment's id; a new one on a local database keeps its artifacts under an absolute path."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    uri = tracking_uri()
    if uri.startswith("sqlite:"):
        folder = Path(sqlite_file(uri)).absolute().parent / "mlartifacts" / name
        return str(client.create_experiment(name, artifact_location=folder.as_uri()))
    return str(client.create_experiment(name))


@contextmanager
def told(
    field: str, value: str, *, file: str | None = None, need: str | None = None, disk: bool = True
) -> Iterator[None]:
    """Translate what mlflow raises about a store into one line; disk: what the operating system raises, too."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    faults: tuple[type[Exception], ...] = (MlflowException, RequestException, SQLAlchemyError)
    faults += (OSError,) if disk else ()
    try:
        yield
    except InputError:
        raise
    except faults as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0][:120]
        raise InputError(need or f"must be reachable ({reason})", file=file, field=field, value=shown(value)) from None


def _metric_name(key: str) -> str:
    """mlflow's alphabet for metric names."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in key)


def _chunks(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
