"""The champion is what the registry says, verified, or refused; while there is none, the rules decide."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from serving_kit import kit_network, write_kit

from agents.artifact import load_policy
from envs.errors import InputError
from serving.model import load_model
from serving.settings import ServeConfig
from training import registry, tracking


@pytest.fixture
def registered(store, tmp_path):
    """Two versions in a registry: the first is champion, the second challenger."""
    for name, alias, seed in (("one", "champion", 0), ("two", "challenger", 1)):
        write_kit(tmp_path / name, kit_network(seed=seed))
        registry.register(tmp_path / name, alias=alias)
    return tmp_path


def test_the_champion_is_read_from_the_registrys_file(registered, store):
    model = load_model(ServeConfig())
    assert model.policy.digest == load_policy(registered / "one").digest
    assert (model.fallback, model.assignment) == (False, "champion")
    assert model.origin == "contact-policy version 1 (champion)"
    other = load_model(ServeConfig(registry=f"sqlite:///{store}", alias="challenger"))
    assert other.policy.digest == load_policy(registered / "two").digest
    assert other.assignment == "challenger"


def test_reading_leaves_the_registry_as_it_was(registered, store):
    before = store.read_bytes()
    load_model(ServeConfig())
    assert store.read_bytes() == before


def test_the_environment_of_mlflow_is_honoured(registered, store, monkeypatch):
    moved = store.rename(store.with_name("moved.db"))
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{moved}")
    assert load_model(ServeConfig()).policy.digest == load_policy(registered / "one").digest


def test_without_a_champion_the_rules_decide_and_say_so(store):
    model = load_model(ServeConfig())
    assert (model.fallback, model.policy.name) == (True, "coordinated_rules")
    with pytest.raises(InputError, match="alias == 'champion', must be an alias of contact-policy"):
        load_model(ServeConfig(fallback=False))


def champions_folder():
    return Path(unquote(urlsplit(registry.find("champion").source).path)) / "policy"


def test_an_artifact_that_was_exchanged_after_registration_is_refused(registered, store):
    shutil.copytree(registered / "two", champions_folder(), dirs_exist_ok=True)
    with pytest.raises(InputError, match=r"contact-policy version 1: policy_digest == .*, must be .*, that of its"):
        load_model(ServeConfig())


def test_an_artifact_that_is_gone_is_refused(registered):
    shutil.rmtree(champions_folder().parent)
    with pytest.raises(InputError, match=r"must be an artifact: a directory with manifest.json"):
        load_model(ServeConfig())


def test_a_file_that_is_no_registry_is_refused(tmp_path):
    (tmp_path / "other.db").write_text("dear diary, " * 100)
    with pytest.raises(InputError, match=r"other.db: registry == .*, must be an MLflow registry"):
        load_model(ServeConfig(registry=f"sqlite:///{tmp_path / 'other.db'}"))


def test_a_server_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://user:secret@127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(InputError, match=r"registry == 'http://127.0.0.1:.*must be reachable") as caught:
            load_model(ServeConfig(registry=uri, registry_timeout=0.3))
    assert time.monotonic() - start < 5
    assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_the_champion_is_fetched_from_a_tracking_server(registered, store, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{store}", "--artifacts-destination", str(tmp_path / "kept")]
    server = subprocess.Popen(command, env=os.environ | tracking.SETTINGS, start_new_session=True)
    try:
        wait_for(f"{uri}/health")
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):  # mlflow itself sets them in this process
            monkeypatch.setenv(variable, uri)
        assert load_model(ServeConfig(registered_model="unheard-of")).fallback
        assert load_model(ServeConfig(alias="unheard-of")).fallback
        assert load_model(ServeConfig()).policy.digest == load_policy(registered / "one").digest
        with tracking.track("proxied", "run") as run:
            registry.register(registered / "two", run_id=run.run_id, alias="champion")
        assert registry.find("champion").source.startswith("mlflow-artifacts:/")
        assert load_model(ServeConfig()).policy.digest == load_policy(registered / "two").digest
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)


def wait_for(url):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")
