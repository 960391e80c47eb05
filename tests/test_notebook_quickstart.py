"""The quickstart notebook, from top to bottom in this interpreter: what its cells computed, not just that they ran."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
MOST_SECONDS = 180.0
PROBE = """
import json
test_ids, fit_ids = set(held_out.customer_id), set(fitting.customer_id)
p = np.stack(applied["probabilities"].to_numpy())
print(json.dumps({
    "work": str(work),
    "treatments": treatments.height,
    "fields": [fields.height, observation.shape[0]],
    "steps": days,
    "assignments": dict(simulated.frame.select("assignment", "customers").rows()),
    "shared": len(test_ids & fit_ids),
    "test_customers": len(test_ids),
    "engaged_gain": calibration.frame.filter(pl.col("head") == "engaged").row(0, named=True),
    "policies": list(report.policies),
    "model_based": [report.lead.model_based, mine.lead.model_based],
    "evaluated": report.frame.select("policy", "difference_lower").to_dicts(),
    "lead": [report.lead.ess, report.lead.threshold],
    "booked": report.estimate("logged", "deviation").interval.value,
    "outcomes": [verdict.outcome for verdict in report.verdicts],
    "sums": [float(p.sum(axis=1).min()), float(p.sum(axis=1).max())],
    "masked": float((p * ~np.stack(applied["mask"].to_numpy())).max()),
    "applied": [applied.height, simulated.tables.decisions.height],
    "same_policy": [run.manifest.policy_digest, report.digests[1], promotion.policy_digest],
    "mine": mine.frame.select("policy", "value", "lo", "hi").to_dicts(),
    "beside": beside.to_dicts(),
    "lines": [[line.name, line.passed] for line in promotion.lines],
    "alias": promotion.alias,
    "exit_code": promotion.exit_code,
}))
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook after a run from examples/, with one more cell that tells what its variables hold."""
    place = tmp_path_factory.mktemp("quickstart")
    kernel = place / "jupyter" / "kernels" / "here"
    kernel.mkdir(parents=True)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": launch, "display_name": "here", "language": "python"}))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PROBE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(kernel.parent.parent))
        for variable in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR"):
            (place / variable).mkdir()
            patch.setenv(variable, str(place / variable))
        patch.setenv("OMP_NUM_THREADS", "1")
        before, started = _files(), time.monotonic()
        where = {"metadata": {"path": str(NOTEBOOK.parent)}}
        NotebookClient(notebook, timeout=300, kernel_name="here", resources=where).execute()
    seconds = time.monotonic() - started
    return notebook, json.loads(notebook.cells[-1].outputs[-1].text), place, seconds, _files() - before


def _files() -> set[Path]:
    """What stands where the notebook must not write."""
    return {path for folder in (ROOT, NOTEBOOK.parent) for path in folder.iterdir() if path.name != "__pycache__"}


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []


@pytest.mark.slow
def test_it_runs_in_three_minutes_and_writes_into_its_own_directory(executed: Any) -> None:
    _, found, place, seconds, new = executed
    assert seconds < MOST_SECONDS
    assert place in Path(found["work"]).parents
    assert {"mlflow.db", "tables", "world", "train", "report"} <= {path.name for path in Path(found["work"]).iterdir()}
    assert new == set()


@pytest.mark.slow
def test_the_bank_is_what_the_text_says(executed: Any) -> None:
    _, found, *_ = executed
    assert 40 <= found["treatments"] <= 80
    assert found["fields"][0] == found["fields"][1]
    for _, _, margin, cost, annoyance, reward, allowed in found["steps"]:
        assert reward == pytest.approx(margin - cost - 20 * annoyance)  # the price of annoyance in the cell
        assert allowed >= 1


@pytest.mark.slow
def test_evaluation_reads_customers_that_nothing_learned_from(executed: Any) -> None:
    _, found, *_ = executed
    assert sum(found["assignments"].values()) == 2000
    assert found["assignments"]["randomised"] == pytest.approx(1600, abs=80)
    assert found["shared"] == 0
    assert 380 <= found["test_customers"] <= 580
    engaged = found["engaged_gain"]
    assert engaged["gain"] > 3 * engaged["gain_se"]


@pytest.mark.slow
def test_the_report_is_led_by_the_log_and_near_the_truth(executed: Any) -> None:
    _, found, *_ = executed
    assert found["policies"] == ["logged", "ppo", "silence", "coordinated_rules"]
    modelled, own_modelled = found["model_based"]
    assert not own_modelled  # a callable and a beginner are close enough to the log's own variety
    size, need = found["lead"]
    assert modelled or size >= need
    assert len(found["outcomes"]) == 3
    assert ("model only" in found["outcomes"]) is modelled
    assert [row["policy"] for row in found["mine"]] == ["logged", "shy", "sb3"]
    assert found["mine"][0]["value"] == pytest.approx(found["booked"])
    for row in found["beside"]:
        half = (row["hi"] - row["lo"]) / 2 + (row["truth_hi"] - row["truth_lo"]) / 2
        assert abs(row["estimate"] - row["truth"]) < 2 * half  # two 95 % intervals, doubled: a seed is not luck
        assert row["truth_lo"] < row["truth"] < row["truth_hi"]


@pytest.mark.slow
def test_applied_probabilities_are_whole_and_masked(executed: Any) -> None:
    _, found, *_ = executed
    assert found["sums"] == pytest.approx([1.0, 1.0], abs=1e-6)
    assert found["masked"] == 0.0
    assert found["applied"][0] == found["applied"][1] > 5000


@pytest.mark.slow
def test_the_gate_judges_the_policy_that_was_evaluated(executed: Any) -> None:
    _, found, *_ = executed
    assert len(set(found["same_policy"])) == 1
    lines = dict(found["lines"])
    assert lines["same policy"]
    assert lines["prices fixed beforehand"]
    assert lines["smoke decisions"]
    assert (found["alias"] == "champion") is all(lines.values())
    assert found["exit_code"] == (0 if found["alias"] == "champion" else 1)
    proven = next(row for row in found["evaluated"] if row["policy"] == "ppo")["difference_lower"] > 0
    assert lines["paired difference"] is proven


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "form"),
    [
        ("catalogue", "text/html"), ("fields", "text/html"), ("simulate", "text/html"), ("train", "text/html"),
        ("calibration-figure", "image/png"), ("evaluate", "text/html"), ("report-figure", "image/png"),
        ("callable", "text/html"), ("promote", "text/html"),
    ],
)  # fmt: skip
def test_results_print_well(executed: Any, cell: str, form: str) -> None:
    notebook, *_ = executed
    outputs = next(c for c in notebook.cells if c.get("id") == cell).outputs
    assert any(form in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)
