"""The whole evaluation: a log in, a report out, in every form that it has."""

from __future__ import annotations

import json
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evaluation
from envs.errors import InputError
from envs.prices import Prices
from evaluation.log import Log, log_from_arrays
from evaluation.report import Report
from evaluation.settings import EvaluationSettings
from evaluation.verdict import told

QUICK = EvaluationSettings(resamples=200)
WIDTH = 3


def campaign(customers: int, seed: int, steps: int = 3) -> Log:
    """Treatment 1 earns 2, treatment 2 annoys by 1; fields: a trait that pays by itself, the price."""
    rng = np.random.default_rng(seed)
    n = customers * steps
    trait = np.repeat(rng.normal(size=customers), steps)
    treatment = rng.integers(0, WIDTH, n)
    labels = np.array([f"{seed}-{i:05d}" for i in range(customers)])
    return log_from_arrays(
        np.stack([trait, np.zeros(n)], axis=1), treatment, np.full(n, 1 / WIDTH),
        5 + trait + 2.0 * (treatment == 1) + rng.normal(size=n), customer=np.repeat(labels, steps), gamma=0.99,
        cost=0.5 * (treatment > 0), annoyance=1.0 * (treatment == 2),
        price_columns={"annoyance": 1}, price_scales={"annoyance": 2.0}, currency="CNY",
    )  # fmt: skip


def always(treatment: int) -> object:
    def policy(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.eye(WIDTH)[np.full(len(observation), treatment)]

    return policy


def careful(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Treatment 2 while annoyance is free, silence once it has a price."""
    return np.eye(WIDTH)[np.where(observation[:, 1] > 0, 0, 2)]


@pytest.fixture(scope="module")
def report() -> Report:
    simulation = pl.DataFrame({"policy": ["offer"], "gain": [1.5], "gain_lo": [1.2], "gain_hi": [1.8]})
    policies = {"offer": always(1), "uniform": lambda o, m: np.full(m.shape, 1 / WIDTH)}
    return evaluation.evaluate(
        campaign(900, 1), policies, training_log=campaign(900, 2), settings=QUICK, simulation=simulation
    )


def test_the_lead_finds_the_truth(report: Report) -> None:
    """Each offer earns 1.5 net over silence, 1 over the log's average; three decisions at gamma .99."""
    assert report.lead.kind == "k-step"
    decisions = report.lead.decisions
    difference = report.estimate("offer").difference
    assert difference is not None
    truth = (7 - 0.5 - (5 + 2 / 3 - 1 / 3)) * sum(0.99**t for t in range(decisions))
    assert abs(difference.value - truth) < 3 * difference.se  # 95 % would fail in one seed of twenty
    assert report.verdicts[0].policy == "offer"
    assert report.verdicts[0].outcome == "better"


def test_the_logging_policy_is_what_was_booked(report: Report) -> None:
    log = campaign(900, 1)
    booked = log.by_customer(log.discount * log.reward()).mean()
    row = report.frame.row(0, named=True)
    assert row["policy"] == "logged"
    assert row["value"] == pytest.approx(booked)
    assert (row["difference"], row["max_weight"], row["ess"]) == (0.0, 1.0, 900.0)


def test_a_policy_equal_to_the_logging_one_has_its_value(report: Report) -> None:
    for estimator in ("pdis", "snpdis", "kstep", "deviation"):
        logged, uniform = (report.estimate(name, estimator).interval.value for name in ("logged", "uniform"))
        assert uniform == pytest.approx(logged)


def test_the_parts_make_up_the_whole(report: Report) -> None:
    for row in report.frame.iter_rows(named=True):
        assert row["margin"] - row["cost"] == pytest.approx(row["value"], rel=0.05)
    offer = report.frame.row(by_predicate=pl.col("policy") == "offer", named=True)
    assert offer["undiscounted"] > offer["value"]


def test_the_same_seed_gives_the_same_report(report: Report) -> None:
    policies = {"offer": always(1), "uniform": lambda o, m: np.full(m.shape, 1 / WIDTH)}
    again = evaluation.evaluate(
        campaign(900, 1), policies, training_log=campaign(900, 2), settings=QUICK, simulation=report.simulation
    )
    assert again.to_json() == report.to_json()
    assert again.to_html() == report.to_html()


class Outline(HTMLParser):
    """Collects tags that are left open and addresses that a page would load."""

    VOID = {"meta", "br", "path", "use", "link", "hr", "img"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v and not v.startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_self_contained_and_verdict_first(report: Report) -> None:
    page = report.to_html()
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.loads == []
    assert page.count("<svg") == 5
    assert "<script" not in page
    order = [page.index(text) for text in ("offer earns more", "The lead estimate", "Every estimate", "Provenance")]
    assert order == sorted(order)
    assert report.data.digest in page
    assert "in simulation" in page


def test_names_are_escaped() -> None:
    found = evaluation.evaluate(campaign(150, 1, 1), {"<b>": always(1)}, settings=QUICK)
    assert "<b>" not in found.to_html()
    assert "<b>" not in found._repr_html_()


def test_json_holds_the_table_and_no_nan(report: Report, tmp_path: Path) -> None:
    place = report.write(tmp_path / "report")
    content = json.loads((place / "report.json").read_text())
    assert sorted(p.name for p in place.iterdir()) == ["report.html", "report.json"]
    assert content["format"] == "nextbest-evaluation/1"
    assert [row["policy"] for row in content["table"]] == ["logged", "offer", "uniform"]
    assert content["table"][1]["difference_lower"] == report.estimate("offer").difference.lower
    assert content["lead"]["model_based"] is False


@pytest.mark.parametrize("kind", ["forest", "support", "mix"])
def test_figures(report: Report, kind: str) -> None:
    figure = report.figure(kind)
    assert figure.axes[0].get_xlabel()


def test_prices_reach_the_policy_and_the_reward() -> None:
    free, dear = (
        evaluation.evaluate(campaign(600, 1, 1), {"careful": careful}, prices=Prices(price), settings=QUICK)
        for price in (0.0, 4.0)
    )
    assert free.mix[1].tolist() == [0, 0, 1]
    assert dear.mix[1].tolist() == [1, 0, 0]
    assert dear.frame["value"][0] == pytest.approx(
        free.frame["value"][0] - 4 * free.estimate("logged", amount="annoyance").interval.value
    )


def test_differences_may_be_taken_to_another_policy() -> None:
    policies = {"offer": always(1), "silence": always(0)}
    found = evaluation.evaluate(campaign(900, 1, 1), policies, reference="silence", settings=QUICK)
    assert found.estimate("silence").difference is None
    difference = found.estimate("offer").difference
    assert difference is not None
    assert difference.lo <= 1.5 <= difference.hi


def test_lost_support_is_said_and_a_model_leads() -> None:
    found = evaluation.evaluate(campaign(120, 1), {"offer": always(1)}, training_log=campaign(600, 2), settings=QUICK)
    assert (found.lead.estimator, found.lead.model_based) == ("fqe", True)
    assert found.verdicts[0].outcome == "model only"
    page = found.to_html()
    assert "loses its support at decision 1 of 3" in page
    assert "model-based" in page


def test_estimated_propensities_are_marked_on_the_page() -> None:
    from dataclasses import replace

    log = replace(campaign(150, 1, 1), propensity_source="estimated", propensity_note="estimated by frequencies")
    page = evaluation.evaluate(log, {"offer": always(1)}, settings=QUICK).to_html()
    assert "does not record propensities" in page
    assert "estimated by frequencies" in page


def test_without_a_training_log_models_are_cross_fitted() -> None:
    found = evaluation.evaluate(campaign(900, 1), {"offer": always(1)}, settings=QUICK)
    assert found.data.training_customers == 0
    assert "cross-fitting" in found.to_html()


def refused(policies: object, **more: object) -> str:
    with pytest.raises(InputError) as fault:
        evaluation.evaluate(campaign(20, 1), policies, settings=QUICK, **more)
    return str(fault.value)


def test_bad_input_is_named() -> None:
    assert "name == 'logged', must be unique" in refused({"logged": always(1)})
    assert "attributes == (2, 1), must have a row for each of 3" in refused([always(1)], attributes=np.ones((2, 1)))


def test_four_policies_on_a_log_of_usual_size_take_seconds() -> None:
    policies = {str(a): always(a) for a in range(WIDTH)}
    started = time.perf_counter()
    evaluation.evaluate(campaign(2_500, 1, 6), policies, training_log=campaign(2_500, 2, 6), settings=QUICK)
    assert time.perf_counter() - started < 30


@given(st.floats(-1e7, 1e7, allow_nan=False))
def test_amounts_are_told_without_powers_of_ten(amount: float) -> None:
    text = told(amount)
    assert "e" not in text
    assert text[0] in "+-"
    assert float(text.replace(",", "")) == pytest.approx(amount, rel=1e-3, abs=1e-6)
