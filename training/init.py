"""Starter files, all commented: the built-in bank's catalogue, schema and rules, a mapping, training and evaluation."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import envs
from envs.config import describe
from envs.errors import InputError
from envs.schema import load_schema
from training.configs import EvaluateConfig, InitConfig, TrainConfig
from training.runs import atomic_write

BANK = Path(envs.__file__).parent / "worlds" / "bank"
STARTERS = Path(__file__).parent / "starters"
COPIED = ("catalogue.yaml", "schema.yaml", "rules.yaml")
CONFIGS: dict[str, type[BaseModel]] = {"train": TrainConfig, "evaluate": EvaluateConfig}  # verb -> its fields
FILES = {"train": "training.yaml", "evaluate": "evaluation.yaml"}
START: dict[str, dict[str, object]] = {  # what a first run of each reads
    "train": {"tables": "runs/tables", "world": "runs/world"},
    "evaluate": {"tables": "runs/tables", "world": "runs/world", "policy": ["runs/train/policy"]},
}


@dataclass(frozen=True)
class Starters:
    """The files that were written."""

    files: tuple[Path, ...]

    def __str__(self) -> str:
        names = "\n".join(f"  {file}" for file in self.files)
        return f"Wrote\n{names}\nEdit them, then check each: nextbest validate {self.files[0]}"


def init(config: InitConfig) -> Starters:
    """Write the starter files; files that are already there are kept unless `overwrite` says otherwise."""
    texts = {name: (BANK / name).read_text(encoding="utf-8") for name in COPIED}
    texts["mapping.yaml"] = starter_mapping()
    for verb, file in FILES.items():
        texts[file] = commented_yaml(CONFIGS[verb], f"nextbest {verb} --config {file}", START[verb])
    if config.directory.exists() and not config.directory.is_dir():
        raise InputError("must be a directory", file=config.directory)
    present = [name for name in texts if (config.directory / name).exists()]
    if present and not config.overwrite:
        need = f"already holds {', '.join(present)}; name another directory or add --overwrite"
        raise InputError(need, file=config.directory)
    return Starters(tuple(atomic_write(config.directory / name, text) for name, text in texts.items()))


def starter_mapping() -> str:
    """The starter mapping, with a line for each profile column of the starter schema."""
    names = [column.name for column in load_schema(BANK / "schema.yaml").columns]
    text = (STARTERS / "mapping.yaml").read_text(encoding="utf-8")
    return text.replace("    age: AGE\n", "".join(f"    {name}: {name.upper()}\n" for name in names))


def commented_yaml(model: type[BaseModel], command: str, values: Mapping[str, object]) -> str:
    """A YAML file of a model's fields, each under its sentence; fields without a value are commented.

    values: instead of the model's defaults
    """
    summary = " ".join((model.__doc__ or "").split())
    return "\n".join([f"# {summary}\n# Use: {command}\n", *_fields(model, values)])


def _fields(model: type[BaseModel], values: Mapping[str, object]) -> Iterator[str]:
    """A paragraph per field; the fields of a field stand below it, indented."""
    sentences = {row.field: row for row in describe(model)}
    for name, info in model.model_fields.items():
        kind, row = info.annotation, sentences.get(name)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            comment = " ".join((info.description or name).split())
            inner = "\n".join(_fields(kind, {}))
            yield f"{textwrap.indent(textwrap.fill(comment, 100), '# ')}\n{name}:\n{textwrap.indent(inner, '  ')}"
            continue
        comment = textwrap.fill(f"{row.sentence} ({row.type})" if row else name, 100)
        default = values.get(name, info.get_default(call_default_factory=True, validated_data={}))
        missing = default is None or default is PydanticUndefined
        body = f"# {name}:" if missing else f"{name}: {json.dumps(plain(default))}"  # JSON is YAML
        yield f"{textwrap.indent(comment, '# ')}\n{body}\n"


def plain(value: object) -> object:
    """A default as YAML holds it: paths and tuples become words and lists."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
