"""The report's page: one HTML file that opens anywhere, verdict first, in the language of its reader."""

from __future__ import annotations

import html
from functools import cache
from typing import TYPE_CHECKING

from evaluation import drawing, estimate_tables, page_tables
from evaluation.data_words import data_sentences
from evaluation.drawing import svg
from evaluation.estimators import ESTIMATORS, assumed, titled
from evaluation.fairness_words import fairness_rows, fairness_sentences
from evaluation.figures import FIGURES, drawable
from evaluation.language import TAGS, Language, say, speaking
from evaluation.lead_words import lead_title, support_sentences
from evaluation.reliability_page import reliability_rows, reliability_sentences, reliability_words
from evaluation.sentences import (
    confounding_sentences,
    late_details,
    late_sentences,
    live_sentences,
    propensity_sentences,
    served_sentences,
    slice_sentences,
    untried_sentences,
)
from evaluation.slices import FEWEST
from evaluation.source_words import code_words, learned_words, price_text, propensity_words, section_origins
from evaluation.telling import change_sentences, examples, misspecification_sentences, use_sentences
from evaluation.verdict import verdicts
from evaluation.words import amount_of, component, fitted, named, worded

if TYPE_CHECKING:
    from jinja2 import Template

    from evaluation.report import Report


def page(report: Report, language: Language = "en") -> str:
    """The whole report as one self-contained HTML page."""
    with speaking(language):
        return _rendered(report, TAGS[language])


def _rendered(report: Report, tag: str) -> str:
    """The page in the language that is spoken."""
    return template("report.html.j2").render(
        tag=tag,
        report=report,
        data=report.data,
        verdicts=verdicts(report),
        reference=named(report.reference),
        unit=drawing.unit(report),
        fewest=FEWEST,
        leading=titled(ESTIMATORS[report.lead.estimator], lead_title(report)),
        estimators=[ESTIMATORS[name] for name in report.estimators],
        assumed=assumed,
        support=support_sentences(report),
        wrong=(*propensity_sentences(report), *reliability_sentences(report)),
        reliable=None if report.reliability is None else reliability_words(report.reliability),
        bins=reliability_rows(report),
        confounding=confounding_sentences(report),
        powers=page_tables.power_rows(report),
        worse=slice_sentences(report),
        unfair=fairness_sentences(report),
        served=served_sentences(report),
        live=live_sentences(report),
        lived=page_tables.live_rows(report),
        late=late_sentences(report),
        later=late_details(report),
        untold=data_sentences(report),
        modelled=misspecification_sentences(report),
        changed=change_sentences(report),
        examples=examples(report),
        use=use_sentences(report),
        origins=section_origins(report),
        learned_from=learned_words(report),
        untried=untried_sentences(report),
        demands=page_tables.demand_rows(report),
        bearing=page_tables.bearing_rows(report),
        shares=page_tables.share_rows(report),
        slices=page_tables.slice_rows(report),
        fairness=fairness_rows(report),
        guaranteed=page_tables.guaranteed_rows(report),
        factors=page_tables.factor_rows(report),
        listed=page_tables.LISTED,
        changes=page_tables.change_rows(report),
        changed_groups=page_tables.changed_group_rows(report),
        signs=estimate_tables.SIGNS,
        figures={kind: svg(draw(report), kind) for kind, draw in FIGURES.items() if drawable(report, kind)},
        table=estimate_tables.lead_rows(report),
        booked=estimate_tables.booked(report),
        parts=estimate_tables.part_rows(report),
        all_rows=estimate_tables.estimate_rows(report),
        sizes=estimate_tables.size_rows(report),
        weightings=estimate_tables.weighting_rows(report),
        prices=price_text(report),
        propensities=propensity_words(report),
        code=None if report.origin is None else code_words(report.origin.code),
        renamed=[(named(name), name) for name in report.policies if named(name) != name],
        simulation=page_tables.simulated_rows(report.simulation),
        burden=page_tables.simulated_rows(report.burden),
        part_names=estimate_tables.PARTS,
        zip_policies=list(zip(report.policies, report.digests, strict=True)),
    )


def fragment(report: Report) -> str:
    """The verdicts and the lead's table, for a notebook's cell."""
    head = "".join(f"<li>{html.escape(v.text)}</li>" for v in report.verdicts)
    why = " ".join(html.escape(s) for s in support_sentences(report))
    columns = ("policy", "value", "difference", "ess", "max_weight")
    cells = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_joined(row[name]))}</td>" for name in columns) + "</tr>"
        for row in estimate_tables.lead_rows(report)
    )
    titles = "<th>policy</th><th>value</th><th>difference, paired</th><th>ESS</th><th>largest weight</th>"
    return f"<ul>{head}</ul><p>{why}</p><table><tr>{titles}</tr>{cells}</table>"


def _joined(cell: str | tuple[str, str]) -> str:
    """A cell on one line."""
    if isinstance(cell, str):
        return cell
    return f"{cell[0]} ({cell[1]})" if cell[1] else cell[0]


@cache
def template(name: str) -> Template:
    """A page's template, of this package."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("evaluation", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    said = (say, named, worded, fitted, amount_of, titled)
    environment.globals |= {one.__name__: one for one in said}
    environment.filters |= {"worded": worded, "component": component}
    return environment.get_template(name)
