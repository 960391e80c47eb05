"""What the gate takes from an evaluation's report.json, checked as it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs.errors import InputError
from training.gate import Evidence

LOWER = "lower_one_sided_95"


def read_report(path: Path) -> tuple[Path, dict[str, Any]]:
    """The report's file and its numbers; `path` is the file or the directory it stands in."""
    file = path / "report.json" if path.is_dir() else path
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise InputError("does not exist; make one with `nextbest evaluate`", file=file) from None
    except ValueError as fault:
        raise InputError(f"must be JSON ({fault})", file=file) from None
    if not isinstance(report, dict):
        raise InputError("must be an evaluation's report", file=file)
    return file, report


def evidence_of(file: Path, report: Mapping[str, Any], policy_digest: str, champion_digest: str) -> Evidence:
    """The report's evidence on the policy with this digest; the difference to the champion if it has one."""
    policies = _list(file, report, "policies")
    found = [policy for policy in policies if policy.get("policy_digest") == policy_digest]
    if not found:
        digests = ", ".join(str(policy.get("policy_digest") or policy.get("name"))[:12] for policy in policies)
        need = f"must be among the report's policies ({digests})"
        raise InputError(need, file=file, field="policy_digest", value=policy_digest[:12])
    policy = found[0]
    lead = _mapping(file, report, "lead")
    digest_of = {str(each.get("name")): str(each.get("policy_digest") or "") for each in policies}
    difference = _difference(file, policy, digest_of, champion_digest)
    reference = str(difference.get("reference", ""))
    declared = report.get("declared") or {}
    return Evidence(
        policy=str(policy.get("name", "")),
        policy_digest=policy_digest,
        estimator=str(lead.get("estimator") or lead.get("name") or ""),
        model_based=bool(lead.get("model_based", lead.get("kind") == "model")),
        lower=_number(file, difference, LOWER),
        reference=reference,
        reference_digest=digest_of.get(reference, ""),
        ess=_number(file, policy, "ess"),
        prices=_prices(file, report.get("prices") or {}),
        declared_estimator=str(declared.get("estimator", "")),
        declared_prices=_prices(file, declared["prices"]) if "prices" in declared else None,
    )


def _difference(file: Path, policy: Mapping[str, Any], digest_of: Mapping[str, str], champion: str) -> dict[str, Any]:
    """The paired difference to the champion if the report has it, else the policy's first one."""
    given = policy.get("differences") or [policy.get("difference")]
    differences = [each for each in given if isinstance(each, dict)]
    if not differences:
        raise InputError("must hold a paired difference", file=file, field=f"{policy.get('name')}.difference")
    to_champion = [each for each in differences if champion and digest_of.get(str(each.get("reference"))) == champion]
    return (to_champion or differences)[0]


def _list(file: Path, report: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = report.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError("must be a list of records", file=file, field=key)
    return value


def _mapping(file: Path, report: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = report.get(key)
    if not isinstance(value, dict):
        raise InputError("must be a record", file=file, field=key)
    return value


def _number(file: Path, holder: Mapping[str, Any], key: str) -> float:
    value = holder.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError("must be a number", file=file, field=key, value=value)
    return float(value)


def _prices(file: Path, value: object) -> dict[str, float]:
    """Prices by name; nested pools are flattened: {annoyance: 5, pools: {branch: 1}}."""
    if not isinstance(value, dict):
        raise InputError("must be a record of prices", file=file, field="prices", value=value)
    flat = {key: price for key, price in value.items() if not isinstance(price, dict)}
    for inner in value.values():
        flat |= inner if isinstance(inner, dict) else {}
    return {str(key): _number(file, flat, key) for key in flat}
