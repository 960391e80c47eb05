"""The content of report.json: the record as plain values."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from evaluation.report import Report

FORMAT = "nextbest-evaluation/1"


def content(report: Report) -> dict[str, Any]:
    """Everything that a report holds, as plain values; numbers that do not exist are None."""
    listed = {
        "format": FORMAT,
        "policies": [{"name": n, "digest": d} for n, d in zip(report.policies, report.digests, strict=True)],
        "reference": report.reference,
        "lead": asdict(report.lead),
        "verdicts": [asdict(v) for v in report.verdicts],
        "estimates": [asdict(e) for e in report.estimates],
        "support": [asdict(s) for s in report.supports],
        "together": [asdict(one) for one in report.together],
        "power": [asdict(p) for p in report.powers],
        "propensities": None if report.check is None else asdict(report.check),
        "reliability": None if report.reliability is None else asdict(report.reliability),
        "confounding": [asdict(s) for s in report.sensitivities],
        "misspecification": [asdict(one) | {"stands": one.stands} for one in report.misspecifications],
        "changes": [asdict(one) for one in report.changed],
        "slices": [asdict(one) | {"worse": one.worse} for one in report.slices],
        "fairness": [asdict(one) | {"turn": one.turn, "worse": one.worse} for one in report.fairness],
        "served": [asdict(one) for one in report.served],
        "live": [asdict(one) | {"apart": one.apart} for one in report.live],
        "bearing": [asdict(one) for one in report.bearings],
        "shares": [asdict(one) for one in report.shares],
        "demand": [asdict(one) | {"above": one.above} for one in report.demands],
        "untried": [asdict(one) for one in report.untried],
        "guaranteed": [asdict(g) for g in report.guaranteed],
        "models": [asdict(c) for c in report.choices],
        "treatments": list(report.treatments),
        "mix": report.mix,
        "data": asdict(report.data),
        "prices": None if report.prices is None else dict(zip(report.price_names, report.prices, strict=True)),
        "settings": report.settings.model_dump(mode="json"),
        "seed": report.seed,
        "parts": report.parts,
        "learned_from": report.learned_from,
        "assignments": list(report.assignments),
        "tables": report.tables,
        "names": asdict(report.names),
        "uses": [asdict(one) for one in report.uses],
        "origin": None if report.origin is None else asdict(report.origin),
        "expires": report.expires,
        "simulation": None if report.simulation is None else report.simulation.to_dicts(),
        "burden": None if report.burden is None else report.burden.to_dicts(),
        "table": report.frame.to_dicts(),
    }
    values: dict[str, Any] = plain(listed)
    return values


def plain(value: Any) -> Any:
    """Plain JSON values: arrays as lists, NaN and infinities as None, instants as text."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
