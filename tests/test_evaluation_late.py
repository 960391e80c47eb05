"""Outcomes that may still come when the log ends: their share is stated, and what they might change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from evaluation_kit import START, decision, event, schema, tables
from hypothesis import given
from hypothesis import strategies as st
from test_evaluation_report import QUICK, always, campaign

import evaluation
from envs.errors import InputError
from envs.schema import Schema
from evaluation.late import MOST, caught_up, open_windows
from evaluation.reading import read_log
from evaluation.sentences import late_sentences


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


def test_a_schema_may_say_until_when_a_log_is_complete() -> None:
    """The same log with its last event on day 12: that nothing came until day 20 is known, or until day 14 only."""
    rows, events = [decision("a", 0, "letter"), decision("a", 7, "call")], [event("a", 12, "converted", 10.0)]
    for day, seen in ((20, None), (14, [7.0, 7.0]), (3, [7.0, 5.0])):
        source = tables(rows, events)
        task = source.schema.task.model_copy(update={"observed_until": START + timedelta(days=day)})
        log = read_log(replace(source, schema=source.schema.model_copy(update={"task": task})), "all")
        assert (None if log.seen_days is None else log.seen_days.tolist()) == seen


def test_what_a_schema_does_not_say_is_not_written_and_what_it_says_comes_back() -> None:
    """Digests of worlds and tables that were made before stay what they were."""
    plain = schema()
    assert "observed_until" not in plain.model_dump()["task"]
    said = plain.model_dump(mode="json") | {
        "task": plain.model_dump(mode="json")["task"] | {"observed_until": "2026-01-21"}
    }
    again = Schema.model_validate(said)
    assert again.task.observed_until == START + timedelta(days=20)
    assert Schema.model_validate(again.model_dump(mode="json")) == again


def test_a_conclusion_that_late_outcomes_would_turn_stands_on_the_first_page() -> None:
    """What was tried late is seen by a tenth: what it earned in that does not show, all of it would."""
    whole = campaign(900, 1, 1)
    late = np.where(whole.treatment == 1, 0.2, 1.0)
    log = replace(whole, margin=whole.margin * late, seen_days=whole.gap_days * late)
    turned = evaluation.evaluate(log, {"offer": always(1)}, settings=QUICK)
    assert turned.verdicts[0].outcome == "worse"
    assert "conclusions would be others: offer +" in late_sentences(turned)[0]
    half = replace(whole, margin=whole.margin * 0.9, seen_days=whole.gap_days * 0.9)
    assert (
        "No conclusion would be another"
        in late_sentences(evaluation.evaluate(half, {"offer": always(1)}, settings=QUICK))[0]
    )


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
