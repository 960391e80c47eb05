"""A wrong reward model: with right weights its factor moves no mean, with wrong ones it does, and the page says so."""

from __future__ import annotations

import html

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_evaluation_report import QUICK, always, campaign

import evaluation
from envs.errors import InputError
from evaluation.estimators import ESTIMATORS, Inputs
from evaluation.log import Log, log_from_arrays
from evaluation.misspecification import FACTORS, LINES, Difference, Misspecification, misspecification
from evaluation.onestep import dm, dr, ips
from evaluation.report import Report
from evaluation.settings import EvaluationSettings
from evaluation.terms import Terms

C, H = 12, 3
VALUES = st.floats(-5, 5, width=32)
TABLE = arrays(np.float64, (C, H), elements=VALUES)
WEIGHTS = arrays(np.float64, (C, H), elements=st.floats(0.125, 4, width=32))
EIGHTHS = np.array([[1, 2, 5], [4, 3, 1]])  # how often each context's treatments were tried: the propensities, x 8
TRUE = np.array([[1.0, 4.0, 2.0], [3.0, -1.0, 0.5]])  # what they earn
TARGET = np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])


@given(WEIGHTS, TABLE, TABLE, TABLE, st.floats(0, 2), st.sampled_from(["dr", "deviation_dr", "kstep_dr"]))
def test_a_model_times_a_factor_lies_on_the_line(
    ratio: np.ndarray, reward: np.ndarray, q: np.ndarray, v: np.ndarray, factor: float, name: str
) -> None:
    width = 1 if name == "dr" else H
    ratio, reward, q, v = (one[:, :width] for one in (ratio, reward, q, v))

    def said(estimator: str, times: float) -> Terms:
        model = {field: times * (v if field.endswith("v") else q) for field in ("q", "v", "k_q", "k_v")}
        return ESTIMATORS[estimator].terms(
            Inputs(ratio, reward, np.full_like(ratio, 0.9), np.ones_like(ratio) > 0, k=2, **model)
        )

    leg, robust = (said(end, 1.0) for end in LINES[name])
    scaled = said(name, factor)
    assert scaled.estimate() == pytest.approx((1 - factor) * leg.estimate() + factor * robust.estimate(), abs=1e-9)
    np.testing.assert_allclose(
        scaled.influence(), (1 - factor) * leg.influence() + factor * robust.influence(), atol=1e-9
    )


def cells(q: np.ndarray, stated: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A log that holds every outcome exactly as often as it is likely: weight, reward, q, v of 16 rounds."""
    context, treatment = (np.repeat(part, EIGHTHS.ravel()) for part in np.divmod(np.arange(6), 3))
    weight = TARGET[context, treatment] / stated[context, treatment]
    return weight, TRUE[context, treatment], q[context, treatment], (TARGET * q).sum(axis=1)[context]


@given(arrays(np.float64, (2, 3), elements=VALUES), st.floats(0, 2))
def test_with_right_propensities_no_factor_moves_the_expectation(q: np.ndarray, factor: float) -> None:
    weight, reward, logged, policy = cells(q, EIGHTHS / 8)
    truth = (TARGET * TRUE).sum(axis=1).mean()
    assert dr(weight, reward, factor * logged, factor * policy).estimate() == pytest.approx(truth, abs=1e-9)


def test_with_wrong_propensities_it_does_and_the_right_model_alone_is_right() -> None:
    truth, wrong = (TARGET * TRUE).sum(axis=1).mean(), np.full((2, 3), 1 / 3)
    weight, reward, logged, policy = cells(TRUE, wrong)
    found = {f: dr(weight, reward, f * logged, f * policy).estimate() for f in (0.0, 0.5, 1.0, 2.0)}
    assert found[1.0] == pytest.approx(truth)
    assert min(abs(found[f] - truth) for f in (0.0, 0.5, 2.0)) > 0.1


def line_of(leg: Terms, robust: Terms, model_based: bool) -> Misspecification:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(leg.numerator), (200, len(leg.numerator)))

    def difference(terms: Terms) -> Difference:
        draws = np.array([terms.taken(row).estimate() for row in rows])
        return Difference(terms.estimate(), draws, terms.influence())

    return misspecification("p", "x", model_based, (difference(leg), difference(robust)), 0.95)


def test_the_error_of_a_model_is_what_its_weighted_residuals_say() -> None:
    """A model that is too high by .75 everywhere: at factor 1 that is taken off, at 2 twice."""
    weight, reward, logged, policy = (np.tile(one, 40) for one in cells(TRUE + 0.75, EIGHTHS / 8))
    truth = (TARGET * TRUE).sum(axis=1).mean()
    found = line_of(dm(policy), dr(weight, reward, logged, policy), model_based=True)
    assert [found.at(f).value for f in (0.0, 1.0, 2.0)] == pytest.approx([truth + 0.75, truth, truth - 0.75])
    assert found.moved.value == pytest.approx(-0.75)
    assert found.moved.lo < -0.75 < found.moved.hi
    assert found.own == 0.0


@given(st.floats(-3, 3, width=32), st.floats(-3, 3, width=32))
def test_the_sign_turns_where_it_is_said_to(leg: float, robust: float) -> None:
    none = np.zeros(5)
    found = misspecification("p", "x", False, (Difference(leg, none, none), Difference(robust, none, none)), 0.95)
    if found.overturned_at is None:
        ends = leg, 2 * robust - leg
        assert leg == robust or ends[0] * ends[1] > 0
    else:
        assert 0 <= found.overturned_at <= 2
        assert (1 - found.overturned_at) * leg + found.overturned_at * robust == pytest.approx(0, abs=1e-6)


def test_a_model_that_shrinks_to_what_is_said_touches_zero() -> None:
    rng = np.random.default_rng(1)
    terms = dm(2 + rng.normal(size=400))
    found = line_of(terms, terms, model_based=True)
    assert found.shrinks_to is not None
    here = found.at(0.0)
    assert found.shrinks_to * here.value - (here.value - here.lo) == pytest.approx(0)
    assert line_of(dm(rng.normal(size=400) / 100), terms, model_based=True).shrinks_to is None


def coin(seed: int, stated: float) -> Log:
    """Treatment 1 earns 2 and is tried in 3 decisions of 4; the log says: in `stated` of them."""
    rng = np.random.default_rng(seed)
    treatment = (rng.random(1500) < 0.75).astype(np.int64)
    said = np.where(treatment == 1, stated, 1 - stated)
    return log_from_arrays(rng.normal(size=(1500, 1)), treatment, said, 2.0 * treatment + rng.normal(size=1500))


@pytest.mark.parametrize(("stated", "most"), [(0.75, (0, 4)), (0.6, (30, 30))])
def test_wrong_propensities_are_told_from_chance(stated: float, most: tuple[int, int]) -> None:
    """30 logs: with right propensities a model moves more than chance in one of twenty."""
    found = 0
    for seed in range(30):
        log = coin(seed, stated)
        weight, q = (log.treatment == 1) / log.propensity, np.full(1500, 2.0)
        # The model knows the truth; with right propensities it takes noise away, with wrong ones it mends the mean.
        robust = dr(weight, log.margin, 2.0 * log.treatment, q)
        found += line_of(ips(weight, log.margin), robust, model_based=False).beyond_chance
    assert most[0] <= found <= most[1]


def test_a_report_tells_it_and_draws_it() -> None:
    report = evaluation.evaluate(
        campaign(900, 1), {"offer": always(1), "annoy": always(2)}, settings=QUICK, training_log=campaign(900, 2)
    )
    assert report.lead.estimator == "deviation_dr"
    found = {one.policy: one for one in report.misspecifications if one.estimator == "deviation_dr"}
    assert list(found) == ["offer", "annoy"]
    for name, one in found.items():
        own, bare = (report.estimate(name, estimator).difference for estimator in ("deviation_dr", "deviation"))
        assert own is not None
        assert bare is not None
        assert (one.at(1.0).value, one.at(1.0).lo, one.at(1.0).hi) == pytest.approx((own.value, own.lo, own.hi))
        assert one.at(0.0).value == pytest.approx(bare.value)
        assert not one.beyond_chance
    page = html.unescape(report.to_html())
    assert "offer: were the reward model wrong by half" in page
    assert "How wrong would the reward model have to be?" in page
    drawn = report.figure("model").axes[0].get_lines()
    assert sum(len(line.get_xdata()) == len(FACTORS) for line in drawn) == 2


def without_support(settings: EvaluationSettings) -> Report:
    return evaluation.evaluate(campaign(150, 1), {"offer": always(1)}, settings=settings)


def test_a_model_based_lead_says_how_wrong_it_may_be() -> None:
    report = without_support(EvaluationSettings(resamples=200, min_ess=1e6))
    one = next(m for m in report.misspecifications if m.policy == "offer")
    assert (one.estimator, one.model_based, one.own) == ("fqe", True, 0.0)
    own, robust = (report.estimate("offer", name).difference for name in ("fqe", "snpddr"))
    assert own is not None
    assert robust is not None
    assert (one.at(0.0).value, one.at(1.0).value) == pytest.approx((own.value, robust.value))
    assert "offer: the model alone expects" in html.unescape(report.to_html())


def test_an_error_that_no_customer_shows_is_not_measured() -> None:
    nobody = np.full(200, np.nan)
    known = Difference(1.0, np.linspace(0.5, 1.5, 200), np.linspace(-1, 1, 50))
    found = misspecification("p", "fqe", True, (known, Difference(np.nan, nobody, np.zeros(50))), 0.95)
    assert found.at(0.0).value == 1.0
    assert np.isnan([found.at(1.0).value, found.moved.lo]).all()
    assert (found.overturned_at, found.beyond_chance, found.stands) == (None, False, False)


def test_a_lead_without_a_model_has_nothing_to_draw() -> None:
    report = evaluation.evaluate(
        campaign(300, 1, 1), {"offer": always(1)}, settings=QUICK.model_copy(update={"correction": "sn"})
    )
    assert report.lead.estimator == "snips"
    assert [one.estimator for one in report.misspecifications] == ["dm"]
    with pytest.raises(InputError, match="nothing to draw"):
        report.figure("model")
    assert '<table class="figures" data-table="model">' in report.to_html()
