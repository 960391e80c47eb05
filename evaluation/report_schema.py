"""The JSON schema of report.json, read off the records that it is made of."""

from __future__ import annotations

import collections.abc
import inspect
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from evaluation.bearing import Bearing
from evaluation.changes import Changed
from evaluation.confounding import Sensitivity
from evaluation.data_card import DataCard, Estimate
from evaluation.demand import Demand
from evaluation.diagnostics import Support
from evaluation.fairness import Fairness, Turn
from evaluation.guaranteed import Guaranteed
from evaluation.lead import Lead
from evaluation.live import Live
from evaluation.misspecification import Misspecification
from evaluation.names import Names
from evaluation.origin import Origin
from evaluation.power import Power
from evaluation.propensity_check import PropensityCheck
from evaluation.reliability import Reliability
from evaluation.remask import Served
from evaluation.report_json import FORMAT
from evaluation.reward_model import Choice
from evaluation.shares import Share
from evaluation.slices import Slice
from evaluation.together import Together
from evaluation.untried import Untried
from evaluation.use import Use
from evaluation.verdict import Verdict

Schema = dict[str, Any]
NUMBER: Schema = {"type": ["number", "null"]}  # null: it does not exist
TEXT: Schema = {"type": "string"}
PLAIN: dict[Any, Schema] = {
    float: NUMBER, int: {"type": "integer"}, bool: {"type": "boolean"}, str: TEXT, type(None): {"type": "null"},
    np.ndarray: {"type": "array"},
}  # fmt: skip
ROWS: Schema = {"type": ["array", "null"], "items": {"type": "object"}}
LISTS: dict[str, tuple[type, Schema]] = {  # key -> record, and what is worked out beside its fields
    "verdicts": (Verdict, {}),
    "estimates": (Estimate, {}),
    "support": (Support, {}),
    "together": (Together, {}),
    "power": (Power, {}),
    "confounding": (Sensitivity, {}),
    "misspecification": (Misspecification, {"stands": {"type": "boolean"}}),
    "changes": (Changed, {}),
    "slices": (Slice, {"worse": {"type": "boolean"}}),
    "fairness": (Fairness, {"turn": {"enum": list(get_args(Turn))}, "worse": {"type": "boolean"}}),
    "served": (Served, {}),
    "live": (Live, {"apart": {"enum": [-1, 0, 1]}}),
    "bearing": (Bearing, {}),
    "shares": (Share, {}),
    "demand": (Demand, {"above": {"type": "boolean"}}),
    "untried": (Untried, {}),
    "guaranteed": (Guaranteed, {}),
    "models": (Choice, {}),
    "uses": (Use, {}),
}


def report_schema() -> Schema:
    """JSON Schema 2020-12; nothing is allowed that it does not name, but in the rows of tables and in settings."""
    known: dict[str, Schema] = {}
    named = _object({"name": TEXT, "digest": {"type": ["string", "null"]}})
    properties = {
        "format": {"const": FORMAT},
        "policies": _list(named),
        "reference": TEXT,
        "lead": _record(Lead, known),
        **{key: _list(_record(kind, known, more)) for key, (kind, more) in LISTS.items()},
        "propensities": {"anyOf": [_record(PropensityCheck, known), PLAIN[type(None)]]},
        "reliability": {"anyOf": [_record(Reliability, known), PLAIN[type(None)]]},
        "treatments": _list(TEXT),
        "mix": _list(_list(NUMBER)),
        "data": _record(DataCard, known),
        "prices": {"type": ["object", "null"], "additionalProperties": NUMBER},
        "settings": {"type": "object"},
        "seed": PLAIN[int],
        "parts": PLAIN[int],
        "learned_from": TEXT,
        "assignments": _list(TEXT),
        "tables": {"type": ["string", "null"]},
        "names": _record(Names, known),
        "origin": {"anyOf": [_record(Origin, known), PLAIN[type(None)]]},
        "expires": {"type": "string", "format": "date"},
        "simulation": ROWS,
        "burden": ROWS,
        "table": _list({"type": "object", "required": ["policy", "lead", "model_based", "value"]}),
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "report.json of an evaluation"}
    return head | _object(properties) | {"$defs": dict(sorted(known.items()))}


def write_schema(directory: Path) -> None:
    """As report.schema.json, beside a report."""
    text = json.dumps(report_schema(), indent=1, ensure_ascii=False) + "\n"
    (directory / "report.schema.json").write_text(text, encoding="utf-8")


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _record(kind: type, known: dict[str, Schema], more: Mapping[str, Schema] | None = None) -> Schema:
    """A reference to a dataclass, which is put among the known ones. more: what stands beside its fields"""
    assert is_dataclass(kind)
    name = kind.__name__
    if name not in known:
        known[name] = {}
        hints = get_type_hints(kind)
        own = {field.name: _of(hints[field.name], known) for field in fields(kind)}
        said = {"description": " ".join((inspect.getdoc(kind) or "").split())}
        known[name] = said | _object(own | dict(more or {}))
    return {"$ref": f"#/$defs/{name}"}


def _of(kind: Any, known: dict[str, Schema]) -> Schema:
    """Of a field's type; TypeError for one that JSON does not have."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, known)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, UnionType):
        return {"anyOf": [_of(one, known) for one in inner]}
    if origin is tuple and inner[-1] is Ellipsis:
        return _list(_of(inner[0], known))
    if origin is tuple:
        parts = [_of(one, known) for one in inner]
        return {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    if origin in (dict, collections.abc.Mapping):
        return {"type": "object", "additionalProperties": _of(inner[1], known)}
    raise TypeError(f"no JSON for {kind}")
