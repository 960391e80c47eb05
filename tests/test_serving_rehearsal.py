"""When the service says that it answers, its kernels are compiled: no decision waits for a compiler."""

import json
import os
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta

import httpx
import numpy as np
import pytest
from numba.core import event
from serving_kit import NOON, PROFILE, SCHEMA, ask, kit_model, rows, tell, write_kit

from envs.jit import Kernel
from serving.engine import Engine
from serving.ledger import Ledger
from serving.model import fallback_model
from serving.rehearsal import anybody, rehearse
from serving.settings import ServeConfig
from serving.state import profile_from

DAY = timedelta(days=1)


def kernels():
    """Every kernel of the engine by its name -> how many versions of it there are."""
    found = {}
    for name, module in list(sys.modules.items()):
        for each in vars(module).values() if name.startswith("envs.") else ():
            if isinstance(each, Kernel):
                found[f"{each.py_func.__module__}.{each.py_func.__name__}"] = len(each.overloads)
    return found


def decided(client):
    """Ways to a decision: new and known customers, every trigger, prices, events, days between. -> statuses"""
    statuses, at = [], NOON
    for trigger in (None, *SCHEMA.triggers):
        for customer in ("a", "b"):
            body = {"customer_id": customer, "customer": PROFILE, "trigger": trigger, "explain": True}
            answer = client.post("/v1/decisions", json={**body, "at": at.isoformat(), "prices": {"seats": 1.0}})
            decision = answer.json()["decision_id"]
            events = [
                {"event_id": f"{decision}-{kind}", "customer_id": customer, "event": kind, "decision_id": decision,
                 "value": 2.5, "at": (at + DAY).isoformat()}
                for kind in ("engaged", "declined", "converted", "complained", "opted_out", "risk_hold")
            ]  # fmt: skip
            statuses += [answer.status_code, client.post("/v1/events", json={"events": events}).status_code]
            at += 3 * DAY
    return statuses


def first_answers(folder):
    """What a service in this process does: compiled versions when it is ready and after many answers, and compilations.

    Run in a process of its own, in which nothing else has called a kernel.
    """
    from serving.run import serve

    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    config = ServeConfig(port=0, policy=folder / "policy", ledger=folder / "l.sqlite", ready_file=ready)
    with event.install_recorder("numba:compile") as starting:
        threading.Thread(target=serve, args=[config], daemon=True).start()
        while not ready.exists():
            threading.Event().wait(0.05)
    before = kernels()
    with (
        event.install_recorder("numba:compile") as answering,
        httpx.Client(base_url=ready.read_text().strip(), trust_env=False, timeout=120) as client,
    ):
        answers = decided(client)
    after = kernels()
    return {
        "compiled": [len(starting.buffer), len(answering.buffer)],
        "changed": [name for name in after if after[name] != before.get(name)],
        "used": sorted(name for name in after if after[name]),
        "answers": answers,
    }


def run_first_answers(folder, cache):
    """`first_answers` in a process of its own -> what it found, what the service said."""
    program = (
        f"import json, pathlib, {__name__} as t; print(json.dumps(t.first_answers(pathlib.Path({str(folder)!r}))))"
    )
    paths = os.pathsep.join([os.path.dirname(__file__), os.getcwd()])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.slow
def test_no_decision_waits_for_a_compiler(tmp_path):
    write_kit(tmp_path / "policy")
    cold, said = run_first_answers(tmp_path, tmp_path / "kernels")
    assert "compiling kernels" in said
    assert cold["compiled"][0] > 0
    assert cold["compiled"][1] == 0
    assert cold["changed"] == []
    assert "envs.rule_kernels.mask_all" in cold["used"]
    assert set(cold["answers"]) == {200}
    (tmp_path / "l.sqlite").unlink()
    warm, said = run_first_answers(tmp_path, tmp_path / "kernels")
    assert "compiling kernels" not in said
    assert (warm["compiled"], warm["changed"]) == ([0, 0], [])
    assert set(warm["used"]) <= set(cold["used"])


def test_after_a_rehearsal_nothing_is_compiled_whatever_the_policy(tmp_path):
    model = kit_model(tmp_path / "policy")
    rehearse(fallback_model())
    before = kernels()
    with closing(Ledger.open(tmp_path / "ledger.sqlite", model.catalogue, model.schema)) as ledger:
        engine = Engine(model, ledger, np.random.default_rng(0))
        for day in range(4):
            answer = ask(engine, now=NOON + day * DAY, trigger="app_session" if day % 2 else None)
            one = {"event_id": f"e{day}", "customer_id": "c1", "event": "declined", "decision_id": answer.decision_id}
            tell(engine, one, now=NOON + day * DAY)
    assert kernels() == before
    assert before["envs.encoding.encode_all"] > 0


def test_a_rehearsal_leaves_the_ledger_and_the_luck_alone(tmp_path):
    model, drawn = kit_model(tmp_path / "policy"), []
    for name, rehearsed in (("a", False), ("b", True)):
        with closing(Ledger.open(tmp_path / name, model.catalogue, model.schema)) as ledger:
            engine = Engine(model, ledger, np.random.default_rng(3))
            if rehearsed:
                rehearse(model)
            assert rows(engine)["seq"] == []
            drawn.append([ask(engine, f"c{k}").treatment for k in range(20)])
    assert drawn[0] == drawn[1]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b", "policy"]


def test_anybody_is_a_customer_of_the_schema():
    for schema in (SCHEMA, fallback_model().schema):
        assert profile_from(anybody(schema), {}, schema) == anybody(schema)
