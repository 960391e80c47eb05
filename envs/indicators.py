"""What the bank watches: each indicator is one formula over `Counts`. What is undefined (0/0) is None, never 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.special import ndtri, stdtrit

from envs.catalogue import Catalogue
from envs.counts import CONTACT_BINS, Counts, total

PER = 10_000  # contacts, for complaints and opt-outs


class Indicator(NamedTuple):
    """One figure that a bank watches."""

    name: str
    unit: str  # `currency` stands for the catalogue's
    formula: str
    undefined: str  # when there is no value, besides a log without the kinds of events that it needs
    value: Callable[[Counts, Catalogue], float | None]
    needs: tuple[str, ...] = ()
    percent: int | None = None  # of a quantile of contacts per customer


def ratio(above: float, below: float) -> float | None:
    """above / below; None for 0/0, x/0 and what the log does not say (NaN)."""
    return above / below if below and np.isfinite(above) and np.isfinite(below) else None


def features(catalogue: Catalogue, name: str) -> np.ndarray:  # (products + 1,) bool
    """The products with a feature, as a mask over the last axis of `Counts.values`."""
    return np.array([*(p.features.get(name, 0) > 0 for p in catalogue.products), False])


def fee_products(catalogue: Catalogue) -> np.ndarray:  # (products + 1,) bool
    """The products whose income is a fee."""
    return np.array([*(p.income == "fee" for p in catalogue.products), False])


def human_hours(counts: Counts, catalogue: Catalogue) -> float:
    """Effort drawn from pools whose unit is minutes, in hours."""
    return float(counts.effort[[pool.unit == "minutes" for pool in catalogue.pools]].sum()) / 60


def quantile(histogram: np.ndarray, percent: float) -> float | None:
    """The smallest number that at least so many percent of customers do not exceed; the last bin as its number."""
    below = np.cumsum(histogram)
    return float(np.argmax(100 * below >= percent * below[-1])) if below[-1] else None


def quantile_bounds(histogram: np.ndarray, percent: int, confidence: float) -> tuple[float, float]:
    """An interval of a quantile: the quantiles at percent ± z × 100 × sqrt(p (1 − p) / customers).

    Woodruff (1952), Journal of the American Statistical Association 47. NaN where the upper one lies beyond the data.
    """
    p, customers = percent / 100, int(histogram.sum())
    reach = float(ndtri((1 + confidence) / 2)) * np.sqrt(p * (1 - p) / customers) if customers else np.inf
    ends = [quantile(histogram, 100 * share) if 0 < share <= 1 else None for share in (p - reach, p + reach)]
    low, high = (np.nan if end is None else end for end in ends)
    return low, high


def _fees(counts: Counts, catalogue: Catalogue) -> float | None:
    known = fee_products(catalogue)
    return ratio(float(counts.margin[known].sum()), counts.customers) if known.any() else None


def _growth(counts: Counts, catalogue: Catalogue, per: float) -> float | None:
    saving = features(catalogue, "saving")
    return ratio(counts.value("balance_changed", saving), per) if saving.any() else None


def _penetration(counts: Counts, catalogue: Catalogue) -> float | None:
    histogram = counts.channels_histogram
    return ratio(float(histogram @ np.arange(len(histogram))), counts.customers * len(catalogue.channels))


def _per_contacts(kind: str) -> Callable[[Counts, Catalogue], float | None]:
    return lambda counts, catalogue: ratio(PER * counts.number(kind), counts.number("contacted"))


def _margin(counts: Counts) -> float:
    return float(counts.margin.sum())


def _cost(counts: Counts) -> float:
    return counts.contact_cost + counts.benefit_cost


NOBODY, NO_CONTACT = "no customer was observed", "nobody was contacted"
INDICATORS = (
    Indicator("observed_days", "days", "customer-days observed / customers", NOBODY,
              lambda n, c: ratio(n.days, n.customers)),
    Indicator("conversion", "share", "customers who converted at least once / customers", NOBODY,
              lambda n, c: ratio(int(n.conversions_histogram[1:].sum()), n.customers), ("converted",)),
    Indicator("first_order_conversion", "share",
              "customers who held nothing at the start and converted / customers who held nothing at the start",
              "nobody is known to have held nothing",
              lambda n, c: ratio(n.newcomers_converted, n.newcomers), ("converted",)),
    Indicator("repeat_purchase", "share",
              "customers who converted at least twice / customers who converted at least once", "nobody converted",
              lambda n, c: ratio(int(n.conversions_histogram[2:].sum()), int(n.conversions_histogram[1:].sum())),
              ("converted",)),
    Indicator("margin", "currency per customer", "margin / customers", NOBODY,
              lambda n, c: ratio(_margin(n), n.customers)),
    Indicator("fee_income", "currency per customer", "margin of products whose income is a fee / customers",
              "no product's income is a fee", _fees),
    Indicator("cost", "currency per customer", "(cost of contacts + cost of redeemed benefits) / customers", NOBODY,
              lambda n, c: ratio(_cost(n), n.customers)),
    Indicator("customer_contribution", "currency per customer",
              "(margin − cost of contacts − cost of redeemed benefits) / customers", NOBODY,
              lambda n, c: ratio(_margin(n) - _cost(n), n.customers)),
    Indicator("aum_growth", "currency per customer",
              "sum of balance_changed over products that save / customers", "no product saves",
              lambda n, c: _growth(n, c, n.customers), ("balance_changed",)),
    Indicator("aum_growth_rate", "share",
              "sum of balance_changed over products that save / assets under management at the start",
              "no product saves, or the assets at the start are not known",
              lambda n, c: _growth(n, c, n.assets), ("balance_changed",)),
    Indicator("retention", "share", "1 − customers who churned / customers", NOBODY,
              lambda n, c: ratio(n.customers - n.churned, n.customers), ("churned",)),
    Indicator("penetration", "share",
              "pairs of a customer and a channel on which they were active / (customers × channels)", NOBODY,
              _penetration, ("engaged",)),
    Indicator("satisfaction", "1 to 5", "sum of satisfaction_rated / number of satisfaction_rated", "nobody rated",
              lambda n, c: ratio(n.value("satisfaction_rated"), n.number("satisfaction_rated"))),
    Indicator("complaints", "per 10,000 contacts", "10,000 × complained / contacted", NO_CONTACT,
              _per_contacts("complained"), ("complained",)),
    Indicator("opt_outs", "per 10,000 contacts", "10,000 × opted_out / contacted", NO_CONTACT,
              _per_contacts("opted_out"), ("opted_out",)),
    Indicator("annoyance", "opt-outs per customer", "annoyance / customers", "the log lacks a part of annoyance",
              lambda n, c: ratio(n.annoyance, n.customers)),
    Indicator("contacts_mean", "contacts per customer", "contacted / customers", NOBODY,
              lambda n, c: ratio(n.number("contacted"), n.customers)),
    Indicator("contacts_p95", "contacts per customer", "smallest n that 95 % of the customers do not exceed", NOBODY,
              lambda n, c: quantile(n.contacts_histogram, 95), percent=95),
    Indicator("contacts_p99", "contacts per customer", "smallest n that 99 % of the customers do not exceed", NOBODY,
              lambda n, c: quantile(n.contacts_histogram, 99), percent=99),
    Indicator("volume_per_hour", "currency per human hour",
              "sum of balance_changed over all products / (effort of pools in minutes / 60)",
              "no effort of a pool in minutes",
              lambda n, c: ratio(n.value("balance_changed"), human_hours(n, c)), ("balance_changed",)),
)  # fmt: skip


def values_of(counts: Counts, catalogue: Catalogue) -> np.ndarray:  # (indicators,) float64
    """Every indicator in the order of INDICATORS; NaN: undefined."""
    told = (i.value(counts, catalogue) if all(map(counts.records, i.needs)) else None for i in INDICATORS)
    return np.array([np.nan if value is None else value for value in told], np.float64)


def indicators(counts: Counts, catalogue: Catalogue) -> pl.DataFrame:
    """One row per indicator: indicator, value, low, high, unit, formula, note. Undefined is null, and so are bounds."""
    nothing = np.full(len(INDICATORS), np.nan)
    return _frame(counts, catalogue, values_of(counts.check(catalogue), catalogue), nothing, nothing)


def indicators_with_intervals(blocks: Sequence[Counts], catalogue: Catalogue, confidence: float = 0.95) -> pl.DataFrame:
    """The same with low and high. blocks: counts of at least two blocks of customers (`envs.counting.blocks_of`).

    A jackknife over the blocks: variance = (g − 1) / g × sum over the g blocks of (value without the block − mean of
    these)², and Student's t with g − 1 degrees of freedom: Kott (2001), Journal of Official Statistics 17(4). All of
    a customer stands in one block. Quantiles, for which it is not fit, have `quantile_bounds` instead.
    Where a value without some block is undefined, so is the interval.
    """
    whole, count = total(blocks).check(catalogue), len(blocks)
    value = values_of(whole, catalogue)
    without = np.stack([values_of(whole - block, catalogue) for block in blocks])
    variance = (count - 1) / count * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * np.sqrt(variance)
    low, high = value - half, value + half
    for row, indicator in enumerate(INDICATORS):
        if indicator.percent is not None:
            low[row], high[row] = quantile_bounds(whole.contacts_histogram, indicator.percent, confidence)
    return _frame(whole, catalogue, value, low, high)


def _frame(counts: Counts, catalogue: Catalogue, value: np.ndarray, low: np.ndarray, high: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "indicator": [i.name for i in INDICATORS],
            "value": value,
            "low": low,
            "high": high,
            "unit": [i.unit.replace("currency", catalogue.currency) for i in INDICATORS],
            "formula": [i.formula for i in INDICATORS],
            "note": [_note(i, counts, x) for i, x in zip(INDICATORS, value, strict=True)],
        }
    ).with_columns(pl.col("value", "low", "high").fill_nan(None))


def _note(indicator: Indicator, counts: Counts, value: float) -> str | None:
    """Why there is no value, or that it is a lower bound."""
    missing = [kind for kind in indicator.needs if not counts.records(kind)]
    if missing:
        return f"the log does not record {', '.join(missing)}"
    if np.isnan(value):
        return indicator.undefined
    tail = indicator.percent is not None and value == CONTACT_BINS - 1
    return f"{CONTACT_BINS - 1} or more" if tail else None
