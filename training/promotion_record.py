"""What is kept of a decision of the gate: the decision, what it was taken on, and the report itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from envs.digest import digest_of, file_digest
from evaluation.report_json import plain
from training import registry
from training.gate import Evidence, Gate
from training.runs import atomic_write

FILE = "promotion.json"
FOLDER = "promotions"  # of the run that made a version, a folder for each decision


@dataclass(frozen=True)
class Inputs:
    """Everything that the lines were computed from, beside the registered files."""

    gate: Gate
    report: Path  # report.json
    evidence: Evidence | None  # what the report says of the policy; None: it does not speak of it
    tables: Path  # of the smoke decisions
    champion_digest: str  # whom the policy had to beat; empty: the logging policy
    declared_prices: Mapping[str, float]
    policy_tags: Mapping[str, str]  # of the registered version, as they stood
    judged: tuple[str, ...]  # digests of the policies that the gate judged on these customers before
    today: date  # by the clock that decided what has expired

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "gate": self.gate.model_dump(mode="json"),
            "gate_digest": self.gate_digest,
            "report_digest": self.report_digest,
            "evidence": None if self.evidence is None else asdict(self.evidence),
            "tables": str(self.tables),
            "champion_digest": self.champion_digest,
            "declared_prices": dict(self.declared_prices),
            "policy_tags": dict(self.policy_tags),
            "judged": list(self.judged),
            "today": self.today.isoformat(),
        }

    @property
    def gate_digest(self) -> str:
        """SHA-256 of the rules, however they are written down."""
        return digest_of(self.gate.model_dump(mode="json"))

    @property
    def report_digest(self) -> str:
        """SHA-256 of the report's file."""
        return file_digest(self.report)


def judged_tag(evidence: Evidence) -> str:
    """The tag of a version that says when it was judged on the customers of a report."""
    return f"gate_judged_on_{evidence.data_digest[:16]}"


def keep(decision: Mapping[str, Any], inputs: Inputs, policy: registry.Registered, out: Path) -> dict[str, str]:
    """Write promotion.json, and put it with the report into the run that made the version; -> tags that say where."""
    record = plain(dict(decision) | {"inputs": inputs.record()})
    file = atomic_write(out / FILE, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    with TemporaryDirectory() as folder:
        shutil.copyfile(file, Path(folder, FILE))
        shutil.copyfile(inputs.report, Path(folder, "report.json"))
        place = f"{FOLDER}/{file_digest(file)[:16]}"
        run = registry.keep(policy, Path(folder), place)
    return {
        "gate_record": f"{run}/{place}",
        "gate_digest": inputs.gate_digest,
        "gate_report_digest": inputs.report_digest,
    }
