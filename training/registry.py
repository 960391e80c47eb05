"""The model registry: versions of `contact-policy`, their aliases and tags.

A policy is registered as plain files, its artifact (ONNX and JSON) and what training/mlmodel.py puts beside it: no
pyfunc wrapper, nothing that unpickles. mlflow itself stands behind training/tracking.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.manifest import FILE, read_manifest
from envs.errors import InputError
from training.mlmodel import POLICY, version_tags
from training.stores import registry_uri, shown, tracking_uri
from training.tracking import MODEL_FOLDER, Tracker, connect, download, told, track

MODEL = "contact-policy"


@dataclass(frozen=True)
class Registered:
    """A version of a registered policy."""

    name: str
    version: str
    run_id: str
    source: str  # where the artifact's files stand, as the registry knows it
    tags: dict[str, str]

    @property
    def policy_digest(self) -> str:
        """The digest that the version was registered with; empty if it was registered by other means."""
        return self.tags.get("policy_digest", "")


def register(
    artifact: Path,
    *,
    run_id: str | None = None,
    alias: str = "challenger",
    tags: Mapping[str, str] | None = None,
    beside: Iterable[Path] = (),
    description: str | None = None,
) -> Registered:
    """Register an artifact directory as a new version of `contact-policy` and point the alias at it.

    run_id: the run that made it; none makes a run of its own
    beside: files that go with it, such as its model card; description: in Markdown
    Digests, signature, price range and expiry become tags, so that the gate can tell one policy from another.
    """
    manifest = read_manifest(artifact / FILE)
    client = connect()
    if run_id is None:
        with track("nextbest", f"register {artifact.name}") as tracker:
            run_id = tracker.run_id
    tags = dict(tags or {}) | version_tags(manifest)
    with told("MLFLOW_REGISTRY_URI", registry_uri()):
        Tracker(client, run_id).model(artifact, beside)
        source = client.get_run(run_id).info.artifact_uri.rstrip("/") + f"/{MODEL_FOLDER}"
        if not any(model.name == MODEL for model in client.search_registered_models(f"name = '{MODEL}'")):
            client.create_registered_model(MODEL)
        version = client.create_model_version(MODEL, source, run_id, tags=tags, description=description)
        client.set_registered_model_alias(MODEL, alias, str(version.version))
    return _registered(version)


def find(reference: str) -> Registered:
    """The registered policy under an alias or a version number."""
    client = connect()
    if not client.search_registered_models(f"name = '{MODEL}'"):
        raise InputError(f"must hold a model called {MODEL}; train one first", file=shown(registry_uri()))
    by_version = reference.isdigit()
    get = client.get_model_version if by_version else client.get_model_version_by_alias
    kind = "version" if by_version else "alias"
    need = f"must be a known {kind} of {MODEL}"
    with told("policy", reference, file=shown(registry_uri()), need=need):
        return _registered(get(MODEL, reference))


def find_alias(alias: str) -> Registered | None:
    """The policy under an alias, or None when nothing has it."""
    client = connect()
    for model in client.search_registered_models(f"name = '{MODEL}'"):
        if alias in model.aliases:
            return _registered(client.get_model_version(MODEL, str(model.aliases[alias])))
    return None


def fetch(policy: Registered, into: Path) -> Path:
    """The artifact's directory, copied below `into`; what was registered beside it stands in the folder above."""
    connect()
    with told("MLFLOW_REGISTRY_URI", registry_uri()):
        found = download(policy.source, into)
    return found / POLICY if (found / POLICY).is_dir() else found  # or registered as the artifact alone


def keep(policy: Registered, files: Path, place: str) -> str:
    """Put the files of a folder at a place of the run that made a version; -> the run.

    A version that was registered without a run gets one of its own.
    """
    run_id = policy.run_id
    if not run_id:
        with track("nextbest", f"decisions on {policy.name} {policy.version}") as tracker:
            run_id = tracker.run_id
    with told("MLFLOW_TRACKING_URI", tracking_uri()):
        Tracker(connect(), run_id).artifact(files, place)
    return run_id


def tagged(key: str) -> list[Registered]:
    """All versions that have a tag of this name."""
    client, token = connect(), None
    found: list[Registered] = []
    with told("MLFLOW_REGISTRY_URI", registry_uri()):
        while True:
            page = client.search_model_versions(f"name = '{MODEL}'", page_token=token)
            found += [version for version in map(_registered, page) if key in version.tags]
            token = page.token
            if not token:
                return found


def describe(policy: Registered, text: str) -> None:
    """Give a registered version a new description, in Markdown."""
    with told("MLFLOW_REGISTRY_URI", registry_uri()):
        connect().update_model_version(MODEL, policy.version, text)


def set_alias(policy: Registered, alias: str) -> None:
    """Point an alias at a version; whatever had it before loses it."""
    with told("MLFLOW_REGISTRY_URI", registry_uri()):
        connect().set_registered_model_alias(MODEL, alias, policy.version)


def tag(policy: Registered, tags: Mapping[str, object]) -> None:
    """Set tags of a registered version."""
    client = connect()
    with told("MLFLOW_REGISTRY_URI", registry_uri()):
        for key, value in tags.items():
            client.set_model_version_tag(MODEL, policy.version, key, str(value))


def _registered(version: Any) -> Registered:
    return Registered(
        name=str(version.name),
        version=str(version.version),
        run_id=str(version.run_id or ""),
        source=str(version.source),
        tags={str(key): str(value) for key, value in version.tags.items()},
    )
