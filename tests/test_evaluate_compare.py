"""`nextbest evaluate TABLES --compare A B C`: policies side by side, by bounds that hold for all of them together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextbest import run
from training.configs import SimulateConfig
from training.simulate import simulate


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("compare") / "tables"
    simulate(SimulateConfig(world="exact", customers=900, out=place))
    return place


def test_policies_stand_side_by_side(tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [
        "evaluate",
        str(tables),
        "--compare",
        "silence",
        "random",
        "best_fixed",
        "--no-track",
        "--out",
        str(tmp_path),
    ]
    assert run([*said, "--set", "settings.resamples=200"]) == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in report["policies"]] == ["logged", "silence", "random", "best_fixed"]
    together = {one["policy"]: one for one in report["together"]}
    assert set(together) == {"silence", "random", "best_fixed"}
    for row in report["table"][1:]:
        one = together[row["policy"]]
        assert one["lo"] <= row["difference_lo"] <= row["difference_hi"] <= one["hi"]
    assert "policies together" in capsys.readouterr().out


def test_a_policy_that_is_nowhere_is_refused(tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(tables), "--compare", "silence", "no-such-run", "--out", str(tmp_path)]) == 2
    assert "no-such-run" in capsys.readouterr().err
