"""The tracking server starts for real on SQLite and on PostgreSQL, takes a policy, gives it back and promotes it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow.cli
import polars as pl
import pytest
import yaml
from gate_kit import write_log, write_report
from serving_kit import write_kit

import nextbest
from agents.artifact import load_policy
from envs.config import build_config
from envs.errors import InputError
from envs.flags import config_from_flags
from envs.world import load_world
from serving.model import load_model
from serving.settings import ServeConfig
from training import registry, tracking
from training.configs import PromoteConfig, TrainConfig
from training.promote import promote
from training.track_training import Recorded, begin, record_run, register_run
from training.tracking_configs import TrackingServerConfig
from training.tracking_server import tracking_server

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "it's a:secret@word"
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # not on the path there


def binary(name: str) -> str | None:
    return shutil.which(name) or next((str(d / name) for d in DEBIAN if (d / name).exists()), None)


@contextmanager
def postgres() -> Iterator[str]:
    """A database server of the test's own, on a free port of this machine; its URI."""
    tools = {name: binary(name) for name in ("initdb", "pg_ctl", "postgres")}
    if missing := [name for name, path in tools.items() if path is None]:
        pytest.skip(f"no PostgreSQL binaries are installed: {', '.join(missing)}")
    psycopg = pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    user = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}  # PostgreSQL refuses to run as root
    with tempfile.TemporaryDirectory(prefix="nextbest-pg-") as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        data, secret = Path(folder, "data"), Path(folder, "secret")
        secret.write_text(PASSWORD, encoding="utf-8")
        if user:
            for path in (Path(folder), secret):
                os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)

        def call(*words: str) -> None:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, **user)
            assert done.returncode == 0, done.stdout + done.stderr

        call(str(tools["initdb"]), "-D", str(data), "-U", "mlflow", "--auth=scram-sha-256", f"--pwfile={secret}",
             "--no-sync", "--encoding=UTF8")  # fmt: skip
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        log = str(Path(folder, "log"))
        call(str(tools["pg_ctl"]), "-D", str(data), "-o", options, "-l", log, "--wait", "start")
        try:
            known = {"host": "127.0.0.1", "port": port, "user": "mlflow", "password": PASSWORD}
            with psycopg.connect(dbname="postgres", autocommit=True, **known) as connection:
                connection.execute("CREATE DATABASE mlflow")
            quoted = PASSWORD.replace(":", "%3A").replace("@", "%40").replace("'", "%27").replace(" ", "%20")
            yield f"postgresql://mlflow:{quoted}@127.0.0.1:{port}/mlflow"
        finally:
            call(str(tools["pg_ctl"]), "-D", str(data), "--mode=fast", "--wait", "stop")


@contextmanager
def running(place: Path, store: str) -> Iterator[str]:
    """`nextbest tracking-server` on a store; its URL."""
    ready = place / "url"
    words = [sys.executable, "-m", "nextbest", "tracking-server", "--port", "0", "--artifacts", str(place / "files"),
             "--ready-file", str(ready)]  # fmt: skip
    environment = os.environ | {"MLFLOW_BACKEND_STORE_URI": store, "PYTHONPATH": str(ROOT)}
    with (place / "server.log").open("wb") as out:
        server = subprocess.Popen(words, cwd=place, env=environment, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + 240
            while not ready.exists():
                assert server.poll() is None, (place / "server.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield ready.read_text().strip()
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
    assert PASSWORD not in (place / "server.log").read_text(errors="replace")


@contextmanager
def store_of(kind: str, place: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{place / 'team.db'}"
    else:
        with postgres() as uri:
            yield uri


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_team_trains_fetches_promotes_and_serves(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "tables")
    manifest = write_kit(tmp_path / "run" / "policy", lineage={"valid_days": 90, "seed": 0})
    report = write_report(tmp_path / "report", tmp_path / "run" / "policy")
    with store_of(kind, tmp_path) as store, running(tmp_path, store) as url:
        monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            monkeypatch.setenv(variable, url)
        assert url.startswith("http://127.0.0.1:")
        world, config = load_world("bank"), TrainConfig(world="bank", trained_by="ann")
        curves = pl.DataFrame({"seed": [0, 0], "decisions": [1.0, 2.0], "return": [3.0, 4.0]})
        with tracking.track("team", "train") as tracker:
            meter = begin(config, world)
            kept = record_run(tracker, Recorded(config, world, manifest, tmp_path / "run/policy", tmp_path / "run",
                                                curves, meter))  # fmt: skip
        registered = register_run(tracker, kept)
        assert registered.source.startswith("mlflow-artifacts:/")
        fetched = registry.fetch(registry.find("challenger"), tmp_path / "fetched")
        assert load_policy(fetched).digest == manifest.policy_digest
        own = promote(PromoteConfig(report=report, tables=tmp_path / "tables", out=tmp_path / "own",
                                    approved_by="Ann", reason="mine"))  # fmt: skip
        assert [line.name for line in own.failed] == ["approval"]
        assert load_model(ServeConfig()).fallback
        other = promote(PromoteConfig(report=report, tables=tmp_path / "tables", out=tmp_path / "out",
                                      approved_by="bo", reason="pilot"))  # fmt: skip
        assert other.alias == "champion"
        served = load_model(ServeConfig())
        assert (served.fallback, served.policy.digest) == (False, manifest.policy_digest)
        files = {str(p.relative_to(tmp_path / "files")).split("/artifacts/")[1] for p in (tmp_path / "files").rglob("*")
                 if p.is_file()}  # fmt: skip
        assert {"model/policy/policy.onnx", "model/MLmodel", "model/model_card.html"} <= files


def test_others_than_this_machine_may_call_only_by_name() -> None:
    assert TrackingServerConfig().loopback
    assert TrackingServerConfig(host="::1").loopback
    with pytest.raises(InputError, match=r"allowed_hosts must be given to listen on 0\.0\.0\.0"):
        build_config(TrackingServerConfig, {"host": "0.0.0.0"})
    assert TrackingServerConfig(host="0.0.0.0", allowed_hosts=["mlflow.example"]).allowed_hosts == ["mlflow.example"]


def test_a_taken_port_a_dead_database_and_an_unwritable_folder_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTBEST_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_BACKEND_STORE_URI", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port == {port}, must be free to listen on 127.0.0.1"):
            tracking_server(TrackingServerConfig(port=port))
    with pytest.raises(
        InputError, match=r"store == 'postgresql\+psycopg://127.0.0.1:9/mlflow', must be reachable"
    ) as said:
        tracking_server(TrackingServerConfig(store="postgresql://me:secret@127.0.0.1:9/mlflow"))
    assert "secret" not in str(said.value)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"artifacts == .*, must be a folder that can be written"):
        tracking_server(TrackingServerConfig(artifacts=tmp_path / "file"))


def compose() -> dict[str, dict[str, dict[str, object]]]:
    text = (ROOT / "mlflow" / "compose.yaml").read_text(encoding="utf-8")
    content: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(text)
    return content


def test_the_compose_file_pins_checks_keeps_and_hides_what_it_must() -> None:
    content = compose()
    services = content["services"]
    assert set(services) == {"postgres", "mlflow"}
    for name, service in services.items():
        assert set(service) <= {"image", "build", "restart", "environment", "volumes", "healthcheck", "depends_on",
                                "command", "ports"}  # fmt: skip
        assert re.fullmatch(r"[a-z-]+:\d+\.\d[\w.-]*", str(service["image"])), name
        check = service["healthcheck"]
        assert isinstance(check, dict)
        assert set(check) >= {"test", "interval", "timeout", "retries"}
        volumes = service["volumes"]
        assert isinstance(volumes, list)
        assert {volume.split(":")[0] for volume in volumes} <= set(content["volumes"])
    assert services["mlflow"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "ports" not in services["postgres"]
    assert all(str(port).startswith("127.0.0.1:") for port in services["mlflow"]["ports"])  # type: ignore[attr-defined]
    for service in services.values():
        said = {key: value for key, value in service["environment"].items() if "${POSTGRES_PASSWORD" in str(value)}  # type: ignore[attr-defined]
        assert said
        assert all("${POSTGRES_PASSWORD:?" in str(value) for value in said.values())  # it will not start without


def test_the_compose_file_runs_the_versions_that_are_pinned() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    )
    service = compose()["services"]["mlflow"]
    assert service["image"] == f"nextbest-mlflow:{pins['mlflow']}"
    build = service["build"]
    assert isinstance(build, dict)
    assert (ROOT / "mlflow" / str(build["context"]) / "constraints.txt").is_file()
    recipe = str(build["dockerfile_inline"])
    assert re.match(r"FROM python:3\.1[1-3]\.\d+-", recipe)
    assert "--constraint /constraints.txt" in recipe
    assert recipe.index("USER mlflow") > recipe.index("RUN pip")
    options = {param.envvar for param in mlflow.cli.server.params}
    said = service["environment"]
    assert isinstance(said, dict)
    assert {name for name in said if name.startswith("MLFLOW_")} <= options | set(tracking.SETTINGS)


def test_docker_reads_the_compose_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker compose is not installed")
    words = [docker, "compose", "-f", str(ROOT / "mlflow" / "compose.yaml"), "config", "--quiet"]
    bare = {name: value for name, value in os.environ.items() if name != "POSTGRES_PASSWORD"}
    done = subprocess.run(words, env=bare | {"POSTGRES_PASSWORD": "x"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert subprocess.run(words, env=bare, capture_output=True, timeout=60).returncode != 0


def entry_points() -> dict[str, str]:
    project = yaml.safe_load((ROOT / "mlflow" / "MLproject").read_text(encoding="utf-8"))
    return {name: point["command"] for name, point in project["entry_points"].items()}


@pytest.mark.parametrize("name", sorted(entry_points()))
def test_every_entry_point_of_the_project_is_a_verb_with_fields_that_exist(name: str) -> None:
    words = entry_points()[name].partition("nextbest ")[2].replace("{", "").replace("}", "").split()
    values = {"steps": "10", "seed": "0", "trials": "2", "also": "envs=64"}
    words = [values.get(word, word) for word in words]
    verb = next(v for v in nextbest.VERBS if v.name == words[0])
    _, bound, _ = nextbest.build(words).parse_args(words, print_error=False, exit_on_error=False)
    assert config_from_flags(nextbest.resolve(verb.config), dict(bound.arguments), verb.fixed) is not None


@pytest.mark.slow
def test_the_project_trains_as_mlflow_runs_it(tmp_path: Path) -> None:
    """`mlflow run mlflow -e train`, on a small log; its run holds ours."""
    binaries = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "OMP_NUM_THREADS": "1",
    }

    def call(*words: str) -> None:
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    tables, world, out = (str(tmp_path / name) for name in ("tables", "world", "train"))
    call("nextbest", "simulate", "--customers", "300", "--days", "42", "--out", tables)
    call("nextbest", "calibrate", tables, "--replicates", "1", "--out", world)
    call("mlflow", "run", str(ROOT / "mlflow"), "-e", "train", "--env-manager", "local", "-P", f"tables={tables}", "-P",
         f"world={world}", "-P", "steps=0", "-P", f"out={out}", "-P", "also=imitation_steps=2000")  # fmt: skip
    digest = load_policy(tmp_path / "train").digest
    store = environment["MLFLOW_TRACKING_URI"]
    client = mlflow.MlflowClient(store, store)
    version = client.get_model_version_by_alias("contact-policy", "challenger")
    assert version.tags["policy_digest"] == digest
    ours = client.get_run(version.run_id)
    whole = client.get_run(ours.data.tags["mlflow.parentRunId"])
    assert (ours.info.status, whole.info.status) == ("FINISHED", "FINISHED")
    assert (whole.data.params["steps"], ours.data.params["imitation_steps"]) == ("0", "2000")
