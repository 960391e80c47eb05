"""Command-line flags out of a frozen configuration: the model gives names, types and sentences."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import Parameter
from pydantic import BaseModel

from envs.config import FieldRow, build_config, describe, parse_override, put, read_config
from envs.errors import InputError

CONFIG_HELP = "YAML file with any of these fields; flags win over it."
SET_HELP = "Any field as key=value (nested fields by dots); may be repeated, wins over flags."


def flag_signature(
    model: type[BaseModel], positional: Iterable[str] = (), fixed: Iterable[str] = ()
) -> inspect.Signature:
    """The signature of a command: one optional parameter per field, then --config and --set.

    positional: fields that are also read from bare arguments, in order
    fixed:      fields that the command itself sets, not offered as flags
    A parameter left alone is None, so that only what was said overrides the file.
    """
    rows = {row.field: row for row in describe(model) if row.field not in set(fixed)}
    first = [_parameter(rows.pop(name), positional=True) for name in positional]
    rest = [_parameter(row, positional=False) for row in rows.values()]
    config = Annotated[Path | None, Parameter(name="--config", help=CONFIG_HELP)]
    overrides = Annotated[
        list[str] | None,
        Parameter(name="--set", help=SET_HELP, negative_iterable="", allow_leading_hyphen=True),
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            *first,
            *rest,
            inspect.Parameter("config_file", keyword, default=None, annotation=config),
            inspect.Parameter("overrides", keyword, default=None, annotation=overrides),
        ]
    )


def config_from_flags(model: type[BaseModel], flags: Mapping[str, Any], fixed: Mapping[str, Any]) -> Any:
    """The configuration that file, flags and --set say together, in this order; the last one wins."""
    file: Path | None = flags.get("config_file")
    values, lines = read_config(file) if file is not None else ({}, {})
    rows = {_identifier(row): row for row in describe(model)}
    said: dict[str, Any] = dict(fixed)
    for name, value in flags.items():
        if value is not None and name in rows:
            said[rows[name].field] = _value(rows[name], value)
    for text in flags.get("overrides") or ():
        key, value = parse_override(text)
        said[key] = value
    for key, value in said.items():
        put(values, key, value)
    return build_config(model, values, file=file, lines=lines, given=said)


def with_signature(function: Callable[..., Any], signature: inspect.Signature, name: str, text: str) -> Any:
    """Give a keyword function the face that the command line reads: signature, name and help text."""
    annotations = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    faces = {"__signature__": signature, "__annotations__": annotations, "__name__": name, "__doc__": text}
    for attribute, value in faces.items():
        setattr(function, attribute, value)
    return function


def _identifier(row: FieldRow) -> str:
    return row.field.replace(".", "__")


def _parameter(row: FieldRow, *, positional: bool) -> inspect.Parameter:
    """A field as an optional parameter; its words are read by the model, not by the command line."""
    kind: Any = bool if row.type == "bool" else list[str] if row.type.startswith("list of") else str
    ending = "" if row.default in ("None", "", "{}") else f" [{row.default}]"
    flag = Parameter(
        name=None if positional else "--" + row.field.replace("_", "-"),
        help=row.sentence + ending,
        metavar=None if row.type == "bool" else row.type.removeprefix("list of ").removesuffix(" or none").upper(),
        negative_iterable="",
        show_default=False,
        allow_leading_hyphen=row.type in ("int", "float"),
        consume_multiple=row.several,
    )
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD if positional else inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(_identifier(row), place, default=None, annotation=Annotated[kind | None, flag])


def _value(row: FieldRow, value: Any) -> Any:
    """A flag's text as the model takes it: pairs and mappings are YAML, the word none is None."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("none", "null") and "none" in row.type.split(" or "):
        return None
    if row.type.startswith("(") and not value.lstrip().startswith("["):
        value = f"[{value}]"
    if not (row.type.startswith("(") or "->" in row.type):
        return value
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):  # the latter: a date that does not exist
        raise InputError(f"must be YAML for {row.type}", field=row.field, value=value) from None
