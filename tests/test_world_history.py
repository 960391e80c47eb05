"""History fades by its half-lives, counts by its windows, and a batch is nothing but its customers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import CATALOGUE, small_schema

from envs.history import EVENTS, NAMES, NEVER, RING, History, fade, fade_table
from envs.schema import Fading, Schema

HALVES = Fading(recency=7, pressure=7, engagement=14, intent=10, refusal=30, complaint=60, purchase=5)
SCHEMA: Schema = small_schema(fading=HALVES.model_dump())
SMS, CALL, APP = range(3)
LOAN, FUND, CARE = range(3)
ONE = np.array([0])


def fresh(batch: int = 1, day: int = 20_000) -> History:
    return History.fresh(CATALOGUE, SCHEMA, np.full(batch, day))


def record(history: History, event: str, channel: int = -1, product: int = -1, value: float = np.nan) -> None:
    history.record(event, ONE, channel=np.array([channel]), product=np.array([product]), value=np.array([value]))


def arrays(history: History) -> dict[str, np.ndarray]:
    """Every column by name, customer first."""
    parts: dict[str, Any] = {"customer": history.customer, "channel": history.channel, "product": history.product}
    return {f"{part}.{name}": records[name] for part, records in parts.items() for name in records.dtype.names}


def assert_same(a: History, b: History, tolerance: float = 0.0) -> None:
    for name, values in arrays(a).items():
        other = arrays(b)[name]
        assert values.dtype == other.dtype, name
        if values.dtype == np.float32:
            np.testing.assert_allclose(values, other, rtol=tolerance, atol=tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(values, other, err_msg=name)


def test_traces_halve_in_their_half_life() -> None:
    h = fresh()
    record(h, "contacted", SMS, LOAN)
    h.advance(7)
    record(h, "contacted", SMS, FUND)
    record(h, "engaged", SMS, FUND)
    record(h, "declined", SMS, LOAN)
    record(h, "complained")
    record(h, "purchased", value=80)
    assert h.channel["pressure"][0, SMS] == 1.5
    h.advance(14)
    assert h.channel["pressure"][0, SMS] == 1.5 / 4
    assert h.channel["engagements"][0, SMS] == 0.5
    np.testing.assert_allclose(h.product["intent"][0, FUND], 2 ** (-14 / 10), rtol=1e-6)
    np.testing.assert_allclose(h.product["refusals"][0, LOAN], 2 ** (-14 / 30), rtol=1e-6)
    np.testing.assert_allclose(h.customer["complaints"][0], 2 ** (-14 / 60), rtol=1e-6)
    np.testing.assert_allclose(h.customer["spend"][0], 80 * 2 ** (-14 / 5), rtol=1e-6)
    np.testing.assert_allclose(h.customer["purchases"][0], 2 ** (-14 / 5), rtol=1e-6)


def test_dates_are_kept_as_they_were() -> None:
    h = fresh()
    record(h, "contacted", CALL, FUND)
    h.advance(3)
    record(h, "engaged", CALL, FUND)
    record(h, "complained")
    h.advance(2)
    assert h.day[0] == 20_005
    assert h.channel["last_contact"][0].tolist() == [NEVER, 20_000, NEVER]
    assert h.product["last_offer"][0].tolist() == [NEVER, 20_000, NEVER]
    assert h.product["lead"][0].tolist() == [NEVER, 20_003, NEVER]
    assert h.customer["last_complaint"][0] == 20_003


def test_a_conversion_answers_the_lead_and_a_refusal_closes_it() -> None:
    h = fresh()
    for product in (LOAN, FUND):
        record(h, "engaged", SMS, product)
    record(h, "converted", SMS, LOAN)
    record(h, "declined", SMS, FUND)
    assert h.product["holds"][0].tolist() == [True, False, False]
    assert h.product["intent"][0].tolist() == [0, 1, 0]
    assert h.product["lead"][0, :2].tolist() == [NEVER, NEVER]
    assert h.product["refusals"][0].tolist() == [0, 1, 0]
    record(h, "cancelled", product=LOAN)
    assert not h.product["holds"].any()


def test_an_application_is_pending_until_it_is_booked_or_falls_through() -> None:
    h = fresh()
    for product in (LOAN, FUND):
        record(h, "engaged", SMS, product)
        record(h, "abandoned", product=product)
        record(h, "applied", SMS, product)
    assert h.product["pending"][0].tolist() == [True, True, False]
    assert not h.product["holds"].any()
    for name, nothing in (("intent", 0), ("lead", NEVER), ("abandoned", NEVER)):
        assert (h.product[name] == nothing).all(), name
    record(h, "converted", SMS, LOAN)
    record(h, "cancelled", product=FUND)
    assert not h.product["pending"].any()
    assert h.product["holds"][0].tolist() == [True, False, False]


def test_a_second_application_that_falls_through_takes_nothing_away() -> None:
    h = fresh()
    record(h, "converted", SMS, FUND)
    record(h, "applied", SMS, FUND)
    record(h, "cancelled", SMS, FUND)
    assert (h.product["holds"][0, FUND], h.product["pending"][0, FUND]) == (True, False)
    record(h, "cancelled", SMS, FUND)
    assert not h.product["holds"][0, FUND]


def test_a_lead_belongs_to_the_first_channel_that_takes_it_up_until_it_is_answered() -> None:
    h = fresh()
    record(h, "contacted", SMS, FUND)
    record(h, "engaged", SMS, FUND)
    assert (h.product["lead_channel"][0, FUND], h.product["lead_owner"][0, FUND]) == (SMS, -1)
    for channel in (CALL, APP):
        record(h, "contacted", channel, FUND)
        assert h.product["lead_owner"][0, FUND] == CALL
    record(h, "abandoned", product=FUND)  # a new lead, which nobody asked for and nobody owns
    assert (h.product["lead_channel"][0, FUND], h.product["lead_owner"][0, FUND]) == (-1, -1)
    record(h, "converted", APP, FUND)
    record(h, "contacted", APP, FUND)
    assert (h.product["lead"][0, FUND], h.product["lead_owner"][0, FUND]) == (NEVER, -1)


def test_a_stage_is_what_the_last_move_says() -> None:
    h = fresh()
    assert h.customer["stage"][0] == -1
    record(h, "stage_changed", value=2)
    assert h.customer["stage"][0] == 2
    record(h, "stage_changed")  # a log that does not say where to
    assert h.customer["stage"][0] == 2


def test_opting_out_and_blocking_close_one_channel_and_a_risk_hold_is_lifted() -> None:
    h = fresh()
    record(h, "opted_out", SMS, LOAN)
    record(h, "blocked", APP)
    assert h.channel["opted_out"][0].tolist() == [True, False, True]
    record(h, "risk_hold")
    assert h.customer["risk_hold"][0]
    record(h, "risk_cleared")
    assert not h.customer["risk_hold"][0]


@pytest.mark.parametrize("event", ["delivered", "app_session", "satisfaction_rated", "balance_changed", "redeemed"])
def test_events_without_trace_change_nothing(event: str) -> None:
    h = fresh()
    record(h, event, SMS, LOAN, 3.0)
    assert_same(h, fresh())


def test_an_event_without_channel_and_product_leaves_none_with_them() -> None:
    h = fresh()
    for event in ("contacted", "engaged", "applied", "converted", "cancelled", "abandoned"):
        record(h, event)
    for records, nothing in ((h.channel, fresh().channel), (h.product, fresh().product)):
        np.testing.assert_array_equal(records, nothing)


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ValueError, match="event == 'dreamt', must be one of: "):
        record(fresh(), "dreamt")


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ("rows: must be 1 positions from 0 to 0", {"rows": np.array([1])}),
        ("rows: must be 1 positions from 0 to 0", {"rows": np.array([-1])}),
        ("channel: must be 1 positions from -1 to 2", {"channel": np.array([3])}),
        ("product: must be 1 positions from -1 to 2", {"product": np.array([-2])}),
        ("product: must be 1 positions from -1 to 2", {"product": np.array([0, 0])}),
    ],
)
def test_what_stands_outside_the_arrays_is_refused_and_changes_nothing(
    said: str, places: dict[str, np.ndarray]
) -> None:
    h = fresh()
    with pytest.raises(ValueError, match=said):
        h.record("engaged", **{"rows": ONE, **places})
    assert_same(h, fresh())


def test_a_purchase_without_value_counts_and_spends_nothing() -> None:
    h = fresh()
    record(h, "purchased")
    assert (h.customer["purchases"][0], h.customer["spend"][0]) == (1, 0)


def test_what_never_happened_leaves_no_trace_under_any_half_life() -> None:
    gone = np.array([20_000 - NEVER])
    assert fade(gone, 7)[0] == 0
    assert fade(gone, 3650.0)[0] == 0
    assert fade(0, 3650.0) == 1


@given(st.integers(0, 4094), st.floats(0.5, 5000))
def test_fading_is_the_power_of_two_that_it_says(days: int, half_life: float) -> None:
    np.testing.assert_allclose(fade(days, half_life), np.float32(2.0 ** (-days / half_life)), rtol=1e-6)


RECORDS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 12),  # days before it
        st.sampled_from(sorted(EVENTS)),
        st.integers(-1, 2),
        st.integers(-1, 2),
        st.floats(0, 100),
    ),
    max_size=25,
)


def lived(history: History, rows: list[tuple[int, int, str, int, int, float]]) -> History:
    """A batch of three after some records; time passes for all of them at once."""
    for customer, days, event, channel, product, value in rows:
        history.advance(days)
        history.record(
            event,
            np.array([customer]),
            channel=np.array([channel]),
            product=np.array([product]),
            value=np.array([value]),
        )
    return history


@settings(max_examples=50, deadline=None)
@given(RECORDS, st.integers(0, 60), st.integers(0, 60))
def test_days_in_two_parts_are_the_same_days(rows: list[tuple[int, int, str, int, int, float]], a: int, b: int) -> None:
    twice, once = lived(fresh(3), rows), lived(fresh(3), rows)
    twice.advance(a)
    twice.advance(b)
    once.advance(a + b)
    assert_same(twice, once, tolerance=2e-6)
    mixed = lived(fresh(3), rows)
    mixed.advance(np.array([a, b, 0]))
    mixed.advance(np.array([b, a, a + b]))
    assert_same(mixed, once, tolerance=2e-6)


@settings(max_examples=50, deadline=None)
@given(RECORDS)
def test_a_batch_is_its_customers_one_by_one(rows: list[tuple[int, int, str, int, int, float]]) -> None:
    together = lived(fresh(3), rows)
    for customer in range(3):
        alone = fresh(1)
        for who, days, event, channel, product, value in rows:
            alone.advance(days)
            if who == customer:
                record(alone, event, channel, product, value)
        assert_same(together.take(np.array([customer])), alone)


@settings(max_examples=50, deadline=None)
@given(RECORDS, st.permutations([0, 1, 2]))
def test_taking_out_and_putting_back_changes_nothing(
    rows: list[tuple[int, int, str, int, int, float]], order: list[int]
) -> None:
    whole = lived(fresh(3), rows)
    copy = whole.take(np.arange(3))
    taken = whole.take(np.array(order))
    copy.record("contacted", np.arange(3), channel=np.zeros(3, int), product=np.zeros(3, int))
    assert_same(whole, lived(fresh(3), rows))  # a copy shares nothing with its origin
    copy.put(np.array(order), taken)
    assert_same(copy, whole)
    flags = np.array([True, False, True])
    assert_same(whole.take(flags), whole.take(np.array([0, 2])))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 70), st.integers(-1, 2), st.integers(-1, 2)), max_size=RING),
    st.integers(0, 20),
    st.integers(1, 60),
)
def test_windows_count_contacts_as_a_naive_count_does(
    contacts: list[tuple[int, int, int]], later: int, window: int
) -> None:
    h = fresh(day=20_000)
    for day, channel, product in sorted(contacts):
        h.advance(day - (int(h.day[0]) - 20_000))
        record(h, "contacted", channel, product)
    h.advance(later)
    today = int(h.day[0]) - 20_000
    inside = [c for d, c, _ in contacts if today - d < window]
    assert h.contacts_within(window)[0].tolist() == [inside.count(place) for place in range(3)]


@given(st.integers(0, 3 * RING))
def test_the_ring_remembers_the_last_contacts_with_all_that_they_were(count: int) -> None:
    h = fresh()
    for number in range(count):
        h.record("contacted", ONE, channel=ONE + number % 3, product=ONE + number % 2, treatment=ONE + number)
        h.advance(1)
    newest, me = int(h.customer["newest"][0]), h.customer[0]
    for back in range(RING):
        place, number = (newest - back) % RING, count - 1 - back
        told = tuple(int(me[f"ring_{name}"][place]) for name in ("day", "channel", "product", "treatment"))
        if number >= 0:
            assert told == (20_000 + number, number % 3, number % 2, number)
        else:
            assert (told[0], told[3]) == (NEVER, -1)


def test_a_window_forgets_after_a_jump_of_any_length() -> None:
    for days in (32, 33, 64, 1000, 5000):
        h = fresh()
        record(h, "contacted", SMS, LOAN)
        assert h.contacts_within(days)[0, SMS] == 1
        h.advance(days)
        assert h.contacts_within(days)[0, SMS] == 0, days
        assert h.contacts_within(days + 1)[0, SMS] == 1, days


def test_every_path_fades_by_one_table_and_the_codes_of_events_are_their_places() -> None:
    table = fade_table(HALVES)
    halves = (7, 7, 14, 10, 30, 60, 5, 1)  # break-points fade in a day unless the schema says otherwise
    for row, half in zip(table, halves, strict=True):
        np.testing.assert_array_equal(row, fade(np.arange(row.size), half))
    assert not table.flags.writeable
    assert tuple(sorted(EVENTS)) == NAMES
