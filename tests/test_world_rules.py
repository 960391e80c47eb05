"""Each rule closes exactly what it says, and tells its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rules_kit import (
    CATALOGUE,
    CHECKS,
    FUNDS,
    LOANS,
    MONDAY,
    OUTBOUND,
    PRODUCTS,
    SCHEMA,
    SELLING,
    STAGES,
    Story,
    ids,
    situation,
    why,
)

from envs.rules import Ban, Cap, Limit, QuietTime, RuleBook, Rules, Selection

APP, DESK = 0, 1  # triggers


def test_nothing_is_closed_to_whom_no_rule_concerns_and_inbound_channels_wait_for_their_moment() -> None:
    for trigger in (-1, APP, DESK):
        assert why(Rules(), trigger=trigger) == {}


def test_an_opt_out_closes_its_channel_for_good() -> None:
    story = Story().event("opted_out", "sms").wait(5000)
    assert why(Rules(), story) == {"consent": ids("sms-")}
    assert why(Rules(consent=False), story) == {}


def test_quiet_dayparts_of_a_channel() -> None:
    rules = Rules(quiet={"sms": ("evening",), "manager": ("evening",)})
    assert why(rules) == {"quiet_hours": {"sms-care"}}


def test_quiet_times_know_the_kind_of_day() -> None:
    def on(day: int, *rules: QuietTime) -> dict[str, set[str]]:
        return why(Rules(quiet_times=rules), Story(day))

    weekend = QuietTime(name="rest", channels=("call",), days=("weekend",))
    assert [on(MONDAY + k, weekend) for k in range(4, 8)] == [{}, {"rest": ids("call-")}, {"rest": ids("call-")}, {}]
    evening = QuietTime(name="late", families=("remote",), dayparts=("evening",))
    assert on(MONDAY, evening) == {"late": {"call-fund"}}
    new_year = MONDAY - 4  # Thursday, 1 January 2026
    assert on(new_year, QuietTime(name="feast", channels=("sms",), days=("holiday",))) == {"feast": ids("sms-")}
    working = QuietTime(name="busy", channels=("sms",), days=("working_day",), dayparts=("evening",))
    assert on(new_year, working) == {}
    assert on(MONDAY, working) == {"busy": {"sms-care"}}
    assert on(39_999, weekend) == {}  # 2079, beyond the calendar: a Friday
    assert on(40_000, weekend) == {"rest": ids("call-")}


def test_a_risk_hold_closes_selling_and_opens_verification_until_it_is_cleared() -> None:
    story = Story()
    assert "no_risk_hold" in RuleBook(Rules(), CATALOGUE, SCHEMA).reasons(situation(story))[0]["sms-check"]
    story.event("risk_hold").wait(400)
    assert why(Rules(), story, trigger=APP) == {"risk_hold": SELLING}
    capped = Rules(caps=(Cap(name="none", most=0, days=1), Cap(name="checks", products=("check",), most=0, days=1)))
    assert why(capped, story) == {"risk_hold": SELLING, "none": OUTBOUND - CHECKS, "checks": CHECKS}
    assert why(Rules(), story.event("risk_cleared")) == {}


def test_a_delayed_contact_closes_its_channel_until_it_is_made() -> None:
    assert why(Rules(), busy=2) == {"waiting": ids("manager-")}


def test_what_is_sold_once_is_not_offered_to_its_holder_and_an_application_is_not_repeated() -> None:
    story = Story().event("converted", product="loan").event("converted", product="fund")
    assert why(Rules(), story) == {"holds_already": LOANS}  # funds can be bought again
    assert why(Rules(once=False), story) == {}
    story = Story().event("applied", "app", "fund")
    assert why(Rules(), story) == {"application_pending": FUNDS}
    assert why(Rules(pending=False), story) == {}
    assert why(Rules(), story.event("converted", product="fund")) == {}


@pytest.mark.parametrize(("rating", "closed"), [(1.0, FUNDS), (2.0, FUNDS), (3.0, set()), (5.0, set()), (None, FUNDS)])
def test_a_product_above_the_risk_rating_is_unsuitable_and_a_missing_rating_is_the_lowest(
    rating: float | None, closed: set[str]
) -> None:
    assert why(Rules(suitability="rating"), rating=rating) == ({"suitability": closed} if closed else {})


@pytest.mark.parametrize(
    ("condition", "open_to", "closed_to"),
    [
        (
            {"column": "age", "at_least": 22, "at_most": 65},
            [{"age": 22.0}, {"age": 65.0}],
            [{"age": 21.0}, {"age": 66.0}],
        ),
        ({"column": "rating", "at_least": 2}, [{"rating": 2.0}], [{"rating": 1.0}, {"rating": None}]),
        ({"column": "vip", "at_most": 0}, [{"vip": False}], [{"vip": True}]),
        ({"column": "segment", "one_of": ("rich",)}, [{"segment": "rich"}], [{"segment": "mass"}]),
        (
            {"column": "region", "one_of": ("east", "west")},
            [{"region": "west"}],
            [{"region": "north"}, {"region": None}],
        ),
    ],
)
def test_a_limit_is_open_to_those_who_meet_it_and_closed_to_the_unknown(
    condition: dict[str, Any], open_to: list[dict[str, Any]], closed_to: list[dict[str, Any]]
) -> None:
    rules = Rules(limits=(Limit(name="who", products=("loan",), channels=("sms", "app"), **condition),))
    assert all(why(rules, **profile) == {} for profile in open_to)
    assert all(why(rules, **profile) == {"who": LOANS & ids("sms-", "app-")} for profile in closed_to)


def test_a_limit_looks_at_stages_and_holdings() -> None:
    rules = Rules(limits=(Limit(name="stage", products=("fund",), stages=("active", "leaving")),))
    assert why(rules) == {"stage": FUNDS}  # of whom no stage is known
    for position, stage in enumerate(STAGES):
        story = Story().event("stage_changed", value=position)
        assert why(rules, story) == ({"stage": FUNDS} if stage == "new" else {})
    needs = Rules(once=False, limits=(Limit(name="base", products=("fund",), holds=("loan", "check")),))
    assert why(needs) == {"base": FUNDS}
    assert why(needs, Story().event("converted", product="loan")) == {}
    lacks = Rules(once=False, limits=(Limit(name="either", products=("fund",), lacks=("loan",)),))
    assert why(lacks) == {}
    assert why(lacks, Story().event("converted", product="loan")) == {"either": FUNDS}


def test_all_conditions_of_a_limit_must_hold() -> None:
    rules = Rules(limits=(Limit(name="both", column="age", at_least=30, stages=("new",), families=("remote",)),))
    new = Story().event("stage_changed", value=0)
    assert why(rules, new, age=30.0) == {}
    assert why(rules, new, age=29.0) == why(rules, age=30.0) == {"both": ids("call-")}


def test_a_cap_counts_contacts_one_by_one_in_a_rolling_window() -> None:
    rules = Rules(caps=(Cap(name="weekly", most=2, days=7),))
    story = Story().contact("sms-loan").contact("call-fund").wait(6)
    assert why(rules, story, trigger=APP) == {"weekly": OUTBOUND - CHECKS}  # twice on one day; inbound stays open
    assert why(rules, story.wait(1)) == {}
    assert why(rules, story.contact("app-loan").contact("app-loan").contact("sms-care")) == {}
    assert "weekly" in why(rules, story.event("contacted"))  # of which nothing is known


@pytest.mark.parametrize(
    ("scope", "counting", "closed"),
    [
        ({"treatments": ("sms-loan",)}, "sms-loan", {"sms-loan"}),
        ({"products": ("loan",)}, "sms-loan-bonus", LOANS - ids("app-")),
        ({"channels": ("call",)}, "call-fund", ids("call-") - CHECKS),
        ({"families": ("online",)}, "sms-care", ids("sms-") - CHECKS),
        ({"families": ("online",), "inbound": True}, "app-fund", ids("sms-", "app-") - CHECKS),
        ({"channels": ("app",)}, "app-fund", ids("app-")),
        ({"benefits": ("bonus", "points")}, "sms-loan-bonus", {"sms-loan-bonus", "call-loan-points"}),
        (
            {"products": ("fund",), "families": ("offline",), "inbound": True},
            "desk-fund",
            {"manager-fund", "desk-fund"},
        ),
    ],
)
def test_a_cap_counts_and_closes_its_scope(scope: dict[str, Any], counting: str, closed: set[str]) -> None:
    rules = Rules(caps=(Cap(name="cap", most=1, days=7, **scope),))
    others = sorted(set(CATALOGUE.treatment_ids[1:]) - closed - CHECKS)
    story = Story()
    for other in others:
        story.contact(other)
    assert why(rules, story) == {}
    assert why(rules, story.contact(counting)) == {"cap": closed}


def test_a_cap_counts_sixteen_contacts_and_refuses_to_count_more() -> None:
    rules = Rules(caps=(Cap(name="many", most=16, days=30),))
    story = Story()
    for _ in range(15):
        story.contact("sms-loan").wait(1)
    assert why(rules, story) == {}
    assert "many" in why(rules, story.contact("sms-loan"))
    with pytest.raises(ValueError, match="must be at most 16: so many contacts of a customer are remembered"):
        Cap(name="more", most=17, days=30)


def test_more_rules_than_one_word_of_counters_holds() -> None:
    rules = Rules(caps=tuple(Cap(name=f"cap {k}", most=1 + k % 16, days=1 + k) for k in range(150)))
    story = Story().contact("sms-loan").wait(100).contact("sms-loan").contact("sms-loan")
    full = {f"cap {k}" for k in range(150) if 1 + k % 16 <= 2 + (k >= 100)}
    assert set(why(rules, story)) == full


def test_a_refused_product_rests_and_a_complaint_silences_selling() -> None:
    refused = Story().event("declined", "sms", "loan").wait(13)
    assert why(Rules(refusal_days=14), refused) == {"refusal": LOANS}
    assert why(Rules(refusal_days=14), refused.wait(1)) == {}
    complained = Story().event("complained", "sms", "loan").wait(29)
    assert why(Rules(complaint_days=30), complained) == {"complaint": SELLING}
    assert why(Rules(complaint_days=30), complained.wait(1)) == {}


def test_one_voice_keeps_other_products_away_and_care_is_no_offer() -> None:
    rules = Rules(focus_days=3)
    assert why(rules, Story().contact("sms-loan").wait(2)) == {"one_voice": FUNDS}
    assert why(rules, Story().contact("call-fund").wait(2)) == {"one_voice": LOANS}
    assert why(rules, Story().contact("sms-care").wait(2)) == {}
    assert why(rules, Story().contact("sms-loan").contact("app-fund").wait(2)) == {"one_voice": SELLING}
    assert why(rules, Story().contact("sms-loan").wait(3)) == {}


def test_a_sequence_ban_closes_one_after_the_other() -> None:
    ban = Ban(name="not_after", never=Selection(products=("fund",)), after=Selection(channels=("call", "app")), days=5)
    rules = Rules(bans=(ban,))
    assert why(rules, Story().contact("call-loan-points").wait(4)) == {"not_after": FUNDS}
    assert why(rules, Story().contact("app-loan").wait(4)) == {"not_after": FUNDS}
    assert why(rules, Story().contact("call-loan-points").wait(5)) == {}
    assert why(rules, Story().contact("sms-loan")) == {}
    assert why(rules, Story().event("contacted", "call")) == {"not_after": FUNDS}
    both = Rules(bans=(ban.model_copy(update={"either_order": True}),))
    assert why(both, Story().contact("desk-fund").wait(4)) == {"not_after": ids("call-", "app-")}


def test_a_benefit_once_shown_holds_on_every_channel() -> None:
    rules = Rules(benefit_days=10)
    bonus, points = {"sms-loan-bonus", "app-loan-bonus"}, {"call-loan-points"}
    assert why(rules, Story().contact("app-loan-bonus").wait(9)) == {"offer_consistency": LOANS - bonus}
    assert why(rules, Story().contact("app-loan-bonus").wait(10)) == {}
    assert why(rules, Story().contact("sms-loan")) == {}
    assert why(rules, Story().contact("sms-loan-bonus").contact("call-loan-points")) == {"offer_consistency": LOANS}
    assert why(rules, Story().contact("call-loan-points")) == {"offer_consistency": LOANS - points}


def test_every_rule_in_the_way_is_named() -> None:
    rules = Rules(
        limits=(Limit(name="grown_up", products=("loan",), column="age", at_least=22),),
        suitability="rating",
        caps=(Cap(name="weekly", most=1, days=7),),
        refusal_days=9,
    )
    story = Story().contact("sms-loan").event("declined", "sms", "loan").event("opted_out", "sms")
    told = RuleBook(rules, CATALOGUE, SCHEMA).reasons(situation(story, age=20.0, rating=2.0))[0]
    assert told["sms-loan"] == ["consent", "refusal", "grown_up", "weekly"]
    assert told["sms-check"] == ["no_risk_hold", "consent"]
    assert told["manager-fund"] == ["suitability", "weekly"]
    assert told["app-loan"] == ["inbound", "refusal", "grown_up"]


def test_the_digest_names_the_content_of_the_book() -> None:
    def of(rules: Rules) -> str:
        return RuleBook(rules, CATALOGUE, SCHEMA).digest

    assert of(Rules()) == of(Rules(consent=True))
    assert of(Rules()) != of(Rules(consent=False))


def test_a_book_leaves_its_situation_as_it_was() -> None:
    story = Story().contact("sms-loan").event("engaged", "sms", "loan")
    before = story.history.take(np.array([0]))
    why(Rules(caps=(Cap(name="c", most=1, days=1),), focus_days=2), story)
    for name in ("customer", "channel", "product"):
        assert (getattr(before, name) == getattr(story.history, name)).all()
    assert len(PRODUCTS) == story.history.product.shape[1]
