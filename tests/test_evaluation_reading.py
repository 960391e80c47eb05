"""Reading a log: what counts for which decision, who belongs to which part, and what is estimated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_kit import CATALOGUE, decision, event, tables

from envs.errors import InputError
from envs.prices import Prices
from envs.split import is_test
from envs.tables import write_tables
from evaluation.reading import read_log

TWO = [decision("a", 0, "letter"), decision("a", 7, "call")]


def test_a_decision_earns_what_happens_until_the_next_one() -> None:
    happened = [
        event("a", -1, "converted", 1000.0),  # before anything was decided
        event("a", 0, "converted", 500.0),  # at the first decision's own instant: not after it
        event("a", 3, "converted", 10.0),
        event("a", 7, "redeemed", 4.0),  # at the second decision's instant: belongs to the first
        event("a", 8, "converted", 30.0),
        event("a", 20, "cancelled", 5.0),  # at the end: still inside
        event("a", 20.5, "converted", 9000.0),
        event("a", 2, "delivered"),
    ]
    log = read_log(tables(TWO, happened), "all")
    assert log.margin.tolist() == [10.0, 25.0]
    assert log.cost.tolist() == [4.0 + 1.0, 2.0]
    assert log.effort.tolist() == [[0.0], [3.0]]
    assert log.gap_days.tolist() == [7.0, 13.0]
    assert log.terminated.tolist() == [False, True]
    assert log.treatment.tolist() == [1, 2]


def test_annoyance_is_of_contacts_under_pressure_and_of_events() -> None:
    log = read_log(tables(TWO, [event("a", 8, "opted_out"), event("a", 9, "complained")]), "all")
    assert log.annoyance == pytest.approx([0.1 * 1, 0.1 * 11 + 1 + 5])


def test_the_reward_is_priced_as_logged_or_as_asked() -> None:
    log = read_log(tables(TWO, [event("a", 8, "converted", 30.0)]), "all")
    assert log.reward() == pytest.approx([-1 - 0.1, 30 - 2 - 0.5 * 3 - 1.1])
    assert log.reward(Prices(10.0, (1.0,))) == pytest.approx([-1 - 1, 30 - 2 - 3 - 11])
    shown = log.observation_at(Prices(10.0, (1.0,)))
    assert shown[0, log.price_columns["annoyance"]] == 1.0
    assert shown[0, log.price_columns["calls"]] == pytest.approx(np.log(26) / np.log(101))  # a quarter of its range


def test_a_continuing_task_ends_with_its_window_and_does_not_terminate() -> None:
    happened = [event("a", 16.9, "converted", 1.0), event("a", 17.1, "converted", 100.0)]
    log = read_log(tables(TWO, happened, "continuing"), "all")
    assert log.margin.tolist() == [0.0, 1.0]
    assert log.gap_days.tolist() == [7.0, 10.0]
    assert log.terminated.tolist() == [False, False]
    assert log.discount == pytest.approx([1.0, 0.9**7])


def test_churn_terminates_a_continuing_task() -> None:
    log = read_log(tables(TWO, [event("a", 9, "churned")], "continuing"), "all")
    assert log.terminated.tolist() == [False, True]


def many(n: int, **more: object) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    names = ("silence", "letter", "call")
    return [decision(f"c{i:03d}", day, names[rng.integers(0, 3)], **more) for i in range(n) for day in (0.0, 7.0)]


def test_the_parts_share_no_customer_and_follow_the_hash(tmp_path: Path) -> None:
    source = tables(many(60), [])
    write_tables(source, tmp_path)
    train, test, everyone = (set(read_log(tmp_path, part).customer_id) for part in ("train", "test", "all"))
    assert not train & test
    assert train | test == everyone
    assert test == {c for c in everyone if is_test([str(c)], source.schema.split)[0]}


def test_rows_are_sorted_by_customer_and_time() -> None:
    log = read_log(tables(many(20)[::-1], []), "all")
    assert (np.diff(log.customer) >= 0).all()
    assert log.step.tolist() == [0, 1] * 20
    assert (log.customer_id[::2] == log.customer_id[1::2]).all()


def test_an_assignment_keeps_whole_customers() -> None:
    rows = many(10)
    for row in rows[:2]:
        row["assignment"] = "champion"
    rows[2]["assignment"] = "champion"  # was randomised only later
    log = read_log(tables(rows, []), "all", assignment="randomised")
    assert set(log.customer_id) == {f"c{i:03d}" for i in range(2, 10)}
    with pytest.raises(InputError, match="assignment == 'holdout', must be that of every decision"):
        read_log(tables(rows, []), "all", assignment="holdout")


def test_missing_propensities_are_estimated_and_marked() -> None:
    log = read_log(tables(many(400, propensity=None), []), "all")
    assert log.propensity_source == "estimated"
    assert "frequencies per step" in log.propensity_note
    assert log.propensity == pytest.approx(np.full(len(log), 1 / 3), abs=0.1)
    logged = read_log(tables(many(20), []), "all")
    assert (logged.propensity_source, logged.propensity_note) == ("logged", "")


def test_a_missing_mask_allows_everything_and_a_logged_one_is_kept() -> None:
    rows = [decision("a", 0, "letter", mask=[True, True, False]), decision("a", 7, "call")]
    log = read_log(tables(rows, []), "all")
    assert log.mask.tolist() == [[True, True, False], [True, True, True]]
    assert log.treatments == CATALOGUE.treatment_ids


def test_logged_distributions_are_read_where_all_are_there() -> None:
    rows = [decision("a", 0, "letter", probabilities=[0.25, 0.5, 0.25])]
    behaviour = read_log(tables(rows, []), "all").behaviour
    assert behaviour is not None
    assert behaviour.tolist() == [[0.25, 0.5, 0.25]]
    assert read_log(tables(rows + [decision("b", 0, "call")], []), "all").behaviour is None
