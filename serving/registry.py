"""The registry, read once at start and without mlflow: over its REST interface, or straight out of its SQLite file.

Names of tables and paths: MLflow 3.17, store/model_registry/dbmodels/models.py and the REST API's documentation. An
artifact is either on this machine or behind the server's artifact proxy (mlflow-artifacts:/).
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx
import sqlalchemy as sa

from agents.artifact import FILES, ArtifactPolicy, load_policy
from envs.errors import InputError
from serving.settings import ServeConfig

API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
DIGEST_TAG = "policy_digest"
POLICY = "policy"  # the artifact's folder in what is registered


@dataclass(frozen=True)
class Version:
    """A registered version, and where its artifact is."""

    version: str
    source: str
    digest: str | None  # of the policy, if the version has the tag


@dataclass(frozen=True)
class Fetched:
    """A registered policy, loaded and verified."""

    version: str
    policy: ArtifactPolicy


def fetch(config: ServeConfig) -> Fetched | None:
    """The policy under the configured alias; None if nothing has it. InputError if the registry cannot be read."""
    uri = config.registry_uri()
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite":
        version = _from_file(uri, config)
    elif scheme in ("http", "https"):
        version = _from_server(uri, config)
    else:
        raise InputError("must be sqlite:///FILE or http(s)://SERVER", field="registry", value=shown(uri))
    if version is None:
        return None
    with tempfile.TemporaryDirectory(prefix="nextbest-") as into:
        policy = load_policy(_local(version.source, uri, Path(into), config.registry_timeout))
    if version.digest is not None and version.digest != policy.digest:
        place = f"{shown(uri)}, {config.registered_model} version {version.version}"
        need = f"must be {policy.digest}, that of its artifact"
        raise InputError(need, file=place, field=DIGEST_TAG, value=version.digest)
    return Fetched(version.version, policy)


def shown(uri: str) -> str:
    """A URI without user and password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _from_file(uri: str, config: ServeConfig) -> Version | None:
    file = Path(uri.removeprefix("sqlite:///"))
    if not file.is_file():
        if config.registry_is_default():
            return None  # nothing was ever registered
        raise InputError("must be there: the registry's SQLite file", file=file, field="registry", value=uri)
    read_only = sa.URL.create(
        "sqlite", database=f"file:{quote(str(file.absolute()))}", query={"mode": "ro", "uri": "true"}
    )
    engine = sa.create_engine(read_only, connect_args={"timeout": config.registry_timeout})
    try:
        with engine.connect() as connection:
            return _row(connection, config.registered_model, config.alias)
    except sa.exc.DBAPIError as fault:
        raise InputError(f"must be an MLflow registry ({fault.orig})", file=file, field="registry", value=uri) from None
    finally:
        engine.dispose()


def _row(connection: sa.Connection, name: str, alias: str) -> Version | None:
    query = sa.text(
        "SELECT v.version, COALESCE(v.storage_location, v.source) AS source, t.value AS digest"
        " FROM registered_model_aliases a"
        " JOIN model_versions v ON v.name = a.name AND v.version = a.version AND v.workspace = a.workspace"
        " LEFT JOIN model_version_tags t ON t.name = v.name AND t.version = v.version"
        " AND t.workspace = v.workspace AND t.key = :tag"
        " WHERE a.name = :name AND a.alias = :alias"
    )
    row = connection.execute(query, {"name": name, "alias": alias, "tag": DIGEST_TAG}).first()
    return None if row is None else Version(str(row.version), str(row.source), row.digest)


def _from_server(uri: str, config: ServeConfig) -> Version | None:
    named = {"name": config.registered_model, "alias": config.alias}
    with httpx.Client(base_url=uri.rstrip("/"), timeout=config.registry_timeout) as client:
        answer = _get(client, f"{API}/registered-models/alias", named, uri)
        if answer.status_code in (400, 404) and "not found" in answer.text.lower():
            return None  # no such model, or nothing has the alias
        version = _json(answer, uri)["model_version"]
        key = {"name": version["name"], "version": version["version"]}
        source = _json(_get(client, f"{API}/model-versions/get-download-uri", key, uri), uri)["artifact_uri"]
    tags = {tag["key"]: tag.get("value") for tag in version.get("tags", ())}
    return Version(str(version["version"]), str(source), tags.get(DIGEST_TAG))


def _local(source: str, registry: str, into: Path, timeout: float) -> Path:
    """The artifact's directory on this machine, downloaded if it is behind a proxy."""
    parts = urlsplit(source)
    if parts.scheme in ("", "file"):
        return Path(unquote(parts.path) if parts.scheme else source)
    server = _proxy(parts.netloc, registry)
    if parts.scheme != "mlflow-artifacts" or server is None:
        need = "must lie on this machine or behind the registry's own artifact proxy (mlflow-artifacts:/)"
        raise InputError(need, field="the registered version's source", value=shown(source))
    with httpx.Client(base_url=server, timeout=timeout) as client:
        folder = parts.path.strip("/")
        listed = _json(_get(client, PROXY, {"path": folder}, server), server).get("files", [])
        if any(entry.get("is_dir") and Path(entry["path"]).name == POLICY for entry in listed):
            folder = f"{folder}/{POLICY}"  # the artifact, among what was registered with it
            listed = _json(_get(client, PROXY, {"path": folder}, server), server).get("files", [])
        for name in sorted({Path(entry["path"]).name for entry in listed}):
            if name not in FILES:
                raise InputError("must not be there: it does not belong to an artifact", file=f"{shown(source)}/{name}")
            answer = _get(client, f"{PROXY}/{quote(f'{folder}/{name}')}", {}, server)
            (into / name).write_bytes(_checked(answer, server).content)
    return into


def _proxy(netloc: str, registry: str) -> str | None:
    """The server that hands out proxied artifacts: the registry, or the tracking server of the environment."""
    for uri in (registry, os.environ.get("MLFLOW_TRACKING_URI", "")):
        parts = urlsplit(uri)
        if parts.scheme in ("http", "https"):
            return f"{parts.scheme}://{netloc}" if netloc else uri.rstrip("/")
    return None


def _get(client: httpx.Client, path: str, query: dict[str, str], uri: str) -> httpx.Response:
    try:
        return client.get(path, params=query)
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        reason = str(fault) or type(fault).__name__
        raise InputError(f"must be reachable ({reason})", field="registry", value=shown(uri)) from None


def _checked(answer: httpx.Response, uri: str) -> httpx.Response:
    if answer.status_code != 200:
        need = f"must answer {answer.request.url.path} (it said {answer.status_code} {answer.reason_phrase})"
        raise InputError(need, field="registry", value=shown(uri))
    return answer


def _json(answer: httpx.Response, uri: str) -> dict[str, Any]:
    try:
        content = _checked(answer, uri).json()
    except ValueError as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(
            "must be an MLflow server (its answer is not JSON)", field="registry", value=shown(uri)
        ) from None
    return dict(content)
