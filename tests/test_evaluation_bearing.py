"""What customers bear, as the log itself tells: rates of complaints and opt-outs, contacts per customer, shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_kit import CATALOGUE, decision, event, tables

import evaluation
from evaluation.bearing import Bearing
from evaluation.log import Log, log_from_arrays
from evaluation.reading import read_log
from evaluation.settings import EvaluationSettings
from evaluation.shares import shares_of

QUICK = EvaluationSettings(resamples=100, model="ridge", correction="sn")
RATES = np.array([0.3, 0.02, 0.1])  # of complaints in a decision's window; without a contact they answer to none


def log_of(seed: int, customers: int, steps: int = 3, rates: np.ndarray = RATES) -> Log:
    """A third each of silence and two treatments, with complaints at known rates."""
    rng, n = np.random.default_rng(seed), customers * steps
    treatment = rng.integers(0, 3, n)
    complaints = (rng.random(n) < rates[treatment]).astype(float)
    names = np.repeat([f"c{i:05d}" for i in range(customers)], steps)
    return log_from_arrays(
        np.zeros((n, 1)), treatment, np.full(n, 1 / 3), rng.normal(5, 1, n), customer=names, complaints=complaints,
        mask=np.ones((n, 3), bool), kind="continuing",
    )  # fmt: skip


class Always:
    def __init__(self, treatment: int) -> None:
        self.treatment, self.name = treatment, f"always {treatment}"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.eye(3)[np.full(len(mask), self.treatment)]


def borne(log: Log, *treatments: int) -> dict[str, Bearing]:
    found = evaluation.evaluate(log, [Always(t) for t in treatments], settings=QUICK).bearings
    return {one.policy: one for one in found}


def test_a_policy_is_held_to_the_complaints_that_follow_its_own_contacts() -> None:
    inside = 0
    for seed in range(40):
        found = borne(log_of(seed, 600), 0, 1, 2)
        rates = {name: one.complaints for name, one in found.items()}
        assert rates["always 0"] is None  # who contacts nobody has no rate
        for name, truth in (("logged", 600), ("always 1", 200), ("always 2", 1000)):
            rate = rates[name]
            assert rate is not None
            inside += rate.lo <= truth <= rate.hi
    assert 0.9 < inside / 120 < 0.99
    assert found["always 1"].opt_outs is None  # not recorded: missing, not zero


def test_contacts_per_customer_are_counted_as_done_and_expected_of_a_policy() -> None:
    log = log_of(1, 600)
    found = borne(log, 2)
    counts = log.by_customer(log.treatment > 0)
    logged = found["logged"]
    assert logged.contacts == pytest.approx(counts.mean())
    quantiles = [logged.contacts_p95, logged.contacts_p99, logged.contacts_most]
    assert quantiles == [np.quantile(counts, 0.95), np.quantile(counts, 0.99), counts.max()]
    assert found["always 2"].contacts == found["always 2"].contacts_p95 == found["always 2"].contacts_most == 3


def test_none_seen_is_bounded_and_few_customers_say_nothing() -> None:
    nobody = log_of(1, 600, rates=np.zeros(3))
    found = borne(nobody, 1)
    logged, alone = found["logged"].complaints, found["always 1"].complaints
    assert logged is not None
    assert alone is not None
    contacts = (nobody.treatment > 0).sum()
    assert (logged.lo, logged.value, logged.hi) == (0, 0, pytest.approx(10_000 * 3.689 / contacts, rel=1e-3))
    assert alone.hi == pytest.approx(10_000 * 3.689 / (nobody.treatment == 1).sum(), rel=1e-3)
    few = borne(log_of(1, 100), 1)
    assert few["logged"].complaints is not None
    assert few["always 1"].complaints is None


def test_complaints_count_in_the_window_of_the_contact_that_they_follow() -> None:
    rows = [decision("a", 0, "letter"), decision("a", 7, "silence"), decision("b", 0, "call")]
    complained = [event("a", 3, "complained"), event("a", 9, "complained")]
    events = [*complained, event("b", 1, "opted_out"), event("b", 25, "opted_out")]
    source = tables(rows, events)
    log = read_log(source, "all")
    assert log.complaints is not None
    assert log.opt_outs is not None
    assert log.complaints.tolist() == [1, 1, 0]
    assert log.opt_outs.tolist() == [0, 0, 1]  # the task ends on day 20
    task = source.schema.task.model_copy(update={"annoyance_missing": ("complained",)})
    silent = read_log(replace(source, schema=source.schema.model_copy(update={"task": task})), "all")
    assert silent.complaints is None
    assert silent.opt_outs is not None


def test_shares_are_of_all_decisions_by_product_and_by_channel() -> None:
    mix = np.array([[0.5, 0.3, 0.2], [0.0, 0.9, 0.1]])
    found = {(one.by, one.name): one.shares for one in shares_of(mix, CATALOGUE)}
    assert found == {
        ("product", "silence"): (0.5, 0.0),
        ("product", "loan"): (0.5, 1.0),
        ("channel", "silence"): (0.5, 0.0),
        ("channel", "post"): (0.5, 1.0),
    }


def test_the_page_shows_both() -> None:
    report = evaluation.evaluate(log_of(1, 600), [Always(1)], settings=QUICK)
    mix = np.array([[0.5, 0.3, 0.2], [0.0, 0.9, 0.1]])
    page = replace(report, shares=tuple(shares_of(mix, CATALOGUE))).to_html()
    assert 'data-table="bearing"' in page
    assert '<td>100.0%<br><span class="quiet">+50.0 points</span></td>' in page
