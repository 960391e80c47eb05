"""The demo: the whole loop in one call, small, with the service as a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.configs import DemoConfig
from training.demo import DECISIONS, demo


@pytest.mark.slow
def test_the_demo_closes_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, f"sqlite:///{tmp_path / 'mlflow.db'}")
    done = demo(DemoConfig(quick=True, days=56, customers=8000, steps=40_000, out=tmp_path / "demo"))
    assert {"silence", "siloed_campaigns", "coordinated_rules", "myopic", "ppo"} <= set(done.frame["policy"])
    assert done.frame.filter(policy="silence")["gain"].item() == 0.0
    assert set(done.truth["policy"]) >= {"logged", "ppo", "coordinated_rules"}
    logged = done.truth.filter(policy="logged", quantity="one decision at a time").row(0, named=True)
    assert logged["lo"] < logged["truth_hi"]  # the mean of what was logged is an honest estimate of the logging policy
    assert logged["truth_lo"] < logged["hi"]
    assert done.served.decisions.height == DECISIONS
    by_champion = done.promotion.alias == "champion"
    assert done.served.policy.startswith("ppo" if by_champion else "coordinated_rules")
    assert by_champion or done.promotion.failed  # a refusal names its lines
    report = json.loads((done.directory / "report" / "report.json").read_text())
    assert report["lead"]["estimator"] in done.report.estimators
    text = str(done)
    assert all(word in text for word in ("gain over silence", "true value", "The gate", "mlflow ui"))
