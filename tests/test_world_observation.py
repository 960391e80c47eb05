"""One table of fields says what a decision sees, in which unit and range."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import CATALOGUE, FINITE, small_schema

from envs.calendar import calendar_fields
from envs.errors import InputError
from envs.history import History
from envs.observation import Encoder, Moment
from envs.prices import Prices, price_field, price_of, prices_from
from envs.profile import encode_profile
from envs.world import load_world

DAY = 20_520  # 2026-03-08, a Sunday
SCHEMA = small_schema(task={"kind": "continuing", "calendar": "CN"})
ENCODER = Encoder(CATALOGUE, SCHEMA)


def people(*rows: tuple[float | None, float | None, bool, str]) -> pl.DataFrame:
    """Rows of (age, rating, vip, segment)."""
    types = {"age": pl.Float64, "rating": pl.Float64, "vip": pl.Boolean, "segment": pl.String}
    return pl.DataFrame(rows, schema=types, orient="row")


def moment(batch: int = 1, trigger: int = -1, prices: tuple[float, float] = (2.0, 0.5)) -> Moment:
    return Moment(np.full(batch, trigger), np.tile(prices, (batch, 1)), np.full(batch, 4.0), np.full(batch, 2.0))


def seen(history: History, at: Moment | None = None, encoder: Encoder = ENCODER) -> dict[str, float]:
    profile = encode_profile(people((60, None, True, "rich")), encoder.schema)
    row = encoder.encode(profile, history, at or moment())[0]
    return dict(zip(encoder.names, row.tolist(), strict=True))


def test_profile_fields_are_centred_scaled_and_say_what_is_missing() -> None:
    values = seen(History.fresh(CATALOGUE, SCHEMA, np.array([DAY])))
    assert values["age"] == 2.0
    assert (values["rating"], values["rating:missing"]) == (0.0, 1.0)
    assert values["vip"] == 1.0
    assert (values["segment=mass"], values["segment=rich"]) == (0.0, 1.0)


def test_history_fields_count_in_their_unit() -> None:
    h, one = History.fresh(CATALOGUE, SCHEMA, np.array([DAY - 7])), np.array([0])
    h.record("contacted", one, channel=np.array([1]), product=np.array([1]))
    h.record("engaged", one, channel=np.array([1]), product=np.array([1]))
    h.record("complained", one)
    h.record("opted_out", one, channel=np.array([2]))
    h.record("purchased", one, value=np.array([100.0]))
    h.advance(7)
    values = seen(h)
    expected = {
        "channel:call:recency": 0.5,
        "channel:call:pressure": 0.5 / 5,
        "channel:call:engagements": 2 ** (-7 / 30) / 5,
        "channel:call:consent": 1.0,
        "channel:app:consent": 0.0,
        "channel:sms:recency": 0.0,
        "product:fund:intent": 2 ** (-7 / 10) / 5,
        "product:fund:lead": 0.5,
        "product:fund:offered": 0.5,
        "product:loan:offered": 0.0,
        "contact:pressure": 0.5 / 10,
        "contact:week": 0.0,  # the contact was seven days ago; the week is today and the six days before
        "contact:complaints": 2 ** (-7 / 60) / 5,
        "contact:spend": np.log1p(100 * 2 ** (-7 / 14)) / 5,
        "calendar:weekend": 1.0,
        "product:fund:refusals": 0.0,
        "product:fund:holds": 0.0,
        "product:fund:pending": 0.0,
        "contact:risk_hold": 0.0,
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-5), name


def test_break_points_applications_holdings_refusals_and_holds_are_seen() -> None:
    h, one = History.fresh(CATALOGUE, SCHEMA, np.array([DAY - 1])), np.array([0])
    for event, product in (("abandoned", 0), ("applied", 1), ("converted", 2), ("declined", 2)):
        h.record(event, one, product=np.array([product]))
    h.record("risk_hold", one)
    assert seen(h)["product:loan:abandoned"] == 1.0
    h.advance(1)
    values = seen(h)
    assert values["product:loan:abandoned"] == 0.5  # half of it is gone in a day
    assert values["product:loan:lead"] == pytest.approx(2 ** (-1 / 7))
    assert [values[f"product:{p}:pending"] for p in CATALOGUE.product_ids] == [0, 1, 0]
    assert [values[f"product:{p}:holds"] for p in CATALOGUE.product_ids] == [0, 0, 1]
    assert values["product:care:refusals"] == pytest.approx(2 ** (-1 / 30) / 5)
    assert values["contact:risk_hold"] == 1.0


def test_contacts_of_the_week_are_those_of_today_and_the_six_days_before() -> None:
    h, one = History.fresh(CATALOGUE, SCHEMA, np.array([DAY - 8])), np.array([0])
    for day in range(9):
        assert seen(h)["contact:week"] * 7 == pytest.approx(min(day, 6), abs=1e-6)
        h.record("contacted", one, channel=np.array([day % 3]))
        h.advance(1)


def test_stage_and_key_day_are_seen_where_the_schema_names_them() -> None:
    born = {"name": "born", "type": "number", "center": 10, "scale": 4}
    life = {"name": "life", "type": "category", "categories": ["new", "gone"]}
    schema = small_schema(
        columns=[born, life], stages=["new", "active", "gone"], stage_column="life", key_day_column="born"
    )
    encoder, first = Encoder(CATALOGUE, schema), DAY - 7  # 1 March
    stages = [f"stage:{name}" for name in schema.stages]
    frame = pl.DataFrame({"born": [8.0] * 10, "life": ["new"] * 10})
    h = History.fresh(CATALOGUE, schema, first + np.arange(10))
    seen = encoder.encode(encode_profile(frame, schema), h, moment(10))
    days = seen[:, encoder.names.index("calendar:key_day")]
    assert days.tolist() == [0] * 7 + [1] + [0] * 2  # on the eighth
    columns = [encoder.names.index(name) for name in stages]
    assert not seen[:, columns].any()  # a history that does not know its stage
    h.record("stage_changed", np.arange(2), value=np.array([1.0, 2.0]))
    seen = encoder.encode(encode_profile(frame, schema), h, moment(10))
    assert seen[:3, columns].tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_a_day_that_no_calendar_covers_is_refused_where_fields_depend_on_it() -> None:
    h, profile = (
        History.fresh(CATALOGUE, SCHEMA, np.array([200_000])),
        encode_profile(people((1, 1, True, "mass")), SCHEMA),
    )
    with pytest.raises(InputError, match="must lie between 2000 and 2045"):
        ENCODER.encode(profile, h, moment())
    plain = Encoder(CATALOGUE, small_schema())
    assert np.isfinite(plain.encode(profile, h, moment())).all()


def test_a_profile_of_another_schema_is_refused() -> None:
    h = History.fresh(CATALOGUE, SCHEMA, np.array([DAY, DAY]))
    for profile in (np.zeros((2, 3), np.float32), np.zeros((1, 6), np.float32)):
        with pytest.raises(ValueError, match=r"profile: shape \(., .\), must be \(2, 6\)"):
            ENCODER.encode(profile, h, moment(2))


def test_a_profile_of_another_precision_is_read_as_it_is_meant() -> None:
    h, profile = (
        History.fresh(CATALOGUE, SCHEMA, np.array([DAY])),
        encode_profile(people((60, 2, True, "rich")), SCHEMA),
    )
    plain = ENCODER.encode(profile, h, moment())
    for other in (profile.astype(np.float64), np.asfortranarray(np.tile(profile, (3, 1)))[1:2]):
        np.testing.assert_array_equal(ENCODER.encode(other, h, moment()), plain)


def test_moment_and_prices_are_seen() -> None:
    h = History.fresh(CATALOGUE, SCHEMA, np.array([DAY]))
    values = seen(h, moment(trigger=0, prices=(5.0, 1.0)))
    assert values["moment:app_session"] == 1.0
    half = np.log(51) / np.log(101)  # both at half of their ranges
    assert (values["price:annoyance"], values["price:minutes"]) == pytest.approx((half, half))
    assert seen(h)["moment:app_session"] == 0.0


def test_only_a_finite_task_has_a_clock() -> None:
    finite = Encoder(CATALOGUE, small_schema(FINITE))
    assert not [n for n in ENCODER.names if n.startswith("task:")]
    assert not [n for n in finite.names if n.startswith("calendar:")]
    h = History.fresh(CATALOGUE, finite.schema, np.array([DAY]))
    values = seen(h, encoder=finite)
    assert values["task:time_left"] == pytest.approx(4 / 9)
    assert values["task:gap"] == pytest.approx(2 / 9)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_other_prices_in_an_old_observation_are_as_if_seen_at_once(annoyance: float, minutes: float) -> None:
    h = History.fresh(CATALOGUE, SCHEMA, np.array([DAY, DAY]))
    profile = encode_profile(people((60, 2, True, "rich"), (20, None, False, "mass")), SCHEMA)
    before = ENCODER.encode(profile, h, moment(2))
    kept = before.copy()
    changed = ENCODER.with_prices(before, np.array([annoyance, minutes]))
    np.testing.assert_array_equal(changed, ENCODER.encode(profile, h, moment(2, prices=(annoyance, minutes))))
    np.testing.assert_array_equal(before, kept)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["contacted", "engaged", "declined", "complained", "purchased"]),
            st.integers(0, 2),
            st.floats(0, 1e9),
        ),
        max_size=150,
    ),
    st.floats(0, 1e9),
)
def test_observations_stay_inside_the_table_of_fields(rows: list[tuple[str, int, float]], price: float) -> None:
    h, one = History.fresh(CATALOGUE, SCHEMA, np.array([DAY])), np.array([0])
    for event, place, value in rows:
        h.record(event, one, channel=np.array([place]), product=np.array([place]), value=np.array([value]))
    profile = encode_profile(people((1e9, -1e9, True, "rich")), SCHEMA)
    row = ENCODER.encode(profile, h, moment(prices=(price, price)))[0]
    assert row.dtype == np.float32
    for value, field in zip(row, ENCODER.fields, strict=True):
        assert field.low <= value <= field.high, field.name


def test_a_customer_is_seen_the_same_to_the_bit_alone_and_in_a_batch() -> None:
    bank = load_world("bank")
    rng, batch = np.random.default_rng(0), 500
    h = History.fresh(bank.catalogue, bank.schema, np.full(batch, DAY))
    h.customer["ring_day"] = DAY - rng.integers(0, 20, h.customer["ring_day"].shape)
    h.customer["stage"] = rng.integers(-1, 1 + len(bank.schema.stages), batch)
    traces = {
        "customer": ("complaints", "spend"),
        "channel": ("pressure", "engagements"),
        "product": ("intent", "refusals"),
    }
    for part, names in traces.items():
        for name in names:
            records = getattr(h, part)
            records[name] = rng.random(records.shape)
    profile = bank.population.start(np.arange(batch), 0, bank.catalogue.product_ids).profile
    prices = rng.random((batch, len(bank.encoder.price_names)))
    seen = bank.encoder.encode(profile, h, Moment(np.full(batch, -1), prices, np.zeros(batch), np.zeros(batch)))
    for row in range(100):
        one = np.array([row])
        at = Moment(np.full(1, -1), prices[one], np.zeros(1), np.zeros(1))
        np.testing.assert_array_equal(bank.encoder.encode(profile[one], h.take(one), at)[0], seen[row])


def test_every_field_has_a_name_of_its_own_and_a_meaning() -> None:
    assert len(set(ENCODER.names)) == len(ENCODER.names)
    assert all(field.meaning and field.low < field.high for field in ENCODER.fields)


def test_the_digest_knows_fields_fading_and_ranges_of_prices() -> None:
    def of(**more: object) -> str:
        return Encoder(CATALOGUE, small_schema(task={"kind": "continuing", "calendar": "CN"}, **more)).digest

    assert of() == ENCODER.digest
    others = [of(fading={"pressure": 8}), of(triggers=[]), of(prices={"annoyance": {"high": 11}})]
    assert len({ENCODER.digest, *others}) == 4


def test_a_profile_is_checked_at_the_door() -> None:
    def fault(frame: pl.DataFrame) -> str:
        with pytest.raises(InputError) as caught:
            encode_profile(frame, SCHEMA)
        return str(caught.value)

    assert "age == 'null' (row 1), must not be missing" in fault(people((1, 1, True, "mass"), (None, 1, True, "mass")))
    assert "segment == 'poor', must be one of: mass, rich" in fault(people((1, 1, True, "poor")))
    assert "rating == inf (row 0), must be finite" in fault(people((1, float("inf"), True, "mass")))
    assert "vip == '(missing)'" in fault(people((1, 1, True, "mass")).drop("vip"))


def test_the_calendar_knows_weekends_paydays_and_feasts() -> None:
    new_year, sunday, friday = (
        int(np.datetime64(d, "D").astype(int)) for d in ("2026-01-01", "2026-03-08", "2026-05-15")
    )
    table = calendar_fields(np.array([new_year, sunday, friday]), "CN")
    table = table.T
    assert table[2].tolist() == [0, 1, 0]  # weekend
    assert table[3].tolist() == [0, 0, 1]  # payday
    assert table[4].tolist() == [1, 0, 0]  # holiday
    np.testing.assert_allclose(table[0] ** 2 + table[1] ** 2, 1, rtol=1e-6)
    with pytest.raises(InputError, match=r"task.calendar == 'Atlantis', must be a country code"):
        calendar_fields(np.array([sunday]), "Atlantis")
    with pytest.raises(InputError, match="must lie between 2000 and 2045"):
        calendar_fields(np.array([sunday + 20_000]), "CN")


@given(st.floats(0, 50), st.floats(1e-3, 1e4))
def test_a_price_is_read_back_from_its_field_and_dearer_is_more(share: float, high: float) -> None:
    price = share * high
    field = price_field(np.array([price, price + 0.01 * high, 0.0, high]), high)
    assert field[0] < field[1]
    assert field[2:].tolist() == [0.0, 1.0]
    assert price_of(field[:1], high)[0] == pytest.approx(price, rel=1e-9, abs=1e-12)


def test_prices_left_out_take_their_default_and_strangers_are_refused() -> None:
    assert prices_from(None, CATALOGUE, SCHEMA) == Prices(2.0, (0.5,))
    assert prices_from({"minutes": 1}, CATALOGUE, SCHEMA) == Prices(2.0, (1.0,))
    assert Prices(2.0, (1.0,)).named(CATALOGUE) == {"annoyance": 2.0, "minutes": 1.0}
    with pytest.raises(InputError, match="prices == 'hours', must be one of: annoyance, minutes"):
        prices_from({"hours": 1}, CATALOGUE, SCHEMA)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"prices.annoyance == .*, must be a number >= 0"):
            prices_from({"annoyance": wrong}, CATALOGUE, SCHEMA)
