"""The service as a process: real port, real ledger, killed and stopped like one."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from serving_kit import PROFILE, write_kit

import serving
from envs.config import load_config
from envs.errors import InputError
from serving.run import listening
from serving.settings import DecideConfig, ServeConfig

START_SECONDS = 180  # the first start on a machine compiles


class Running:
    """A service in a process of its own."""

    def __init__(self, folder, *flags, **environment):
        self.ready, self.ledger = folder / "ready", folder / "ledger.sqlite"
        self.ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "nextbest", "serve", "--port", "0", "--policy", str(folder / "policy"),
                   "--ledger", str(self.ledger), "--ready-file", str(self.ready), *flags]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=os.environ | environment)  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self.ready.exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.url = self.ready.read_text().strip()
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=20)

    def decide(self, **fields):
        return self.http.post("/v1/decisions", json={"customer_id": "c1", "customer": PROFILE} | fields)

    def stop(self, sig=signal.SIGTERM):
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    write_kit(folder / "policy")
    running = Running(folder, "--set", "seeded_requests=true")
    yield running
    running.stop()


def test_a_decision_and_its_outcome_go_over_http(service):
    answer = service.decide(customer_id="over-http", trigger="app_session", seed=3, explain=True)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["probability"] == said["probabilities"][said["treatment"]]
    assert len(said["mask_reasons"]) + len(said["probabilities"]) == 5
    event = {"event_id": "h1", "customer_id": "over-http", "event": "engaged", "decision_id": said["decision_id"]}
    assert service.http.post("/v1/events", json=event).json() == {"accepted": 1, "duplicates": []}
    assert service.http.post("/v1/events", json={"events": [event]}).json() == {"accepted": 0, "duplicates": ["h1"]}


def test_health_says_what_decides(service):
    assert service.http.get("/health/live").json() == {"status": "live"}
    ready = service.http.get("/health/ready").json()
    digest = service.decide(customer_id="health").json()["policy_digest"]
    assert (ready["status"], ready["policy_digest"], ready["fallback"]) == ("ready", digest, False)


@pytest.mark.parametrize(
    ("status", "detail", "fields"),
    [
        (404, "customer_id == 'nobody', must be a customer known by then", {"customer_id": "nobody", "customer": None}),
        (422, "trigger == 'dream', must be null or one of: app_session, inbound_call", {"trigger": "dream"}),
        (422, "customer_id, must be given", {"customer_id": ...}),
        (422, "colour, is not a field", {"colour": "red"}),
        (422, "at == '2026-03-02T12:00:00', must", {"at": "2026-03-02T12:00:00"}),
        (422, "prices.seats == 'cheap', must be", {"prices": {"seats": "cheap"}}),
    ],
)
def test_a_bad_request_is_answered_with_a_problem_of_one_line(service, status, detail, fields):
    body = {"customer_id": "c1", "customer": PROFILE} | fields
    answer = service.http.post("/v1/decisions", json={k: v for k, v in body.items() if v is not ...})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["detail"].startswith(detail)
    assert "\n" not in problem["detail"]


def test_the_same_request_id_sent_twice_at_once_gets_one_answer(service):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.decide(customer_id="twice", request_id="r9").text, range(8)))
    assert len(set(answers)) == 1


def test_a_cap_holds_over_http(service):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.decide(customer_id="capped").json(), range(40)))
    assert sum(answer["treatment"] != "silence" for answer in answers) == 2


def test_decide_asks_the_service_from_python_and_from_the_shell(service, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(PROFILE))
    config = {"url": service.url, "customer_id": "shell", "seed": 1, "prices": {"annoyance": 3.0}}
    decided = serving.decide(DecideConfig(**config, customer=str(tmp_path / "c.json")))
    assert decided.prices == {"annoyance": 3.0, "seats": 0.0}
    command = [sys.executable, "-m", "nextbest", "decide", "--url", service.url, "--customer-id", "shell", "--explain"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "income" not in done.stderr
    assert "probability" in done.stdout
    assert decided.policy_digest[:12] in done.stdout


def test_decide_refuses_in_one_line(service, tmp_path):
    with pytest.raises(InputError, match="customer == 'no-file', must be a JSON object or a file of one"):
        serving.decide(DecideConfig(url=service.url, customer_id="x", customer="no-file"))
    with pytest.raises(InputError, match=r"http://.*: customer_id == 'x', must be a customer known"):
        serving.decide(DecideConfig(url=service.url, customer_id="x"))
    with pytest.raises(InputError, match=r"url == 'http://127.0.0.1:1', must be a running service"):
        serving.decide(DecideConfig(url="http://127.0.0.1:1", customer_id="x"))


def test_an_answer_survives_a_kill_and_the_next_process_goes_on(tmp_path):
    write_kit(tmp_path / "policy")
    first = Running(tmp_path)
    answers = [first.decide(customer_id=f"c{i % 3}").json() for i in range(10)]
    first.http.post("/v1/events", json={"event_id": "e", "customer_id": "c0", "event": "complained"})
    first.stop(signal.SIGKILL)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as ledger:
        kept = [row[0] for row in ledger.execute("SELECT decision_id FROM decisions ORDER BY seq")]
        assert kept == [answer["decision_id"] for answer in answers]
        assert ledger.execute("SELECT event FROM events").fetchall() == [("complained",)]
    ledger.close()
    second = Running(tmp_path)
    said = second.decide(customer_id="c0", customer=None, explain=True).json()
    assert said["observation"]["contact:complaints"] > 0
    second.stop()


def test_sigterm_ends_the_service_cleanly_and_it_never_loaded_torch_or_unpickled(tmp_path):
    write_kit(tmp_path / "policy")
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, args: seen.append(args) if name == 'pickle.find_class' else None)\n"
        "heavy = ('torch', 'stable_baselines3', 'sb3_contrib', 'mlflow', 'onnx', 'cloudpickle', 'joblib', 'training')\n"
        "own = ('numba.', 'llvmlite.', 'numpy', 'copyreg', 'builtins', 'envs.')  # the cache of compiled kernels\n"
        "seen_else = lambda: [args for args in seen if not str(args[0]).startswith(own)]\n"
        "atexit.register(lambda: print('loaded', [m for m in heavy if m in sys.modules], seen_else()))\n"
    )
    running = Running(tmp_path, PYTHONPATH=str(tmp_path))
    assert running.decide().status_code == 200
    assert running.http.post(
        "/v1/events", json={"event_id": "e", "customer_id": "c1", "event": "engaged", "channel": "sms"}
    ).is_success
    out, err = running.stop()
    assert running.process.returncode == 0
    assert out.splitlines() == [running.url, "loaded [] []"]
    assert [json.loads(line)["event"] for line in err.splitlines()][-2:] == ["serving", "stopped"]


def run_serve(tmp_path, *flags, **environment):
    command = [sys.executable, "-m", "nextbest", "serve", *flags]
    environment = {"NEXTBEST_RUNS": str(tmp_path / "runs")} | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ | environment)


def test_a_port_in_use_is_refused_before_anything_is_written(tmp_path):
    write_kit(tmp_path / "policy")
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        done = run_serve(tmp_path, "--port", str(port), "--policy", str(tmp_path / "policy"))
    assert done.returncode == 2
    assert done.stderr == f"nextbest: port == {port}, must be free to listen on 127.0.0.1 (Address already in use)\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--policy", "no-such-policy"], "no-such-policy: must be an artifact"),
        (["--registry", "sqlite:////no/such/registry.db"], "/no/such/registry.db: registry == "),
        (["--registry", "http://127.0.0.1:1"], "registry == 'http://127.0.0.1:1', must be reachable"),
        (
            ["--registry", "ftp://me:secret@host"],
            "registry == 'ftp://host', must be sqlite:///FILE or http(s)://SERVER",
        ),
        (["--fallback-rules", "no-such-rules"], "no-such-rules/catalogue.yaml"),
        (["--no-fallback"], "alias == 'champion', must be an alias of contact-policy"),
        (["--host", "no.such.host.invalid"], "host == 'no.such.host.invalid', must be free to listen on"),
    ],
)
def test_a_service_that_cannot_start_says_why_and_writes_nothing(tmp_path, flags, said):
    done = run_serve(tmp_path, "--port", "0", *flags, MLFLOW_TRACKING_URI="", MLFLOW_REGISTRY_URI="")
    assert done.returncode == 2
    assert done.stderr.startswith("nextbest: " + said), done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_is_said_beats_the_environment_and_the_environment_beats_the_default(monkeypatch):
    assert ServeConfig().port == 8080
    monkeypatch.setenv("NEXTBEST_PORT", "9001")
    monkeypatch.setenv("NEXTBEST_ALIAS", "challenger")
    config = load_config(ServeConfig, None, ["port=9002"])
    assert (config.port, config.alias) == (9002, "challenger")
    monkeypatch.setenv("NEXTBEST_PORT", "many")
    with pytest.raises(InputError, match="port == 'many', must be a valid integer"):
        load_config(ServeConfig)


def test_a_free_port_is_found_and_listened_on():
    with listening("127.0.0.1", 0) as first, socket.create_connection(first.getsockname(), 5):
        assert first.getsockname()[1] > 0
        assert first.proto == socket.IPPROTO_TCP  # what asyncio looks at before it turns off the delay of small packets
