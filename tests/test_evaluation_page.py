"""The report's page: what a reader sees beside the numbers of the record."""

from __future__ import annotations

import html

import numpy as np
import polars as pl
import pytest

import evaluation
from evaluation.digits import number, shown
from evaluation.estimate_tables import estimate_rows
from evaluation.log import Log, log_from_arrays
from evaluation.report import Report
from evaluation.settings import EvaluationSettings

STEPS = 3


def coin(customers: int, seed: int) -> Log:
    """Three decisions between two treatments by a fair coin; treatment 1 earns 1 more."""
    rng = np.random.default_rng(seed)
    n = customers * STEPS
    treatment = rng.integers(0, 2, n)
    labels = np.repeat([f"{seed}-{i}" for i in range(customers)], STEPS)
    observation = rng.normal(size=(n, 1))
    reward = 3.0 + treatment + rng.normal(size=n)
    return log_from_arrays(observation, treatment, np.full(n, 0.5), reward, customer=labels, gamma=1.0)


def offer(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.eye(2)[np.ones(len(mask), dtype=int)]


def report_of(customers: int, simulation: pl.DataFrame | None = None) -> Report:
    settings = EvaluationSettings(resamples=100)
    return evaluation.evaluate(coin(customers, 1), {"offer": offer}, settings=settings, simulation=simulation)


def test_bounds_of_the_simulation_stand_under_their_value() -> None:
    columns = {"policy": ["offer"], "gain": [1.5], "gain_lo": [1.25], "gain_hi": [1.75], "customers": [40]}
    page = report_of(60, pl.DataFrame(columns)).to_html()
    assert "<th>gain</th><th>customers</th>" in page
    assert "gain_lo" not in page
    assert '1.500<br><span class="quiet">1.25 to 1.75</span>' in page


@pytest.mark.parametrize(("customers", "model_based"), [(60, True), (2000, False)])
def test_the_page_says_what_was_booked(customers: int, model_based: bool) -> None:
    """A model's figure for the logging policy is not what the bank earned: the page tells both."""
    found = report_of(customers)
    log = coin(customers, 1)
    booked, page = found.estimate("logged", "pdis").interval, html.unescape(found.to_html())
    assert found.lead.model_based is model_based
    assert booked.value == pytest.approx(log.by_customer(log.reward()).mean())
    assert (f"the model's figure too; booked were {shown(booked)}" in page) is model_based
    assert ("row is what was booked" in page) is not model_based


def test_support_is_listed_decision_by_decision() -> None:
    found = report_of(2000)
    page = found.to_html()
    assert "<th>at decision</th><th>1</th><th>2</th><th>3</th>" in page
    cells = "".join(f"<td>{size:,.1f}</td>" for size in found.supports[1].ess_cumulative)
    assert f"<td>ESS, cumulative</td>{cells}" in page


def test_every_estimate_has_its_row() -> None:
    found = report_of(2000)
    page = found.to_html()
    for name in found.estimators:
        assert f"<td>{shown(found.estimate('offer', name).interval)}</td>" in page


def test_numbers_have_as_many_digits_as_asked_for() -> None:
    assert [number(x, digits=3) for x in (1234.4, 12.345, 0.012345, 0.0)] == ["1,234", "12.3", "0.0123", "0"]
    assert number(float("nan")) == "–"


def test_numbers_next_to_a_power_of_ten_or_to_nothing_are_written_like_their_neighbours() -> None:
    assert [number(x) for x in (0.01, 0.00999999, 0.0100001)] == ["0.01000"] * 3
    assert [number(x) for x in (-1e-9, 4e-7, 0.0)] == ["0"] * 3
    assert number(-1e-9, signed=True) == "+0"
    assert (number(0.000027, signed=True), number(-0.5)) == ("+0.000027", "-0.5000")


def test_an_estimate_that_few_customers_stand_behind_is_marked() -> None:
    """Three coins in a row fall as the policy would have it for one customer in eight: sixty are too few, and one coin
    is not."""
    found = report_of(500)
    rows = {title: size for title, _, _, size in dict(estimate_rows(found))["offer"]}
    whole, single = rows["Trajectory importance sampling"], rows["One-decision deviations, self-normalised"]
    assert whole == f"† {found.supports[1].ess_cumulative[2]:,.0f}"
    assert not single.startswith("†")
    assert rows["Fitted Q evaluation, full horizon (model-based)"] == "–"


def test_of_one_decision_no_support_is_drawn_over_decisions_and_interference_is_named() -> None:
    log = coin(900, 1)
    one = evaluation.evaluate(log.rows(log.step == 0), {"offer": offer}, settings=EvaluationSettings(resamples=100))
    page = one.to_html()
    assert one.data.horizon == 1
    assert "ESS, alone" in page
    assert "ESS, cumulative" not in page
    assert "effective sample size (customers)" not in page  # the picture's axis
    assert "no customer influences another" in page[: page.index("Can this data tell?")]
