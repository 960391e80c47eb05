"""A rule book that names what is not there, or rules nothing, is refused with the place and the need."""

from __future__ import annotations

from typing import Any

import pytest
from rules_kit import CATALOGUE, HAND_OVER, SAID, SCHEMA

from envs.errors import InputError
from envs.rules import Ban, Cap, HandOver, Limit, Ownership, QuietTime, RuleBook, Rules, Selection
from envs.schema import Schema


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(quiet={"pigeon": ("day",)}), "quiet.pigeon == 'pigeon', must be one of: sms, call"),
        (Rules(suitability="mood"), "suitability == 'mood', must be one of: age, rating, vip"),
        (Rules(suitability="segment"), "suitability == 'segment', must be one of: age, rating, vip"),
        (Rules(caps=(Cap(name="c", channels=("fax",), most=1, days=1),)), "caps.c.channels == 'fax', must be one of"),
        (Rules(caps=(Cap(name="c", products=("car",), most=1, days=1),)), "c.products == 'car', must be one of"),
        (Rules(caps=(Cap(name="c", treatments=("silence",), most=1, days=1),)), "c.treatments == 'silence'"),
        (
            Rules(limits=(Limit(name="l", column="size", at_least=1),)),
            "l.column == 'size', must be one of: age, rating",
        ),
        (Rules(limits=(Limit(name="l", column="segment", at_least=1),)), "l.column == 'segment', must be one of: age"),
        (Rules(limits=(Limit(name="l", column="age", one_of=("old",)),)), "l.column == 'age', must be one of: segment"),
        (
            Rules(limits=(Limit(name="l", column="segment", one_of=("poor",)),)),
            "l.one_of == 'poor', must be one of: mass",
        ),
        (Rules(limits=(Limit(name="l", stages=("old",)),)), "l.stages == 'old', must be one of: new, active, leaving"),
        (Rules(limits=(Limit(name="l", lacks=("car",)),)), "l.lacks == 'car', must be one of: loan"),
        (
            Rules(limits=(Limit(name="l", column="age", at_most=95),)),
            "l.at_most == 95.0, must lie less than 5 scales from the center of age",
        ),
        (Rules(quiet_times=(QuietTime(name="q", dayparts=("noon",)),)), "q.dayparts == 'noon', must be one of: day"),
        (
            Rules(
                bans=(Ban(name="b", never=Selection(benefits=("car",)), after=Selection(products=("fund",)), days=1),)
            ),
            "bans.b.never.benefits == 'car', must be one of: none, bonus, points",
        ),
        (Rules(hand_overs=(HAND_OVER.model_copy(update={"to": ("fax",)}),)), "hand_overs.to_person.to == 'fax'"),
        (Rules(ownerships=(Ownership(name="o", holds=("loan",), owners=("boss",)),)), "o.owners == 'boss'"),
        (Rules(extends="rules.yaml"), "extends, must be read with load_rules"),
    ],
)
def test_names_that_do_not_exist_and_bounds_that_cannot_be_seen_are_refused(rules: Rules, said: str) -> None:
    with pytest.raises(InputError) as caught:
        RuleBook(rules, CATALOGUE, SCHEMA)
    assert str(caught.value).startswith("rules.yaml: ")
    assert said in str(caught.value)


def test_what_the_schema_lacks_cannot_be_asked_for() -> None:
    without = Schema.model_validate({**SAID, "stages": [], "task": {"kind": "continuing"}})
    for rules, said in [
        (Rules(limits=(Limit(name="l", stages=("new",)),)), "must not be used: there are no stages in the schema"),
        (Rules(quiet_times=(QuietTime(name="q", days=("holiday",)),)), "need task.calendar in the schema"),
    ]:
        with pytest.raises(InputError, match=said):
            RuleBook(rules, CATALOGUE, without)
    weekend = Rules(quiet_times=(QuietTime(name="q", days=("weekend",)),))
    RuleBook(weekend, CATALOGUE, without)  # everybody knows when the weekend is
    with pytest.raises(InputError, match="inbound == 'branch_visit', must be one of: app_session"):
        RuleBook(Rules(), CATALOGUE, Schema.model_validate({**SAID, "triggers": ["app_session"]}))


@pytest.mark.parametrize(
    ("kind", "fields", "need"),
    [
        (Limit, {"products": ("loan",)}, "must give a condition"),
        (Limit, {"column": "age"}, "must give at_least, at_most or one_of together with column"),
        (Limit, {"at_least": 3, "holds": ("loan",)}, "must give at_least, at_most or one_of together with column"),
        (Ban, {"never": {}, "after": {"products": ("loan",)}, "days": 1}, "must name something in never and in after"),
        (
            HandOver,
            {"to": ("sms",), "within_days": 1, "return_days": 3},
            "must give return_to and return_days together",
        ),
        (HandOver, {"to": (), "within_days": 1}, "at least 1"),
        (QuietTime, {"channels": ("sms",)}, "must give dayparts or days"),
        (Cap, {"most": 1, "days": 367}, "less than or equal to 366"),
    ],
)
def test_rules_that_rule_nothing_are_refused(kind: type[Limit], fields: dict[str, Any], need: str) -> None:
    with pytest.raises(ValueError, match=need):
        kind.model_validate({"name": "x", **fields})


def test_names_are_not_used_twice_nor_taken_from_built_in_rules() -> None:
    cap, limit = Cap(name="same", most=1, days=1), Limit(name="same", holds=("loan",))
    with pytest.raises(ValueError, match="caps uses 'same' again"):
        Rules(caps=(cap,), limits=(limit,))
    with pytest.raises(ValueError, match="caps uses 'consent' again"):
        Rules(caps=(cap.model_copy(update={"name": "consent"}),))
