"""Can the data tell: power, propensities against frequencies, confounding. Truths of small logs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import InputError
from evaluation import sequential
from evaluation.confounding import LARGEST, Weighed, largest_mean, sensitivity, weighed
from evaluation.diagnostics import support
from evaluation.evaluate import evaluate
from evaluation.lead import Lead, choose_lead, single_size
from evaluation.log import Log, log_from_arrays
from evaluation.power import power
from evaluation.propensity_check import check_propensities
from evaluation.settings import EvaluationSettings

A = 4


def log_of(seed: int, n: int, *, lie: float = 1.0, known: bool = False, effect: float = 0.5) -> Log:
    """Uneven treatments, all tried everywhere; lie: factor on the odds of treatment 2 in what is logged."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    scores = np.stack([np.zeros(n), x[:, 0], -1 + 0.5 * x[:, 1], np.full(n, -0.5)], axis=1)
    mu = _softmax(scores)
    treatment = (mu.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, A - 1)
    scores[:, 2] += np.log(lie)
    said = _softmax(scores)
    reward = effect * (treatment == 1) + rng.normal(size=n)
    more: dict[str, Any] = {"behaviour": said} if known else {}
    mask = np.ones((n, A), dtype=bool)
    return log_from_arrays(x, treatment, said[np.arange(n), treatment], reward, mask=mask, **more)


def _softmax(scores: np.ndarray) -> np.ndarray:
    p = np.exp(scores)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("known", [True, False])
def test_a_right_logger_is_not_called_wrong_and_a_wrong_one_is(known: bool) -> None:
    right = [check_propensities(log_of(seed, 4000, known=known)) for seed in range(60)]
    assert sum(bool(check.wrong) for check in right) <= 1  # a thousandth was asked for
    z = np.array([[f.z for f in check.frequencies] for check in right])
    assert np.std(z) == pytest.approx(1.0, abs=0.2)
    for lie in (0.7, 1.4):
        wrong = check_propensities(log_of(1, 4000, lie=lie, known=known)).wrong
        assert "treatment_2" in [f.treatment for f in wrong]
        assert next(f for f in wrong if f.treatment == "treatment_2").apart * (1 - lie) > 0


def test_a_treatment_that_was_hardly_tried_is_not_judged() -> None:
    log = log_of(2, 300)
    rare = replace(log, treatment=np.where(log.treatment == 3, 0, log.treatment))
    assert np.isnan(check_propensities(rare).frequencies[3].z)


def _power(n: int, target: float) -> tuple[float, float, float]:
    """Of a policy that takes treatment 1 with some probability, else what the log did by chance."""
    log = log_of(3, n, known=True)
    assert log.behaviour is not None
    p = (1 - target) * log.behaviour
    p[:, 1] += target
    found = support("some", log, p)
    settings = EvaluationSettings()
    lead = choose_lead([found], log.customers, 10**6, settings)
    ratio = log.padded(p[np.arange(n), log.treatment] / log.propensity, fill=1.0)
    told = power("some", log, ratio, log.reward(), lead, 0.1, 0.95)
    assert told.ess == pytest.approx(found.ess_cumulative[0])
    assert 0 < told.positives < told.ess
    return told.detectable, told.needed, told.largest_share


def test_power_grows_with_customers_and_likeness() -> None:
    small, large, other = _power(1000, 0.3), _power(4000, 0.3), _power(1000, 0.9)
    assert large[0] == pytest.approx(small[0] / 2, rel=0.15)
    assert large[1] == pytest.approx(small[1], rel=0.3)  # customers needed do not depend on those at hand
    assert other[0] > small[0]
    assert 1 / 1000 < small[2] < other[2] < 1


def test_the_detectable_effect_is_detected_about_four_times_in_five() -> None:
    """A log of its own: the detectable difference of two means, simulated."""
    log = log_of(4, 2000)
    rng, n, seen = np.random.default_rng(5), 2000, 0
    same = np.full((n, A), 1.0)
    found = power("logged", log, np.ones((n, 1)), log.reward(), choose_lead(
        [support("logged", replace(log, propensity=np.ones(n)), same)], n, 10**6, EvaluationSettings()
    ), 0.1, 0.95)  # fmt: skip
    for _ in range(400):
        values = rng.normal(found.detectable, log.reward().std(), n)
        seen += values.mean() - 1.96 * values.std() / np.sqrt(n) > 0
    assert seen / 400 == pytest.approx(0.8, abs=0.07)


def _sequences(seed: int, kind: str) -> Log:
    """800 customers, five decisions each, a fifth of them treated: nothing comes of it, customers differ for good."""
    rng, n = np.random.default_rng(seed), 4000
    treatment = (rng.random(n) < 0.2).astype(int)
    earned = 3 + np.repeat(rng.normal(scale=1.5, size=800), 5) + rng.normal(size=n)
    mask, p = np.ones((n, 2), dtype=bool), np.where(treatment == 1, 0.2, 0.8)
    customer = np.repeat(np.arange(800), 5)
    return log_from_arrays(np.zeros((n, 1)), treatment, p, earned, mask=mask, customer=customer, kind=kind, gamma=0.99)


@pytest.mark.parametrize("kind", ["finite", "continuing"])
@pytest.mark.parametrize("decisions", [1, 2])
def test_the_detectable_difference_is_that_of_the_lead(kind: str, decisions: int) -> None:
    """2.8 standard errors of the lead estimate, as many logs show them, and the lead's own effective size."""
    values, detectable = [], []
    lead = Lead("lead", "deviation" if decisions == 1 else "k-step", decisions, False, 100, 100, "x", 2, 9.0, 0.0, 9)
    for seed in range(100):
        log = _sequences(seed, kind)
        ratio = log.padded((log.treatment == 1) / log.propensity, fill=1.0)
        reward, discount = log.padded(log.reward()), log.padded(log.discount)
        told = power("some", log, ratio, log.reward(), lead, 0.1, 0.95)
        terms = (
            sequential.deviation(ratio, reward, discount, log.alive, kind == "continuing")
            if decisions == 1
            else sequential.kstep(ratio, reward, discount, 2)
        )
        values.append(terms.estimate())
        detectable.append(told.detectable)
    assert np.mean(detectable) == pytest.approx(2.8 * np.std(values), rel=0.2)
    found = support("some", log, np.eye(2)[np.ones(len(log), dtype=int)])
    size = found.ess_cumulative[1] if decisions == 2 else single_size(found, 800, kind == "continuing")
    assert told.ess == pytest.approx(size)
    assert told.positives <= told.ess


@given(st.integers(0, 10_000), st.integers(1, 7))
def test_the_largest_mean_is_the_largest_over_all_corners(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    least = rng.uniform(0.1, 1, n)
    most, amount = least + rng.uniform(0, 3, n), rng.normal(size=n)
    corners = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(bool)
    weights = np.where(corners, most, least)
    best = ((weights * amount).sum(axis=1) / weights.sum(axis=1)).max()
    assert largest_mean(least, most, amount) == pytest.approx(best)


def _weighed(log: Log, target: np.ndarray) -> Weighed:
    n = len(log)
    rows = np.arange(n)
    p = target[rows, log.treatment][:, None]
    return Weighed(p, log.propensity[:, None], log.reward(), np.zeros(n, dtype=int), np.ones(1))


def test_bounds_hold_the_truth_when_the_log_lies_within_them() -> None:
    """The log states other odds than it decided by: the true value lies within the bounds of that strength."""
    one = np.tile([0.1, 0.7, 0.1, 0.1], (20_000, 1))
    truth = 0.7 * 0.5
    for lie in (1.5, 0.5):
        log = log_of(6, 20_000, lie=lie)
        found = _weighed(log, one)
        strength = max(lie, 1 / lie) * 1.02
        lo, hi = found.bounds(strength)
        assert lo <= truth <= hi
        at_none = found.bounds(1.0)
        assert at_none[0] == pytest.approx(at_none[1])
        assert lo < at_none[0] < hi


def test_bounds_widen_and_the_overturning_strength_lies_where_they_reach_nothing() -> None:
    log = log_of(7, 5000)
    target = np.tile([0.05, 0.85, 0.05, 0.05], (5000, 1))
    reference = float(log.reward().mean())
    found = sensitivity("one", _weighed(log, target), reference)
    assert (np.diff(found.lo) <= 1e-12).all()
    assert (np.diff(found.hi) >= -1e-12).all()
    assert found.lo[0] > 0
    assert found.overturned_at is not None
    assert 1 < found.overturned_at < LARGEST
    lo, _ = _weighed(log, target).bounds(found.overturned_at)
    assert lo - reference == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("kind", ["one-step", "k-step", "deviation", "pooled"])
def test_without_confounding_the_bounds_are_the_lead_estimate(kind: str) -> None:
    rng = np.random.default_rng(8)
    n, steps = 300, 1 if kind == "one-step" else 4
    propensity, treatment = rng.uniform(0.2, 0.9, n * steps), rng.integers(0, 2, n * steps)
    log = log_from_arrays(
        rng.normal(size=(n * steps, 2)), treatment, propensity, rng.normal(size=n * steps), gamma=0.9,
        customer=np.repeat(np.arange(n), steps), kind="continuing" if kind == "pooled" else "finite",
    )  # fmt: skip
    p, k = rng.uniform(0, 1, len(log)), {"one-step": 1, "k-step": 3}.get(kind, 1)
    lead_kind = "deviation" if kind == "pooled" else kind
    lead = replace(choose_lead([support("x", log, np.full((len(log), 2), 0.5))], n, 0, EvaluationSettings()),
                   kind=lead_kind, decisions=k)  # fmt: skip
    ratio, reward = log.padded(p / log.propensity, fill=1.0), log.padded(log.reward())
    discount = log.padded(log.discount)
    expected = {
        "one-step": lambda: sequential.kstep(ratio, reward, discount, 1),
        "k-step": lambda: sequential.kstep(ratio, reward, discount, 3),
        "deviation": lambda: sequential.deviation(ratio, reward, discount, log.alive),
        "pooled": lambda: sequential.deviation(ratio, reward, discount, log.alive, pooled=True),
    }[kind]()
    mean = weighed(log, p, log.reward(), lead)
    assert mean.bounds(1.0) == pytest.approx((expected.estimate(), expected.estimate()))
    lo, hi = mean.bounds(1.3)
    assert lo < expected.estimate() < hi


def test_a_log_that_always_did_the_same_cannot_be_confounded() -> None:
    log = log_from_arrays(
        np.zeros((50, 1)), np.ones(50, int), np.ones(50), np.arange(50.0), mask=np.ones((50, 2), bool)
    )
    found = sensitivity("same", _weighed(log, np.tile([0.0, 1.0], (50, 1))), 0.0)
    assert found.lo == pytest.approx(found.hi)
    assert found.overturned_at is None


class _Known:
    """Every treatment alike."""

    name = "known"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.full(mask.shape, 1 / A)


class _Bold:
    """A third of its decisions on a treatment that nobody tried."""

    name = "bold"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.tile([1 / 3, 1 / 3, 1 / 3], (len(mask), 1))


def test_what_was_never_tried_is_worth_something_between_the_ends() -> None:
    rng = np.random.default_rng(9)
    treatment = rng.integers(0, 2, 900)
    log = log_from_arrays(
        np.zeros((900, 1)), treatment, np.full(900, 0.5), 3.0 * treatment, mask=np.ones((900, 3), dtype=bool)
    )
    report = evaluate(log, [_Bold()], settings=EvaluationSettings(model="ridge", resamples=100, max_untried=0.5))
    (found,) = report.untried
    assert found.share == pytest.approx(1 / 3)
    value = report.estimate("bold").interval.value
    assert (found.lo, found.hi) == pytest.approx((2 / 3 * value, 2 / 3 * value + 1.0))
    assert "never tried there" in report.to_html()


def test_a_model_based_lead_has_nothing_to_confound() -> None:
    log = log_of(10, 200)
    settings = EvaluationSettings(model="ridge", resamples=100, min_ess=10_000)
    report = evaluate(log, [_Known()], settings=settings)
    assert report.lead.model_based
    assert report.sensitivities == ()
    with pytest.raises(InputError, match="figure == 'confounding'"):
        report.figure("confounding")
