"""Verdicts: what may be claimed, and what is refused in plain words where a number would mislead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from test_evaluation_report import QUICK, WIDTH, always, campaign

import evaluation
from evaluation.lead_words import support_sentences
from evaluation.log import Log
from evaluation.sentences import slice_sentences

ONE = QUICK.model_copy(update={"model": "ridge"})


def without(log: Log, treatment: int) -> Log:
    """The log as if this treatment had never been given, though the rules allow it."""
    kept = log.select(log.by_customer((log.treatment == treatment).astype(float)) == 0)
    return replace(kept, propensity=np.full(len(kept), 1 / (WIDTH - 1)))


def test_a_logger_that_did_not_decide_by_what_it_wrote_supports_no_claim() -> None:
    right = campaign(2000, 1, 1)
    wrong = replace(right, propensity=np.array([0.2, 0.6, 0.2])[right.treatment])
    honest, told = (evaluation.evaluate(log, {"offer": always(1)}, settings=ONE) for log in (right, wrong))
    assert [v.outcome for v in honest.verdicts] == ["better"]
    assert [v.outcome for v in told.verdicts] == ["undecided"]
    assert "its propensities are not those by which was decided" in told.verdicts[0].text


def test_what_the_log_never_tried_nobody_can_say() -> None:
    log = without(campaign(2400, 1, 1), 0)
    report = evaluation.evaluate(log, {"silence": always(0)}, training_log=campaign(900, 2, 1), settings=ONE)
    assert report.lead.model_based
    assert report.verdicts[0].outcome == "undecided"
    assert "nobody can say; 100% of what it would do the log never tried there" in report.verdicts[0].text
    assert "CNY" not in report.verdicts[0].text  # no number that might be read as hope
    lenient = ONE.model_copy(update={"max_guessed": 1.0})
    guessed = evaluation.evaluate(log, {"silence": always(0)}, training_log=campaign(900, 2, 1), settings=lenient)
    assert guessed.verdicts[0].outcome == "model only"


def test_a_models_figure_is_refused_first_and_has_no_total() -> None:
    settings = ONE.model_copy(update={"population": 1_000_000})
    report = evaluation.evaluate(
        campaign(120, 1), {"offer": always(1)}, training_log=campaign(600, 2), settings=settings
    )
    text = report.verdicts[0].text
    assert text.startswith("offer: the log cannot say. A model alone expects")
    assert text.endswith("its own error is not in that interval.")
    assert "1,000,000 customers" not in text


def test_a_verdict_says_for_how_many_decisions_a_policy_is_followed() -> None:
    sequences, single = (
        evaluation.evaluate(
            campaign(900, 1, steps), {"offer": always(1)}, training_log=campaign(900, 2, steps), settings=ONE
        )
        for steps in (6, 1)
    )
    assert sequences.lead.kind == "k-step"
    assert f"followed for {sequences.lead.decisions} decisions" in sequences.verdicts[0].text
    assert "decision" not in single.verdicts[0].text
    few = evaluation.evaluate(campaign(350, 1, 6), {"offer": always(1)}, training_log=campaign(900, 2, 6), settings=ONE)
    assert few.lead.kind == "deviation"
    assert "one decision at a time" in few.verdicts[0].text


def test_a_policy_that_others_take_the_lead_from_is_told_so() -> None:
    log, training = without(campaign(2400, 1, 1), 0), campaign(900, 2, 1)
    offer, silence = {"offer": always(1)}, {"silence": always(0)}
    both = evaluation.evaluate(log, offer | silence, training_log=training, settings=ONE)
    assert both.lead.model_based
    assert "By themselves the log would support offer: evaluate without silence" in " ".join(support_sentences(both))
    alone = evaluation.evaluate(log, offer, training_log=training, settings=ONE)
    assert not alone.lead.model_based
    assert not any("By themselves" in sentence for sentence in support_sentences(alone))


def test_of_whom_nothing_is_claimed_no_group_is_said_to_be_worse_off() -> None:
    """The log's propensities are wrong: that a group surely loses would be no surer than that all gain."""
    right = campaign(3000, 1, 1)
    wrong = replace(right, propensity=np.array([0.2, 0.6, 0.2])[right.treatment])
    labels = {"half": np.where(np.arange(3000) % 2, "odd", "even")}
    honest, told = (
        evaluation.evaluate(log, {"annoy": always(2)}, labels=labels, settings=ONE) for log in (right, wrong)
    )
    assert all(one.worse for one in (*honest.slices, *told.slices))
    assert any("annoy surely annoys every group more" in sentence for sentence in slice_sentences(honest))
    assert slice_sentences(told) == ()
    assert told.verdicts[0].outcome == "undecided"


def test_annoyance_that_nobody_would_notice_does_not_stand_on_the_first_page() -> None:
    log, labels = campaign(3000, 1, 1), {"half": np.where(np.arange(3000) % 2, "odd", "even")}
    faint = replace(log, annoyance=log.annoyance / 200)
    report = evaluation.evaluate(faint, {"annoy": always(2)}, labels=labels, settings=ONE)
    assert all(0 < one.annoyance.lo < 0.01 for one in report.slices)
    assert not any("annoys" in sentence for sentence in slice_sentences(report))
