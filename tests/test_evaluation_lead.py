"""Support, and the rule that picks the lead estimate by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluation.diagnostics import Support, kish, support
from evaluation.lead import choose_lead
from evaluation.log import log_from_arrays
from evaluation.settings import EvaluationSettings

SETTINGS = EvaluationSettings()


def made(alone: list[float], cumulative: list[float], name: str = "p", untried: float = 0.0) -> Support:
    ones = np.ones(len(alone))
    alive = np.full(len(alone), 1000)
    return Support(name, np.array(alone), np.array(cumulative), alive, ones, ones, untried, 0.0)


@given(arrays(np.float64, 30, elements=st.floats(0, 100)))
def test_the_effective_size_lies_between_one_and_all(weight: np.ndarray) -> None:
    size = float(kish(weight))
    assert size == 0.0 or 1 - 1e-9 <= size <= 30 + 1e-9


def test_effective_sizes_by_hand() -> None:
    log = log_from_arrays(
        np.zeros((4, 1)), np.array([0, 1, 1, 1]), np.full(4, 0.5), np.zeros(4), customer=np.array([0, 0, 1, 1])
    )
    found = support("always 1", log, np.tile([0.0, 1.0], (4, 1)))
    assert found.ess.tolist() == [1.0, 2.0]  # weights 0 and 2, then 2 and 2
    assert found.ess_cumulative.tolist() == [1.0, 1.0]  # weights 0 and 2, then 0 and 4
    assert found.largest_weight.tolist() == [2.0, 2.0]
    assert found.largest_cumulative.tolist() == [2.0, 4.0]
    assert found.untried == 0.0


def test_untried_treatments_are_counted_by_step_in_a_finite_task() -> None:
    rows = {"customer": np.array([0, 0, 1, 1]), "treatments": ("silence", "a", "b")}
    log = log_from_arrays(np.zeros((4, 1)), np.array([0, 1, 1, 0]), np.full(4, 0.5), np.zeros(4), **rows)
    assert support("p", log, np.tile([0.2, 0.3, 0.5], (4, 1))).untried == pytest.approx(0.5)


def test_the_largest_supported_k_leads() -> None:
    lead = choose_lead([made([900, 800, 700, 600], [900, 500, 200, 90])], 1000, 0, SETTINGS)
    assert (lead.estimator, lead.kind, lead.decisions, lead.lost_at) == ("kstep", "k-step", 3, 4)
    assert lead.ess == 200


def test_the_whole_log_leads_where_it_is_supported() -> None:
    lead = choose_lead([made([900, 800], [900, 500])], 1000, 50_000, SETTINGS)
    assert (lead.estimator, lead.decisions, lead.lost_at) == ("kstep_dr", 2, None)


def test_one_decision_at_a_time_where_two_have_no_support() -> None:
    lead = choose_lead([made([180, 170, 190], [180, 14, 1])], 1000, 50_000, SETTINGS)
    assert (lead.estimator, lead.kind, lead.lost_at, lead.ess) == ("deviation_dr", "deviation", 2, 170)


def test_the_policy_with_the_least_support_decides_for_all() -> None:
    wide, narrow = made([900, 900], [900, 800], "wide"), made([150, 150], [150, 20], "narrow")
    lead = choose_lead([wide, narrow], 1000, 0, SETTINGS)
    assert (lead.estimator, lead.policy) == ("deviation", "narrow")


def test_without_support_only_a_model_can_answer() -> None:
    lead = choose_lead([made([60, 50], [60, 5])], 1000, 50_000, SETTINGS)
    assert (lead.estimator, lead.model_based) == ("fqe", True)
    assert choose_lead([made([60], [60])], 1000, 50_000, SETTINGS).estimator == "dm"


def test_untried_treatments_take_the_lead_from_sampling() -> None:
    lead = choose_lead([made([900], [900], untried=0.2)], 1000, 0, SETTINGS)
    assert (lead.estimator, lead.model_based) == ("dm", True)
    assert lead.untried == 0.2


@pytest.mark.parametrize(("rows", "estimator"), [(0, "snips"), (1_999, "snips"), (2_000, "dr")])
def test_one_step_logs_take_a_reward_model_where_there_are_rows_for_it(rows: int, estimator: str) -> None:
    assert choose_lead([made([900], [900])], 1000, rows, SETTINGS).estimator == estimator


def test_the_threshold_grows_with_the_log() -> None:
    assert SETTINGS.threshold(500) == 100
    assert SETTINGS.threshold(100_000) == 5_000


def test_a_continuing_task_counts_single_decisions_of_all_steps() -> None:
    thin = replace(made([60, 50, 55], [60, 5, 1]), ess_pooled=160.0)
    assert choose_lead([thin], 1000, 50_000, SETTINGS).model_based
    lead = choose_lead([thin], 1000, 50_000, SETTINGS, pooled=True)
    assert (lead.kind, lead.ess) == ("deviation", 160.0)
