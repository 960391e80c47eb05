"""The demo's last act: start the service as a process of its own, ask it, tell it what happened, stop it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl

from envs.errors import InputError
from envs.tables import Tables

START_SECONDS = 180.0  # two to import and to load the model, ten to compile kernels the first time; more if busy


@dataclass(frozen=True)
class Served:
    """What the service answered."""

    policy: str
    decisions: pl.DataFrame  # customer_id, treatment, probability, masked
    events: int  # recorded
    ledger: Path


def serve_decisions(tables: Tables, directory: Path, decisions: int, seed: int) -> Served:
    """Start the service on a free loopback port, make decisions, record outcomes, stop it."""
    ledger = directory / "ledger.sqlite"
    random = np.random.default_rng(seed)
    chosen = tables.customers.sample(decisions, seed=seed)
    columns = [column.name for column in tables.schema.columns]
    moments = [None, None, *tables.schema.triggers]  # a third of the requests are outbound
    with _service(directory, ledger) as client:
        rows, events = [], 0
        for customer in chosen.iter_rows(named=True):
            profile = {name: customer[name] for name in columns}
            trigger = moments[int(random.integers(len(moments)))]
            body = {"customer_id": customer["customer_id"], "customer": profile, "trigger": trigger}
            answer = _asked(client, "/v1/decisions", body)
            events += _record_outcome(client, answer, random)
            masked = len(answer["mask_reasons"])
            rows.append((customer["customer_id"], trigger or "-", answer["treatment"], answer["probability"], masked))
        policy = f"{answer['policy']} {answer['policy_digest'][:12]}"
    frame = pl.DataFrame(rows, orient="row", schema=["customer", "trigger", "treatment", "probability", "masked"])
    return Served(policy, frame, events, ledger)


def _record_outcome(client: httpx.Client, answer: dict[str, Any], random: np.random.Generator) -> int:
    """Contacts are delivered, and one in three is engaged with: enough to see events arrive."""
    if answer["contact"] is None:
        return 0
    happened = ["delivered", *(["engaged"] if random.random() < 1 / 3 else [])]
    events = [
        {
            "event_id": f"{answer['decision_id']}-{event}",
            "customer_id": answer["customer_id"],
            "event": event,
            "decision_id": answer["decision_id"],
        }
        for event in happened
    ]
    _asked(client, "/v1/events", {"events": events})
    return len(events)


def _asked(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    if answer.status_code >= 300:
        raise InputError(f"must be answered ({answer.status_code}: {answer.text[:300]})", field=path)
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def _service(directory: Path, ledger: Path) -> Iterator[httpx.Client]:
    """The service as a process, up when it answers, ended when the block ends."""
    ready, log = directory / "service.url", directory / "service.log"
    command = [sys.executable, "-m", "nextbest", "serve", "--port", "0"]
    command += ["--ledger", str(ledger), "--ready-file", str(ready)]
    ready.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=dict(os.environ))
        try:
            _wait_for(ready, process, log)
            with httpx.Client(base_url=ready.read_text().strip(), timeout=10, trust_env=False) as client:
                yield client
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(ready: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise InputError(f"must start within {START_SECONDS:.0f} s ({' '.join(last)})", file=log)
        time.sleep(0.05)
