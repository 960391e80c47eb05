"""The fidelity report: one record, as frames, as JSON, as figures and as one HTML file."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from evaluation.report_json import plain
from training.configs import FidelityConfig
from training.fidelity_checks import Check
from training.fidelity_judge import HeadFidelity
from training.fidelity_policy import StandIn
from training.fidelity_posterior import Compared
from training.fidelity_rows import Unjudged
from training.fidelity_verdict import HeadVerdict, Verdict, certainty, head_verdict, world_verdict
from training.runs import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = "nextbest-fidelity/1"


@dataclass(frozen=True)
class Replayed:
    """Log against replay."""

    missing: str  # why nothing was replayed; empty if it was
    whom: str
    policy: StandIn | None
    customers: int
    worlds: int  # members of the ensemble
    logs: int
    numbers: tuple[Compared, ...]
    drawn: bool = False  # the customers are some of those that could be replayed
    moments: str = ""  # what is said of moments between decisions


@dataclass(frozen=True)
class FidelityReport:
    """How far a world may be trusted. `print(report)`, `report.frame`, `report.figure("ratios")`, `report.verdict`."""

    config: FidelityConfig
    world_digest: str
    tables_digest: str
    training_customers: int
    customers: int  # judged
    first: str  # day of the first decision
    last: str
    cut: str | None  # day from which on the log counts as its later part; None: all at one time
    heads: tuple[HeadFidelity, ...]
    unjudged: tuple[Unjudged, ...]
    replayed: Replayed
    seconds: float
    directory: Path | None = None

    @cached_property
    def checks(self) -> tuple[tuple[str, Check], ...]:
        """Every check of every head that may be judged: (head, check)."""
        return tuple((head.name, check) for head in self.heads for check in head.every_check(self.config.thresholds))

    @cached_property
    def certain(self) -> float:
        """|z| that luck passes nowhere in the report, but for a share `thresholds.error` of reports."""
        judged = sum(number.judged for number in self.replayed.numbers)
        return certainty(len(self.checks) + judged, self.config.thresholds.error)

    @cached_property
    def verdicts(self) -> tuple[HeadVerdict, ...]:
        """What can be said of each head."""
        found: list[HeadFidelity | Unjudged] = [*self.heads, *self.unjudged]
        return tuple(head_verdict(head, self.config.thresholds, self.certain) for head in found)

    @cached_property
    def verdict(self) -> Verdict:
        """What can be said of the world."""
        return world_verdict(self.verdicts, self.replayed.numbers, self.replayed.missing, self.certain)

    @property
    def exit_code(self) -> int:
        """1 where a strict report does not find the world adequate."""
        return int(self.config.strict and self.verdict.adequate is not True)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """A row per head: its verdict, and its score beside base rates and LightGBM."""
        outcome = {verdict.head: verdict.outcome for verdict in self.verdicts}
        rows = [{"head": h.name, "verdict": outcome[h.name], **_row(h)} for h in self.heads]
        rows += [{"head": u.name, "verdict": outcome[u.name]} for u in self.unjudged]
        return pl.DataFrame(rows, infer_schema_length=None)

    @cached_property
    def check_frame(self) -> pl.DataFrame:
        """A row per check: head, what, estimate, interval, z, whether it is off, whether it failed."""
        rows = [{"head": head, **asdict(c), "failed": c.failed(self.certain)} for head, c in self.checks]
        return pl.DataFrame(rows, infer_schema_length=None)

    @cached_property
    def groups(self) -> pl.DataFrame:
        """A row per head and group of rows: expected, observed, with its standard error."""
        rows = [{"head": h.name, **asdict(g)} for h in self.heads for g in (h.level, *h.groups)]
        return pl.DataFrame(rows, infer_schema_length=None)

    @cached_property
    def time(self) -> pl.DataFrame:
        """A row per head: fitted to the earlier part, judged on the later one, before and after its level is reset."""
        return pl.DataFrame(list(_times(self.heads)), infer_schema_length=None)

    @cached_property
    def numbers(self) -> pl.DataFrame:
        """A row per indicator, process figure and point of a curve: log, replays, posterior predictive p-value."""
        rows = [{**asdict(n), "failed": n.failed(self.certain)} for n in self.replayed.numbers]
        return pl.DataFrame(rows, infer_schema_length=None)

    def figure(self, kind: str = "ratios") -> Figure:
        """A picture: "ratios", "calibration", "curves" or "indicators"."""
        from training.fidelity_figures import FIGURES

        return FIGURES[kind](self)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values; numbers that do not exist are None."""
        policy = self.replayed.policy
        listed = {
            "format": FORMAT,
            "adequate": self.verdict.adequate,
            "verdict": self.verdict.text,
            "heads": [{**asdict(v), **self._measured(v.head)} for v in self.verdicts],
            "certain_z": self.certain,
            "checks": self.check_frame.to_dicts(),
            "groups": self.groups.to_dicts(),
            "time": self.time.to_dicts(),
            "replay": {
                "missing": self.replayed.missing,
                "whom": self.replayed.whom,
                "moments": self.replayed.moments,
                "policy": None if policy is None else policy.note,
                "policy_distance": None if policy is None else policy.distance,
                "customers": self.replayed.customers,
                "worlds": self.replayed.worlds,
                "logs": self.replayed.logs,
                "numbers": self.numbers.to_dicts(),
            },
            "training_customers": self.training_customers,
            "customers": self.customers,
            "first": self.first,
            "last": self.last,
            "later_part_from": self.cut,
            "tables_digest": self.tables_digest,
            "world_digest": self.world_digest,
            "config": self.config.model_dump(mode="json"),
            "seconds": self.seconds,
        }
        values: dict[str, Any] = plain(listed)
        return values

    def _measured(self, name: str) -> dict[str, Any]:
        head = next((h for h in self.heads if h.name == name), None)
        if head is None:
            return {}
        return {**_row(head), "why": None if head.why is None else {**asdict(head.why), "text": head.why.sentence}}

    def to_html(self) -> str:
        """One self-contained page."""
        from training.fidelity_page import page

        return page(self)

    def write(self, directory: Path) -> Path:
        """Write fidelity.html and fidelity.json, each whole or not at all; returns the directory."""
        atomic_write(directory / "fidelity.html", self.to_html())
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        atomic_write(directory / "fidelity.json", text + "\n")
        return directory

    def __str__(self) -> str:
        return "\n".join([self.verdict.text, *(f"  {verdict.text}" for verdict in self.verdicts)])

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(verdict.text)}</li>" for verdict in self.verdicts)
        return f"<p><strong>{html.escape(self.verdict.text)}</strong></p><ul>{lines}</ul>{self.frame._repr_html_()}"


def _row(head: HeadFidelity) -> dict[str, Any]:
    ratio, over = head.ratio, head.over_base
    return {
        "customers": head.customers,
        "rows": head.rows,
        "events": head.events,
        "training_events": head.training_events,
        "score": head.score,
        "base_rates": head.base,
        "score_of_head": head.head,
        "lightgbm": head.lightgbm,
        "ratio": None if ratio is None else ratio.value,
        "ratio_lo": None if ratio is None else ratio.lo,
        "ratio_hi": None if ratio is None else ratio.hi,
        "over_base": over.value,
        "over_base_lo": over.lo,
        "over_base_hi": over.hi,
        "expected": head.level.expected,
        "observed": head.level.observed,
    }


def _times(heads: tuple[HeadFidelity, ...]) -> Iterator[dict[str, Any]]:
    for head in heads:
        split = head.time
        if split is None:
            continue
        row: dict[str, Any] = {"head": head.name, "score": head.score, "rows": split.rows, "events": split.events}
        for name in split.before:
            row |= {f"{name}_before": split.before[name], f"{name}_after": split.after[name]}
        row |= {"fitted_anew": split.anew, "shift": split.shift}
        for name in ("ratio", "ratio_after"):
            found = getattr(split, name)
            row |= {name: found.value, f"{name}_lo": found.lo, f"{name}_hi": found.hi}
        for name, check in (("level", split.level), ("effects", split.effects)):
            row |= {name: check.value, f"{name}_lo": check.lo, f"{name}_hi": check.hi}
        yield row
