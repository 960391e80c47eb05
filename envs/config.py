"""Frozen configuration: one model with a sentence per field; YAML, command line and docs come from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticUndefined

from envs.errors import InputError


class Config(BaseModel):
    """Base of every configuration: frozen, unknown fields refused, field docstrings are the help."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        arbitrary_types_allowed=False,
        allow_inf_nan=False,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _pairs(cls, value: Any, info: ValidationInfo) -> Any:
        """A mapping may be written as on a command line: agents=60,advisers=30."""
        kind = cls.model_fields[str(info.field_name)].annotation
        return pairs(value) if get_origin(kind) is dict and isinstance(value, str) else value


def pairs(text: str) -> dict[str, str]:
    """A mapping out of words.

    >>> pairs("agents=60, advisers=30")
    {'agents': '60', 'advisers': '30'}
    """
    parts = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and equals for name, equals, _ in parts):
        raise ValueError("must read name=value, or several with commas between them")
    found = {name.strip(): rest.strip() for name, _, rest in parts}
    if len(found) < len(parts):
        raise ValueError("must name each of them once")
    return found


C = TypeVar("C", bound=BaseModel)


class FieldRow(NamedTuple):
    """One line of help: what a field is called, holds, starts as and means."""

    field: str  # dotted for nested models
    type: str
    default: str  # "required" when there is none
    sentence: str
    several: bool = False  # a list whose flag takes all words up to the next flag


class Several:
    """Marks such a list: `Annotated[list[str], Several()]`."""


def load_config(cls: type[C], file: Path | None = None, overrides: Iterable[str] = ()) -> C:
    """The configuration from a YAML file, then `key=value` overrides in order; the last one wins.

    file:      YAML mapping of fields; None starts from the defaults
    overrides: dotted keys with values read as YAML scalars, e.g. "network.width=128"
    raises InputError naming file, line, field, value and need
    """
    values, lines = read_config(file) if file is not None else ({}, {})
    given: set[str] = set()
    for text in overrides:
        key, value = parse_override(text)
        put(values, key, value)
        given.add(key)
    return build_config(cls, values, file=file, lines=lines, given=given)


def build_config(
    cls: type[C],
    values: Mapping[str, Any],
    *,
    file: Path | None = None,
    lines: Mapping[str, int] | None = None,
    given: Iterable[str] = (),
) -> C:
    """Validate a mapping of fields; the first fault becomes the InputError's one line.

    lines: dotted field -> line of the YAML file; given: dotted fields that came from the command line
    """
    try:
        return cls(**values)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        whole = first["type"] in ("missing", "extra_forbidden") or isinstance(first["input"], Mapping | BaseModel)
        raise InputError(
            _need(cls, first),
            file=_place(file, field, lines or {}, set(given)),
            field=field or None,
            value=None if whole else first["input"],
        ) from None


def parse_override(text: str) -> tuple[str, Any]:
    """Split "key=value"; the value is read as a YAML scalar.

    >>> parse_override("network.width=128")
    ('network.width', 128)
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError("must read key=value", field="--set", value=text)
    try:
        return key.strip(), _number(yaml.safe_load(value))
    except (yaml.YAMLError, ValueError):
        raise InputError("value must be YAML: a number, a word, a [list]", field="--set", value=text) from None


def describe(cls: type[BaseModel], prefix: str = "") -> list[FieldRow]:
    """A row of help per field, nested models by dotted names."""
    rows: list[FieldRow] = []
    for name, info in cls.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            rows += describe(kind, f"{prefix}{name}.")
            continue
        default = info.get_default(call_default_factory=True, validated_data={})
        shown = "required" if default is PydanticUndefined else _shown(default)
        several = any(isinstance(mark, Several) for mark in info.metadata)
        sentence = " ".join((info.description or "").split())
        rows.append(FieldRow(prefix + name, type_name(kind), shown, sentence, several))
    return rows


def _shown(default: Any) -> str:
    return ", ".join(str(item) for item in default) if isinstance(default, list | tuple) else str(default)


def type_name(kind: Any) -> str:
    """A type as a reader would write it: `int`, `path`, `list of str`, `"a" or "b"`."""
    if kind is type(None):
        return "none"
    args, origin = get_args(kind), get_origin(kind)
    if not args:
        return "path" if kind is Path else str(getattr(kind, "__name__", kind))
    if getattr(origin, "__name__", "") == "Literal" or str(origin) == "typing.Literal":
        return " or ".join(str(arg) for arg in args)
    names = [type_name(arg) for arg in args if arg is not Ellipsis]
    if origin in (list, tuple):
        return f"list of {names[0]}" if origin is list or Ellipsis in args else f"({', '.join(names)})"
    return f"{names[0]} -> {names[1]}" if origin is dict else " or ".join(names)


def read_config(file: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """A YAML mapping of fields, and the line of each dotted field."""
    text = _text(file)
    try:
        node, values = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.MarkedYAMLError as fault:
        at = f"line {fault.problem_mark.line + 1}: " if fault.problem_mark else ""
        raise InputError(f"{at}is not YAML ({fault.problem})", file=file) from None
    except yaml.reader.ReaderError as fault:
        at = _at(text[: fault.position])
        raise InputError(
            f"{at}holds a control character (U+{ord(text[fault.position]):04X}), must be text", file=file
        ) from None
    except ValueError as fault:  # a date that does not exist
        raise InputError(f"holds a value that is not YAML ({fault})", file=file) from None
    except RecursionError:
        raise InputError("is nested too deeply, must be a mapping of fields", file=file) from None
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise InputError("must be a mapping of fields", file=file)
    lines: dict[str, int] = {}
    _note_lines(node, "", lines)
    return {str(key): _number(value) for key, value in values.items()}, lines


def _text(file: Path) -> str:
    """What stands in a file."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        at, byte = _at(fault.object[: fault.start].decode()), fault.object[fault.start]
        raise InputError(f"{at}holds the byte 0x{byte:02X}, must be text in UTF-8", file=file) from None
    except OSError as fault:
        raise InputError(f"cannot be read ({type(fault).__name__}), must be a YAML file", file=file) from None


def _at(before: str) -> str:
    """Where something stands, by all that stands before it."""
    return f"line {before.count(chr(10)) + 1}, character {len(before) - before.rfind(chr(10))}: "


def _note_lines(node: yaml.Node | None, path: str, lines: dict[str, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            dotted = f"{path}{key.value}"
            lines[dotted] = key.start_mark.line + 1
            _note_lines(value, dotted + ".", lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[f"{path}{index}"] = item.start_mark.line + 1
            _note_lines(item, f"{path}{index}.", lines)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 3e-4 (no dot) as a word; take it for the number that was meant."""
    if isinstance(value, str) and value[:1] in "+-.0123456789" and "e" in value.lower():
        try:
            return float(value)
        except ValueError:
            return value
    return value


def put(values: dict[str, Any], field: str, value: Any) -> None:
    """Set a dotted field in nested mappings, in place."""
    *path, last = field.split(".")
    inner = values
    for key in path:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InputError(f"must not go into {key}, which holds a single value", field=field, value=value)
    inner[last] = value


def _place(file: Path | None, field: str, lines: Mapping[str, int], given: set[str]) -> str | None:
    said = (key for key in given if (field + ".").startswith(key + ".") or key.startswith(field + "."))
    if file is None or any(said):
        return None
    return f"{file}, line {lines[field]}" if field in lines else str(file)


def _need(cls: type[BaseModel], error: Any) -> str:
    """What would be right, in words; for an unknown field, the known ones."""
    message = str(error["msg"])
    if error["type"] == "extra_forbidden":
        return "is not a field, must be one of: " + ", ".join(_model_at(cls, error["loc"][:-1]).model_fields)
    if error["type"] == "missing":
        return "must be given"
    if error["type"] == "value_error":
        return message.removeprefix("Value error, ")
    return "must be " + message.removeprefix("Input should be ")


def _model_at(cls: type[BaseModel], path: Iterable[int | str]) -> type[BaseModel]:
    """The model that a path of fields, positions and keys leads to; the last one known if it leads nowhere."""
    model = cls
    for part in path:
        info = model.model_fields.get(str(part))
        models = _models_in(info.annotation) if info is not None else []
        model = models[0] if models else model
    return model


def _models_in(kind: Any) -> list[type[BaseModel]]:
    """The models inside a type: of `tuple[Product, ...]`, Product."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for inner in get_args(kind) for model in _models_in(inner)]
