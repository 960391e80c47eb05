"""Logs that tell little: evaluated, with the consequence before any value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bad_input_kit import (
    QUICK,
    always,
    arrays,
    even,
)

import evaluation
from evaluation.data_words import data_sentences
from evaluation.digits import number
from evaluation.lead_words import support_sentences
from evaluation.log import Log, log_from_arrays
from evaluation.report import Report


def about(log: Log, policies: dict[str, object], **more: Any) -> tuple[str, Report]:
    """What the page says before any value, without its pictures, which take the time."""
    report: Report = evaluation.evaluate(log, policies, settings=QUICK, **more)
    report.to_json()
    verdicts = [verdict.text for verdict in report.verdicts]
    return " ".join([*verdicts, *support_sentences(report), *data_sentences(report)]), report


def test_one_treatment_for_all_speaks_of_no_other() -> None:
    """However its propensities are; and what would do the same is told apart by nothing, not even by rounding."""
    n = 300
    same = {"treatment": np.ones(n, int), "propensity": np.ones(n), "behaviour": np.eye(3)[np.ones(n, int)]}
    page, report = about(log_from_arrays(**arrays(**same)), {"other": always(2), "same": always(1)})
    assert "Every decision of the log took the same treatment, a: of any other it can tell nothing" in page
    assert "other: nobody can say; 100% of what it would do the log never tried there" in page
    assert report.lead.model_based
    page, report = about(log_from_arrays(**arrays(3 * n, **{k: np.concatenate([v] * 3) for k, v in same.items()})),
                         {"same": always(1), "again": always(1)})  # fmt: skip
    assert not report.lead.model_based
    assert [v.text for v in report.verdicts] == [
        f"{name} is not told apart: +0 per customer against the logging policy "
        "(95% interval for 2 policies together +0 to +0)." for name in ("same", "again")
    ]  # fmt: skip


@pytest.mark.parametrize("whole", [True, False])
def test_certain_choices_are_what_the_log_cannot_speak_beyond(whole: bool) -> None:
    """Every treatment was tried, each where it was certain: weights look well, and say nothing of the other half."""
    treatment = np.arange(300) % 2
    given = arrays(treatment=treatment, propensity=np.ones(300), behaviour=np.eye(3)[treatment] if whole else None)
    given["mask"][:, 2] = False
    page, report = about(log_from_arrays(**given), {"even": even})
    assert "At 100.0% of the decisions the logged treatment was certain, though others were allowed" in page
    assert report.supports[1].ess[0] == 300
    assert report.supports[1].untried == pytest.approx(0.5)
    assert report.lead.model_based


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("amount", [0.0, 5.0])
def test_equal_rewards_tell_nothing_apart(steps: int, amount: float) -> None:
    given = arrays(600, steps, margin=np.full(600 * steps, amount))
    page, report = about(log_from_arrays(**given), {"a": always(1), "even": even})
    assert f"Every customer of the log brought the same, {number(amount * steps)}: no policy can be told" in page
    assert {v.outcome for v in report.verdicts} <= {"undecided", "model only"}
    assert [(report.bounds(name), p.needed) for name, p in zip(("a", "even"), report.powers, strict=True)] == [
        ((0.0, 0.0), np.inf)
    ] * 2


def test_one_customer_has_no_interval_and_few_make_no_claim() -> None:
    for customers, steps in ((1, 1), (1, 4), (40, 2)):
        log = log_from_arrays(**arrays(customers, steps))
        given = arrays(200, steps, customer=np.repeat([f"t{i}" for i in range(200)], steps))
        page, report = about(log, {"a": always(1), "even": even}, training_log=log_from_arrays(**given))
        assert f"even: the log cannot say; customers evaluated: {customers}, fewer than 100." in page
        assert ("One customer is evaluated: nothing tells luck from a difference" in page) == (customers == 1)
        assert np.isnan(report.estimate("even").interval.lo) == (customers == 1)


def test_weights_beyond_any_number_are_no_support() -> None:
    """Twelve decisions in a row that nobody would ever see: their product has no square."""
    given = arrays(300, 12) | {"behaviour": None}
    given["propensity"][:12], given["treatment"][:12] = 1e-16, 1
    page, report = about(log_from_arrays(**given), {"a": always(1)})
    assert report.lead.model_based
    assert report.supports[1].ess_cumulative[-1] == 1
    assert "It is model-based" in page


def test_decisions_at_one_instant_and_models_of_few_are_told() -> None:
    crowded = arrays(300, 3, gap_days=np.tile([0.0, 7.0, 7.0], 300))
    few = arrays(5, 3, customer=np.repeat(["t1", "t2", "t3", "t4", "t5"], 3))
    page, _ = about(log_from_arrays(**crowded), {"even": even}, training_log=log_from_arrays(**few))
    assert "At 33.3% of the decisions the customer was decided again at the same instant" in page
    assert "Models were fitted on 5 customers, fewer than 100" in page
