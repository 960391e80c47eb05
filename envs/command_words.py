"""The words of a command line that make a configuration: the way back from `envs.flags`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def command_of(verb: str, config: BaseModel, positional: Iterable[str] = (), without: Iterable[str] = ()) -> str:
    """A line for a shell that runs a verb with this configuration, whatever file and flags it came from.

    positional: fields that are read from bare arguments; without: fields that are left out, as where to write
    What has its default is not said. Paths stand as they were told.
    """
    bare, said = list(positional), dict(_told(config))
    words = [str(getattr(config, name)) for name in bare]
    for field, value in said.items():
        if field not in bare and field not in set(without):
            words += _words(field, value)
    return shlex.join(["nextbest", *verb.split(), *words])


def _told(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted fields whose values are not the defaults; of a model within, measured by its own defaults."""
    for name, info in type(config).model_fields.items():
        value = getattr(config, name)
        if value == info.get_default(call_default_factory=True, validated_data={}):
            continue
        if isinstance(value, BaseModel):
            inner = list(_told(value, f"{prefix}{name}."))
            yield from inner or [(f"{prefix}{name}", {})]
        else:
            yield f"{prefix}{name}", value


def _words(field: str, value: Any) -> list[str]:
    """A flag where the value is a plain word, number or list of words; else `--set field=value`, as YAML."""
    flag = "--" + field.replace("_", "-")
    if isinstance(value, bool) and "." not in field:
        return [flag if value else "--no-" + flag[2:]]
    if _plain(value):
        return [flag, str(value)]
    if isinstance(value, list | tuple) and value and all(isinstance(one, str | Path) and _plain(one) for one in value):
        return [word for one in value for word in (flag, str(one))]
    return ["--set", f"{field}={json.dumps(value, ensure_ascii=False, default=_text)}"]


def _plain(value: Any) -> bool:
    """Whether a flag can be told it as it stands: no word that begins like a flag, or that means nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return True
    word = str(value) if isinstance(value, str | Path) else "-"
    return bool(word) and not word.startswith("-") and word.lower() not in ("none", "null")


def _text(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
