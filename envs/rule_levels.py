"""Inheritance of rules: headquarters -> region -> branch, where a lower level may only tighten.

A file that `extends` another says only what it adds or tightens; rules with an entry are matched by name. What it would
loosen is refused with both lines. `levels` chooses among such files customer by customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs.config import build_config, read_config
from envs.errors import InputError
from envs.rule_text import BUILT_IN, LISTS, Levels, Rules, Written
from envs.rule_tighten import changed, loosened


def load_rules(path: Path) -> Rules:
    """Read `rules.yaml`, put the levels together; raise InputError that names file, line, field and need."""
    rules, values, _ = _effective(path, ())
    if values.get("levels") is None:
        return rules
    return rules.model_copy(update={"levels": _levels(path, rules, values["levels"])})


def _effective(path: Path, below: tuple[Path, ...]) -> tuple[Rules, dict[str, Any], tuple[Path, ...]]:
    """The rules of a file with all that it extends, without `levels`; what it says itself; the files above it."""
    values, lines = read_config(path)
    written = Written(str(path), {by_name(f, values): f"{path}, line {n}" for f, n in lines.items()})
    above, name = values.get("extends"), values.get("name", path.stem)
    _check_unique(values, written)
    if above is None:
        return _build({**values, "levels": None}, written), values, ()
    if not isinstance(above, str):
        raise InputError("must be the path of a rule book", file=written.place("extends"), field="extends", value=above)
    file = path.parent / above
    if file.resolve() in (path.resolve(), *(lower.resolve() for lower in below)):
        raise InputError("must not lead back", file=written.place("extends"), field="extends", value=above)
    parent, _, higher = _effective(file, (path, *below))
    return tighten(parent, {**values, "name": name}, written), values, (file.resolve(), *higher)


def tighten(above: Rules, values: Mapping[str, Any], written: Written) -> Rules:
    """The rules of a lower level, which says only what it adds or tightens.

    raises InputError with both lines where it would loosen
    """
    _check_unique(values, written)
    below = _build(_overlaid(above, values), written, above.written)
    for field, was, now in loosened(above, below):
        said = "nothing" if was is None else _plain(was)
        need = f"must not loosen what {above.written.place(field)}, says: {said}"
        raise below.fault(need, field, "nothing" if now in (None, ()) else _plain(now))
    given = {name: by for name, by in below.origins.items() if above.origins.get(name) != by}
    origins = {**above.origins, **dict.fromkeys(sorted(changed(above, below)), below.name), **given}
    return below.model_copy(update={"origins": origins})


def _plain(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, tuple) else value


def _build(values: Mapping[str, Any], written: Written, above: Written | None = None) -> Rules:
    """Validate; a fault stands at its line."""
    try:
        rules = build_config(Rules, values)
    except InputError as fault:
        name = by_name(fault.field or "", values)
        raise InputError(fault.need, file=written.place(name), field=name or None, value=fault.value) from None
    inherited = {} if above is None else above.places
    return rules.written_at(Written(written.file, {**inherited, **written.places}))


def _check_unique(values: Mapping[str, Any], written: Written) -> None:
    """No two rules of a file share a name, nor that of a built-in rule."""
    seen: set[object] = set(BUILT_IN)
    for section in LISTS:
        entries = values.get(section)
        for entry in entries if isinstance(entries, list) else ():
            name = entry.get("name") if isinstance(entry, Mapping) else None
            if isinstance(name, str) and name in seen:
                field = f"{section}.{name}"
                raise InputError("must be a name of its own", file=written.place(field), field=field, value=name)
            seen.add(name if isinstance(name, str) else None)


def _overlaid(above: Rules, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a lower level says, laid over what it inherits; faults in form are left to the validation."""
    out: dict[str, Any] = {**above.model_dump(mode="json"), **values, "extends": None, "levels": None}
    if isinstance(values.get("quiet"), Mapping):
        out["quiet"] = {**above.quiet}
        for channel, dayparts in values["quiet"].items():
            known = list(above.quiet.get(channel, ()))
            more = [d for d in dayparts if d not in known] if isinstance(dayparts, list) else dayparts
            out["quiet"][channel] = known + more if isinstance(more, list) else more
    for section in LISTS:
        entries = values.get(section, [])
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            continue
        merged = {rule.name: rule.model_dump(mode="json") for rule in getattr(above, section)}
        for position, entry in enumerate(entries):
            name = entry.get("name", position)
            merged[name] = _deep(merged.get(name, {}), entry)
        out[section] = list(merged.values())
    return out


def _deep(above: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping laid over another, mappings inside as well."""
    out = dict(above)
    for key, value in below.items():
        inner = out.get(key)
        out[key] = _deep(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return out


def _levels(path: Path, rules: Rules, values: Mapping[str, Any]) -> Levels:
    """The rules of the levels below, each whole, out of their files or of this one."""
    if not isinstance(values, Mapping):
        raise rules.fault("must be a mapping: column, files", "levels", values)
    inline = values.get("rules") or {}
    bare = {**values, "rules": {}}
    _build({"levels": bare}, rules.written)
    found: dict[str, Rules] = {}
    for category, name in (values.get("files") or {}).items():
        found[category], _, above = _effective(path.parent / name, ())
        if path.resolve() not in above:
            raise rules.fault(f"must be a rule book that extends {path.name}", f"levels.files.{category}", name)
    for category, said in inline.items() if isinstance(inline, Mapping) else ():
        prefix = f"levels.rules.{category}."
        lines = {f.removeprefix(prefix): at for f, at in rules.written.places.items() if f.startswith(prefix)}
        if not isinstance(said, Mapping):
            raise rules.fault("must be a mapping of rules", prefix[:-1], said)
        found[category] = tighten(rules, {"name": category, **said}, Written(str(path), lines))
    return Levels(column=values["column"], rules=found)


def by_name(field: str, values: Any) -> str:
    """A dotted field with the names of list entries in place of their positions.

    >>> by_name("caps.0.most", {"caps": [{"name": "weekly", "most": 3}]})
    'caps.weekly.most'
    """
    out = []
    for part in field.split(".") if field else ():
        shown = part
        if isinstance(values, list) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
            shown = str(values.get("name", part)) if isinstance(values, Mapping) else part
        elif isinstance(values, Mapping):
            values = values.get(part)
        else:
            values = None
        out.append(shown)
    return ".".join(out)
