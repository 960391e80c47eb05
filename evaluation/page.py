"""The report's page: one HTML file that opens anywhere, verdict first."""

from __future__ import annotations

import html
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from evaluation.adapt import LOGGED
from evaluation.estimators import ESTIMATORS, assumed
from evaluation.figures import FIGURES, drawable, svg
from evaluation.intervals import Between, Interval
from evaluation.lead_words import lead_title, support_sentences
from evaluation.sentences import (
    confounding_sentences,
    late_sentences,
    live_sentences,
    model_sentences,
    propensity_sentences,
    served_sentences,
    slice_sentences,
    untried_sentences,
)

if TYPE_CHECKING:
    import polars as pl
    from jinja2 import Template

    from evaluation.report import Report
    from evaluation.slices import Slice

MOST_DECISIONS = 12  # of which the page lists the support
PARTS = {"margin": "Margin", "cost": "Cost", "annoyance": "Annoyance", "undiscounted": "Undiscounted"}


def page(report: Report) -> str:
    """The whole report as one self-contained HTML page."""
    return template("report.html.j2").render(
        report=report,
        data=report.data,
        leading=lead_title(report),
        estimators=[ESTIMATORS[name] for name in report.estimators],
        assumed=assumed,
        support=support_sentences(report),
        wrong=propensity_sentences(report),
        confounding=confounding_sentences(report),
        powers=_powers(report),
        worse=slice_sentences(report),
        served=served_sentences(report),
        live=live_sentences(report),
        lived=_lived(report),
        late=late_sentences(report),
        modelled=model_sentences(report),
        untried=untried_sentences(report),
        demands=_demands(report),
        slices=_slices(report),
        guaranteed=[
            (g.policy, number(g.value, True), f"{number(g.lo, True)} to {number(g.hi, True)}", number(g.lower, True))
            for g in report.guaranteed
        ],
        figures={kind: svg(draw(report), kind) for kind, draw in FIGURES.items() if drawable(report, kind)},
        table=lead_rows(report),
        booked=_booked(report),
        parts=_parts(report),
        all_rows=_all_rows(report),
        sizes=_sizes(report),
        weightings=_weightings(report),
        prices=price_text(report),
        simulation=_simulated_table(report.simulation),
        burden=_simulated_table(report.burden),
        part_names=PARTS,
        zip_policies=list(zip(report.policies, report.digests, strict=True)),
    )


def _slices(report: Report) -> list[tuple[str, list[tuple[bool, tuple[str, ...]]]]]:
    """Per policy: of each slice whether it is worse, and its figures as text."""

    def row(one: Slice) -> tuple[bool, tuple[str, ...]]:
        shares = f"{one.contacts:.1%} ({one.contacts_before:.1%})"
        where = (one.dimension, one.label, f"{one.customers:,}")
        return one.worse, (*where, shown(one.gain, signed=True), shown(one.annoyance, signed=True), shares)

    names = dict.fromkeys(one.policy for one in report.slices)
    return [(name, [row(one) for one in report.slices if one.policy == name]) for name in names]


def _lived(report: Report) -> list[tuple[str, ...]]:
    """Forecasts beside what came, as text."""
    return [
        (
            one.policy, one.amount, f"{one.customers:,}", f"{one.decisions:,}", shown(one.forecast, signed=True),
            shown(one.came, signed=True),
        )
        for one in report.live
    ]  # fmt: skip


def _demands(report: Report) -> list[tuple[bool, tuple[str, ...]]]:
    """Per policy and pool whether more is asked for than there is, and the figures as text."""
    return [
        (one.above, (one.policy, one.pool, *(f"{x:,.0f}" for x in (one.asked, one.busiest, one.capacity)), one.unit,
                     f"{one.days_above:.0%}"))
        for one in report.demands
    ]  # fmt: skip


def _powers(report: Report) -> list[tuple[str, ...]]:
    """What the log can show of each policy, as text."""
    return [
        (
            p.policy, f"{p.ess:,.0f}", f"{p.positives:,.0f}", f"{p.largest_share:.2%}", number(p.detectable),
            number(p.effect), f"{p.needed:,.0f}" if math.isfinite(p.needed) else "–",
        )
        for p in report.powers
    ]  # fmt: skip


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
        joint = next((one for one in report.together if one.policy == policy), None)
        rows.append(
            {
                "policy": policy,
                "value": shown(found.interval),
                "difference": shown(found.difference, signed=True) if found.difference else "reference",
                "lower": number(found.difference.lower, signed=True) if found.difference else "",
                "total": _total(report, policy),
                "joint": "" if joint is None else f"{number(joint.lo, True)} to {number(joint.hi, True)}",
                "ess": f"{size:,.0f}",
                "max_weight": f"{largest:,.1f}",
                "untried": f"{report.supports[report.policies.index(policy)].untried:.1%}",
            }
        )
    return rows


def _total(report: Report, policy: str) -> str:
    """The difference for all of the bank's customers."""
    found, many = report.estimate(policy).difference, report.settings.population
    if found is None or many is None:
        return ""
    return shown(Between(*(many * end for end in (found.value, *report.bounds(policy)))), signed=True)


def shown(interval: Interval | Between, signed: bool = False) -> str:
    """An estimate with its interval as text."""
    value = number(interval.value, signed)
    if math.isnan(interval.lo):
        return f"{value} (no interval)" if math.isfinite(interval.value) else "undefined"
    return f"{value} ({number(interval.lo, signed)} to {number(interval.hi, signed)})"


def number(value: float, signed: bool = False, digits: int = 4) -> str:
    """Four (or `digits`) significant digits, at most six decimals; a dash for what does not exist.

    >>> number(1234.5678), number(0.0123456, signed=True)
    ('1,235', '+0.01235')
    """
    if not math.isfinite(value):
        return "–"
    decimals = 0 if value == 0 else max(0, min(6, digits - 1 - math.floor(math.log10(abs(value)))))
    return f"{value:{'+' if signed else ''},.{decimals}f}"


def price_text(report: Report) -> str:
    """The prices at which everything was evaluated."""
    if report.prices is None:
        return "as logged with each decision"
    return ", ".join(f"{name} {value:g}" for name, value in zip(report.price_names, report.prices, strict=True))


def _parts(report: Report) -> list[tuple[str, list[str]]]:
    names = [a for a in PARTS if (report.policies[0], report.lead.estimator, a) in report.computed]
    return [(p, [shown(report.estimate(p, amount=a).interval) for a in names]) for p in report.policies]


def _booked(report: Report) -> str:
    """What the logging policy earned, by any estimator that needs no model: without weights they agree."""
    sampled = next(name for name in report.estimators if not ESTIMATORS[name].model_based)
    return shown(report.estimate(LOGGED, sampled).interval)


def _all_rows(report: Report) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Per policy and estimator: its title, the value, the difference to the reference."""
    return [(policy, [_estimate_row(report, policy, name) for name in report.estimators]) for policy in report.policies]


def _estimate_row(report: Report, policy: str, name: str) -> tuple[str, str, str]:
    found, estimator = report.estimate(policy, name), ESTIMATORS[name]
    title = f"{estimator.title} (model-based)" if estimator.model_based else estimator.title
    return title, shown(found.interval), shown(found.difference, signed=True) if found.difference else "reference"


def _weightings(report: Report) -> list[tuple[str, str, str, str, str, str]]:
    """Per policy and estimator that made its weights smaller: the parameter, its estimated bias, both errors."""
    rows = []
    for found in report.estimates:
        if found.weighting is not None:
            chosen, plain = found.weighting.chosen, found.weighting.plain
            parameter = number(chosen.parameter) if math.isfinite(chosen.parameter) else "none"
            errors = (number(chosen.variance**0.5), number(plain.variance**0.5))
            title = ESTIMATORS[found.estimator].title
            rows.append((found.policy, title, parameter, number(chosen.bias, signed=True), *errors))
    return rows


def _sizes(report: Report) -> tuple[range, list[tuple[str, list[tuple[str, list[str]]]]]]:
    """Numbers of the first decisions, and per policy: ESS and largest weights, alone and cumulative, at each."""
    numbers = range(1, min(report.data.horizon, MOST_DECISIONS) + 1)
    rows = [
        (
            s.policy,
            [
                ("ESS, alone", [f"{x:,.0f}" for x in s.ess[: len(numbers)]]),
                ("ESS, cumulative", [f"{x:,.1f}" for x in s.ess_cumulative[: len(numbers)]]),
                ("largest weight, alone", [f"{x:,.1f}" for x in s.largest_weight[: len(numbers)]]),
                ("largest weight, cumulative", [f"{x:,.1f}" for x in s.largest_cumulative[: len(numbers)]]),
            ],
        )
        for s in report.supports[1:]
    ]
    return numbers, rows


def _simulated_table(frame: pl.DataFrame | None) -> tuple[list[str], list[list[tuple[str, str]]]] | None:
    """Titles, and rows of (value, interval); columns `x_lo` and `x_hi` stand under `x`."""
    if frame is None:
        return None
    bounds = {name: (f"{name}_lo", f"{name}_hi") for name in frame.columns}
    paired = {name: pair for name, pair in bounds.items() if set(pair) <= set(frame.columns)}
    titles = [name for name in frame.columns if not any(name in pair for pair in paired.values())]
    rows = [[_simulated(row, name, paired.get(name)) for name in titles] for row in frame.iter_rows(named=True)]
    return [title.replace("_", " ") for title in titles], rows


def _simulated(row: dict[str, Any], name: str, bounds: tuple[str, str] | None) -> tuple[str, str]:
    if row[name] is None:
        return "–", ""
    value = number(row[name]) if isinstance(row[name], float) else str(row[name])
    if bounds is None or row[bounds[0]] is None:
        return value, ""
    return value, " to ".join(number(row[bound], digits=3) for bound in bounds)


@cache
def template(name: str) -> Template:
    """A page's template, of this package."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evaluation", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)
