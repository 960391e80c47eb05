"""Promotion: ask the gate whether a registered policy becomes champion, and move the alias or say why not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from envs.errors import InputError
from training import tracking
from training.configs import PromoteConfig
from training.evidence import evidence_of, read_report, tables_of
from training.gate import Line, approval, destination, judge, read_gate, smoke
from training.runs import atomic_write, run_directory

if TYPE_CHECKING:
    from rich.table import Table

REFUSED = 1  # exit code


@dataclass(frozen=True)
class Promotion:
    """The gate's decision with every line behind it."""

    alias: str | None  # champion, shadow, or None when refused
    version: str
    policy_digest: str
    gate: str
    report: Path
    lines: tuple[Line, ...]
    approved_by: str | None
    reason: str | None
    at: str  # UTC

    @property
    def exit_code(self) -> int:
        """0 when the policy is champion now, else 1."""
        return 0 if self.alias == "champion" else REFUSED

    @property
    def failed(self) -> tuple[Line, ...]:
        """The lines that refused it."""
        return tuple(line for line in self.lines if not line.passed)

    @property
    def verdict(self) -> str:
        """One sentence."""
        policy = f"contact-policy version {self.version}"
        because = "; ".join(f"{line.name}: {line.value}, must be {line.need}" for line in self.failed)
        if self.alias == "champion":
            return f"{policy} is champion."
        return f"{policy} is shadow only ({because})." if self.alias else f"{policy} is refused ({because})."

    def __rich__(self) -> Table:
        from rich.table import Table

        table = Table("", "rule", "found", "needed", title=self.verdict, title_justify="left")
        for line in self.lines:
            table.add_row("[green]pass[/]" if line.passed else "[red]FAIL[/]", line.name, line.value, line.need)
        return table

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'pass' if line.passed else '<b>FAIL</b>'}</td>"
            + "".join(f"<td>{escape(text)}</td>" for text in (line.name, line.value, line.need))
            + "</tr>"
            for line in self.lines
        )
        head = "<tr><th></th><th>rule</th><th>found</th><th>needed</th></tr>"
        return f"<p>{escape(self.verdict)}</p><table>{head}{rows}</table>"


def promote(config: PromoteConfig) -> Promotion:
    """Judge a registered policy by an evaluation's report and move the alias that it has earned.

    Every line is computed before anything is changed. The decision is kept as promotion.json and as tags of
    the registered version, whether it was admitted or refused.
    """
    file, report = read_report(config.report)
    gate = read_gate(config.gate)
    policy = tracking.find(config.policy)
    evidence = evidence_of(file, report, policy.policy_digest)
    observation, mask = _smoke_decisions(config.tables or tables_of(file, report), gate.smoke_decisions)
    with TemporaryDirectory() as folder:
        declared, smoked = _try(policy, tracking.fetch(policy, Path(folder)), observation, mask)
    lines = judge(
        gate,
        evidence,
        registered_digest=policy.policy_digest,
        champion_digest=_rival(policy, tracking.find_alias("champion")),
        declared_prices=declared,
    )
    lines.append(smoked)
    lines.append(approval(gate, config.approved_by))
    promotion = Promotion(
        alias=destination(gate, lines),
        version=policy.version,
        policy_digest=policy.policy_digest,
        gate=gate.name,
        report=file,
        lines=tuple(lines),
        approved_by=config.approved_by,
        reason=config.reason,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _record(promotion, policy, run_directory("promote", config.out))
    return promotion


def _rival(policy: tracking.Registered, champion: tracking.Registered | None) -> str:
    """The digest of the champion to beat; empty if there is none, or it is the policy, or has another catalogue."""
    if champion is None or champion.policy_digest == policy.policy_digest:
        return ""
    same = champion.tags.get("catalogue_digest") == policy.tags.get("catalogue_digest")
    return champion.policy_digest if same else ""


def _try(
    policy: tracking.Registered, path: Path, observation: np.ndarray, mask: np.ndarray
) -> tuple[dict[str, float], Line]:
    """The prices its schema declares, and its smoke decisions; files that do not load fail the line."""
    from agents.artifact import load_policy
    from envs.prices import prices_from

    try:
        artifact = load_policy(path)
        if artifact.digest != policy.policy_digest:
            raise InputError("must be the registered one", field="policy_digest", value=artifact.digest[:12])
        declared = prices_from(None, artifact.catalogue, artifact.schema).named(artifact.catalogue)
        return declared, smoke(artifact, observation, mask)
    except InputError as fault:
        return {}, Line("smoke decisions", False, str(fault), "an artifact that loads and decides validly")


def _smoke_decisions(tables: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first logged decisions of test customers: (n, fields) float32, (n, treatments) bool."""
    from envs.split import is_test
    from envs.tables import read_tables

    read = read_tables(tables)
    customers = read.customers["customer_id"].unique(maintain_order=True)
    held_out = customers.filter(is_test(customers, read.schema.split))
    rows = read.decisions.filter(pl.col("customer_id").is_in(held_out.to_list())).head(count)
    observation = np.array(rows["observation"].to_list(), dtype=np.float32)
    everything = [True] * len(read.catalogue.treatment_ids)
    mask = np.array([row if row is not None else everything for row in rows["mask"].to_list()], dtype=bool)
    return observation, mask


def _record(promotion: Promotion, policy: tracking.Registered, out: Path) -> None:
    """Move the alias, tag the version, write promotion.json."""
    if promotion.alias:
        tracking.set_alias(policy, promotion.alias)
    tags = {
        "gate": promotion.gate,
        "gate_verdict": promotion.alias or "refused",
        "gate_failed": "; ".join(line.name for line in promotion.failed) or "none",
        "gate_at": promotion.at,
        "gate_approved_by": promotion.approved_by or "",
        "gate_reason": promotion.reason or "",
    }
    tracking.tag(policy, tags)
    record = asdict(promotion) | {"report": str(promotion.report), "verdict": promotion.verdict}
    atomic_write(out / "promotion.json", json.dumps(record, indent=2) + "\n")
