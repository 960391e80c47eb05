"""The witness knows the truth: exact values beside simulation, its logs and estimates beside those of users."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from benchmarks.witness import DECISIONS, FLOORS, LOGS
from benchmarks.witness_estimates import Leading
from benchmarks.witness_logs import SETTINGS, Cell, Replication, admitted, leading
from benchmarks.witness_rates import rate
from benchmarks.witness_table import COLUMNS, GUIDE, between, error, estimator_rows, markdown, ranks, regret, replaced
from benchmarks.witness_world import AS_GOOD, CANDIDATES, PRICES, Estimand, Known, lengthened
from envs.errors import InputError
from envs.exact import build
from envs.recorder import Decided, Recorder
from envs.simulator import Simulator
from envs.world import load_world
from evaluation.estimators import ESTIMATORS
from evaluation.evaluate import evaluate
from evaluation.lead import Lead
from evaluation.log import Log
from evaluation.reading import read_log
from evaluation.truth import Study, true_value
from training.gate import read_gate

LONG = Estimand("k-step", 3)


@lru_cache(maxsize=2)
def known(decisions: int = 3) -> Known:
    return Known(build(lengthened(load_world("exact"), decisions)), 0.3)


@lru_cache(maxsize=1)
def log() -> Log:
    return known().log(600, seed=4)


def test_the_preset_is_one_of_its_lengths() -> None:
    preset, long = load_world("exact"), lengthened(load_world("exact"), 12)
    assert lengthened(preset, len(preset.schema.task.days)).schema.task == preset.schema.task
    assert build(long).states > build(preset).states  # it can be counted: rules reach over the longer task, too


@pytest.mark.parametrize("estimand", [Estimand("deviation", 1), Estimand("k-step", 2), LONG])
def test_exact_truths_are_those_of_a_simulation(estimand: Estimand) -> None:
    """Of the mean over simulated customers, within four standard errors."""
    candidate = known().candidates(LONG)["better"]
    study = Study(known().model.world, known().logging, 3, 8, PRICES, np.arange(8_000))
    found = true_value(study, candidate, estimand.kind, estimand.decisions)
    assert abs(found.value - known().truth(candidate.shares, estimand)) < 4 * found.se
    assert found.se < 2


@pytest.mark.parametrize("estimand", [Estimand("deviation", 1), Estimand("k-step", 1), LONG])
def test_one_candidate_is_as_good_and_the_others_are_graded(estimand: Estimand) -> None:
    found = known().candidates(estimand)
    worth = [known().truth(found[name].shares, estimand) for name in CANDIDATES]
    assert worth == sorted(worth, reverse=True)
    assert worth[CANDIDATES.index(AS_GOOD)] == pytest.approx(known().logged(estimand), abs=1e-9)
    assert min(-np.diff(worth)) > 0.05
    assert found[AS_GOOD].shares[1] > 0  # it is another policy, not the logging one


def test_its_logs_are_what_the_tables_of_a_simulation_hold() -> None:
    """Written as canonical tables and read as users read theirs, a log is the same."""
    world, numbers, made = known().model.world, np.arange(50), known().log(50, seed=3)
    recorder, simulator = Recorder(world), Simulator(world, 3, record=True)
    simulator.reset(numbers, prices=PRICES)
    for step in range(3):
        rows = made.step == step
        here, alive = np.zeros(50, np.int64), simulator.state.alive.copy()
        here[alive] = made.treatment[rows]
        decided = Decided(
            numbers[alive], simulator.state.history.day[alive], simulator.state.trigger[alive],
            made.observation[rows], made.mask[rows], made.treatment[rows], made.behaviour[rows],
            simulator.state.prices[alive], "randomised", "digest",
        )  # fmt: skip
        taken = np.full(50, -1)
        taken[alive] = recorder.decide(decided)
        outcome = simulator.step(here, taken)
        assert outcome.events is not None
        recorder.happened(outcome.events, numbers)
    read = read_log(recorder.tables(world.population, 3, numbers, simulator.first_day), "all")
    for name in ("observation", "mask", "treatment", "propensity", "behaviour", "step", "gap_days", "terminated"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name), err_msg=name)
    for name in ("margin", "cost", "annoyance", "effort", "discount"):
        np.testing.assert_allclose(getattr(read, name), getattr(made, name), rtol=1e-5, atol=1e-6, err_msg=name)


def test_its_estimates_are_those_of_an_evaluation() -> None:
    """To the bit: values, intervals, paired differences, bounds of all together, effective sizes."""
    candidates = known().candidates(LONG)
    lean = Leading.of(log(), candidates, PRICES, SETTINGS)
    found = lean.estimates(PRICES, SETTINGS, seed=9)
    report = evaluate(log(), candidates, prices=PRICES, settings=SETTINGS, seed=9)
    assert lean.lead == report.lead
    assert not lean.lead.model_based
    together = {one.policy: one.lower for one in report.together}
    for name in CANDIDATES:
        whole = report.estimate(name)
        assert (found[name].value, found[name].difference) == (whole.interval, whole.difference)
        assert (found[name].together, found[name].ess) == (together[name], report.support(name)[0])
        assert found[name].positives == next(one.positives for one in report.powers if one.policy == name)


def test_the_candidate_is_as_good_for_the_lead_of_the_very_log() -> None:
    found, made_for = leading(known(), log(), LONG)
    assert (made_for.kind, made_for.decisions) == (found.lead.kind, found.lead.decisions)


def test_the_gate_admits_by_bound_and_sample_only_what_is_measured() -> None:
    lean = Leading.of(log(), known().candidates(LONG), PRICES, SETTINGS)
    said = [lean.estimates(PRICES, SETTINGS, seed=9)[name] for name in CANDIDATES]
    bounds = np.array([1.0, 0.0, -1.0, np.nan, 0.1])
    lax, strict = (read_gate().model_copy(update={"min_positives": least}) for least in (0.0, 30.0))
    enough = [one.ess >= 100 and b > 0 for one, b in zip(said, bounds, strict=True)]
    assert admitted(said, lean.lead, bounds, lax).tolist() == enough
    earned = [one.positives >= 30 for one in said]
    assert admitted(said, lean.lead, bounds, strict).tolist() == [a and b for a, b in zip(enough, earned, strict=True)]
    model = Lead("fqe", "model", 3, True, 100.0, 20.0, "better", 1, 12.0, 0.0, 900)
    assert not admitted(said, model, np.ones(5), read_gate()).any()


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_rate_is_the_exact_binomial_one(counted: tuple[int, int]) -> None:
    hits, logs = counted
    found = rate(np.arange(logs) < hits)
    exact = binomtest(hits, logs).proportion_ci(0.95, "exact")
    assert (found.lo, found.hi) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_policies_that_always_agree_count_as_one() -> None:
    alone = np.arange(40) < 37
    assert rate(np.tile(alone[:, None], 5)) == rate(alone)
    shuffled = np.random.default_rng(0).permuted(np.tile(alone[:, None], 5), axis=0)
    assert rate(shuffled).lo > rate(alone).lo  # those that do not agree say more


def _replication(value: list[float]) -> Replication:
    truth, none = np.array([5.0, 4.0, 3.0, 2.0, 1.0]), np.zeros(5, bool)
    lead = Lead("snips", "one-step", 1, False, 100.0, 500.0, "better", None, None, 0.0, 900)
    return Replication(lead, 2.0, truth, np.array(value), none, none, np.zeros(5), none, none, True)


def test_error_ranks_and_regret_by_hand() -> None:
    right, wrong = _replication([5, 4, 3, 2, 1]), _replication([1, 2, 3, 4, 7])
    assert (error([right]), ranks([right]), regret([right])) == (0.0, pytest.approx(1.0), 0.0)
    assert error([wrong]) == pytest.approx(np.sqrt((4 + 1 + 0 + 1 + 9) / 5))  # shares of 2: 2, 1, 0, 1, 3
    assert (ranks([wrong]), regret([wrong])) == (pytest.approx(-1.0), 2.0)  # 5 is missed for 1, of 2


def _cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_guide_holds_the_table_that_the_code_defines() -> None:
    head, _, *rows = _cells(between(GUIDE.read_text(encoding="utf-8"), "candidates"))
    asked = [Cell(d, f, n).named() for d in DECISIONS for f in FLOORS for n in LOGS]
    assert head == [*asked[0], *COLUMNS]
    assert [row[:3] for row in rows] == [list(cell.values()) for cell in asked]
    assert all(re.fullmatch(r"–|\d+ \[\d+, \d+\]", cell) for row in rows for cell in row[7:])
    head, _, *rows = _cells(between(GUIDE.read_text(encoding="utf-8"), "estimators"))
    none = {"error": 0.0, "covered": 0.0, "lo": 0.0, "hi": 0.0}
    assert head == list(estimator_rows({d: {"dm": none} for d in DECISIONS})[0])
    assert {row[0] for row in rows} == set(ESTIMATORS) - {"mips"}  # which needs groups of treatments


def test_a_table_is_replaced_between_its_markers_alone() -> None:
    text = "# A\n<!-- witness: candidates -->\nold\n<!-- end of candidates -->\nrest\n"
    found = replaced(text, "candidates", markdown([{"a": "1", "b": "2"}]))
    assert between(found, "candidates") == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert (found.startswith("# A\n<!--"), found.endswith("-->\nrest\n")) == (True, True)
    with pytest.raises(InputError, match="once each"):
        between("no markers", "candidates")
