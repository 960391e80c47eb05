"""What the gate takes from an evaluation's report.json, checked as it is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from envs.errors import InputError
from training.gate import Evidence, Group
from training.model_card import Result


def read_report(path: Path) -> tuple[Path, dict[str, Any]]:
    """The report's file and its numbers; `path` is the file or the directory it stands in."""
    file = path / "report.json" if path.is_dir() else path
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise InputError("does not exist; make one with `nextbest evaluate`", file=file) from None
    except ValueError as fault:
        raise InputError(f"must be JSON ({fault})", file=file) from None
    if not isinstance(report, dict) or not str(report.get("format", "")).startswith("nextbest-evaluation/"):
        raise InputError("must be the report.json of an evaluation", file=file)
    return file, report


def evidence_of(file: Path, report: Mapping[str, Any], policy_digest: str) -> Evidence:
    """The report's evidence on the policy with this digest, which must be one of `digests_of`."""
    digests = digests_of(file, report)
    names = [name for name, digest in digests.items() if digest == policy_digest]
    if not names:
        raise InputError("must be among the report's policies", file=file, field="digest", value=policy_digest[:12])
    rows = [row for row in _list(file, report, "table") if row.get("policy") == names[0]]
    if not rows:
        raise InputError(f"must hold a row of {names[0]}", file=file, field="table")
    lead, settings = _record(file, report, "lead"), _record(file, report, "settings")
    reference = str(report.get("reference"))
    prices = None if report.get("prices") is None else _record(file, report, "prices")
    return Evidence(
        policy=names[0],
        policy_digest=policy_digest,
        estimator=str(lead.get("estimator")),
        model_based=lead.get("model_based") is not False,
        lower=_lower(file, report, rows[0]),
        confidence=_number(file, settings, "confidence"),
        reference=reference,
        reference_digest=digests.get(reference, ""),
        ess=_number(file, rows[0], "ess"),
        positives=_positives(file, report, names[0]),
        prices=None if prices is None else {name: _number(file, prices, name) for name in prices},
        groups=_groups(file, report, names[0]),
        above=_above(file, report, names[0]),
        wrong_propensities=_wrong(file, report),
        data_digest=str(_record(file, report, "data").get("digest") or ""),
        compared=tuple(sorted({digest for digest in digests.values() if digest})),
        expires=_day(file, report, "expires"),
    )


def digests_of(file: Path, report: Mapping[str, Any]) -> dict[str, str]:
    """The report's policies, name -> digest; empty for one that has none."""
    return {str(p.get("name")): str(p.get("digest") or "") for p in _list(file, report, "policies")}


def _lower(file: Path, report: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Of the difference to the reference; where several policies were compared, of all of them together."""
    for one in _list(file, report, "together"):
        if one.get("policy") == row["policy"]:
            return _number(file, one, "lower")
    return _number(file, row, "difference_lower")


def _positives(file: Path, report: Mapping[str, Any], policy: str) -> float:
    """Effective number of customers that earned anything, by the lead's weights."""
    row = next((one for one in _list(file, report, "power") if one.get("policy") == policy), None)
    return math.nan if row is None else _number(file, row, "positives")


def _groups(file: Path, report: Mapping[str, Any], policy: str) -> tuple[Group, ...]:
    """Of one policy, with the lower bounds of what they are annoyed more."""
    rows = [row for row in _list(file, report, "slices") if row.get("policy") == policy]
    return tuple(
        Group(f"{row.get('dimension')} {row.get('label')}", _number(file, _record(file, row, "annoyance"), "lo"))
        for row in rows
    )


def _above(file: Path, report: Mapping[str, Any], policy: str) -> tuple[str, ...]:
    """What a policy asks of pools that have less."""
    return tuple(
        f"{row.get('pool')} {_number(file, row, 'asked'):,.0f} of {_number(file, row, 'capacity'):,.0f}"
        for row in _list(file, report, "demand")
        if row.get("policy") == policy and row.get("above") is not False
    )


def _wrong(file: Path, report: Mapping[str, Any]) -> tuple[str, ...]:
    """Treatments whose propensities, logged or estimated, surely do not agree with how often they were chosen."""
    found: list[str] = []
    if report.get("propensities") is not None:
        check = _record(file, report, "propensities")
        limit = _number(file, check, "limit")
        found += [
            str(row.get("treatment"))
            for row in _list(file, check, "frequencies")
            if abs(_number(file, row, "z")) > limit
        ]
    if report.get("reliability") is not None:
        bins = _list(file, _record(file, report, "reliability"), "bins")
        found += [str(row.get("treatment") or "any") for row in bins if row.get("wrong") is not False]
    return tuple(dict.fromkeys(found))


def results_of(report: Mapping[str, Any], evidence: Evidence) -> tuple[Result, ...]:
    """What the model card says of a policy: its value, and how much more that is than the reference's."""
    row = next(row for row in report["table"] if row.get("policy") == evidence.policy)
    how = f"by {evidence.estimator}{' (model-based)' if evidence.model_based else ''}, test customers of the log"
    columns = {
        "value": ("value", "lo", "hi"),
        f"difference to {evidence.reference}": ("difference", "difference_lo", "difference_hi"),
    }
    return tuple(
        Result(
            name=name,
            value=_finite(row, value),
            low=_finite(row, low),
            high=_finite(row, high),
            unit="currency per customer",
            source=how,
        )
        for name, (value, low, high) in columns.items()
    )


def _finite(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def tables_of(file: Path, report: Mapping[str, Any]) -> Path:
    """The tables that the report was made from, as the evaluation noted them beside its numbers."""
    if not report.get("tables"):
        raise InputError("must name the tables for the smoke decisions; give --tables", file=file, field="tables")
    return Path(str(report["tables"]))


def _list(file: Path, report: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = report.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError("must be a list of records", file=file, field=key)
    return value


def _record(file: Path, report: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = report.get(key)
    if not isinstance(value, dict):
        raise InputError("must be a record", file=file, field=key)
    return value


def _day(file: Path, report: Mapping[str, Any], key: str) -> date | None:
    """A day, YYYY-MM-DD; None where the report has none, which passes no rule."""
    value = report.get(key)
    try:
        return None if value is None else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InputError("must be a day, YYYY-MM-DD", file=file, field=key, value=value) from None


def _number(file: Path, holder: Mapping[str, Any], key: str) -> float:
    """A number; null, which the report writes where there is none, is NaN and passes no rule."""
    value = holder.get(key, "nothing")
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError("must be a number", file=file, field=key, value=value)
    return float(value)
