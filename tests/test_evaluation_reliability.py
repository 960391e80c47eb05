"""Reliability of estimated propensities: intervals hold the truth, a model too sure is caught, parts agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import evaluation
from envs.errors import InputError
from evaluation.adding import added
from evaluation.language import speaking
from evaluation.log import Log, log_from_arrays
from evaluation.propensity import estimate_propensity
from evaluation.propensity_models import over_allowed
from evaluation.reliability import BINS, Binned, Reliability, bins_of, counted_by_cell, judged
from evaluation.scaling import Scaling
from evaluation.shards import divided

QUICK = evaluation.EvaluationSettings(resamples=100, model="ridge")


def blind(customers: int, decisions: int, seed: int, sure: float = 1.0) -> tuple[Log, np.ndarray]:
    """A log whose propensities were dropped, with its true distributions; sure: 1 / temperature of what is stated."""
    rng = np.random.default_rng(seed)
    n = customers * decisions
    observation = rng.normal(size=(n, 2))
    mask = np.ones((n, 3), dtype=bool)
    mask[:, 2] = rng.random(n) < 0.6
    score = np.stack([np.zeros(n), observation[:, 0], observation[:, 1] - 1], axis=1)
    true = over_allowed(np.exp(score), mask)
    treatment = (true.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    said = Scaling(1 / sure, np.zeros(3)).of(true)
    log = log_from_arrays(
        observation, treatment, said[np.arange(n), treatment], rng.normal(treatment.astype(float)), mask=mask,
        customer=np.repeat(np.arange(customers), decisions), treatments=("silence", "offer", "call"),
        propensity_source="estimated", propensity_note="estimated by hand", estimated=said.astype(np.float32),
    )  # fmt: skip
    return log, true


def always(a: int):  # type: ignore[no-untyped-def]
    def policy(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return over_allowed(np.eye(3)[np.full(len(mask), a)] + 1e-3, mask)

    return policy


def reliability(*logs: Log) -> Reliability:
    counts = [counted_by_cell(log) for log in logs]
    bins = bins_of(np.sum([one for one in counts if one is not None], axis=0))
    return judged(added([Binned.of(log, bins) for log in logs]), logs[0].treatments)


def test_a_bin_is_worked_out_by_hand() -> None:
    said = np.array([[0.75, 0.25]] * 8, dtype=np.float32)
    log = log_from_arrays(
        np.zeros((8, 1)), np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.full(8, 0.5), np.zeros(8),
        treatments=("silence", "offer"), propensity_source="estimated", estimated=said,
    )  # fmt: skip
    found = reliability(log)
    low, high = (one for one in found.bins if one.treatment is None)
    assert (low.pairs, low.stated, low.chosen.value) == (8, 0.25, 0.5)
    assert (high.pairs, high.stated, high.chosen.value) == (8, 0.75, 0.5)
    assert found.error == 0.25
    reach = 1.959964 * np.sqrt(2.0) / 8  # sum of (y - p - d)^2: eight times a quarter, more than eight times 3/16
    assert low.chosen.hi == pytest.approx(0.5 + reach)
    assert {one.treatment for one in found.bins} == {None, "silence", "offer"}


def test_bins_hold_about_as_many_pairs_each() -> None:
    found = reliability(blind(4_000, 1, 0)[0])
    counts = [one.pairs for one in found.bins if one.treatment is None]
    assert len(counts) == BINS
    assert max(counts) < 1.1 * min(counts)


def test_a_decision_without_a_choice_is_left_out() -> None:
    said = np.array([[1.0, 0.0], [0.5, 0.5]], dtype=np.float32)
    mask = np.array([[True, False], [True, True]])
    log = log_from_arrays(np.zeros((2, 1)), np.zeros(2, dtype=int), np.array([1, 0.5]), np.zeros(2), mask=mask,
                          propensity_source="estimated", estimated=said)  # fmt: skip
    assert sum(one.pairs for one in reliability(log).bins if one.treatment is None) == 2


def test_intervals_hold_the_truth_nineteen_times_in_twenty_and_a_right_model_is_not_called_wrong() -> None:
    held, alarms, all_bins = 0, 0, 0
    for seed in range(60):
        log, true = blind(300, 3, seed)
        found = reliability(log)
        alarms += bool(found.wrong)
        for one in found.bins:  # stated is the truth, so the mean stated is what is to be held
            held += one.chosen.lo <= one.stated <= one.chosen.hi
            all_bins += 1
        assert np.abs(true - log.estimated).max() < 1e-6
    assert 0.94 <= held / all_bins <= 0.985  # conservative where pairs of one decision share a bin
    assert alarms <= 1


def test_customers_who_repeat_themselves_widen_the_intervals() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2, 400)
    fields = {"treatments": ("silence", "offer"), "propensity_source": "estimated"}
    several = log_from_arrays(
        np.zeros((4_000, 1)), np.repeat(one, 10), np.full(4_000, 0.5), np.zeros(4_000),
        customer=np.repeat(np.arange(400), 10), estimated=np.full((4_000, 2), 0.5, dtype=np.float32), **fields,
    )  # fmt: skip
    alone = replace(several, customer=np.arange(4_000), step=np.zeros(4_000, dtype=np.int64))
    wide, narrow = (reliability(log).bins[-1].chosen for log in (several, alone))
    assert (wide.hi - wide.lo) / (narrow.hi - narrow.lo) == pytest.approx(np.sqrt(10), rel=0.02)


def test_an_estimated_model_passes_and_one_that_is_too_sure_is_said_on_the_page() -> None:
    for sure, wrong in ((1.0, False), (2.0, True)):
        log, _ = blind(2_500, 1, 1, sure)
        report = evaluation.evaluate(log, {"offer": always(1)}, settings=QUICK)
        assert report.reliability is not None
        assert bool(report.reliability.wrong) == wrong
        page = report.to_html()
        assert ("not those by which was decided" in page) == wrong
        assert "Are the estimated propensities right?" in page
        assert report.to_dict()["reliability"]["bins"][0]["wrong"] == report.reliability.bins[0].wrong
        assert report.reliability.error > report.reliability.chance if wrong else report.reliability.error < 0.02


def test_a_fitted_model_mends_what_was_too_sure() -> None:
    log, _ = blind(6_000, 1, 2)
    other, _ = blind(6_000, 1, 3)
    data = (log.observation, log.mask, log.treatment, log.step, log.customer_id)
    model = estimate_propensity(*data, np.random.default_rng(0))
    said = model.distribution(other.observation, other.mask, other.step)
    found = reliability(replace(other, estimated=said.astype(np.float32)))
    assert found.wrong == ()
    assert found.error < 2 * found.chance


def test_a_log_in_parts_says_the_same() -> None:
    log, _ = blind(900, 2, 4, sure=1.6)
    other, _ = blind(500, 2, 5)
    other = replace(other, customer_id=np.char.add("t", other.customer_id))
    found = [
        evaluation.evaluate(held, {"offer": always(1)}, settings=QUICK, training_log=other).reliability
        for held in (log, divided(log, [100, 650]))
    ]
    one, parts = found
    assert one is not None
    assert parts is not None
    assert [b.wrong for b in one.bins] == [b.wrong for b in parts.bins]
    numbers = [[(b.pairs, b.stated, b.chosen.value, b.chosen.lo, b.chosen.hi) for b in r.bins] for r in (one, parts)]
    np.testing.assert_allclose(*numbers, rtol=1e-9)
    assert parts.error == pytest.approx(one.error)


def test_logged_propensities_have_no_reliability() -> None:
    log, _ = blind(300, 1, 6)
    report = evaluation.evaluate(replace(log, propensity_source="logged", estimated=None), {"offer": always(1)},
                                 settings=QUICK)  # fmt: skip
    assert report.reliability is None
    assert "Are the estimated propensities right?" not in report.to_html()
    with pytest.raises(InputError, match="figure == 'reliability'"):
        report.figure("reliability")


def test_the_sentence_is_said_in_chinese() -> None:
    from evaluation.reliability_page import reliability_sentences

    report = evaluation.evaluate(blind(1_500, 1, 7, 2.5)[0], {"offer": always(1)}, settings=QUICK)
    with speaking("zh"):
        (said,) = reliability_sentences(report)
    assert "估计的倾向概率与实际决策不符" in said
