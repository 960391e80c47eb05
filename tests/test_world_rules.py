"""Each rule closes exactly what it says, for one customer as for many, and tells its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import CATALOGUE, small_schema

from envs.errors import InputError
from envs.history import History
from envs.profile import encode_profile
from envs.rules import Cap, Limit, RuleBook, Rules, Situation

SCHEMA = small_schema()
IDS = CATALOGUE.treatment_ids
OUTBOUND = {"sms-loan", "sms-loan-bonus", "sms-care", "call-fund"}
INBOUND = {"app-loan", "app-fund"}
LOANS = {"sms-loan", "sms-loan-bonus", "app-loan"}
FUNDS = {"call-fund", "app-fund"}
SELLING = LOANS | FUNDS
SMS = {"sms-loan", "sms-loan-bonus", "sms-care"}
Told = Callable[[History], None]


def people(*rows: dict[str, Any]) -> np.ndarray:
    full = [{"age": 40.0, "rating": 5.0, "vip": False, "segment": "mass"} | row for row in rows]
    return encode_profile(pl.DataFrame(full, schema_overrides={"age": pl.Float64, "rating": pl.Float64}), SCHEMA)


def tell(history: History, event: str, channel: str | None = None, product: str | None = None) -> None:
    history.record(
        event,
        np.array([0]),
        channel=np.array([-1 if channel is None else CATALOGUE.channel_ids.index(channel)]),
        product=np.array([-1 if product is None else CATALOGUE.product_ids.index(product)]),
    )


def blocked(rules: Rules, story: Told | None = None, inbound: bool = True, **profile: Any) -> set[str]:
    """Treatments that are closed to one customer, who has come into the app unless told otherwise."""
    history = History.fresh(CATALOGUE, SCHEMA, np.array([20_000]))
    if story is not None:
        story(history)
    situation = Situation(people(profile), history, np.array([0 if inbound else -1]))
    book = RuleBook(rules, CATALOGUE, SCHEMA)
    closed = {IDS[i] for i in np.flatnonzero(~book.mask(situation)[0])}
    assert set(book.reasons(situation)[0]) == closed
    return closed


def reasons(rules: Rules, story: Told, **profile: Any) -> dict[str, list[str]]:
    history = History.fresh(CATALOGUE, SCHEMA, np.array([20_000]))
    story(history)
    return RuleBook(rules, CATALOGUE, SCHEMA).reasons(Situation(people(profile), history, np.array([0])))[0]


def test_nothing_is_closed_to_whom_no_rule_concerns() -> None:
    assert blocked(Rules()) == set()


def test_an_inbound_channel_is_open_only_at_its_moment() -> None:
    assert blocked(Rules(), inbound=False) == INBOUND
    schema = small_schema(triggers=["inbound_call", "app_session"])
    book = RuleBook(Rules(), CATALOGUE, schema)
    history = History.fresh(CATALOGUE, schema, np.full(3, 20_000))
    mask = book.mask(Situation(people({}, {}, {}), history, np.array([0, 1, -1])))
    app = [IDS.index(i) for i in sorted(INBOUND)]
    assert mask[:, app].tolist() == [[False, False], [True, True], [False, False]]


def test_an_opt_out_closes_its_channel_for_good() -> None:
    def story(h: History) -> None:
        tell(h, "opted_out", "sms")
        h.advance(5000)

    assert blocked(Rules(), story) == SMS
    assert blocked(Rules(consent=False), story) == set()


def test_quiet_hours_close_a_daypart_of_a_channel() -> None:
    assert blocked(Rules(quiet={"sms": ("evening",), "call": ("evening",)})) == {"sms-care"}


def test_a_risk_hold_closes_selling_but_not_care() -> None:
    assert blocked(Rules(), lambda h: tell(h, "risk_hold")) == SELLING


def test_what_is_sold_once_is_not_offered_to_its_holder() -> None:
    def story(h: History) -> None:
        tell(h, "converted", product="loan")
        tell(h, "converted", product="fund")

    assert blocked(Rules(), story) == LOANS  # funds can be bought again
    assert blocked(Rules(once=False), story) == set()


@pytest.mark.parametrize(("rating", "closed"), [(1.0, FUNDS), (2.0, FUNDS), (3.0, set()), (5.0, set()), (None, FUNDS)])
def test_a_product_above_the_risk_rating_is_unsuitable_and_a_missing_rating_is_the_lowest(
    rating: float | None, closed: set[str]
) -> None:
    assert blocked(Rules(suitability="rating"), rating=rating) == closed


@pytest.mark.parametrize(("age", "open_"), [(21.0, False), (22.0, True), (65.0, True), (66.0, False)])
def test_a_limit_is_open_up_to_its_bounds(age: float, open_: bool) -> None:
    limit = Limit(name="loan_age", products=("loan",), column="age", at_least=22, at_most=65)
    assert blocked(Rules(limits=(limit,)), age=age) == (set() if open_ else LOANS)


def test_a_limit_closes_channels_flags_and_what_is_unknown() -> None:
    no_robots = Limit(name="protected", channels=("call",), column="vip", at_most=0)
    assert blocked(Rules(limits=(no_robots,)), vip=True) == {"call-fund"}
    assert blocked(Rules(limits=(no_robots,)), vip=False) == set()
    rated = Limit(name="rated", products=("fund",), column="rating", at_least=2)
    assert blocked(Rules(limits=(rated,)), rating=3.0) == set()
    assert blocked(Rules(limits=(rated,)), rating=None) == FUNDS


def test_a_cap_counts_the_contacts_of_its_window_and_closes_its_channels() -> None:
    weekly = Rules(caps=(Cap(name="weekly", most=2, days=7),))

    def story(gap: int, after: int) -> Told:
        def told(h: History) -> None:
            tell(h, "contacted", "sms", "loan")
            h.advance(gap)
            tell(h, "contacted", "call", "fund")
            h.advance(after)

        return told

    assert blocked(weekly, story(3, 3)) == OUTBOUND  # both within seven days; what the customer asks for stays open
    assert blocked(weekly, story(3, 4)) == set()
    sms = Rules(caps=(Cap(name="sms", channels=("sms",), most=1, days=7),))
    assert blocked(sms, story(3, 3)) == SMS
    assert blocked(sms, story(3, 4)) == set()
    app = Rules(caps=(Cap(name="app", channels=("app",), most=0, days=1),))
    assert blocked(app) == INBOUND


def test_a_cap_on_products_counts_the_days_of_their_offers() -> None:
    rules = Rules(caps=(Cap(name="loan_a_month", products=("loan",), most=1, days=28),))

    def story(days: int) -> Told:
        def told(h: History) -> None:
            tell(h, "contacted", "app", "loan")
            h.advance(days)

        return told

    assert blocked(rules, story(27)) == LOANS
    assert blocked(rules, story(28)) == set()


def test_a_refused_product_rests_and_a_complaint_silences_selling() -> None:
    def story(event: str, days: int) -> Told:
        def told(h: History) -> None:
            tell(h, event, "sms", "loan")
            h.advance(days)

        return told

    assert blocked(Rules(refusal_days=14), story("declined", 13)) == LOANS
    assert blocked(Rules(refusal_days=14), story("declined", 14)) == set()
    assert blocked(Rules(complaint_days=30), story("complained", 29)) == SELLING
    assert blocked(Rules(complaint_days=30), story("complained", 30)) == set()


def test_one_voice_keeps_other_products_away_and_care_is_no_offer() -> None:
    def story(*products: str, days: int = 2) -> Told:
        def told(h: History) -> None:
            for product in products:
                tell(h, "contacted", "sms", product)
            h.advance(days)

        return told

    rules = Rules(focus_days=3)
    assert blocked(rules, story("loan")) == FUNDS
    assert blocked(rules, story("fund")) == LOANS
    assert blocked(rules, story("care")) == set()
    assert blocked(rules, story("loan", "fund")) == SELLING
    assert blocked(rules, story("loan", days=3)) == set()


def test_every_rule_in_the_way_is_named_and_only_those() -> None:
    limit = Limit(name="grown_up", products=("loan",), column="age", at_least=22)
    rules = Rules(limits=(limit,), suitability="rating", caps=(Cap(name="weekly", most=1, days=7),), refusal_days=9)

    def story(h: History) -> None:
        tell(h, "contacted", "sms", "loan")
        tell(h, "declined", "sms", "loan")
        tell(h, "opted_out", "sms")

    assert reasons(rules, story, age=20.0, rating=2.0) == {
        "sms-loan": ["consent", "grown_up", "weekly", "refusal"],
        "sms-loan-bonus": ["consent", "grown_up", "weekly", "refusal"],
        "sms-care": ["consent", "weekly"],
        "call-fund": ["suitability", "weekly"],
        "app-loan": ["grown_up", "refusal"],
        "app-fund": ["suitability"],
    }


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 6),
        st.sampled_from(["contacted", "contacted", "declined", "converted", "opted_out", "complained", "risk_hold"]),
        st.integers(-1, 2),
        st.integers(-1, 2),
    ),
    max_size=20,
)
BOOK = RuleBook(
    Rules(
        suitability="rating",
        quiet={"sms": ("evening",)},
        limits=(Limit(name="grown_up", products=("loan",), column="age", at_least=22),),
        caps=(Cap(name="weekly", most=2, days=7), Cap(name="fund", products=("fund",), most=1, days=3)),
        refusal_days=5,
        complaint_days=4,
        focus_days=3,
    ),
    CATALOGUE,
    SCHEMA,
)


@settings(max_examples=60, deadline=None)
@given(
    EVENTS, st.lists(st.integers(-1, 0), min_size=3, max_size=3), st.lists(st.integers(1, 5), min_size=3, max_size=3)
)
def test_a_batch_is_masked_as_its_customers_one_by_one_silence_never_and_reasons_agree(
    rows: list[tuple[int, int, str, int, int]], trigger: list[int], ratings: list[int]
) -> None:
    history = History.fresh(CATALOGUE, SCHEMA, np.full(3, 20_000))
    for who, days, event, channel, product in rows:
        history.advance(days)
        history.record(event, np.array([who]), channel=np.array([channel]), product=np.array([product]))
    profile = people(*({"rating": float(r), "age": 18.0 + 4 * r} for r in ratings))
    situation = Situation(profile, history, np.array(trigger))
    mask = BOOK.mask(situation)
    assert mask[:, 0].all()
    told = BOOK.reasons(situation)
    for row in range(3):
        alone = Situation(profile[:, [row]], history.take(np.array([row])), np.array(trigger[row : row + 1]))
        assert (BOOK.mask(alone)[0] == mask[row]).all()
        assert BOOK.reasons(alone)[0] == told[row]
        assert set(told[row]) == {IDS[i] for i in np.flatnonzero(~mask[row])}
        assert all(names for names in told[row].values())


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(quiet={"pigeon": ("day",)}), "quiet == 'pigeon', must be one of: sms, call, app"),
        (Rules(suitability="mood"), "suitability == 'mood', must be one of: age, rating, vip"),
        (Rules(suitability="segment"), "suitability == 'segment', must be one of: age, rating, vip"),
        (Rules(caps=(Cap(name="c", channels=("fax",), most=1, days=1),)), "c.channels == 'fax', must be one of"),
        (Rules(caps=(Cap(name="c", products=("car",), most=1, days=1),)), "c.products == 'car', must be one of"),
        (
            Rules(limits=(Limit(name="l", products=("car",), column="age", at_least=1),)),
            "l.products == 'car', must be one of: loan, fund, care",
        ),
        (
            Rules(limits=(Limit(name="l", products=("loan",), column="size", at_least=1),)),
            "l.column == 'size', must be one of: age, rating, vip",
        ),
        (
            Rules(limits=(Limit(name="l", products=("loan",), column="age", at_most=95),)),
            "l.at_most == 95.0, must lie less than 5 scales from the center of age",
        ),
    ],
)
def test_names_that_do_not_exist_and_bounds_that_cannot_be_seen_are_refused(rules: Rules, said: str) -> None:
    with pytest.raises(InputError) as caught:
        RuleBook(rules, CATALOGUE, SCHEMA)
    assert str(caught.value).startswith("rules.yaml: ")
    assert said in str(caught.value)


def test_an_inbound_channel_whose_trigger_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="inbound == 'app_session', must be one of: inbound_call"):
        RuleBook(Rules(), CATALOGUE, small_schema(triggers=["inbound_call"]))


@pytest.mark.parametrize(
    "fields", [{"column": "age", "at_least": 1}, {"column": "age", "products": ("loan",)}], ids=["of what", "how much"]
)
def test_a_limit_that_limits_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="limit 'l': must "):
        Limit.model_validate({"name": "l", **fields})


def test_the_digest_names_the_content_of_the_book() -> None:
    def of(rules: Rules) -> str:
        return RuleBook(rules, CATALOGUE, SCHEMA).digest

    assert of(Rules()) == of(Rules(consent=True))
    assert of(Rules()) != of(Rules(consent=False))
