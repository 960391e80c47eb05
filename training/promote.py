"""Promotion: ask the gate whether a registered policy becomes champion, and move the alias or say why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agents.expiry import last_day, made_on
from agents.manifest import Manifest
from envs.errors import InputError
from training import registry
from training.configs import PromoteConfig
from training.evidence import digests_of, evidence_of, read_report, results_of, tables_of
from training.gate import (
    Gate,
    Line,
    alone,
    approval,
    destination,
    in_force,
    judge,
    read_gate,
    smoke,
    trusted,
    unexpired,
    unknown,
)
from training.model_card import ModelCard, card_beside
from training.promotion_record import Inputs, judged_tag, keep
from training.runs import run_directory

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
    trained_by: str  # empty: not known
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


def promote(config: PromoteConfig, now: datetime | None = None) -> Promotion:
    """Judge a registered policy by an evaluation's report and move the alias that it has earned.

    now: what has expired is told by; None: this machine's clock. For simulated logs, whose days are not today's

    Every line is computed before anything is changed. The decision, admitted or refused, and what it was taken on are
    kept as promotion.json, with the run that made the version, and as tags of the version.
    """
    file, report = read_report(config.report)
    gate, now = read_gate(config.gate), now or datetime.now(UTC)
    policy = registry.find(config.policy)
    tables = config.tables or tables_of(file, report)
    observation, mask = _smoke_decisions(tables, gate.smoke_decisions)
    with TemporaryDirectory() as folder:
        tried = _try(gate, policy, registry.fetch(policy, Path(folder)), observation, mask, now.date())
    reported, champion = digests_of(file, report), _rival(policy, registry.find_alias("champion"))
    known = policy.policy_digest in reported.values()
    evidence = evidence_of(file, report, policy.policy_digest) if known else None
    before = () if evidence is None else tuple(one.policy_digest for one in registry.tagged(judged_tag(evidence)))
    inputs = Inputs(gate, file, evidence, tables, champion, tried.declared, policy.tags, before, now.date())
    trained_by = policy.tags.get("trained_by", "")
    lines = [*_judged(inputs, reported, policy), *tried.lines, approval(gate, config.approved_by, trained_by)]
    promotion = Promotion(
        alias=destination(gate, lines),
        version=policy.version,
        policy_digest=policy.policy_digest,
        gate=gate.name,
        report=file,
        lines=tuple(lines),
        trained_by=trained_by,
        approved_by=config.approved_by,
        reason=config.reason,
        at=now.isoformat(timespec="seconds"),
    )
    out = run_directory("promote", config.out)
    _record(promotion, inputs, policy, out)
    if tried.card is not None and evidence is not None and promotion.alias:
        card = tried.card.evaluated(results_of(report, evidence), config.approved_by, config.reason)
        card.write(out)
        registry.describe(policy, card.markdown())
    return promotion


def _judged(inputs: Inputs, reported: Mapping[str, str], policy: registry.Registered) -> list[Line]:
    """What the report decides; of another policy nothing."""
    if inputs.evidence is None:
        return [unknown(reported, policy.policy_digest)]
    lines = judge(
        inputs.gate,
        inputs.evidence,
        registered_digest=policy.policy_digest,
        champion_digest=inputs.champion_digest,
        declared_prices=inputs.declared_prices,
    )
    return [*lines, alone(inputs.evidence, inputs.judged), in_force(inputs.evidence, inputs.today)]


def _rival(policy: registry.Registered, champion: registry.Registered | None) -> str:
    """The digest of the champion to beat; empty if there is none, or it is the policy, or has another catalogue."""
    if champion is None or champion.policy_digest == policy.policy_digest:
        return ""
    same = champion.tags.get("catalogue_digest") == policy.tags.get("catalogue_digest")
    return champion.policy_digest if same else ""


@dataclass(frozen=True)
class _Tried:
    """What the registered files themselves say."""

    declared: dict[str, float]  # prices that the schema declares
    lines: tuple[Line, ...]
    card: ModelCard | None = None  # None: it was registered without one


def _try(
    gate: Gate, policy: registry.Registered, path: Path, observation: np.ndarray, mask: np.ndarray, today: date
) -> _Tried:
    """The artifact's prices, term, smoke decisions and card; files that do not load fail the line."""
    from agents.artifact import load_policy
    from envs.prices import prices_from

    try:
        artifact = load_policy(path)
        if artifact.digest != policy.policy_digest:
            raise InputError("must be the registered one", field="policy_digest", value=artifact.digest[:12])
        declared = prices_from(None, artifact.catalogue, artifact.schema).named(artifact.catalogue)
        age = unexpired(gate, made_on(artifact.manifest), _last_day(policy, artifact.manifest), today)
        card = card_beside(path, policy.policy_digest)
        world = trusted(gate, *(None, None) if card is None else (card.fidelity, card.world_adequate))
        return _Tried(declared, (smoke(artifact, observation, mask), world, age), card)
    except InputError as fault:
        return _Tried({}, (Line("smoke decisions", False, str(fault), "an artifact that loads and decides validly"),))


def _last_day(policy: registry.Registered, manifest: Manifest) -> date | None:
    """The earlier of the manifest's term and the registry's: `created` is outside the digest, the tag is not there."""
    said = [last_day(manifest)]
    if tag := policy.tags.get("expires"):
        try:
            said.append(date.fromisoformat(tag))
        except ValueError:
            raise InputError("must be a day, YYYY-MM-DD", field="the version's tag expires", value=tag) from None
    return min((day for day in said if day is not None), default=None)


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


def _record(promotion: Promotion, inputs: Inputs, policy: registry.Registered, out: Path) -> None:
    """Keep the decision with what it was taken on, move the alias, tag the version."""
    kept = keep(asdict(promotion) | {"verdict": promotion.verdict}, inputs, policy, out)
    if promotion.alias:
        registry.set_alias(policy, promotion.alias)
    tags = {
        "gate": promotion.gate,
        "gate_verdict": promotion.alias or "refused",
        "gate_failed": "; ".join(line.name for line in promotion.failed) or "none",
        "gate_at": promotion.at,
        "gate_trained_by": promotion.trained_by,
        "gate_approved_by": promotion.approved_by or "",
        "gate_reason": promotion.reason or "",
    }
    if inputs.evidence is not None:
        tags[judged_tag(inputs.evidence)] = promotion.at
    registry.tag(policy, tags | kept)
