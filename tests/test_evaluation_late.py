"""Outcomes that may still come when the log ends: their share is stated, and what they might change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_kit import decision, event, tables
from hypothesis import given
from hypothesis import strategies as st
from test_evaluation_report import QUICK, always, campaign

import evaluation
from envs.errors import InputError
from evaluation.late import MOST, caught_up, open_windows
from evaluation.reading import read_log


def test_a_window_is_open_where_the_log_ends_before_it() -> None:
    """A finite task of 20 days whose last event comes on day 12: the second window is seen for 5 of 13 days."""
    rows = [decision("a", 0, "letter"), decision("a", 7, "call")]
    log = read_log(tables(rows, [event("a", 12, "converted", 10.0)]), "all")
    assert log.seen_days is not None
    assert log.seen_days.tolist() == [7.0, 5.0]
    assert log.gap_days.tolist() == [7.0, 13.0]
    assert open_windows(log) == 0.5 * len(log)
    np.testing.assert_allclose(caught_up(log, log.reward()), log.reward() + [0.0, 10 * (13 / 5 - 1)])


def test_a_log_that_reaches_every_window_says_nothing() -> None:
    rows = [decision("a", 0, "letter"), decision("a", 7, "call")]
    log = read_log(tables(rows, [event("a", 20, "converted", 10.0)]), "all")
    assert log.seen_days is None
    assert open_windows(log) == 0
    report = evaluation.evaluate(campaign(300, 1), {"offer": always(1)}, settings=QUICK)
    assert 'data-note="late"' not in report.to_html()
    assert "caught_up" not in {e.amount for e in report.estimates}


@given(st.floats(0.0, 1.0), st.floats(-5.0, 5.0))
def test_the_rest_comes_at_the_rate_of_the_beginning_and_never_more_than_ten_times(seen: float, margin: float) -> None:
    log = replace(campaign(10, 1, 1), seen_days=np.full(10, seen), margin=np.full(10, margin))
    times = min(1 / seen, MOST) if seen > 0 else 1.0
    np.testing.assert_allclose(caught_up(log, log.reward()) - log.reward(), margin * (times - 1), atol=1e-9)


def test_the_page_says_what_late_outcomes_and_the_model_change() -> None:
    whole = campaign(900, 1, 1)
    log = replace(whole, margin=whole.margin / 2, seen_days=whole.gap_days / 2)  # everything half seen
    truth = evaluation.evaluate(whole, {"offer": always(1)}, training_log=campaign(900, 2, 1), settings=QUICK)
    report = evaluation.evaluate(log, {"offer": always(1)}, training_log=campaign(900, 2, 1), settings=QUICK)
    found = report.estimate("offer", amount="caught_up").difference
    known = truth.estimate("offer", "snips").difference
    assert found is not None
    assert known is not None
    assert found.value == pytest.approx(known.value, abs=0.25)
    page = report.to_html()
    assert "At 100.0% of the decisions outcomes may still come" in page
    assert report.data.open_windows == 1.0
    assert ("were the reward model wrong by half" in page) == (report.lead.estimator == "dr")


def test_more_days_than_the_window_has_are_refused() -> None:
    with pytest.raises(InputError, match="seen_days"):
        replace(campaign(10, 1, 1), seen_days=np.full(10, 2.0))
