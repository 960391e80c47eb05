"""The tracking server: MLflow's own, with a database and a folder of files, on this machine unless told otherwise.

It runs as a process of its own and ends with this one. The store goes to it through the environment: a command line
can be read by everybody on the machine, and the URI may hold a password.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from envs.errors import InputError
from training.runs import atomic_write, runs_root
from training.stores import check_reachable, shown
from training.tracking import SETTINGS
from training.tracking_configs import TrackingServerConfig

STORE = "MLFLOW_BACKEND_STORE_URI"  # the variables of `mlflow server`
ARTIFACTS = "MLFLOW_ARTIFACTS_DESTINATION"
START_SECONDS = 180.0  # assumed: a fresh database migrates for 10 s here; ten times that on a slow machine
END_SECONDS = 20.0  # that open requests get; then it is killed
DRIVERS = {"postgresql": "psycopg"}


def tracking_server(config: TrackingServerConfig) -> None:
    """Serve until SIGTERM or Ctrl-C. InputError, before anything is started, if store, port or driver do not serve."""
    store = _with_driver(config.store or os.environ.get(STORE) or f"sqlite:///{runs_root() / 'mlflow.db'}")
    check_reachable("store", store)
    folder = (config.artifacts or runs_root() / "mlartifacts").absolute()
    _writable(folder)
    port = _free(config.host, config.port)
    url = f"http://{'127.0.0.1' if config.host == '0.0.0.0' else config.host}:{port}"
    with _running(_command(config, port), os.environ | SETTINGS | {STORE: store, ARTIFACTS: str(folder)}) as server:
        _wait(server, config.host, port)
        print(f"{url}\nstore {shown(store)}, files in {folder}\nexport MLFLOW_TRACKING_URI={url}", flush=True)
        if config.ready_file is not None:
            atomic_write(config.ready_file, url + "\n")
        if code := server.wait():
            raise InputError(f"must go on running (it ended with code {code}, see above)", field="tracking server")


def _command(config: TrackingServerConfig, port: int) -> list[str]:
    words = [sys.executable, "-m", "mlflow", "server", "--host", config.host, "--port", str(port)]
    words += ["--workers", str(config.workers)]
    return words + (["--allowed-hosts", ",".join(config.allowed_hosts)] if config.allowed_hosts else [])


def _with_driver(uri: str) -> str:
    """The URI with the driver that this project installs; InputError if it is not."""
    scheme, colon, rest = uri.partition(":")
    kind, plus, _ = scheme.partition("+")
    driver = DRIVERS.get(kind)
    if driver is None or plus:
        return uri
    if importlib.util.find_spec(driver) is None:
        need = f"needs the driver {driver}: install the extra `postgres` of this project"
        raise InputError(need, field="store", value=shown(uri))
    return f"{kind}+{driver}{colon}{rest}"


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InputError(
            f"must be a folder that can be written ({fault.strerror})", field="artifacts", value=folder
        ) from None
    if not os.access(folder, os.W_OK):
        raise InputError("must be a folder that can be written", field="artifacts", value=folder)


def _free(host: str, port: int) -> int:
    """The port, or a free one for 0; InputError if something listens there."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family) as found:
            return int(found.getsockname()[1])
    except OSError as fault:
        field, value = ("host", host) if isinstance(fault, socket.gaierror) else ("port", port)
        raise InputError(f"must be free to listen on {host} ({fault.strerror})", field=field, value=value) from None


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its children in a group of their own, which ends with the block; SIGTERM ends the block."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield server
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(END_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _wait(server: subprocess.Popen[bytes], host: str, port: int) -> None:
    """Until it answers."""
    import httpx

    address = "127.0.0.1" if host == "0.0.0.0" else host
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise InputError(f"must start (it ended with code {server.returncode}, see above)", field="tracking server")
        try:
            if httpx.get(f"http://{address}:{port}/health", trust_env=False, timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise InputError(f"must answer within {START_SECONDS:.0f} s", field="tracking server")
