"""Fairness: what a policy does to a protected group is found, what the log already did is not laid on the policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from envs.errors import InputError
from envs.schema import Schema, load_schema
from envs.tables import read_tables
from evaluation.evaluate import evaluate
from evaluation.fairness import Compared, Fairness, Measure, Offers, fairness_of
from evaluation.intervals import Between
from evaluation.log import Log, log_from_arrays
from evaluation.protected import Groups, Protected, protected_columns, protected_of
from evaluation.reading import read_log
from evaluation.report import Report
from evaluation.settings import EvaluationSettings
from evaluation.terms import mean_of
from training.configs import EvaluateConfig, SimulateConfig
from training.evaluate import evaluate as evaluate_tables
from training.simulate import simulate

QUICK = EvaluationSettings(model="ridge", resamples=100, min_positives=0)
PRODUCTS = ("", "card", "loan")
Decide = Callable[[np.ndarray, np.ndarray], np.ndarray]


def log_of(seed: int, n: int, logged: tuple[float, float] = (0.6, 0.6)) -> tuple[Log, dict[str, Protected]]:
    """One decision each. logged: probability of an offer, card or loan alike, to others and to the protected, who are
    seen in the first field. A contact annoys by .2, the protected by .4."""
    rng = np.random.default_rng(seed)
    guarded = rng.random(n) < 0.3
    offer = np.where(guarded, logged[1], logged[0])
    mu = np.stack([1 - offer, offer / 2, offer / 2], axis=1)
    treatment = (mu.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 2)
    log = log_from_arrays(
        guarded[:, None].astype(float), treatment, mu[np.arange(n), treatment], rng.normal(1, 1, n), behaviour=mu,
        mask=np.ones((n, 3), bool), annoyance=(treatment > 0) * (0.2 + 0.2 * guarded),
    )  # fmt: skip
    return log, {"old": Protected(np.where(guarded, "yes", "no"), only="yes")}


def offering(others: float, guarded: float, loan: float = 0.5) -> Decide:
    """A policy that offers to either with these probabilities, a share of it loans."""

    def decide(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        offer = np.where(observation[:, 0] > 0, guarded, others)
        return np.stack([1 - offer, offer * (1 - loan), offer * loan], axis=1)

    return decide


def report_of(log: Log, protected: dict[str, Protected], **policies: Decide) -> Report:
    return evaluate(log, policies, protected=protected, products=PRODUCTS, settings=QUICK)


def row(report: Report, amount: str, product: str | None = None) -> Fairness:
    return next(one for one in report.fairness if (one.amount, one.product) == (amount, product))


def test_a_policy_that_offers_nothing_to_a_group_is_found() -> None:
    log, protected = log_of(0, 2000)
    report = report_of(log, protected, shut=offering(0.6, 0.05))
    assert [(one.label, one.amount, one.product) for one in report.fairness] == [
        ("yes", "offers", None), ("yes", "offers", "card"), ("yes", "offers", "loan"), ("yes", "annoyance", None)
    ]  # fmt: skip
    found = row(report, "offers")
    assert (found.group, found.others) == (pytest.approx(0.05), pytest.approx(0.6))
    assert found.difference.value == pytest.approx(-0.55)
    assert found.change.lo < -0.55 < found.change.hi < 0
    assert found.worse
    assert found.turn == "wider"
    assert row(report, "offers", "loan").worse
    quiet = row(report, "annoyance")
    assert quiet.difference.lo < 0.05 * 0.4 - 0.6 * 0.2 < quiet.difference.hi
    assert quiet.before.lo < 0.6 * 0.4 - 0.6 * 0.2 < quiet.before.hi
    assert not quiet.worse  # less is not worse


def test_a_group_that_is_annoyed_more_than_the_log_did_is_found() -> None:
    log, protected = log_of(1, 4000)
    report = report_of(log, protected, eager=offering(0.5, 0.95))
    assert row(report, "annoyance").worse
    assert not row(report, "offers").worse  # more is not worse
    assert row(report, "offers").turn == "wider"


def test_a_product_that_a_group_is_not_offered_is_found() -> None:
    """As many offers as others, none of them the loan."""

    def decide(observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        loan = np.where(observation[:, 0] > 0, 0.0, 0.3)
        return np.stack([np.full(len(loan), 0.4), 0.6 - loan, loan], axis=1)

    log, protected = log_of(2, 2000)
    report = report_of(log, protected, steering=decide)
    assert not row(report, "offers").worse
    assert row(report, "offers", "loan").worse


def test_a_difference_that_the_log_had_is_not_the_policy_s() -> None:
    log, protected = log_of(3, 4000, logged=(0.8, 0.2))
    report = report_of(log, protected, same=offering(0.8, 0.2), better=offering(0.6, 0.5), worst=offering(0.8, 0.05))
    by = {one.policy: one for one in report.fairness if (one.amount, one.product) == ("offers", None)}
    assert by["same"].difference.hi < 0  # it is there
    assert by["same"].before.hi < 0
    assert {name: (one.turn, one.worse) for name, one in by.items()} == {
        "same": ("not told apart", False), "better": ("narrower", False), "worst": ("wider", True),
    }  # fmt: skip


def noise(seed: int, n: int = 400) -> Compared:
    """Groups that mean nothing: offers and annoyance of a policy and a log that know nothing of them."""
    rng = np.random.default_rng(seed)
    decisions = rng.integers(1, 4, n).astype(float)
    expected = rng.random((n, 2)) * decisions[:, None] / 2
    offers = Offers(
        ("card", "loan"), expected, rng.binomial(decisions.astype(int)[:, None], 0.25, (n, 2)) * 1.0, decisions
    )
    weight = rng.exponential(1, n)
    annoyed = Measure("annoyance", None, (mean_of(weight * decisions), mean_of(decisions * rng.random(n))))
    return Compared((*offers.measures(), annoyed), {"a": rng.integers(0, 3, n), "b": (rng.random(n) < 0.15) * 1})


def test_a_policy_that_treats_groups_alike_is_rarely_flagged() -> None:
    """At most one report in twenty misses a truth, all of its groups and amounts together."""
    groups = {"a": Groups(("x", "y", "z"), None), "b": Groups(("no", "yes"), None, "yes")}
    worse = missed = 0
    for seed in range(200):
        one = noise(seed)
        found = list(fairness_of("even", lambda one=one: iter([one]), groups, 0.95))
        assert len(found) == 4 * 4
        worse += any(f.worse for f in found)
        missed += any(not f.change.lo <= 0 <= f.change.hi for f in found)
    most = 0.05 * 200 + 2 * (200 * 0.05 * 0.95) ** 0.5
    assert worse <= missed <= most


def test_parts_say_what_the_whole_says() -> None:
    groups = {"a": Groups(("x", "y", "z"), None), "b": Groups(("no", "yes"), None, "yes")}
    one = noise(5)

    def part(rows: np.ndarray) -> Compared:
        measures = [
            Measure(m.amount, m.product, (m.terms[0].taken(rows), m.terms[1].taken(rows))) for m in one.measures
        ]
        return Compared(measures, {name: of[rows] for name, of in one.groups.items()})

    cuts = [np.arange(0, 3), np.arange(3, 250), np.arange(250, 400)]
    whole = fairness_of("even", lambda: iter([one]), groups, 0.95)
    parts = fairness_of("even", lambda: (part(rows) for rows in cuts), groups, 0.95)
    for a, b in zip(whole, parts, strict=True):
        assert (a.label, a.customers, a.amount, a.product, a.turn) == (
            b.label,
            b.customers,
            b.amount,
            b.product,
            b.turn,
        )
        for name in ("difference", "before", "change"):
            x, y = getattr(a, name), getattr(b, name)
            assert (x.value, x.lo, x.hi) == pytest.approx((y.value, y.lo, y.hi), abs=1e-12)


def test_exact_differences_are_certain() -> None:
    """A policy that offers at .6 whatever it sees: nothing is between groups, and rounding is no difference."""
    log, protected = log_of(4, 500)
    found = row(report_of(log, protected, flat=offering(0.6, 0.6)), "offers")
    assert found.difference.value == pytest.approx(0, abs=1e-12)
    assert found.difference.hi - found.difference.lo < 1e-9
    assert not found.worse
    assert found.turn == "not told apart"


@pytest.mark.parametrize(
    ("now", "log", "turn", "worse"),
    [
        ((-3, -1), (-1, 1), "wider", True),
        ((-3, -1), (1, 3), "wider", True),  # it turned round
        ((-3, -1), (-9, -7), "narrower", False),
        ((-1, 1), (-9, -7), "narrower", False),
        ((1, 3), (-1, 1), "wider", False),
        ((-1, 1), (-1, 1), "not told apart", False),
    ],
)
def test_what_a_policy_does_to_a_difference(
    now: tuple[float, float], log: tuple[float, float], turn: str, worse: bool
) -> None:
    middle = [sum(pair) / 2 for pair in (now, log)]
    change = middle[0] - middle[1]
    bounds = Between(middle[0], *now), Between(middle[1], *log), Between(change, change - 1, change + 1)
    one = Fairness("p", "old", "yes", 50, "offers", None, 0.0, 0.0, 0.0, 0.0, *bounds)
    assert (one.turn, one.worse) == (turn, worse)


def test_numbers_are_cut_at_quartiles() -> None:
    values = np.array([1.0] * 30 + [2.0] * 30 + [3.0] * 30 + [5.0] * 30 + [np.nan] * 5)
    groups = Groups.dividing(Protected(values, "years"))
    assert groups.names == ("≤ 1 [years]", "> 1, ≤ 2 [years]", "> 2, ≤ 3 [years]", "> 3 [years]", "unknown")
    assert np.bincount(groups.of(values)).tolist() == [30, 30, 30, 30, 5]
    few = Groups.dividing(Protected(np.array([1.0] * 9 + [2.0])))
    assert few.names == ("≤ 1", "> 1")
    assert Groups.dividing(Protected(np.array([1.0, 1.0]))).names == ("–",)
    assert Groups.dividing(Protected(np.array([np.nan]))).names == ("unknown",)


def test_protected_are_special_columns_and_those_that_are_named(tmp_path: Path) -> None:
    simulate(SimulateConfig(world="bank", customers=40, days=8, out=tmp_path / "log"))
    tables = read_tables(tmp_path / "log")
    log = read_log(tables, "all")
    found = protected_of(tables, log, ["region", "age"])
    assert list(found) == ["age", "credit_grade", "special_care", "region"]
    assert found["age"].unit == "years"
    assert set(found["special_care"].values) <= {"yes", "no"}
    own = tables.customers.filter(pl.col("customer_id") == str(log.customer_id[0])).sort("valid_from")
    assert found["age"].values[0] == own["age"][0]
    assert found["region"].values[0] == own["region"][0]


def test_a_name_that_is_no_column_is_refused_at_the_door(tmp_path: Path) -> None:
    simulate(SimulateConfig(world="exact", customers=40, out=tmp_path / "log"))
    schema: Schema = load_schema(tmp_path / "log" / "schema.yaml")
    with pytest.raises(InputError, match=r"settings\.protected == 'gender', must be a column of the schema"):
        protected_columns(schema, ["gender"])
    (tmp_path / "log" / "events.parquet").write_bytes(b"")  # nothing is read before
    asked = EvaluationSettings(protected=("gender",))
    with pytest.raises(InputError, match="gender"):
        evaluate_tables(EvaluateConfig(tables=tmp_path / "log", settings=asked, track=False, out=tmp_path / "out"))
    log, protected = log_of(1, 100)
    with pytest.raises(InputError, match=r"settings\.protected"):
        evaluate(log, [offering(0.5, 0.5)], protected=protected, settings=asked)
    with pytest.raises(InputError, match=r"protected\[old\]"):
        evaluate(log, [offering(0.5, 0.5)], protected={"old": Protected(np.array(["yes"]))}, settings=QUICK)
    with pytest.raises(InputError, match="products"):
        evaluate(log, [offering(0.5, 0.5)], products=("",), settings=QUICK)
