"""The manifest: what an artifact says about the policy in it, checked field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, model_validator

from agents.artifact_files import guarded, unique
from agents.price_range import Outside, inside
from envs.catalogue import SILENCE, Catalogue
from envs.config import Config, build_config
from envs.digest import digest_of
from envs.errors import InputError
from envs.prices import Prices

FILE = "manifest.json"
PRICE = "price:"  # what the names of price fields begin with
OUTSIDE_DIGEST = {"policy_digest", "created"}  # the same policy made twice has one digest


class ObservedField(Config):
    """One field of the observation that the policy reads."""

    name: str
    """Name, unique in the observation."""
    meaning: str
    """One phrase for people."""
    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    unit: str = ""
    """In which unit it is read."""


class Manifest(Config):
    """Everything about a policy but its weights."""

    format: Literal["nextbest-policy/1"] = "nextbest-policy/1"
    """The format of the directory."""
    kind: Literal["onnx", "rules"]
    """onnx: a network in policy.onnx; rules: a policy of this package, found by its name."""
    name: str = Field(min_length=1)
    """Name of the policy."""
    created: str
    """When it was made, ISO 8601, UTC."""
    temperature: float = Field(1.0, gt=0)
    """Temperature of the softmax, already applied inside the graph."""
    floor: float = Field(0.0, ge=0, lt=1)
    """Probability spread evenly over the allowed treatments, already applied inside the graph."""
    treatments: tuple[str, ...] = Field(min_length=1)
    """Ids of the treatments in the order of the probabilities; silence first."""
    observation_schema: tuple[ObservedField, ...] = Field(min_length=1)
    """The table of observed fields, in order."""
    observation_digest: str
    """Digest of the encoder: fields, half-lives, price ranges."""
    catalogue_digest: str
    """Digest of the content of catalogue.yaml."""
    schema_digest: str
    """Digest of the content of schema.yaml."""
    rules_digest: str
    """Digest of the content of rules.yaml."""
    price_range: dict[str, tuple[float, float]]
    """Price -> lowest and highest value on which the policy was trained."""
    onnx_sha256: str | None = None
    """SHA-256 of policy.onnx; null for rules."""
    lineage: dict[str, JsonValue] = {}
    """Where the policy comes from: run, tables, world, code."""
    policy_digest: str
    """Digest of all fields above but `created`: the policy's short name in every decision."""

    @model_validator(mode="after")
    def _fits_together(self) -> Manifest:
        if self.treatments[0] != SILENCE:
            raise ValueError(f"treatments[0] == {self.treatments[0]!r}, must be {SILENCE!r}")
        if len(set(self.treatments)) < len(self.treatments):
            raise ValueError("treatments must be unique")
        if set(self.price_range) != set(self.price_names):
            raise ValueError(f"price_range must name the observed prices: {', '.join(self.price_names)}")
        for name, (low, high) in self.price_range.items():
            if not 0 <= low <= high:
                raise ValueError(f"price_range.{name} == {[low, high]}, must be 0 <= low <= high")
        if (self.kind == "onnx") != (self.onnx_sha256 is not None):
            raise ValueError("onnx_sha256 must be given for kind onnx, and only there")
        return self

    @property
    def price_names(self) -> tuple[str, ...]:
        """`annoyance` and the pools, in the order of the observation."""
        fields = self.observation_schema
        return tuple(f.name.removeprefix(PRICE) for f in fields if f.name.startswith(PRICE))


def policy_digest(content: dict[str, Any]) -> str:
    """The digest of a manifest's content, as JSON values."""
    return digest_of({key: value for key, value in content.items() if key not in OUTSIDE_DIGEST})


def sealed(**fields: Any) -> Manifest:
    """A manifest of these fields, with its policy_digest."""
    draft = Manifest(**fields, policy_digest="")
    return draft.model_copy(update={"policy_digest": policy_digest(draft.model_dump(mode="json"))})


def read_manifest(file: Path) -> Manifest:
    """Read and check `manifest.json`; raise InputError that names file, field, value and need."""
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=unique)
    except FileNotFoundError:
        raise InputError("must be there: an artifact is a directory that holds it", file=file) from None
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"must be JSON ({' '.join(str(fault).split())[:160]})", file=file) from None
    if not isinstance(content, dict):
        raise InputError("must be a JSON object", file=file)
    manifest = guarded(lambda: build_config(Manifest, content, file=file), file)
    found = guarded(lambda: policy_digest(manifest.model_dump(mode="json")), file)
    if found != manifest.policy_digest:
        raise InputError(
            f"must be the digest of this manifest, {found}",
            file=file,
            field="policy_digest",
            value=manifest.policy_digest,
        )
    return manifest


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def check_compatible(
    manifest: Manifest, catalogue: Catalogue, observation_digest: str, rules_digest: str | None = None
) -> None:
    """Refuse a policy that was made for another catalogue, another encoder or (if given) other rules."""
    needs = {"catalogue_digest": catalogue.digest, "observation_digest": observation_digest}
    if rules_digest is not None:
        needs["rules_digest"] = rules_digest
    if manifest.treatments != catalogue.treatment_ids:
        strange = sorted(set(manifest.treatments) ^ set(catalogue.treatment_ids))
        shown = ", ".join(strange[:3]) or "the same ids in another order"
        need = f"must list the treatments of the catalogue in its order; they differ in: {shown}"
        raise InputError(need, file=FILE, field="treatments")
    for field, need in needs.items():
        found = getattr(manifest, field)
        if found != need:
            raise InputError(f"must be {need}, as here", file=FILE, field=field, value=found)


def price_check(manifest: Manifest, prices: Prices, mode: Outside = "refuse") -> Prices:
    """The prices as the policy may see them: inside the range on which it was trained.

    mode: "refuse" raises InputError for a price outside, "clamp" moves it to the nearest end.
    """
    values = zip(manifest.price_names, prices.vector().tolist(), strict=True)
    annoyance, *pools = (inside(manifest.price_range, name, value, mode) for name, value in values)
    return Prices(annoyance, tuple(pools))
