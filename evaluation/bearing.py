"""Bearing: how often customers are contacted and how they take it, as the log itself tells, without any world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.adapt import LOGGED
from evaluation.diagnostics import kish
from evaluation.intervals import Between, pooled_ratio
from evaluation.lead import Lead
from evaluation.part import LOGGING, Part, Parts
from evaluation.power import lead_weights

CONTACTS = 10_000  # for which complaints and opt-outs are stated


@dataclass(frozen=True)
class Bearing:
    """What customers bear under one policy, at the log's own states."""

    policy: str
    contacts: float  # per customer over the log; of a policy the expected number
    contacts_p95: float
    contacts_p99: float
    contacts_most: float
    complaints: Between | None  # after a contact, for every 10,000; None: not recorded, or the log cannot say
    opt_outs: Between | None


def bearings(parts: Parts, names: Sequence[str], lead: Lead, confidence: float) -> Iterator[Bearing]:
    """Every policy's, the logging policy's first.

    Rates are sum w events / sum w contacts over the logged contacts, w as in the lead estimate; of a policy whose
    weighted contacts are those of fewer customers than the lead needs, and where only a model answers, there are none.
    Where nothing came, the interval's end is that of a Poisson count over the effective number of contacts.
    """
    for i, name in enumerate((LOGGED, *names), LOGGING):
        counts = np.concatenate([part.arrays["contacts"][:, i + 1] for part in parts()])
        known = name == LOGGED or not lead.model_based
        weighted = np.concatenate([_weighted(part, i, lead, "contacted") for part in parts()]) if known else None
        rates = {
            event: _rate(parts, i, lead, event, weighted, confidence)
            for event in ("complaints", "opt_outs")
            if weighted is not None and event in next(parts()).arrays and _enough(weighted, i, lead)
        }
        p95, p99 = np.quantile(counts, [0.95, 0.99])
        yield Bearing(
            name, float(counts.mean()), float(p95), float(p99), float(counts.max()), rates.get("complaints"),
            rates.get("opt_outs"),
        )  # fmt: skip


def _enough(weighted: np.ndarray, policy: int, lead: Lead) -> bool:
    """Whether enough customers stand behind the contacts of a policy; what was done needs none but one contact."""
    return bool(weighted.any()) if policy == LOGGING else float(kish(weighted)) >= lead.threshold


def _weight(part: Part, policy: int, lead: Lead) -> np.ndarray:  # (customers, H) float64
    """Of every decision in the lead estimate."""
    alive = part.arrays["alive"]
    return alive.astype(np.float64) if policy == LOGGING else lead_weights(part.ratio(policy), alive, lead)


def _weighted(part: Part, policy: int, lead: Lead, what: str) -> np.ndarray:  # (customers,) float64
    """Weighted sum of an array over each customer's decisions."""
    return np.asarray((_weight(part, policy, lead) * part.arrays[what]).sum(axis=1))


def _rate(parts: Parts, policy: int, lead: Lead, event: str, contacts: np.ndarray, confidence: float) -> Between:
    """For every 10,000 contacts. contacts: (customers,) weighted"""
    events = np.concatenate([_weighted(part, policy, lead, event) for part in parts()])
    if not events.any():
        square = sum(float(((_weight(part, policy, lead) * part.arrays["contacted"]) ** 2).sum()) for part in parts())
        most = -float(np.log((1 - confidence) / 2))  # events of which none came
        return Between(0.0, 0.0, CONTACTS * most * square / float(contacts.sum()) ** 2)
    found = pooled_ratio(events[None], contacts[None], confidence)
    return Between(*(CONTACTS * max(end, 0.0) for end in (found.value, found.lo, found.hi)))
