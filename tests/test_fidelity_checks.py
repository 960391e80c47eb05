"""Checks of a head: silent about a head that is right, and each finds the fault that it is there for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fidelity_kit import drawn, sample_of
from hypothesis import given, settings
from hypothesis import strategies as st

from training.fidelity_checks import (
    Group,
    between_customers,
    group,
    grouped,
    missing,
    quantile_groups,
    recalibration,
    shift,
    tenths,
)
from training.fidelity_rows import Sample

CERTAIN = 4.0
ROWS, PER = 12_000, 8  # rows; rows of a customer
CUSTOMER = np.arange(ROWS) // PER


def numbers(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-0.7, 1.0, ROWS)


def faults(sample: Sample) -> list[str]:
    """Kinds of the checks that fail."""
    found = [group(sample, "all rows", "", 20).check("level", "miscalibrated", 0.1), *recalibration(sample, 0.25, 0.25)]
    found.append(between_customers(sample, "customers", np.zeros(ROWS, np.int64), 0.4))
    found += [
        g.check("group", "miscalibrated", 0.25)
        for g in grouped(sample, "tenth", tenths(sample.mean, sample.rows.weight), [str(k) for k in range(10)], 20)
        if g.judged
    ]
    return [check.kind for check in found if check.failed(CERTAIN)]


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_where_the_head_is_right(seed: int) -> None:
    eta = numbers(seed)
    assert faults(sample_of(drawn(eta, seed + 100), eta, CUSTOMER)) == []


def test_each_fault_is_found_by_its_check() -> None:
    eta = numbers()
    effect = np.random.default_rng(5).normal(0, 1.0, ROWS // PER)[CUSTOMER]
    assert "level" in faults(sample_of(drawn(eta + 0.5, 1), eta, CUSTOMER))
    assert "slope" in faults(sample_of(drawn(0.5 * eta, 1), eta, CUSTOMER))
    assert "bend" in faults(sample_of(drawn(eta + 0.5 * (eta + 0.7) ** 2, 1), eta, CUSTOMER))
    assert "customers" in faults(sample_of(drawn(eta + effect, 1), eta, CUSTOMER))


def test_slope_and_level_are_estimated_right() -> None:
    eta = numbers()
    slope, bend = recalibration(sample_of(drawn(0.5 * eta, 2), eta, CUSTOMER), 0.25, 0.25)
    assert slope.lo < 0.5 < slope.hi
    assert abs(bend.value) < 0.1
    assert shift("logit", eta, sample_of(drawn(eta + 0.4, 3), eta, CUSTOMER).rows) == pytest.approx(0.4, abs=0.08)


def test_the_spread_between_customers_is_the_random_effects() -> None:
    """The score estimate shrinks a little: it is of first order in the variance."""
    eta = numbers()
    unit = np.zeros(ROWS, np.int64)
    for spread in (0.0, 0.5, 0.8):
        effect = np.random.default_rng(7).normal(0, spread, ROWS // PER)[CUSTOMER]
        found = between_customers(sample_of(drawn(eta + effect, 4), eta, CUSTOMER), "customers", unit, 0.4)
        assert found.value == pytest.approx(spread, abs=0.2)
        assert (found.z > CERTAIN) == (spread > 0)


def test_an_effect_that_units_share_shows_in_these_units() -> None:
    eta, channel = numbers(), np.arange(ROWS) % 2
    effect = np.random.default_rng(8).normal(0, 1.0, (ROWS // PER, 2))[CUSTOMER, channel]
    sample = sample_of(drawn(eta + effect, 5), eta, CUSTOMER)
    on_channel = between_customers(sample, "channel", channel, 0.4)
    overall = between_customers(sample, "customers", np.zeros(ROWS, np.int64), 0.4)
    assert on_channel.value > overall.value + 0.2
    assert on_channel.failed(CERTAIN)


def test_rows_that_stand_for_several_days_count_as_those_days() -> None:
    """Three of seven days: one row with weight 3 and one with weight 4 say what seven rows say."""
    rng = np.random.default_rng(9)
    customers = 400
    days = rng.binomial(7, np.full(customers, 0.3))
    who = np.repeat(np.arange(customers), 7)
    single = np.concatenate([np.r_[np.ones(d), np.zeros(7 - d)] for d in days])
    apart = sample_of(single, np.full(len(single), -0.8), who)
    together = sample_of(
        np.tile([1.0, 0.0], customers), np.full(2 * customers, -0.8), np.repeat(np.arange(customers), 2)
    )
    weight = np.stack([days, 7 - days], axis=1).ravel().astype(float)
    together = replace(together, data=replace(together.data, rows=replace(together.rows, weight=weight)))
    one, other = (between_customers(s, "", np.zeros(len(s.eta), np.int64), 0.4) for s in (apart, together))
    assert (one.value, one.z) == pytest.approx((other.value, other.z), abs=1e-9)
    a, b = (group(s, "all", "", 20) for s in (apart, together))
    assert (a.observed, a.expected) == pytest.approx((b.observed, b.expected))


def test_what_another_model_sees_is_found_and_its_noise_is_not() -> None:
    eta, hidden = numbers(), np.random.default_rng(10).normal(0, 0.8, ROWS)
    sample = sample_of(drawn(eta + hidden, 6), eta, CUSTOMER)
    found = missing(sample, eta + hidden, 0.25)
    assert found.failed(CERTAIN)
    assert found.value == pytest.approx(0.8, abs=0.1)
    noise = missing(sample_of(drawn(eta, 7), eta, CUSTOMER), eta + hidden, 0.25)
    assert not noise.failed(CERTAIN)
    assert noise.value < 0.1
    assert missing(sample, eta, 0.25).value == 0.0


@given(st.integers(1, 40), st.integers(0, 40), st.floats(0.05, 0.95))
@settings(max_examples=50, deadline=None)
def test_a_group_counts_what_happened(events: int, others: int, p: float) -> None:
    y = np.r_[np.ones(events), np.zeros(others)]
    found = group(sample_of(y, np.full(len(y), np.log(p / (1 - p))), np.arange(len(y))), "all", "", 20)
    assert found.observed == pytest.approx(events / len(y))
    assert found.expected == pytest.approx(p)
    assert found.error == pytest.approx((found.observed - p) / min(p, 1 - p))
    assert found.judged == (min(p, 1 - p) * len(y) >= 20)


def test_a_group_is_as_far_off_in_events_as_in_their_absence() -> None:
    rare, common = Group("", "", 100, 0.1, 0.2, 0.01, True), Group("", "", 100, 0.9, 0.8, 0.01, True)
    assert rare.error == pytest.approx(1.0)
    assert common.error == pytest.approx(-1.0)


def test_amounts_fill_the_tenths_of_their_own_distribution_and_no_other() -> None:
    rng = np.random.default_rng(11)
    mu = rng.normal(3, 0.5, ROWS)
    right = np.exp(mu + 0.6 * rng.normal(size=ROWS))
    wrong = np.exp(mu) * np.where(rng.random(ROWS) < 0.25, 3.0, 0.4)
    shares = [
        [g.check("group", "miscalibrated", 0.25).failed(CERTAIN) for g in quantile_groups(sample, 20)]
        for sample in (sample_of(y, mu + 0.18, CUSTOMER, "lognormal", 0.6) for y in (right, wrong))
    ]
    assert not any(shares[0])
    assert sum(shares[1]) >= 3
