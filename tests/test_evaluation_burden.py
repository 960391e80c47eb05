"""What simulated customers bear, and differences for all of a bank's customers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_evaluation_report import QUICK, always, campaign
from world_kit import small_world

import evaluation
from agents.simple import Random, Silence
from evaluation.simulation import Comparison, Totals, compare


def totals(contacts: np.ndarray, complaints: np.ndarray) -> Totals:
    nothing = np.zeros(len(contacts))
    return Totals(
        nothing, nothing, nothing, nothing, contacts, nothing, complaints, np.zeros((len(contacts), 0)), nothing
    )


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2)), min_size=20, max_size=60))
def test_rates_are_ratios_of_sums_and_quantiles_those_of_customers(rows: list[tuple[int, int]]) -> None:
    contacts, complaints = np.array(rows, float).T
    row = Comparison({"p": totals(contacts, complaints)}, 30, "CNY").burden.row(0, named=True)
    assert row["complaints_per_10k"] == pytest.approx(10_000 * complaints.sum() / contacts.sum())
    assert row["contacts_p95"] == pytest.approx(np.quantile(contacts, 0.95))
    assert row["contacts_p95"] <= row["contacts_p99"] <= row["contacts_most"] == contacts.max()


def test_the_interval_of_a_rate_covers_it() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(300):
        contacts = rng.poisson(6, 400).astype(float)
        row = Comparison({"p": totals(contacts, rng.binomial(contacts.astype(int), 0.05).astype(float))}, 30, "")
        found = row.burden.row(0, named=True)
        inside += found["complaints_per_10k_lo"] <= 500 <= found["complaints_per_10k_hi"]
    assert 0.91 < inside / 300 < 0.98


def test_none_among_few_contacts_is_not_none_at_all() -> None:
    """A true rate of 20 in 10,000 gives no complaint in 500 contacts in a third of the logs: it must be held."""
    few = Comparison({"p": totals(np.full(100, 5.0), np.zeros(100))}, 30, "").burden.row(0, named=True)
    assert (few["complaints_per_10k"], few["complaints_per_10k_lo"]) == (0, 0)
    assert 10_000 * (1 - few["complaints_per_10k_hi"] / 10_000) ** 500 == pytest.approx(
        250, rel=0.02
    )  # a chance of .025


def test_what_a_world_knows_nothing_of_is_missing_and_not_zero() -> None:
    """A world without a head of complaints has none to show, and tells opt-outs all the same."""
    world = small_world()
    heads = {name: head for name, head in world.coefficients.heads.items() if name != "complained"}
    assert len(heads) == len(world.coefficients.heads) - 1
    mute = replace(world, coefficients=world.coefficients.model_copy(update={"heads": heads}))
    row = compare(mute, {"random": Random()}, np.arange(200), 10, seed=0).burden.row(0, named=True)
    assert [row[key] for key in ("complaints_per_10k", "complaints_per_10k_lo", "complaints_per_10k_hi")] == [None] * 3
    assert row["opt_outs_per_10k"] is not None


def test_who_contacts_nobody_has_no_rate() -> None:
    found = compare(small_world(), {"silence": Silence(), "random": Random()}, np.arange(200), 10, seed=0).burden
    assert found["contacts"][0] == found["contacts_most"][0] == 0
    assert found["complaints_per_10k"][0] is None
    assert found["complaints_per_10k"][1] is not None


def test_the_page_shows_what_customers_bear_and_the_difference_for_the_whole_bank() -> None:
    burden = compare(small_world(), {"silence": Silence(), "random": Random()}, np.arange(200), 10, seed=0).burden
    asked = QUICK.model_copy(update={"population": 1_000_000})
    report = evaluation.evaluate(campaign(600, 1, 1), {"offer": always(1)}, settings=asked)
    report = replace(report, burden=burden)
    page, difference = report.to_html(), report.estimate("offer").difference
    assert difference is not None
    assert "What customers bear" in page
    assert "complaints per 10k" in page
    assert "for 1,000,000 customers" in report.verdicts[0].text
    assert f"{difference.value * 1e6:+,.0f}"[:5] in report.verdicts[0].text
    assert report.to_dict()["burden"][0]["complaints_per_10k"] is None
