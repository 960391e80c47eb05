"""Slices: a group that loses is found, groups that do not are left in peace, labels are those of the first decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from envs.errors import InputError
from envs.tables import read_tables
from evaluation.evaluate import evaluate
from evaluation.log import Log, log_from_arrays
from evaluation.names import Names
from evaluation.reading import customer_labels, read_log
from evaluation.report import Report
from evaluation.sentences import slice_sentences, told_apart
from evaluation.settings import EvaluationSettings
from evaluation.slices import Sliced, slices
from evaluation.terms import mean_of
from training.configs import SimulateConfig
from training.simulate import simulate


class Call:
    """Contacts nine customers in ten."""

    name = "call"

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.tile([0.1, 0.9], (len(mask), 1))


def log_of(seed: int, n: int, harm: float) -> tuple[Log, dict[str, np.ndarray]]:
    """A contact earns 1, in the south `harm` less; it annoys by .2, the old by .6."""
    rng = np.random.default_rng(seed)
    south, old = rng.random(n) < 0.3, rng.random(n) < 0.2
    treatment = rng.integers(0, 2, n)
    reward = treatment * (1.0 - harm * south) + rng.normal(0, 1, n)
    annoyance = treatment * (0.2 + 0.4 * old)
    log = log_from_arrays(
        np.zeros((n, 1)), treatment, np.full(n, 0.5), reward, mask=np.ones((n, 2), bool), annoyance=annoyance
    )
    return log, {"region": np.where(south, "south", "north"), "old": np.where(old, "1", "0")}


def report_of(seed: int, harm: float) -> Report:
    log, labels = log_of(seed, 4000, harm)
    return evaluate(log, [Call()], labels=labels, settings=EvaluationSettings(model="ridge", resamples=100))


def test_a_group_that_loses_stands_on_the_first_page() -> None:
    report = report_of(0, harm=2.5)
    found = {(one.dimension, one.label): one for one in report.slices}
    assert set(found) == {("region", "north"), ("region", "south"), ("old", "0"), ("old", "1")}
    south, north = found["region", "south"], found["region", "north"]
    assert south.gain.lo < -1.5 * 0.4 < south.gain.hi < 0  # .4 contacts more than the log
    assert north.gain.lo < 0.4 < north.gain.hi
    assert found["old", "1"].annoyance.lo < 0.6 * 0.4 < found["old", "1"].annoyance.hi
    assert south.contacts == pytest.approx(0.9)
    assert south.contacts_before == pytest.approx(0.5, abs=0.05)
    page = report.to_html()
    first = page.index('data-note="slices"')
    assert first < page.index("The lead estimate")
    assert "call surely loses among: region: south (-0.5" in page[first : first + 400]
    assert report.to_dict()["slices"][0]["worse"] in (True, False)


def test_intervals_hold_for_all_groups_together() -> None:
    """Nobody's gain differs: at most one report in twenty calls a group worse or better than the truth."""
    missed = 0
    for seed in range(120):
        log, labels = log_of(1000 + seed, 1200, 0.0)
        more = (log.treatment == 1) / 0.5 * 0.9 + (log.treatment == 0) / 0.5 * 0.1
        mine, base = mean_of(more * log.margin), mean_of(log.margin)
        flat = mean_of(np.zeros(1200))
        ones = np.ones(1200)
        one = Sliced("call", (mine, base), (flat, flat), ones, ones, ones)
        found = list(slices(one, labels, 0.95))
        assert len(found) == 4
        missed += any(not s.gain.lo <= 0.4 <= s.gain.hi for s in found)
    assert missed <= 0.05 * 120 + 2 * (120 * 0.05 * 0.95) ** 0.5


def test_labels_must_be_of_the_log_s_customers() -> None:
    log, labels = log_of(2, 100, 0.0)
    with pytest.raises(InputError, match=r"labels\[region\]"):
        evaluate(log, [Call()], labels={"region": labels["region"][:50]})


def test_labels_are_what_was_known_at_the_first_decision(tmp_path: Path) -> None:
    simulate(SimulateConfig(world="bank", customers=40, days=8, out=tmp_path / "log"))
    source = read_tables(tmp_path / "log")
    log = read_log(source, "all")
    labels = customer_labels(source, log)
    assert {"region", "lifecycle", "special_care", "month"} <= set(labels)
    firsts = log.step == 0
    for row in (0, log.customers // 2, log.customers - 1):
        customer, at = str(log.customer_id[firsts][row]), log.at[firsts][row]
        own = source.customers.filter(pl.col("customer_id") == customer).sort("valid_from")
        known = own.filter(pl.col("valid_from").dt.replace_time_zone(None).cast(pl.Datetime("us")) <= at)
        assert labels["region"][row] == known["region"][-1]
        assert labels["lifecycle"][row] == known["lifecycle"][-1]
        assert labels["month"][row] == str(at)[:7]
    first = source.decisions.sort("at").group_by("customer_id", maintain_order=True).first()
    trigger = dict(first.select("customer_id", "trigger").rows())
    channels = {None: "outbound", "app_session": "in_app", "branch_visit": "branch", "partner_scene": "partner",
                "inbound_call": "hotline"}  # fmt: skip
    assert labels["channel"].tolist() == [channels[trigger[str(c)]] for c in log.customer_id[firsts]]
    assert {"outbound", "in_app"} <= set(labels["channel"])


def test_a_log_of_one_channel_has_no_slices_by_it(tmp_path: Path) -> None:
    simulate(SimulateConfig(world="exact", customers=40, out=tmp_path / "log"))
    source = read_tables(tmp_path / "log")
    assert "channel" not in customer_labels(source, read_log(source, "all"))


def test_a_flag_is_told_in_words_and_a_column_by_its_meaning(tmp_path: Path) -> None:
    """A bank's own columns and codes: 0 and 1 are no and yes, a number's name is what the schema says that it means."""
    simulate(SimulateConfig(world="bank", customers=60, days=8, out=tmp_path / "log"))
    source = read_tables(tmp_path / "log")
    log = read_log(source, "all")
    labels = customer_labels(source, log)
    assert set(labels["managed"]) == {"yes", "no"}
    known = dict(source.customers.select("customer_id", "managed").iter_rows())
    firsts = log.customer_id[log.step == 0].tolist()
    assert [known[customer] == 1 for customer in firsts] == (labels["managed"] == "yes").tolist()
    names = Names.of(source.catalogue, source.schema)
    assert names.dimension("managed") == "a relationship manager looks after the customer"
    assert names.dimension("month") == "month"
    assert names.kind("deposit, sms") == "term deposit, text message"
    assert names.kind("silence") == names.kind("treatment_1") == ""


def test_where_nothing_divides_the_customers_they_are_one_group_and_beside_others_it_is_not_shown() -> None:
    log, labels = log_of(0, 1200, 2.5)
    everybody = {"month": np.full(1200, "2026-01")}
    apart = evaluate(log, [Call()], labels=labels | everybody)
    assert {one.dimension for one in told_apart(apart.slices, "call")} == {"region", "old"}
    assert [one.dimension for one in told_apart(evaluate(log, [Call()], labels=everybody).slices, "call")] == ["month"]
    assert "2026-01" not in apart.to_html()


def test_a_group_that_loses_is_not_named_among_those_that_are_annoyed() -> None:
    """Everybody is annoyed more, some lose: two sentences, and of a model's figure none is sure."""
    sentences = slice_sentences(report_of(0, harm=2.5))
    assert [sentence.split(":")[0].split(",")[0] for sentence in sentences] == [
        "call surely loses among",
        "call surely annoys every group more",
    ]
    modelled = replace(report_of(0, harm=2.5), lead=replace(report_of(0, harm=2.5).lead, model_based=True))
    assert all(sentence.startswith("A model expects call to") for sentence in slice_sentences(modelled))
    assert not any("surely" in sentence for sentence in slice_sentences(modelled))
