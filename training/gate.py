"""The gate: rules that a challenger must pass, each a pure function of the evidence and one line of the answer."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from agents.policy import Policy
from envs.config import Config, load_config
from envs.errors import InputError

SUM_TOLERANCE = 1e-4  # of a row of float32 probabilities
HERE = Path(__file__).resolve().parent
MODELLED = {"measured, not modelled", "capacity"}  # lines that fail where only a model, or a simulation, can tell
LOGGING = "logged"  # how a report names the policy that wrote the log


class Gate(Config):
    """The rules, read from mlflow/promotion.yaml."""

    name: str
    """Name of the gate, recorded with every decision."""
    min_lower_bound: float = 0.0
    """The lower bound of the paired difference per customer must be above this, in the log's currency."""
    reference: Literal["champion", "logging"] = "champion"
    """What the difference is measured against; `champion` means the logging policy while there is none."""
    estimators: list[str] = Field(min_length=1)
    """Lead estimators that may decide."""
    prices: dict[str, float] = {}
    """Prices at which the difference must have been measured; empty: the defaults of the policy's schema."""
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    """Confidence of the lower bound."""
    min_ess: float = Field(100.0, ge=0.0)
    """Smallest Kish effective sample size of the lead estimate, in customers."""
    min_positives: float = Field(30.0, ge=0.0)
    """Smallest effective number of customers that earned anything behind the lead estimate."""
    max_group_annoyance: float = Field(0.25, ge=0.0)
    """Opt-outs per customer by which a group may surely be annoyed more than under the reference."""
    smoke_decisions: int = Field(1000, ge=1)
    """Logged decisions that the artifact must answer validly."""
    fidelity: Literal["any", "known", "adequate"] = "any"
    """What must be known of the world that the policy learned in, by its fidelity report."""
    model_based: Literal["shadow", "none"] = "shadow"
    """Where a policy may go whose lead is model-based but which passes every other rule."""
    approval: bool = False
    """Whether a name must approve."""
    max_age_days: int = Field(365, ge=1)
    """Days after which any policy is too old to be promoted, whatever term it was given."""


@dataclass(frozen=True)
class Line:
    """One rule's answer."""

    name: str
    passed: bool
    value: str  # what was found
    need: str  # what would pass


@dataclass(frozen=True)
class Group:
    """What the report says of one group of customers."""

    name: str
    annoyance: float  # lower bound of the difference to the reference, opt-outs per customer


@dataclass(frozen=True)
class Evidence:
    """What an evaluation's report says about one policy, and nothing else of it."""

    policy: str  # name in the report
    policy_digest: str
    estimator: str  # of the lead
    model_based: bool
    lower: float  # one-sided lower bound of the paired difference; NaN: the report has none
    confidence: float  # of that bound
    reference: str  # name of the policy that the difference is measured against
    reference_digest: str  # empty for the logging policy
    ess: float  # of the lead, in customers
    positives: float  # effective number of customers that earned anything; NaN: the report has none
    prices: dict[str, float] | None  # at which it was measured; None: as logged
    groups: tuple[Group, ...] = ()  # of customers, as the report divides them
    above: tuple[str, ...] = ()  # pools of which the policy asks for more than there is
    wrong_propensities: tuple[str, ...] = ()  # treatments that were chosen more or less often than stated
    data_digest: str = ""  # of the customers that it was evaluated on; empty: the report does not say
    compared: tuple[str, ...] = ()  # digests of the policies that the report speaks of
    expires: date | None = None  # last day on which the report may be used; None: it does not say


def read_gate(file: Path | None = None) -> Gate:
    """The gate from a file; by default mlflow/promotion.yaml, or the copy inside an installed package."""
    places = (HERE.parent / "mlflow" / "promotion.yaml", HERE / "promotion.yaml")
    return load_config(Gate, file or next((place for place in places if place.exists()), places[0]))


def judge(
    gate: Gate,
    evidence: Evidence,
    *,
    registered_digest: str,
    champion_digest: str,
    declared_prices: Mapping[str, float],
) -> list[Line]:
    """Every rule that the report alone decides.

    registered_digest: of the version to promote; champion_digest: of the present champion, empty if none
    declared_prices:   fixed before the evaluation: the defaults of the schema that the artifact was made with
    """
    return [
        _same_policy(evidence, registered_digest),
        _estimator(gate, evidence),
        _prices(evidence, gate.prices or declared_prices),
        _reference(gate, evidence, champion_digest),
        _support(gate, evidence),
        _outcomes(gate, evidence),
        _propensities(evidence),
        _groups(gate, evidence),
        _capacity(evidence),
        _gain(gate, evidence),
        _measured(gate, evidence),
    ]


def alone(evidence: Evidence, judged: Iterable[str]) -> Line:
    """Whether these customers answer for one candidate: of many, one passes by chance.

    judged: digests of the policies that the gate has judged on these customers. Those that the report compares have
    bounds that hold for all of them together; the reference, once admitted by them, only sets the bar higher.
    """
    others = sorted(set(judged) - {evidence.policy_digest, *evidence.compared})
    found = ", ".join(digest[:12] for digest in others) or "none"
    need = "no policy judged on these customers but those compared in the report (--compare), or new customers"
    return Line("one candidate", not others, found, need)


def in_force(evidence: Evidence, today: date) -> Line:
    """Whether the report may still be used: customers, offers and prices of its log are those of today."""
    found = (
        "the report does not say until when" if evidence.expires is None else f"may be used until {evidence.expires}"
    )
    passed = evidence.expires is not None and today <= evidence.expires
    return Line("report not expired", passed, found, f"today ({today}) or later")


def unknown(reported: Mapping[str, str], registered_digest: str) -> Line:
    """Why a report that does not speak of the policy cannot admit it. reported: its policies, name -> digest"""
    said = ", ".join(f"{name} {digest[:12]}" for name, digest in reported.items() if digest)
    return _same(said or "no artifact", False, registered_digest)


def smoke(policy: Policy, observation: np.ndarray, mask: np.ndarray) -> Line:
    """Whether every smoke decision is valid; an artifact that refuses to answer is not.

    observation: (n, fields) float32; mask: (n, treatments) bool
    """
    need = "finite, sum to 1, 0 where masked, for every decision"
    if len(observation) == 0:
        return Line("smoke decisions", False, "no logged decision to try", need)
    try:
        p = np.asarray(policy.probabilities(observation, mask))
    except InputError as fault:
        return Line("smoke decisions", False, str(fault), need)
    if p.shape != mask.shape:
        return Line("smoke decisions", False, f"shape {p.shape} for {mask.shape} treatments", need)
    finite = np.isfinite(p).all(axis=1)
    whole = np.abs(np.where(np.isfinite(p), p, 0.0).sum(axis=1) - 1.0) <= SUM_TOLERANCE
    allowed = (p[~mask] == 0.0).all() if finite.all() else False
    valid = finite & whole & (np.where(mask, 0.0, p) == 0.0).all(axis=1) & (p >= 0.0).all(axis=1)
    passed = bool(valid.all() and allowed)
    return Line("smoke decisions", passed, f"{int(valid.sum())} of {len(p)} valid", need)


def approval(gate: Gate, approved_by: str | None, trained_by: str) -> Line:
    """Four eyes: who approves did not train it. Nobody need approve unless the gate says so.

    approved_by: None if nobody does; trained_by: empty if the registry does not say
    """
    if not approved_by:
        need = "a name other than the trainer's" if gate.approval else "not asked for"
        return Line("approval", not gate.approval, "nobody", need)
    if not trained_by:
        need = "a known trainer, to tell them apart: the version's tag trained_by"
        return Line("approval", False, f"{approved_by}; trained by nobody known", need)
    passed = same_name(approved_by) != same_name(trained_by)
    return Line("approval", passed, approved_by, f"somebody other than the trainer, {trained_by}")


def same_name(name: str) -> str:
    """A name as it is compared: letter case, white space and ways to write a letter do not matter."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def trusted(gate: Gate, verdict: str | None, adequate: bool | None) -> Line:
    """How far the world is like the bank. verdict, adequate: of its fidelity report; None: not known"""
    found = verdict or "not known: no fidelity report"
    needs = {
        "any": "not asked for",
        "known": "a fidelity report",
        "adequate": "a fidelity report that finds it adequate",
    }
    passed = {"any": True, "known": verdict is not None, "adequate": adequate is True}[gate.fidelity]
    return Line("fidelity of the world", passed, found, needs[gate.fidelity])


def unexpired(gate: Gate, made: date, ends: date | None, today: date) -> Line:
    """Whether the policy may still be used: by its own term, and by the gate's for any policy.

    made: the day it was made; ends: its last day, None if it was given no term
    """
    last = made + timedelta(days=gate.max_age_days)
    last = last if ends is None else min(last, ends)
    return Line("not expired", today <= last, f"made {made}, may be used until {last}", f"today ({today}) or later")


def destination(gate: Gate, lines: list[Line]) -> Literal["champion", "shadow"] | None:
    """Where the policy may go: champion if all pass, shadow if all that fails is that only a model could tell."""
    failed = {line.name for line in lines if not line.passed}
    if not failed:
        return "champion"
    return "shadow" if failed <= MODELLED and gate.model_based == "shadow" else None


def _same_policy(evidence: Evidence, registered: str) -> Line:
    same = bool(registered) and evidence.policy_digest == registered
    return _same(evidence.policy_digest[:12], same, registered)


def _same(said: str, same: bool, registered: str) -> Line:
    return Line("same policy", same, f"report {said}", f"registered {registered[:12]}")


def _estimator(gate: Gate, evidence: Evidence) -> Line:
    """The gate names the estimators; the report picks among them by support, before rewards are read."""
    need = f"one of {', '.join(gate.estimators)} at {gate.confidence:.0%}"
    known = evidence.estimator in gate.estimators or evidence.model_based
    passed = known and math.isclose(evidence.confidence, gate.confidence)
    return Line("estimator fixed beforehand", passed, f"{evidence.estimator} at {evidence.confidence:.0%}", need)


def _prices(evidence: Evidence, declared: Mapping[str, float]) -> Line:
    found = "as logged, not stated" if evidence.prices is None else _shown(evidence.prices)
    passed = evidence.prices is not None and _equal(evidence.prices, declared)
    return Line("prices fixed beforehand", passed, found, _shown(declared))


def _reference(gate: Gate, evidence: Evidence, champion: str) -> Line:
    by_champion = gate.reference == "champion" and bool(champion)
    need = f"champion {champion[:12]}" if by_champion else "the logging policy"
    said = f"{evidence.reference} {evidence.reference_digest[:12]}".strip()
    passed = evidence.reference_digest == champion if by_champion else evidence.reference == LOGGING
    return Line("reference", passed, said, need)


def _support(gate: Gate, evidence: Evidence) -> Line:
    """A model-based lead has no effective sample: the rule on models answers for it."""
    need = f"at least {gate.min_ess:g} customers"
    if evidence.model_based:
        return Line("effective sample", True, "none (model-based)", need)
    enough = evidence.ess >= gate.min_ess  # False for NaN
    return Line("effective sample", enough, f"{evidence.ess:.0f} customers", need)


def _outcomes(gate: Gate, evidence: Evidence) -> Line:
    """Where hardly anybody earned anything, a report makes no claim, and its interval is too short to be believed."""
    need = f"at least {gate.min_positives:g} customers"
    if evidence.model_based:
        return Line("customers who earned", True, "not asked (model-based)", need)
    enough = evidence.positives >= gate.min_positives  # False for NaN
    return Line("customers who earned", enough, f"{evidence.positives:.0f} customers", need)


def _propensities(evidence: Evidence) -> Line:
    wrong = ", ".join(evidence.wrong_propensities) or "none apart"
    need = "no treatment surely chosen more or less often than stated"
    return Line("propensities", not evidence.wrong_propensities, wrong, need)


def _groups(gate: Gate, evidence: Evidence) -> Line:
    """A bound that is no number is as bad as any."""
    need = f"at most {gate.max_group_annoyance:g} opt-outs more in any group, lower bound"
    if not evidence.groups:
        return Line("annoyance by group", True, "no group is large enough", need)
    worst = max(evidence.groups, key=lambda g: math.inf if math.isnan(g.annoyance) else g.annoyance)
    passed = worst.annoyance <= gate.max_group_annoyance  # False for NaN
    return Line("annoyance by group", passed, f"{worst.name} {worst.annoyance:+.3g}", need)


def _capacity(evidence: Evidence) -> Line:
    """A log says nothing of what happens when people run out."""
    return Line(
        "capacity", not evidence.above, ", ".join(evidence.above) or "enough", "no pool asked for more than it has"
    )


def _gain(gate: Gate, evidence: Evidence) -> Line:
    passed = math.isfinite(evidence.lower) and evidence.lower > gate.min_lower_bound
    value = f"lower bound {evidence.lower:.4g} against {evidence.reference}"
    return Line("paired difference", passed, value, f"above {gate.min_lower_bound:g}")


def _measured(gate: Gate, evidence: Evidence) -> Line:
    value = "model-based" if evidence.model_based else "by importance sampling"
    return Line("measured, not modelled", not evidence.model_based, value, f"else {gate.model_based} at most")


def _equal(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Prices are equal; one that is not named is 0."""
    return all(math.isclose(a.get(name, 0.0), b.get(name, 0.0), abs_tol=1e-9) for name in {*a, *b})


def _shown(prices: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {price:g}" for name, price in sorted(prices.items())) or "no prices"
