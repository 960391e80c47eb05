"""Replaying a log gives every decision what it saw, and nothing later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.catalogue import Catalogue, Channel, Pool, Product, Treatment
from envs.errors import InputError
from envs.history import History
from envs.observation import Encoder, Moment
from envs.prices import price_field
from envs.records import Happening
from envs.replay import clock, history_of, replay
from envs.schema import Column, Fading, PriceRange, Schema, Task
from envs.tables import EVENT_COLUMNS, INSTANT

START = datetime(2026, 3, 2, tzinfo=UTC)
CATALOGUE = Catalogue(
    name="two",
    products=(Product(id="loan"), Product(id="fund")),
    channels=(Channel(id="sms", family="online"), Channel(id="call", family="remote")),
    pools=(Pool(id="minutes", capacity=10),),
    treatments=(
        Treatment(id="loan_sms", product="loan", channel="sms"),
        Treatment(id="fund_call", product="fund", channel="call", effort={"minutes": 5}),
    ),
)
SCHEMA = Schema(
    columns=(Column(name="age", type="number", center=40, scale=10),),
    triggers=("app_session",),
    fading=Fading(pressure=7, engagement=7, intent=7, purchase=7),
    prices={"annoyance": PriceRange(high=2.0), "minutes": PriceRange(high=4.0)},
    task=Task(kind="continuing", calendar=None),
)


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def customers(*rows: tuple[str, float, float]) -> pl.DataFrame:
    """Rows of (customer_id, valid_from in days, age)."""
    return pl.DataFrame(
        {"customer_id": [r[0] for r in rows], "valid_from": [at(r[1]) for r in rows], "age": [r[2] for r in rows]},
        schema_overrides={"valid_from": INSTANT, "age": pl.Float64},
    )


def decisions(*rows: tuple[str, float, str], **columns: list[object]) -> pl.DataFrame:
    """Rows of (customer_id, day, treatment)."""
    frame = pl.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(len(rows))],
            "customer_id": [r[0] for r in rows],
            "at": [at(r[1]) for r in rows],
            "trigger": [None] * len(rows),
            "treatment": [r[2] for r in rows],
            "prices": [{"annoyance": 1.0, "minutes": 1.0}] * len(rows),
        },
        schema_overrides={
            "customer_id": pl.String,
            "at": INSTANT,
            "trigger": pl.String,
            "treatment": pl.String,
            "prices": pl.Struct({"annoyance": pl.Float64, "minutes": pl.Float64}),
        },
    )
    return frame.with_columns(**{name: pl.Series(name, values) for name, values in columns.items()})


def events(*rows: tuple[object, ...]) -> pl.DataFrame:
    """Rows of (customer_id, day, event, channel, product, value, decision_id), the last four optional."""
    full = [(*row, *[None] * (7 - len(row))) for row in rows]
    data = [(f"e{i}", c, at(d), *rest) for i, (c, d, *rest) in enumerate(full)]  # type: ignore[arg-type]
    return pl.DataFrame(data, schema=EVENT_COLUMNS, orient="row")


def field(observation: np.ndarray, name: str, schema: Schema = SCHEMA) -> np.ndarray:
    return observation[:, Encoder(CATALOGUE, schema).names.index(name)]


def test_each_decision_sees_earlier_contacts_faded_by_whole_days() -> None:
    log = decisions(("a", 0.0, "loan_sms"), ("a", 7.0, "silence"), ("a", 14.5, "fund_call"), ("a", 21.0, "silence"))
    seen = replay(CATALOGUE, SCHEMA, customers(("a", 0, 40)), log, events()).observation
    sms = field(seen, "channel:sms:pressure") * 5
    np.testing.assert_allclose(sms, [0, 1 / 2, 1 / 4, 1 / 8], rtol=1e-6)
    both = field(seen, "contact:pressure") * 10
    np.testing.assert_allclose(both, [0, 1 / 2, 1 / 4, 1 / 8 + 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(field(seen, "product:fund:offered"), [0, 0, 0, 1 / 2], rtol=1e-6)


def test_an_event_at_the_very_moment_of_a_decision_is_not_seen_by_it() -> None:
    log = decisions(("a", 1.0, "silence"), ("a", 1.5, "silence"))
    happened = events(("a", 1.0, "purchased", None, None, 3.0), ("a", 0.99, "purchased", None, None, 4.0))
    seen = replay(CATALOGUE, SCHEMA, customers(("a", 0, 40)), log, happened).observation
    faded = 4.0 * 2 ** (-1 / 7)
    np.testing.assert_allclose(np.expm1(field(seen, "contact:spend") * 5), [faded, faded + 3], rtol=1e-5)


def test_desks_that_decide_at_the_same_instant_do_not_see_each_other() -> None:
    log = decisions(("a", 1.0, "loan_sms"), ("a", 1.0, "fund_call"), ("a", 1.1, "silence"))
    seen = replay(CATALOGUE, SCHEMA, customers(("a", 0, 40)), log, events()).observation
    np.testing.assert_allclose(field(seen, "contact:pressure") * 10, [0, 0, 2], rtol=1e-6)


def test_a_shadow_decision_contacts_nobody() -> None:
    log = decisions(("a", 0.0, "loan_sms"), ("a", 0.5, "silence"), assignment=["shadow", "champion"])
    seen = replay(CATALOGUE, SCHEMA, customers(("a", 0, 40)), log, events()).observation
    assert field(seen, "contact:pressure")[1] == 0


def test_a_contacted_event_of_a_decision_is_not_counted_twice_but_a_foreign_one_counts() -> None:
    log = decisions(("a", 0.0, "loan_sms"), ("a", 0.5, "silence"))
    own = ("a", 0.1, "contacted", "sms", "loan", None, "d0")
    foreign = ("a", 0.2, "contacted", "call", "loan")
    seen = replay(CATALOGUE, SCHEMA, customers(("a", 0, 40)), log, events(own, foreign)).observation
    np.testing.assert_allclose(field(seen, "channel:sms:pressure") * 5, [0, 1], rtol=1e-6)
    np.testing.assert_allclose(field(seen, "channel:call:pressure") * 5, [0, 1], rtol=1e-6)


def test_the_profile_is_the_one_that_was_valid_at_the_decision() -> None:
    people = customers(("a", 0, 40), ("a", 5, 60), ("b", 0, 30))
    log = decisions(("a", 4.9, "silence"), ("b", 9.0, "silence"), ("a", 5.0, "silence"))
    seen = replay(CATALOGUE, SCHEMA, people, log, events()).observation
    np.testing.assert_allclose(field(seen, "age"), [0, -1, 2])


def test_a_decision_before_the_first_valid_profile_is_refused() -> None:
    with pytest.raises(InputError, match=r"decisions: at == '2026-03-02.*row 0.*first valid_from"):
        replay(CATALOGUE, SCHEMA, customers(("a", 1, 40)), decisions(("a", 0.0, "silence")), events())


def test_trigger_and_prices_are_observed_over_their_range() -> None:
    log = decisions(("a", 0.0, "silence"), ("a", 1.0, "silence"), trigger=["app_session", None])
    seen = replay(CATALOGUE, SCHEMA, customers(("a", 0, 40)), log, events()).observation
    np.testing.assert_array_equal(field(seen, "moment:app_session"), [1, 0])
    np.testing.assert_allclose(field(seen, "price:annoyance"), price_field(0.5, 1.0), rtol=1e-6)
    np.testing.assert_allclose(field(seen, "price:minutes"), price_field(0.25, 1.0), rtol=1e-6)
    wrong = decisions(("a", 0.0, "silence"), trigger=["dream"])
    with pytest.raises(InputError, match="trigger == 'dream'"):
        replay(CATALOGUE, SCHEMA, customers(("a", 0, 40)), wrong, events())


def test_a_finite_task_observes_the_time_left_and_the_gap() -> None:
    schema = SCHEMA.model_copy(update={"task": Task(kind="finite", days=(0, 7, 14, 17), end_day=20)})
    log = decisions(("a", 17.0, "silence"), ("a", 0.0, "silence"), ("b", 10.0, "silence"), ("a", 7.0, "silence"))
    seen = replay(CATALOGUE, schema, customers(("a", 0, 40), ("b", 0, 40)), log, events()).observation
    np.testing.assert_allclose(field(seen, "task:time_left", schema) * 20, [3, 20, 20, 13], rtol=1e-6)
    np.testing.assert_allclose(field(seen, "task:gap", schema) * 20, [3, 7, 7, 7], rtol=1e-6)


def test_a_decision_after_the_end_of_a_finite_task_is_refused() -> None:
    with pytest.raises(InputError, match="must be before the task's end, 20 days"):
        clock(Task(kind="finite", days=(0, 7), end_day=20), np.array([0, 7, 20]))


def test_histories_at_the_end_hold_the_last_event() -> None:
    happened = events(("b", 9.0, "converted", "call", "fund", 10.0), ("b", 8.0, "engaged", "call", "fund"))
    people = customers(("a", 0, 40), ("b", 0, 40))
    done = replay(CATALOGUE, SCHEMA, people, decisions(("b", 0.0, "fund_call")), happened)
    assert done.customer_ids == ("a", "b")
    assert done.history.product["holds"].tolist() == [[False, False], [False, True]]
    assert done.history.day[1] == (at(9.0) - datetime(1970, 1, 1, tzinfo=UTC)).days


KINDS = ("contacted", "engaged", "declined", "converted", "purchased", "complained", "opted_out", "browsed")
RECORD = st.tuples(
    st.sampled_from("abc"),
    st.integers(0, 24 * 40),  # hour
    st.sampled_from(KINDS),
    st.sampled_from(["sms", "call", None]),
    st.sampled_from(["loan", "fund", None]),
    st.floats(0, 50),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORD, max_size=30), st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 41)), max_size=8))
def test_a_batch_gives_the_same_history_as_one_customer_alone(
    rows: list[tuple[str, int, str, str | None, str | None, float]], looks: list[tuple[str, int]]
) -> None:
    happened = events(*[(c, hour / 24, e, ch, p, v) for c, hour, e, ch, p, v in rows])
    log = decisions(*[(c, float(day), "silence") for c, day in looks])
    seen = replay(CATALOGUE, SCHEMA, customers(*[(c, 0, 40) for c in "abc"]), log, happened).observation
    encoder = Encoder(CATALOGUE, SCHEMA)
    now = Moment(np.array([-1]), np.ones((1, 2)), np.zeros(1), np.zeros(1))
    for row, (customer, day) in enumerate(looks):
        own = [Happening(at(h / 24), e, ch, p, v) for c, h, e, ch, p, v in rows if c == customer]
        alone = history_of(CATALOGUE, SCHEMA, own, at(day))
        expected = encoder.encode(np.zeros((1, 1), np.float32), alone, now)[0]
        np.testing.assert_allclose(seen[row], expected, rtol=1e-5, atol=1e-7)


def test_a_customer_of_whom_nothing_is_known_has_an_empty_history_today() -> None:
    history = history_of(CATALOGUE, SCHEMA, [], at(3))
    assert history.day.tolist() == [(at(3) - datetime(1970, 1, 1, tzinfo=UTC)).days]
    nothing = History.fresh(CATALOGUE, SCHEMA, history.day)
    for part in ("customer", "channel", "product"):
        np.testing.assert_array_equal(getattr(history, part), getattr(nothing, part))
