"""What a population lacked, in plain words: a few sentences per pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from evaluation.digits import number
from evaluation.watch import shown

if TYPE_CHECKING:
    from evaluation.population_report import PopulationReport


def sentences(report: PopulationReport) -> list[str]:
    """How full each pool was, on how many days requests were refused, which share, what one more unit was worth, what
    it cost where prices were cleared."""
    return [_sentence(report, row) + _price(report, row) for row in report.pools.iter_rows(named=True)]


def percent(share: float | None) -> str:
    """A share as text.

    >>> percent(0.634), percent(0.0123), percent(0.0001), percent(0.0), percent(None)
    ('63 %', '1.2 %', 'under 0.1 %', '0 %', '–')
    """
    if share is None:
        return "–"
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.{1 if 0 < share < 0.1 else 0}f} %"


def one(unit: str) -> str:
    """A unit in the singular: minutes -> minute."""
    return unit.removesuffix("s") if not unit.endswith("ss") else unit


def _sentence(report: PopulationReport, row: dict[str, Any]) -> str:
    if row["granted"] == 0 and row["refused"] == 0:
        return f"{row['pool']}: nobody asked for any of the {_there(row)}."
    said = f"{percent(row['utilisation'])} of the {_there(row)} was used."
    return f"{row['pool']}: {said} {_refused(report, row)}"


def _price(report: PopulationReport, row: dict[str, Any]) -> str:
    """What a unit cost, where prices were cleared."""
    if not report.cleared:
        return ""
    if row["price_high"] == 0:
        return " Nothing was scarce: its price was 0 throughout."
    low, mean, high = (number(row[name], digits=3) for name in ("price_low", "price", "price_high"))
    said = f" Its price was {mean} {report.catalogue.currency} per {one(row['unit'])} on average, from {low} to {high}."
    if not row["days_short"]:
        return said
    days = f"{row['days_short']} of {_days(row['days'])}"
    return f"{said} On {days} more was asked for than there was even at the highest price the policy knows."


def _there(row: dict[str, Any]) -> str:
    """What a pool had to give."""
    if row["stock"]:
        return f"stock of {shown(row['capacity'])} {row['unit']}"
    return f"{shown(row['capacity'] / row['days'])} {row['unit']} a day"


def _refused(report: PopulationReport, row: dict[str, Any]) -> str:
    unit = one(row["unit"])
    if row["days_exhausted"] == 0:
        return f"No request was refused; one more {unit} would have gone unused."
    share = f"{percent(row['refused_share'])} of the {row['unit']} asked for"
    return f"{_where(report, row)}: {share}. {_worth(report, row)}"


def _where(report: PopulationReport, row: dict[str, Any]) -> str:
    """On which days, and in which regions, requests were refused."""
    regions = report.frame.filter(pl.col("pool") == row["pool"])
    some = regions.filter(pl.col("days_exhausted") > 0).sort("days_exhausted", descending=True, maintain_order=True)
    if regions.height == 1:
        return f"Requests were refused on {row['days_exhausted']} of {_days(row['days'])}"
    where = f"all {some.height}" if some.height == regions.height else f"{some.height} of {regions.height}"
    most = some.row(0, named=True)
    days = f"{most['days_exhausted']} of {_days(row['days'])}"
    if some.height == 1:
        return f"Requests were refused in one of {regions.height} regions ({most['region']}), on {days}"
    return f"Requests were refused in {where} regions, most often in {most['region']}, on {days}"


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def _worth(report: PopulationReport, row: dict[str, Any]) -> str:
    value, unit = row["shadow_value"], one(row["unit"])
    more = f"One more {unit}" if row["stock"] else f"One more {unit} on such a day"
    priced = f"{number(value, digits=3)} {report.catalogue.currency}"
    if value < 0:
        return f"{more} would have lost: {priced}; what was done instead was worth more."
    return f"{more} would have been worth {priced}."
