"""The artifact: a policy as a directory that any machine can run and nothing can hide code in.

manifest.json   what the policy is: kind, digests, treatments, observed fields, price range, lineage
policy.onnx     the network (kind `onnx`): observation, mask -> probabilities, temperature and floor applied inside
catalogue.yaml  schema.yaml  rules.yaml   what it decides over; their digests stand in the manifest

Reading needs onnxruntime and JSON, neither torch nor pickle.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agents.artifact_files import check_plain, guarded, read_book
from agents.manifest import FILE, Manifest, check_compatible, price_check, read_manifest, sealed
from agents.network_file import Network, load_network
from agents.onnx_guard import LARGEST
from agents.policy import Policy
from envs.catalogue import Catalogue, load_catalogue
from envs.config import Config
from envs.digest import digest_of
from envs.errors import InputError
from envs.observation import Encoder
from envs.rules import RuleBook, Rules, load_rules
from envs.schema import Schema, load_schema

__all__ = [
    "ArtifactPolicy",
    "Manifest",
    "check_compatible",
    "load_policy",
    "price_check",
    "rules_policy",
    "write_artifact",
]

NETWORK = "policy.onnx"
BOOKS = ("catalogue.yaml", "schema.yaml", "rules.yaml")
FILES = frozenset({FILE, NETWORK, *BOOKS})
CHUNK = 8192  # rows per call of the network; bounds memory
RULES = {"coordinated_rules": "agents.baselines:coordinated_rules"}  # policies of kind `rules`: name -> who makes it


@dataclass(frozen=True)
class ArtifactPolicy:
    """A policy read from an artifact, with everything that a decision needs besides the customer."""

    manifest: Manifest
    catalogue: Catalogue
    schema: Schema
    rules: Rules
    decide: Callable[[np.ndarray, np.ndarray], np.ndarray]  # one chunk, as the policy protocol
    path: Path | None = None  # where it was read; None: nowhere

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes: read again there, since a network cannot be sent."""
        if self.path is None:
            return super().__reduce__()  # type: ignore[return-value]
        return _read_again, (self.path, self.digest)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def digest(self) -> str:
        return self.manifest.policy_digest

    @cached_property
    def encoder(self) -> Encoder:
        return Encoder(self.catalogue, self.schema)

    @cached_property
    def rule_book(self) -> RuleBook:
        return RuleBook(self.rules, self.catalogue, self.schema)

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(batch, fields) float32, (batch, treatments) bool -> (batch, treatments) float64; see the policy protocol."""
        observation, mask = np.asarray(observation, np.float32), np.asarray(mask, np.bool_)
        self._check(observation, mask)
        out = np.empty(mask.shape)
        for start in range(0, len(mask), CHUNK):
            part = slice(start, start + CHUNK)
            out[part] = normalised(self.decide(observation[part], mask[part]), mask[part])
        return out

    def _check(self, observation: np.ndarray, mask: np.ndarray) -> None:
        for name, array, width in (
            ("observation", observation, len(self.manifest.observation_schema)),
            ("mask", mask, len(self.manifest.treatments)),
        ):
            if array.shape != (len(observation), width):
                raise InputError(f"must be of shape (batch, {width})", field=name, value=array.shape)
        closed = np.flatnonzero(~mask.any(axis=1))
        if closed.size:
            raise InputError("must allow a treatment", field="mask", row=int(closed[0]))


def normalised(raw: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """float32 probabilities of a network -> float64, exactly 0 where masked, rows sum to 1. (batch, treatments)."""
    kept = np.where(mask, raw.astype(np.float64), 0.0)
    total = kept.sum(axis=1, keepdims=True)
    wrong = np.flatnonzero(~np.isfinite(total[:, 0]) | (total[:, 0] <= 0) | (kept < 0).any(axis=1))
    if wrong.size:
        row = int(wrong[0])
        raise InputError("must be probabilities", field="probabilities", value=float(total[row, 0]), row=row)
    return np.asarray(kept / total)


def load_policy(path: Path | str) -> ArtifactPolicy:
    """The policy of an artifact, every digest, shape and name verified; InputError for what is wrong."""
    path = Path(path)
    if not path.is_dir():
        raise InputError("must be an artifact: a directory with manifest.json", file=path)
    if not (path / FILE).exists() and (path / "policy" / FILE).is_file():
        path = path / "policy"  # the directory of a training run
    check_plain(path, LARGEST)
    manifest = read_manifest(path / FILE)
    _check_files(path, manifest)
    catalogue = read_book(load_catalogue, path / "catalogue.yaml")
    schema, rules = read_book(load_schema, path / "schema.yaml"), read_book(load_rules, path / "rules.yaml")
    _check_books(path, manifest, catalogue, schema, rules)
    return ArtifactPolicy(
        manifest, catalogue, schema, rules, _decider(path, manifest, catalogue, schema), path.absolute()
    )


def _read_again(path: Path, digest: str) -> ArtifactPolicy:
    """The policy that was read here before, or an InputError if it is another one by now."""
    policy = load_policy(path)
    if policy.digest != digest:
        raise InputError(f"must be {digest}, as before", file=path / FILE, field="policy_digest", value=policy.digest)
    return policy


def _decider(path: Path, manifest: Manifest, catalogue: Catalogue, schema: Schema) -> Network:
    if manifest.kind == "rules":
        return _named_rules(manifest.name, catalogue, schema, file=path / FILE)
    raw = (path / NETWORK).read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != manifest.onnx_sha256:
        need = f"must be {found}, the SHA-256 of {NETWORK}"
        raise InputError(need, file=path / FILE, field="onnx_sha256", value=manifest.onnx_sha256)
    return load_network(raw, len(manifest.observation_schema), len(manifest.treatments), file=path / NETWORK)


def _named_rules(name: str, catalogue: Catalogue, schema: Schema, file: Path | None = None) -> Network:
    """A policy of this package, by its name."""
    if name not in RULES:
        raise InputError(f"must be one of: {', '.join(RULES)}, for kind rules", file=file, field="name", value=name)
    module, function = RULES[name].split(":")
    make = getattr(importlib.import_module(module), function)
    policy: Policy = make(catalogue, Encoder(catalogue, schema))
    return policy.probabilities


def _check_files(path: Path, manifest: Manifest) -> None:
    """Exactly the files of the format: nothing missing, nothing smuggled in."""
    needed = FILES if manifest.kind == "onnx" else FILES - {NETWORK}
    found = {entry.name for entry in path.iterdir()}
    for name in sorted(needed - found):
        raise InputError("must be there: it belongs to the artifact", file=path / name)
    for name in sorted(found - needed):
        raise InputError(f"must not be there: an artifact holds only {', '.join(sorted(needed))}", file=path / name)


def _check_books(path: Path, manifest: Manifest, catalogue: Catalogue, schema: Schema, rules: Rules) -> None:
    """The manifest speaks of these three files."""
    said = manifest.model_dump(mode="json")
    for field, need in guarded(lambda: _described(catalogue, schema, rules), path).items():
        if field.endswith("_digest") and said[field] != need:
            source = {"observation_digest": "the encoder"}.get(field, field.removesuffix("_digest") + ".yaml")
            raise InputError(f"must be {need}, that of {source}", file=path / FILE, field=field, value=said[field])
        if said[field] != (list(need) if isinstance(need, tuple) else need):
            raise InputError("must be that of catalogue.yaml and schema.yaml, in order", file=path / FILE, field=field)


def write_artifact(
    directory: Path | str,
    *,
    name: str,
    catalogue: Catalogue,
    schema: Schema,
    rules: Rules,
    onnx: bytes | None = None,
    temperature: float = 1.0,
    floor: float = 0.0,
    price_range: dict[str, tuple[float, float]] | None = None,
    lineage: dict[str, Any] | None = None,
    created: datetime | None = None,
) -> Manifest:
    """Write an artifact, whole or not at all; an artifact that stands there is replaced.

    onnx:        the network's file; None makes an artifact of kind `rules`, whose name must be known here
    price_range: price -> (low, high) of training; by default 0 to the top of the schema's range
    """
    manifest = sealed(
        **_described(catalogue, schema, rules),
        kind="rules" if onnx is None else "onnx",
        name=name,
        created=(created or datetime.now(UTC)).isoformat(timespec="seconds"),
        temperature=temperature,
        floor=floor,
        price_range=price_range or _whole_range(catalogue, schema),
        onnx_sha256=None if onnx is None else hashlib.sha256(onnx).hexdigest(),
        lineage=lineage or {},
    )
    books: tuple[Config, ...] = (catalogue, schema, rules)
    files = {name: _yaml(book) for name, book in zip(BOOKS, books, strict=True)}
    files[FILE] = manifest.model_dump_json(indent=2).encode() + b"\n"
    if onnx is not None:
        files[NETWORK] = onnx
    _replace_directory(Path(directory), files)
    return manifest


def rules_policy(name: str, catalogue: Catalogue, schema: Schema, rules: Rules) -> ArtifactPolicy:
    """The policy of an artifact of kind `rules` that was never written."""
    manifest = sealed(
        **_described(catalogue, schema, rules),
        kind="rules",
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        price_range=_whole_range(catalogue, schema),
    )
    return ArtifactPolicy(manifest, catalogue, schema, rules, _named_rules(name, catalogue, schema))


def _described(catalogue: Catalogue, schema: Schema, rules: Rules) -> dict[str, Any]:
    """What a manifest says of the three books."""
    encoder = Encoder(catalogue, schema)
    return {
        "treatments": catalogue.treatment_ids,
        "observation_schema": [asdict(field) for field in encoder.fields],
        "observation_digest": encoder.digest,
        "catalogue_digest": catalogue.digest,
        "schema_digest": digest_of(schema.model_dump(mode="json")),
        "rules_digest": RuleBook(rules, catalogue, schema).digest,
    }


def _whole_range(catalogue: Catalogue, schema: Schema) -> dict[str, tuple[float, float]]:
    encoder = Encoder(catalogue, schema)
    return {name: (0.0, high) for name, high in zip(encoder.price_names, encoder.price_highs.tolist(), strict=True)}


def _yaml(model: Config) -> bytes:
    return yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode()


def _replace_directory(directory: Path, files: dict[str, bytes]) -> None:
    """Write the files beside the directory, verify them as an artifact, then rename."""
    if directory.exists() and not directory.is_dir():
        raise InputError("must be a directory", file=directory)
    strange = sorted({entry.name for entry in directory.iterdir()} - FILES) if directory.exists() else []
    if strange:
        raise InputError(f"must be new, empty or an artifact; it holds {strange[0]}", file=directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
        _exchange(directory, temporary, files)
    except OSError as fault:
        size = sum(map(len, files.values())) >> 10
        need = f"must be written, {size:,} KiB ({fault.strerror}); what stood there before still does"
        raise InputError(need, file=directory) from None


def _exchange(directory: Path, temporary: Path, files: dict[str, bytes]) -> None:
    """Write the files into a folder beside the directory, verify them, put them in its place, or leave it."""
    new, old = temporary / "new", temporary / "old"
    try:
        new.mkdir()
        for name, content in files.items():
            with (new / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        load_policy(new)
        if directory.exists():
            os.rename(directory, old)
        os.rename(new, directory)
    finally:
        if old.exists() and not directory.exists():  # interrupted between the two
            os.rename(old, directory)
        shutil.rmtree(temporary)
