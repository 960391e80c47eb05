"""The report's page: one HTML file that opens anywhere, verdict first."""

from __future__ import annotations

import html
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from evaluation.estimators import ESTIMATORS
from evaluation.figures import FIGURES, svg
from evaluation.intervals import Interval
from evaluation.verdict import lead_title, support_sentences

if TYPE_CHECKING:
    from jinja2 import Template

    from evaluation.report import Report

PARTS = {"margin": "Margin", "cost": "Cost", "annoyance": "Annoyance", "undiscounted": "Undiscounted"}


def page(report: Report) -> str:
    """The whole report as one self-contained HTML page."""
    return _template("report.html.j2").render(
        report=report,
        data=report.data,
        leading=lead_title(report),
        estimators=[ESTIMATORS[name] for name in report.estimators],
        support=support_sentences(report),
        figures={kind: svg(draw(report), kind) for kind, draw in FIGURES.items()},
        table=lead_rows(report),
        parts=_parts(report),
        all_rows=_all_rows(report),
        sizes=_sizes(report),
        prices=price_text(report),
        simulation=_simulation(report),
        part_names=PARTS,
        zip_policies=list(zip(report.policies, report.digests, strict=True)),
    )


def fragment(report: Report) -> str:
    """The verdicts and the lead's table, for a notebook's cell."""
    head = "".join(f"<li>{html.escape(v.text)}</li>" for v in report.verdicts)
    why = " ".join(html.escape(s) for s in support_sentences(report))
    columns = ("policy", "value", "difference", "ess", "max_weight")
    cells = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(row[name]))}</td>" for name in columns) + "</tr>"
        for row in lead_rows(report)
    )
    titles = "<th>policy</th><th>value</th><th>difference, paired</th><th>ESS</th><th>largest weight</th>"
    return f"<ul>{head}</ul><p>{why}</p><table><tr>{titles}</tr>{cells}</table>"


def lead_rows(report: Report) -> list[dict[str, Any]]:
    """The lead estimate of every policy as text."""
    rows = []
    for policy in report.policies:
        found = report.estimate(policy)
        size, largest = report.support(policy)
        rows.append(
            {
                "policy": policy,
                "value": shown(found.interval),
                "difference": shown(found.difference, signed=True) if found.difference else "reference",
                "lower": number(found.difference.lower, signed=True) if found.difference else "",
                "ess": f"{size:,.0f}",
                "max_weight": f"{largest:,.1f}",
                "untried": f"{report.supports[report.policies.index(policy)].untried:.1%}",
            }
        )
    return rows


def shown(interval: Interval, signed: bool = False) -> str:
    """An estimate with its interval as text."""
    value = number(interval.value, signed)
    if math.isnan(interval.lo):
        return f"{value} (no interval)" if math.isfinite(interval.value) else "undefined"
    return f"{value} ({number(interval.lo, signed)} to {number(interval.hi, signed)})"


def number(value: float, signed: bool = False) -> str:
    """Four significant digits, at most six decimals; a dash for what does not exist.

    >>> number(1234.5678), number(0.0123456, signed=True)
    ('1,235', '+0.01235')
    """
    if not math.isfinite(value):
        return "–"
    digits = 0 if value == 0 else max(0, min(6, 3 - math.floor(math.log10(abs(value)))))
    return f"{value:{'+' if signed else ''},.{digits}f}"


def price_text(report: Report) -> str:
    """The prices at which everything was evaluated."""
    if report.prices is None:
        return "as logged with each decision"
    return ", ".join(f"{name} {value:g}" for name, value in zip(report.price_names, report.prices, strict=True))


def _parts(report: Report) -> list[tuple[str, list[str]]]:
    names = [a for a in PARTS if (report.policies[0], report.lead.estimator, a) in report.computed]
    return [(p, [shown(report.estimate(p, amount=a).interval) for a in names]) for p in report.policies]


def _all_rows(report: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (
            policy,
            [
                (shown(e.interval), shown(e.difference, signed=True) if e.difference else "")
                for e in (report.estimate(policy, name) for name in report.estimators)
            ],
        )
        for policy in report.policies
    ]


def _sizes(report: Report) -> list[tuple[str, list[tuple[str, str, str, str]]]]:
    """Per policy and decision: ESS alone, cumulative, largest weights; at most the first dozen decisions."""
    return [
        (
            s.policy,
            [
                (f"{a:,.0f}", f"{b:,.1f}", f"{c:,.1f}", f"{d:,.1f}")
                for a, b, c, d in zip(
                    s.ess[:12], s.ess_cumulative, s.largest_weight, s.largest_cumulative, strict=False
                )
            ],
        )
        for s in report.supports[1:]
    ]


def _simulation(report: Report) -> tuple[list[str], list[list[str]]] | None:
    frame = report.simulation
    if frame is None:
        return None
    rows = [[number(x) if isinstance(x, float) else str(x) for x in row] for row in frame.rows()]
    return frame.columns, rows


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evaluation", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)
