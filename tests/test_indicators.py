"""Each indicator is the number that a hand computes from the log; what is undefined is null, never 0."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from indicators_kit import CATALOGUE, log

from envs.catalogue import Catalogue
from envs.counting import blocks_of, counts_of
from envs.counts import CONTACT_BINS, KINDS, Counts, total
from envs.errors import InputError
from envs.indicators import INDICATORS, indicators, indicators_with_intervals, quantile, quantile_bounds
from envs.process import CHANNEL_FIGURES, HAND_OVER_FIGURES, process_figures
from envs.tables import Tables

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "indicators.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def small() -> Tables:
    """Four customers over ten days: one buys twice, one once through a call, one is driven away, one only looks in."""
    customers = [("a",), ("b", True), ("c",), ("d",)]
    decisions = [
        ("a", 0.375, "sms-loan"),
        ("b", 1, "call-fund"),
        ("c", 2, "sms-fund"),
        ("d", 9, "silence", "app_session"),
        ("d", 9, "sms-loan", None, "shadow"),
    ]
    events = [
        ("a", 0.375, "contacted", "sms", "loan", None, 0),
        ("a", 0.4, "delivered", "sms", "loan", None, 0),
        ("a", 0.4, "engaged", "sms", "loan", None, 0),
        ("a", 0.4, "converted", "sms", "loan", 50.0, 0),
        ("a", 0.4, "redeemed", "sms", "loan", 5.0, 0),
        ("a", 0.4, "balance_changed", "sms", "loan", 700.0),
        ("a", 5, "converted", None, "deposit", 30.0),
        ("a", 5, "balance_changed", None, "deposit", 1000.0),
        ("a", 6, "satisfaction_rated", None, None, 4.0),
        ("b", 1.1, "delivered", "call", "fund", None, 1),
        ("b", 1.1, "engaged", "call", "fund", None, 1),
        ("b", 3, "converted", "call", "fund", 20.0, 1),
        ("b", 3, "balance_changed", None, "fund", 500.0),
        ("b", 9.5, "balance_changed", None, "deposit", -200.0),
        ("b", 6, "satisfaction_rated", None, None, 2.0),
        ("b", 7, "converted", None, "care", 0.0),
        ("c", 2.1, "complained", "sms", "fund", None, 2),
        ("c", 2.1, "opted_out", "sms", "fund", None, 2),
        ("c", 4, "churned", None, None, 10.0),
        ("d", 1, "app_session"),
    ]
    return log(customers, decisions, events)


def told(frame: pl.DataFrame) -> dict[str, float | None]:
    return dict(frame.select("indicator", "value").iter_rows())


def test_every_indicator_is_what_a_hand_computes(small: Tables) -> None:
    frame = indicators(counts_of(small, assets="euros"), CATALOGUE)
    expected = {
        "observed_days": (10 + 10 + 4 + 10) / 4,
        "conversion": 2 / 4,
        "first_order_conversion": 1 / 3,
        "repeat_purchase": 1 / 2,
        "margin": (50 + 30 + 20 - 10) / 4,
        "fee_income": 20 / 4,
        "cost": (1 + 4 + 1 + 5) / 4,
        "customer_contribution": (90 - 11) / 4,
        "aum_growth": (1000 + 500 - 200) / 4,
        "aum_growth_rate": 1300 / 400,
        "retention": 3 / 4,
        "penetration": 3 / (4 * 4),
        "satisfaction": 3.0,
        "complaints": 10_000 / 3,
        "opt_outs": 10_000 / 3,
        "annoyance": (0.5 + 1 + 0.5 + 5 + 1) / 4,
        "contacts_mean": 3 / 4,
        "contacts_p95": 1.0,
        "contacts_p99": 1.0,
        "volume_per_hour": 2000 / 0.5,
    }
    assert told(frame) == pytest.approx(expected)
    assert frame["unit"].to_list()[4] == "EUR per customer"
    assert frame["note"].null_count() == frame.height


def test_process_figures_are_what_a_hand_computes(small: Tables) -> None:
    frame = process_figures(counts_of(small), CATALOGUE).filter(pl.col("to").is_null())
    found = {(f, c): value for f, c, value in frame.select("figure", "from", "value").iter_rows()}
    sms = {name: found[name, "sms"] for name in ("contacts", "reach", "penetration", "delivery", "engagement")}
    assert sms == {"contacts": 2, "reach": 2 / 4, "penetration": 1 / 4, "delivery": 1 / 2, "engagement": 1 / 2}
    assert (found["connection", "call"], found["conversions", "call"]) == (1.0, 1.0)
    assert (found["complaints", "sms"], found["opt_outs", "call"]) == (5000.0, 0.0)
    assert ("connection", "sms") not in found
    assert ("delivery", "call") not in found
    assert (found["engagement", "branch"], found["penetration", "app"]) == (None, 1 / 4)
    # Both leads, of the message and of the call, were answered by the customers themselves.
    assert [found["leads", c] for c in ("sms", "call", "unasked")] == [1, 1, 0]
    assert [found["answered", c] for c in ("sms", "call", "unasked")] == [1.0, 1.0, None]
    assert found["acceptance", "sms"] is None


def test_nothing_observed_is_undefined_and_not_zero() -> None:
    frame = indicators(replace(Counts.empty(CATALOGUE), recorded=np.ones(len(KINDS), bool)), CATALOGUE)
    assert frame["value"].null_count() == frame.height
    assert frame["note"].null_count() == 0


def test_what_a_log_does_not_record_is_undefined() -> None:
    tables = log([("a",)], [("a", 0, "sms-fund")], annoyance_missing=["complained"], holds=False)
    frame = indicators(counts_of(tables), CATALOGUE)
    value, note = told(frame), dict(frame.select("indicator", "note").iter_rows())
    assert (value["complaints"], note["complaints"]) == (None, "the log does not record complained")
    assert (value["opt_outs"], value["contacts_mean"], value["conversion"]) == (0.0, 1.0, 0.0)
    unknown = {"annoyance", "aum_growth", "first_order_conversion", "volume_per_hour", "penetration", "satisfaction"}
    assert {name for name in unknown if value[name] is None} == unknown
    assert value["retention"] == 1.0  # the reward reads `churned`: it would have been written down
    figures = process_figures(counts_of(tables), CATALOGUE).filter(pl.col("figure") == "delivery")
    assert figures["value"].to_list() == [None, None]


def test_fees_and_savings_need_products_that_have_them(small: Tables) -> None:
    plain = CATALOGUE.model_dump(mode="json")
    plain["products"] = [{**p, "income": "interest", "features": {}} for p in plain["products"]]
    value = told(indicators(counts_of(small, assets="euros"), Catalogue.model_validate(plain)))
    assert [value[name] for name in ("fee_income", "aum_growth", "aum_growth_rate")] == [None] * 3
    assert value["volume_per_hour"] == 4000


def test_powers_of_ten_are_taken_of_a_column_in_log10(small: Tables) -> None:
    assert counts_of(small, assets="tens").assets == counts_of(small, assets="euros").assets == 400
    with pytest.raises(InputError, match="assets == 'segment', must be a column of numbers: age, rating, euros, tens"):
        counts_of(small, assets="segment")


@pytest.mark.parametrize("value", [None, 0.0, 7.0])
def test_a_rating_off_the_scale_is_refused(value: float | None) -> None:
    tables = log([("a",)], [], [("a", 0, "satisfaction_rated", None, None, value)])
    with pytest.raises(InputError, match=r"events.parquet: value.*customer a\) must be 1 to 5"):
        counts_of(tables)


def test_a_quantile_is_the_smallest_number_that_covers_its_share() -> None:
    histogram = np.bincount([0] * 10 + [1] * 85 + [2] * 4 + [9])
    assert [quantile(histogram, p) for p in (10, 11, 95, 96, 99, 100)] == [0, 1, 1, 2, 2, 9]
    assert quantile(np.zeros(4, int), 95) is None


def test_percentiles_in_the_last_bin_are_told_as_a_lower_bound() -> None:
    one = log([("a",)], [("a", n / 100, "sms-care") for n in range(CONTACT_BINS + 3)])
    frame = indicators(counts_of(one), CATALOGUE).filter(pl.col("indicator").str.starts_with("contacts"))
    assert frame["value"].to_list() == [CONTACT_BINS + 3, CONTACT_BINS - 1, CONTACT_BINS - 1]
    assert frame["note"].to_list() == [None, "255 or more", "255 or more"]


def crowd(customers: int, rng: np.random.Generator) -> list[Counts]:
    """Blocks of customers of whom a share converts, with a number of contacts each that goes with it."""
    blocks = []
    for size in np.full(20, customers // 20):
        eager = rng.random(size) < 0.3
        contacts = rng.poisson(3 + 4 * eager)
        counts = Counts.empty(CATALOGUE)
        counts.events[KINDS.index("contacted"), 0, 0] = contacts.sum()
        counts.events[KINDS.index("complained"), 0, 0] = rng.binomial(contacts, 0.05).sum()
        counts.conversions_histogram[:2] = np.bincount(eager, minlength=2)
        counts.contacts_histogram[:] = np.bincount(contacts, minlength=CONTACT_BINS)
        blocks.append(replace(counts, customers=int(size), recorded=np.ones(len(KINDS), bool)))
    return blocks


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = {"conversion": 0.3, "contacts_mean": 4.2, "complaints": 500.0, "contacts_p95": 9.0, "contacts_p99": 12.0}
    hits = dict.fromkeys(truth, 0)
    for _ in range(200):
        frame = indicators_with_intervals(crowd(1000, rng), CATALOGUE)
        rows = {row["indicator"]: row for row in frame.iter_rows(named=True)}
        for name, value in truth.items():
            hits[name] += rows[name]["low"] <= value <= rows[name]["high"]
    shares = {name: count / 200 for name, count in hits.items()}
    assert all(share >= 0.9 for share in shares.values()), shares
    assert all(shares[name] <= 0.985 for name in ("conversion", "contacts_mean", "complaints")), shares


def test_an_interval_has_its_value_inside_and_needs_every_block(small: Tables) -> None:
    frame = indicators_with_intervals(blocks_of(small, 2), CATALOGUE)
    known = frame.filter(pl.col("low").is_not_null())
    assert known.height > 5
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()
    assert told(frame) == told(indicators(total(blocks_of(small, 2)), CATALOGUE))
    same = [replace(Counts.empty(CATALOGUE), customers=5, days=50.0)] * 4
    first = indicators_with_intervals(same, CATALOGUE).row(0)
    assert first[1:4] == (10.0, 10.0, 10.0)


def test_bounds_of_a_quantile_widen_with_confidence_and_end_with_the_data() -> None:
    histogram = np.bincount(np.random.default_rng(1).poisson(20, 5000))
    narrow, wide = (quantile_bounds(histogram, 95, c) for c in (0.5, 0.999))
    assert wide[0] <= narrow[0] <= quantile(histogram, 95) <= narrow[1] <= wide[1]  # type: ignore[operator]
    assert np.isnan(quantile_bounds(np.bincount([1] * 20), 99, 0.95)[1])


def _rows(heading: str) -> list[list[str]]:
    """The rows of the table under a heading of the guide."""
    section = GUIDE.split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    lines = re.findall(r"^\| `(.+) \|$", section, flags=re.MULTILINE)
    return [line.replace("`", "").split(" | ") for line in lines]


def test_the_guide_defines_every_indicator_once_as_the_code_does() -> None:
    expected = [[i.name, i.formula, i.unit, ", ".join(i.needs) or "–", i.undefined] for i in INDICATORS]
    assert _rows("Indicators") == expected
    assert len({i.name for i in INDICATORS}) == len(INDICATORS)


def test_the_guide_defines_every_process_figure_once_as_the_code_does() -> None:
    found = _rows("Per channel")
    assert found == [[f.name, f.formula, f.unit, ", ".join(f.needs) or "–"] for f in CHANNEL_FIGURES]
    assert _rows("Per hand-over") == [[f.name, f.formula.replace("`", ""), f.unit] for f in HAND_OVER_FIGURES]
