"""Where runs are tracked and policies registered: two URIs, their defaults, and whether they answer.

`MLFLOW_TRACKING_URI` and `MLFLOW_REGISTRY_URI` are honoured; without them both are one SQLite file under the
runs directory, by its absolute path.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from envs.errors import InputError
from training.runs import runs_root

CONNECT_SECONDS = 5.0  # assumed: a database that has not answered by then is not reachable
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # the servers' registered ports


def tracking_uri() -> str:
    """Where runs are recorded."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs_root() / 'mlflow.db'}"


def registry_uri() -> str:
    """Where policies are registered."""
    return os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri()


def ui_command() -> str:
    """What a user types or opens to look at runs and registered policies."""
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        return f"open {shown(uri)}"
    off = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true"
    return f"{off} mlflow ui --backend-store-uri {shown(uri)}"


def shown(uri: str) -> str:
    """A URI without its user and password."""
    parts = urlsplit(uri)
    return uri.replace(parts.netloc, parts.netloc.rpartition("@")[2]) if "@" in parts.netloc else uri


def check_reachable(variable: str, uri: str) -> None:
    """Refuse what mlflow would retry for minutes: a missing folder, a database host that does not answer."""
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        folder = Path(sqlite_file(uri)).absolute().parent
        if variable not in os.environ:
            folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise InputError(f"must be in a folder that can be written: {folder}", field=variable, value=uri)
        return
    port = parts.port or DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if parts.hostname and port and not parts.scheme.startswith("http"):
        try:
            socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
        except OSError as fault:
            need = f"must be reachable ({fault})"
            raise InputError(need, field=variable, value=shown(uri)) from None


def sqlite_file(uri: str) -> str:
    """The file of a SQLite URI."""
    return uri.removeprefix("sqlite:///")
