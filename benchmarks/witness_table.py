"""The witness's tables: what each column says of the logs of a cell, and their place in docs/validation.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.kit import ROOT
from benchmarks.witness_logs import Cell, Replication
from benchmarks.witness_rates import Rate, rate
from benchmarks.witness_world import AS_GOOD, CANDIDATES
from envs.errors import InputError

GUIDE = ROOT / "docs" / "validation.md"
WORST = CANDIDATES.index(AS_GOOD)  # from here on nobody is better than the logging policy


Replications = Sequence[Replication]


def table_of(several: Replications, column: Callable[[Replication], object]) -> np.ndarray:  # (logs, ...)
    """One thing of every replication."""
    return np.array([column(one) for one in several])


def error(several: Replications) -> float:
    """Root mean square error of the candidates' values, as a share of the logging policy's."""
    wrong = table_of(several, lambda r: (r.value - r.truth) / r.logged)
    return float(np.sqrt((wrong**2).mean()))


def ranks(several: Replications) -> float:
    """Spearman's correlation of estimated and true values of the candidates, mean over logs."""
    return float(np.mean([spearmanr(r.value, r.truth).statistic for r in several]))


def regret(several: Replications) -> float:
    """True value lost by taking the candidate with the highest estimate, share of the logging policy's; mean."""
    return float(np.mean([(r.truth.max() - r.truth[np.argmax(r.value)]) / r.logged for r in several]))


def commonest(several: Replications) -> str:
    """The lead of most logs."""
    leads = [f"{r.lead.estimator} {r.lead.decisions}" if r.lead.kind == "k-step" else r.lead.estimator for r in several]
    return max(sorted(set(leads)), key=leads.count)


def covered(several: Replications) -> Rate:
    """How often 95 % intervals of the candidates' values hold the truth."""
    return rate(table_of(several, lambda r: r.covered))


def covered_difference(several: Replications) -> Rate:
    """How often 95 % intervals of the differences to the logging policy hold the truth."""
    return rate(table_of(several, lambda r: r.covered_difference))


def false_alarm(several: Replications) -> Rate | None:
    """How often the gate admits the candidate that is exactly as good; None where no log had its lead."""
    same = [r for r in several if r.same]
    return rate(table_of(same, lambda r: r.admitted[WORST])) if same else None


def false_alarms(several: Replications) -> Rate:
    """How often it admits any of the candidates that are no better, where all are compared."""
    return rate(table_of(several, lambda r: r.admitted_together[WORST:][r.truth[WORST:] <= r.logged + 1e-9].any()))


def power(several: Replications, candidate: str) -> Rate:
    """How often it admits a candidate that is better; the rest is its type-II error."""
    return rate(table_of(several, lambda r: r.admitted[CANDIDATES.index(candidate)]))


# Column of docs/validation.md -> what it shows of a cell's logs.
COLUMNS: dict[str, Callable[[Replications], str]] = {
    "lead": commonest,
    "error": lambda found: f"{error(found):.2f}",
    "rank": lambda found: f"{ranks(found):.2f}",
    "regret": lambda found: f"{regret(found):.2f}",
    "covered, %": lambda found: covered(found).shown(),
    "difference covered, %": lambda found: covered_difference(found).shown(),
    "as good admitted, %": lambda found: shown(false_alarm(found)),
    "of five, any, %": lambda found: false_alarms(found).shown(),
    "little better, %": lambda found: power(found, "little better").shown(),
    "better, %": lambda found: power(found, "better").shown(),
}


def shown(found: Rate | None) -> str:
    """A rate, or that there is none."""
    return "–" if found is None else found.shown()


def rows(cells: dict[Cell, Replications]) -> list[dict[str, str]]:
    """The table, a row for each kind of log."""
    return [cell.named() | {name: of(found) for name, of in COLUMNS.items()} for cell, found in cells.items()]


def estimator_rows(every: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[dict[str, str]]:
    """A row per estimator: error and coverage, by number of decisions."""
    table = []
    for name in dict.fromkeys(name for found in every.values() for name in found):
        row = {"estimator": name}
        for decisions, found in every.items():
            one = found.get(name)
            words = ("", "") if one is None else (f"{one['error']:.2f}", _rate_of(one).shown())
            row |= dict(zip(_pair(decisions), words, strict=True))
        table.append(row)
    return table


def _pair(decisions: int) -> tuple[str, str]:
    return f"error, {decisions}", f"covered, {decisions}, %"


def _rate_of(one: Mapping[str, float]) -> Rate:
    return Rate(one["covered"], one["lo"], one["hi"])


def markdown(table: list[dict[str, str]]) -> str:
    """A table as it stands in a guide."""
    head = list(table[0])
    lines = [head, ["---"] * len(head), *([row[name] for name in head] for row in table)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def marks(name: str) -> tuple[str, str]:
    """Between which lines of the guide a table stands."""
    return f"<!-- witness: {name} -->", f"<!-- end of {name} -->"


def between(text: str, name: str) -> str:
    """A table of the guide, without its markers."""
    first, last = marks(name)
    if text.count(first) != 1 or text.count(last) != 1 or text.index(first) > text.index(last):
        raise InputError(f"must hold {first} and {last} once each, in this order", file=GUIDE)
    return text.split(first)[1].split(last)[0].strip()


def replaced(text: str, name: str, content: str) -> str:
    """The guide with another table between its markers."""
    between(text, name)
    first, last = marks(name)
    before, after = text.split(first)[0], text.split(last)[1]
    return f"{before}{first}\n{content}\n{last}{after}"


def write(tables: dict[str, list[dict[str, str]]], guide: Path = GUIDE) -> None:
    """Put new tables in the place of those of the guide, by name."""
    text = guide.read_text(encoding="utf-8")
    for name, table in tables.items():
        text = replaced(text, name, markdown(table))
    guide.write_text(text, encoding="utf-8")
