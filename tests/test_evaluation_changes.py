"""What a policy changes: shares that add up, examples that no reward chose, portraits without what is guarded."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_evaluation_report import WIDTH, always, campaign

import evaluation
from envs.errors import InputError
from envs.tables import Tables, read_tables
from evaluation.changes import Changed, Kinds, changed, chosen_examples
from evaluation.log import Log
from evaluation.portrait import MOST_COLUMNS, MOST_CONTACTS, portraits, product_channel
from evaluation.reading import read_log
from training.configs import SimulateConfig
from training.simulate import simulate

FAST = evaluation.EvaluationSettings(resamples=100, model="ridge")
EACH = Kinds.named(("silence", "offer", "annoy"))
PAIR = Kinds.named(("silence", "contact", "contact"))


def policy_of(log: Log, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(WIDTH), len(log))


def logged(log: Log) -> np.ndarray:
    return np.eye(WIDTH)[log.treatment]


def of(log: Log, probabilities: np.ndarray, kinds: Kinds = EACH, examples: int = 5) -> Changed:
    labels = {"half": np.where(np.arange(log.customers) % 2, "odd", "even")}
    return changed("p", log, probabilities, kinds, labels, examples)


@given(st.integers(0, 50), st.sampled_from([EACH, PAIR]))
def test_every_decision_is_counted_once(seed: int, kinds: Kinds) -> None:
    log = campaign(80, seed)
    p = policy_of(log, seed)
    flow = kinds.flow(log, p, np.ones(len(log), dtype=bool))
    assert flow.sum() == pytest.approx(1)
    found = of(log, p, kinds)
    same = (p @ (kinds.of[:, None] == np.arange(len(kinds.names))))[np.arange(len(log)), kinds.of[log.treatment]]
    assert found.share == pytest.approx(1 - same.mean())
    assert sum(one.share for one in found.changes) == pytest.approx(found.share)
    halves = {one.label: one.share for one in found.groups}
    assert (halves["odd"] + halves["even"]) / 2 == pytest.approx(found.share)


def test_who_does_what_the_log_did_changes_nothing() -> None:
    log = campaign(80, 3)
    found = of(log, logged(log))
    assert (found.share, found.changes, found.examples) == (0.0, (), ())
    assert all(one.most is None for one in found.groups)


def test_another_treatment_of_the_same_kind_is_no_change() -> None:
    log = campaign(80, 3)
    swapped = np.eye(WIDTH)[np.array([0, 2, 1])[log.treatment]]
    assert of(log, swapped, EACH).share > 0.5
    assert (of(log, swapped, PAIR).share, of(log, swapped, PAIR).examples) == (0.0, ())


@given(st.integers(0, 30), st.integers(0, 8))
def test_examples_are_the_middle_ones_and_each_another_customer(seed: int, most: int) -> None:
    log = campaign(60, seed)
    days, start = np.timedelta64(1, "D") * log.step, np.random.default_rng(seed).integers(0, 10**12, log.customers)
    log = replace(log, at=start.astype("datetime64[us]")[log.customer] + days)
    p = policy_of(log, seed)
    best, found = p.argmax(axis=1), list(chosen_examples(log, p, EACH, most))
    assert len({one.customer_id for _, one in found}) == len(found) <= most
    shares = [one.change.share for _, one in found]
    assert shares == sorted(shares, reverse=True)
    for index, (row, one) in enumerate(found):
        before = [earlier.customer_id for _, earlier in found[:index]]
        alike = (log.treatment == log.treatment[row]) & (best == best[row])
        assert one.change.share == pytest.approx(alike.mean())
        times = np.sort(log.at[alike & ~np.isin(log.customer_id, before)])
        assert log.at[row] == times[(len(times) - 1) // 2]
        assert one.probability == p[row].max()


def test_no_reward_chooses_an_example() -> None:
    log = campaign(80, 4)
    p = policy_of(log, 4)
    other = replace(log, margin=-7 * log.margin, cost=log.cost[::-1].copy())
    assert of(log, p).examples == of(other, p).examples != ()


def test_the_page_tells_them_unless_told_not_to() -> None:
    policies = {"offer": always(1)}
    log = campaign(300, 1)
    report = evaluation.evaluate(log, policies, settings=FAST)
    (found,) = report.changed
    assert found.share == pytest.approx((log.treatment != 1).mean())
    page = html.unescape(report.to_html())
    assert f"At {found.share:.1%} of the decisions offer would do something else" in page
    assert len(found.examples) == 2
    assert all(one.customer_id in page for one in found.examples)
    bare = evaluation.evaluate(log, policies, settings=FAST.model_copy(update={"examples": 0}))
    assert bare.changed[0].examples == ()
    said = bare.to_html()
    assert not any(str(name) in said for name in np.unique(log.customer_id))
    assert "speaks of no single customer" in said


@pytest.mark.parametrize("kinds", [["silence"], ["a"] * 4])
def test_kinds_that_do_not_fit_are_refused(kinds: list[str]) -> None:
    with pytest.raises(InputError, match=r"kinds == .*, must name a kind for each of 3 treatments"):
        evaluation.evaluate(campaign(60, 1), {"offer": always(1)}, kinds=kinds, settings=FAST)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    place = tmp_path_factory.mktemp("changes") / "tables"
    simulate(SimulateConfig(world="bank", customers=60, days=40, out=place))
    return read_tables(place)


def test_a_portrait_knows_what_was_known_then_and_leaves_out_what_is_guarded(tables: Tables) -> None:
    log = read_log(tables, "all")
    portrait = portraits(tables, log)
    guarded = {c.meaning for c in tables.schema.columns if c.sensitivity == "special"}
    assert guarded
    for row in range(0, len(log), 97):
        who = portrait(row)
        assert not {trait.meaning for trait in who.traits} & guarded
        assert 0 < len(who.traits) <= MOST_COLUMNS
        mine = (log.customer_id == log.customer_id[row]) & (log.at < log.at[row]) & (log.treatment > 0)
        latest = np.flatnonzero(mine)[np.argsort(log.at[mine], kind="stable")][::-1][:MOST_CONTACTS]
        assert [one.treatment for one in who.contacts] == [log.treatments[log.treatment[k]] for k in latest]
        gone = (log.at[row] - log.at[latest]) / np.timedelta64(1, "D")
        np.testing.assert_allclose([one.days for one in who.contacts], gone)


def test_treatments_are_told_by_product_and_channel(tables: Tables) -> None:
    kinds, catalogue = product_channel(tables.catalogue), tables.catalogue
    assert kinds[0] == "silence"
    both = list(zip(catalogue.product_of.tolist(), catalogue.channel_of.tolist(), strict=True))
    for index, kind in enumerate(kinds):
        assert [other == kind for other in kinds] == [pair == both[index] for pair in both]


def test_examples_of_a_real_log_have_a_portrait(tables: Tables, tmp_path: Path) -> None:
    log = read_log(tables, "all")
    said = np.eye(log.width)[np.zeros(len(log), dtype=int)]
    found = changed("silence", log, said, Kinds.named(product_channel(tables.catalogue)), {}, 3, portraits(tables, log))
    assert len(found.examples) == 3
    assert all(one.portrait is not None and one.chosen == "silence" for one in found.examples)
