"""The guides: their commands parse, the files they show are valid, and what they tell to run runs in its order."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

import nextbest
from envs.flags import config_from_flags
from envs.world import load_world

ROOT = Path(__file__).resolve().parent.parent
GUIDES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
LONGEST = 120  # lines of a guide, generated tables apart
GENERATED = re.compile(r"<!-- (spaces of .+): begin -->.*<!-- \1: end -->", re.DOTALL)
CODES = {"0000": 0.3, "D01": 0.2, "D02": 0.15, "L01": 0.2, "L02": 0.15}  # campaign code -> propensity, in the own log


def blocks(guide: str, kind: str) -> list[str]:
    """Fenced blocks of one kind, in order."""
    return re.findall(rf"```{kind}\n(.*?)```", GUIDES[guide], re.DOTALL)


def commands(guide: str) -> list[str]:
    """Lines of its bash blocks, in order."""
    return [line for block in blocks(guide, "bash") for line in block.splitlines()]


VERBS = [(guide, line) for guide in GUIDES for line in commands(guide) if line.startswith("nextbest ")]


def test_guides_are_there_and_short() -> None:
    assert set(GUIDES) >= {"bank.md", "bring-your-own-log.md", "environment.md", "evaluation.md", "serving.md"}
    written = {name: GENERATED.sub("", text) for name, text in GUIDES.items()}
    assert {name: text.count("\n") for name, text in written.items() if text.count("\n") > LONGEST} == {}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in GUIDES if f"docs/{name}" not in readme] == []


@pytest.mark.parametrize(("guide", "line"), VERBS)
def test_every_command_names_a_verb_and_fields_that_exist(guide: str, line: str) -> None:
    words = shlex.split(line)[1:]
    verb = max((v for v in nextbest.VERBS if words[: len(v.name.split())] == v.name.split()), key=lambda v: len(v.name))
    _, bound, _ = nextbest.build(words).parse_args(words, print_error=False, exit_on_error=False)
    assert config_from_flags(nextbest.resolve(verb.config), dict(bound.arguments), verb.fixed) is not None


def test_the_bank_guide_counts_what_the_files_hold() -> None:
    folder = ROOT / "envs" / "worlds" / "bank"
    catalogue = yaml.safe_load((folder / "catalogue.yaml").read_text(encoding="utf-8"))
    heads = yaml.safe_load((folder / "coefficients.yaml").read_text(encoding="utf-8"))["heads"]
    sources = [term["source"] for head in heads.values() for term in head["terms"]]
    text = " ".join(GUIDES["bank.md"].split())
    assert f"{len(catalogue['treatments'])} treatments" in text
    assert f"of the {len(sources)} coefficients" in text
    for channel in catalogue["channels"]:
        uses = [t for t in catalogue["treatments"] if t["channel"] == channel["id"]]
        cells = rf"\| {channel['id']}[^|]*\| {channel['family']} \| {len(uses)} \| {uses[0]['cost']} \|"
        assert re.search(rf"{cells}[^|]*\| {channel['annoyance']} \|", GUIDES["bank.md"])


def environment(place: Path) -> dict[str, str]:
    """Of a user who has nothing set up, with our commands on the path."""
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "NEXTBEST_RUNS")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return kept | {"PATH": binaries, "OMP_NUM_THREADS": "1", "HOME": str(place)}


def run(command: str, place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=place, env=environment(place), capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def write_csv(file: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(header.split(","))
        writer.writerows(rows)


def export(folder: Path, customers: int = 900) -> None:
    """What the guide's bank would export: six randomised weeks, calls for loans pay best; one row is wrong."""
    rng, start = random.Random(1), datetime(2026, 3, 2, 9)
    people, contacts, responses = [], [], [("K99999", "2026-03-05 10:00", "OPENED", "sms", "loan", "", "")]
    for i in range(customers):
        people.append((f"K{i:05d}", rng.randint(20, 80), rng.choice(["mass", "affluent"])))
        for week in range(6):
            number, at = f"N{6 * i + week:06d}", start + timedelta(days=7 * week, hours=rng.randint(0, 6))
            code = rng.choices(list(CODES), list(CODES.values()))[0]
            contacts.append((number, f"K{i:05d}", at, code, CODES[code], "randomised"))
            what = ("call" if code == "L02" else "sms", "loan" if code[0] == "L" else "deposit")
            if code != "0000" and rng.random() < (0.3 if code == "L02" else 0.08):
                responses.append((f"K{i:05d}", at + timedelta(hours=2), "OPENED", *what, "", number))
                if rng.random() < 0.4:
                    paid = round(rng.lognormvariate(5, 0.5), 2)
                    responses.append((f"K{i:05d}", at + timedelta(hours=3), "BOUGHT", *what, paid, number))
    folder.mkdir()
    write_csv(folder / "customers.csv", "CUST_NO,AGE,TIER", people)
    write_csv(folder / "contacts.csv", "CONTACT_NO,CUST_NO,CONTACT_TIME,CAMPAIGN,SEND_PROBABILITY,GROUP", contacts)
    write_csv(folder / "responses.csv", "CUST_NO,EVENT_TIME,EVENT,CHANNEL,PRODUCT,AMOUNT,CONTACT_NO", responses)


@pytest.mark.slow
def test_an_own_log_goes_round_the_loop(tmp_path: Path) -> None:
    """Every file and every command of the guide; a log without masks can be promoted like any other."""
    for block in blocks("bring-your-own-log.md", "yaml"):
        file = tmp_path / block.splitlines()[0].removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        file.write_text(block, encoding="utf-8")
    export(tmp_path / "exports")
    for line in commands("bring-your-own-log.md"):
        done = run(line, tmp_path)
        refused = line.startswith("nextbest promote") and done.returncode == 1
        assert done.returncode == 0 or refused, f"{line}\n{done.stdout}\n{done.stderr}"
    assert pl.read_parquet(tmp_path / "runs" / "my-bank" / "quarantine.parquet").height == 1
    said = " ".join(done.stdout.split())
    for rule in ("same policy", "smoke decisions", "1000 of 1000 valid"):
        assert rule in said
    assert "must be no prices" not in said


def test_the_new_customer_of_the_service_guide_is_one_of_the_bank() -> None:
    body = next(json.loads(block.split("'")[-2]) for block in blocks("serving.md", "sh") if '"customer":' in block)
    assert set(body["customer"]) == {column.name for column in load_world("bank").schema.columns}


@pytest.mark.slow
def test_campaign_tools_are_answered_as_the_guide_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the guide's examples use curl")
    made = run(
        "nextbest simulate --world bank --customers 600 --days 42 --out runs/bank && "
        "nextbest calibrate runs/bank --replicates 1 --out runs/world && "
        "nextbest train runs/bank --world runs/world --steps 0 --imitation-steps 512 --imitation-epochs 1 "
        "--envs 64 --tuning-customers 0 --no-track --no-register-policy --out runs/train",
        tmp_path,
    )
    assert made.returncode == 0, made.stderr
    start, ready = commands("serving.md")[0].replace("--port 8080", "--port 0"), tmp_path / "url"
    service = subprocess.Popen(
        [*shlex.split(start), "--ready-file", str(ready)], cwd=tmp_path, env=environment(tmp_path)
    )
    try:
        deadline = time.monotonic() + 180
        while not ready.exists() and time.monotonic() < deadline:
            assert service.poll() is None
            time.sleep(0.1)
        answers = [_asked(block, ready.read_text().strip(), tmp_path) for block in blocks("serving.md", "sh")]
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(timeout=30) == 0
    known, new, events, health = answers
    assert known["customer_id"] == "c00000017"
    assert {"treatment", "probability", "mask_reasons", "policy_digest"} <= set(known)
    assert sum(new["probabilities"].values()) == pytest.approx(1.0)
    assert new["prices"]["annoyance"] == 80
    assert events == {"accepted": 2, "duplicates": []}
    assert (health["status"], health["policy"]) == ("ready", "ppo")
    done = subprocess.run(
        [sys.executable, "-c", blocks("serving.md", "python")[0]], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "valid set of canonical tables" in run("nextbest validate runs/served", tmp_path).stdout


def _asked(block: str, url: str, place: Path) -> dict[str, object]:
    """The last answer of a block of curl calls, sent to the service that runs."""
    done = run(block.replace("http://127.0.0.1:8080", url), place)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(
        "{" + done.stdout.rpartition("}{")[2] if "}{" in done.stdout else done.stdout
    )
    return answer
