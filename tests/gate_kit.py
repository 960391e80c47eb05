"""For tests of tracking and the gate: a migrated database, a small bank's log, and an honest report on it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from serving_kit import CATALOGUE, ENCODER, NOON, PROFILE, SCHEMA

from agents.artifact import load_policy
from envs.prices import prices_from
from envs.tables import Tables, write_tables
from evaluation.evaluate import evaluate
from evaluation.log import log_from_arrays
from evaluation.settings import EvaluationSettings
from training.model_card import NO_RESULTS, ModelCard

CUSTOMERS = 1500
CARD = ModelCard(
    policy="ppo",
    policy_digest="d" * 64,
    created="2026-03-02T12:00:00+00:00",
    trained_by="ann <b>lee</b> | x",
    expires="2026-08-29",
    expires_because="180 days",
    limits=("It is young.", NO_RESULTS),
    data="runs/bank",
    data_digest=None,
    world="kit",
    world_digest="w",
    fidelity=None,
    price_range={"annoyance": (0.0, 20.0)},
    treatments=5,
    catalogue_digest="c",
    observation_digest="o",
    rules_digest="r",
    seed=0,
    code="abc",
    packages={"numpy": "2.4"},
)
TREATMENTS = len(CATALOGUE.treatment_ids)


def observations(count: int = CUSTOMERS) -> np.ndarray:
    """Random observations of the small bank: (count, fields) float32 in [0, 1)."""
    return np.random.default_rng(5).random((count, len(ENCODER.fields)), dtype=np.float32)


def write_log(directory: Path, count: int = 60) -> Path:
    """Canonical tables of the small bank, one decision per customer."""
    ids = [f"c{i}" for i in range(count)]
    known = {"customer_id": ids, "valid_from": [NOON - timedelta(days=30)] * count}
    customers = pl.DataFrame(known | {name: [value] * count for name, value in PROFILE.items()})
    decisions = pl.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(count)],
            "customer_id": ids,
            "at": [NOON + timedelta(minutes=i) for i in range(count)],
            "trigger": None,
            "observation": observations(count).tolist(),
            "mask": [[True, True, False, True, True]] * count,
            "treatment": ["silence", "sms-deposit"] * (count // 2),
            "propensity": [0.25] * count,
            "probabilities": None,
            "policy_digest": None,
            "rules_digest": None,
            "prices": [{"annoyance": 1.0, "seats": 0.0}] * count,
            "assignment": "randomised",
        }
    )
    empty = {"event_id": [], "customer_id": [], "at": [], "event": [], "channel": [], "product": [], "value": []}
    events = pl.DataFrame(empty | {"decision_id": []})
    write_tables(Tables(CATALOGUE, SCHEMA, customers, decisions, events), directory)
    return directory


def write_report(directory: Path, artifact: Path, *, gain: float = 8.0, champion: Path | None = None) -> Path:
    """A real evaluation of the artifact on a uniformly randomised log in which its own choices earn `gain` more."""
    policy, rng = load_policy(artifact), np.random.default_rng(11)
    observation, mask = observations(), np.ones((CUSTOMERS, TREATMENTS), dtype=bool)
    liked = policy.probabilities(observation, mask)
    treatment = rng.integers(0, TREATMENTS, CUSTOMERS)
    log = log_from_arrays(
        observation,
        treatment,
        np.full(CUSTOMERS, 1 / TREATMENTS),
        gain * liked[np.arange(CUSTOMERS), treatment] + rng.normal(0, 0.1, CUSTOMERS),
        treatments=CATALOGUE.treatment_ids,
        pools=("seats",),
        effort=np.zeros((CUSTOMERS, 1)),
        at=np.full(CUSTOMERS, np.datetime64(NOON.replace(tzinfo=None), "us")),
    )
    policies: dict[str, object] = {"ppo": policy}
    if champion is not None:
        policies["champion"] = load_policy(champion)
    report = evaluate(
        log,
        policies,
        prices=prices_from(None, CATALOGUE, SCHEMA),
        reference="champion" if champion else None,
        settings=EvaluationSettings(resamples=200, valid_days=36_500),  # whenever the tests run
    )
    return report.write(directory)


def altered(report: Path, into: Path, **changes: Any) -> Path:
    """A copy of a report with dotted fields changed, e.g. `altered(r, d, **{"lead.ess": 3})`."""
    content = json.loads((report / "report.json").read_text(encoding="utf-8"))
    for dotted, value in changes.items():
        holder, (*path, last) = content, dotted.split(".")
        for key in path:
            holder = holder[int(key) if isinstance(holder, list) else key]
        holder[last] = value
    into.mkdir(parents=True, exist_ok=True)
    (into / "report.json").write_text(json.dumps(content), encoding="utf-8")
    return into
