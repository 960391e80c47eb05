"""What the tracking server can be told: one frozen model, one sentence per field."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field, model_validator

from envs.config import Config


class TrackingServerConfig(Config):
    """Run an MLflow server for a team: runs and registered policies in a database, files in a folder."""

    store: str | None = None
    """Database as a URI; by default $MLFLOW_BACKEND_STORE_URI (a password is safer there), else SQLite under runs/."""
    artifacts: Path | None = None
    """Folder of the files that clients read and write through the server; by default mlartifacts/ under runs/."""
    host: str = "127.0.0.1"
    """Address to listen on; this machine alone unless told otherwise, since MLflow asks nobody for a password."""
    port: int = Field(5000, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    allowed_hosts: list[str] = []
    """Name or address by which clients may call it; may be repeated, needed where others than this machine may."""
    workers: int = Field(1, ge=1)
    """Processes that answer."""
    ready_file: Path | None = None
    """A file that appears, with the URL in it, once the server answers."""

    @model_validator(mode="after")
    def _says_who_may_call(self) -> TrackingServerConfig:
        if not self.loopback and not self.allowed_hosts:
            raise ValueError(f"allowed_hosts must be given to listen on {self.host}: a name by which clients call it")
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
