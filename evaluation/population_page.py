"""The page of a population that shares pools: what each pool lacked in plain words, pictures by day, every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envs.counting import PATIENCE
from evaluation.digits import number
from evaluation.drawing import svg
from evaluation.page import template
from evaluation.population_figures import FIGURES, MOST_REGIONS, lacking
from evaluation.population_words import one, percent
from evaluation.watch import shown
from evaluation.watch_page import measured

if TYPE_CHECKING:
    from evaluation.population_report import PopulationReport

MOST_ROWS = 60  # regions and pools in the page's table; population.json has all


def page(report: PopulationReport) -> str:
    """One self-contained HTML page."""
    from evaluation.population_report import CONFIDENCE

    setting, short = report.run.setting, lacking(report)
    count = report.frame["region"].n_unique()
    shown_figures = {"utilisation"} | ({"refused"} if short else set()) | ({"prices"} if report.cleared else set())
    return template("population.html.j2").render(
        title=report.world,
        policy=setting.policy.name,
        told=setting.told,
        customers=f"{len(setting.customers):,}",
        days=f"{setting.days} day" if setting.days == 1 else f"{setting.days} days",
        cadence=setting.cadence_days,
        share=percent(setting.share),
        by=setting.by,
        regions=count,
        most=MOST_REGIONS,
        sentences=[line.split(": ", 1) for line in report.sentences],
        drawn={name: svg(draw(report), name) for name, draw in FIGURES.items() if name in shown_figures},
        priced=[_priced(row) for row in report.pools.iter_rows(named=True)] if report.cleared else [],
        stocks=report.pools["stock"].any(),
        rows=[_row(row) for row in report.frame.iter_rows(named=True)][:MOST_ROWS],
        left_out=max(0, report.frame.height - MOST_ROWS),
        blocks=len(report.blocks),
        currency=report.catalogue.currency,
        **measured(report, CONFIDENCE, PATIENCE),
    )


def _row(row: dict[str, Any]) -> list[str]:
    """Of a region and a pool, as the page's table shows it."""
    per = 1 if row["stock"] else row["days"]
    value = row["shadow_value"]
    return [
        row["region"],
        row["pool"] + (" (stock)" if row["stock"] else ""),
        f"{shown(row['capacity'] / per)} {row['unit']}",
        percent(row["utilisation"]),
        f"{row['days_exhausted']} of {row['days']}",
        f"{shown(row['refused'] / per)} {row['unit']}",
        percent(row["refused_share"]),
        "–" if value is None else f"{number(value, digits=3)} per {one(row['unit'])}",
    ]


def _priced(row: dict[str, Any]) -> list[str]:
    """What a pool cost, as the page's table shows it."""
    prices = [number(row[name], digits=3) for name in ("price_low", "price", "price_high")]
    return [row["pool"], *prices, percent(row["utilisation"]), f"{row['days_short']} of {row['days']}"]
