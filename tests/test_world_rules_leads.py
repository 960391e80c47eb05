"""Leads and customers belong to somebody: to the channel that took them up, to whom they are handed, to their owner."""

from __future__ import annotations

from typing import Any

from rules_kit import HAND_OVER, LOANS, OUTBOUND, Story, ids, why

from envs.rules import Ownership, Rules

APP = 0  # trigger


def test_a_lead_belongs_to_the_channel_that_took_it_up() -> None:
    rules = Rules(lead_owner_days=10)
    story = Story().event("engaged", "app", "loan")
    assert why(rules, story) == {}
    story.wait(2).contact("call-loan-points").wait(7)
    assert why(rules, story, trigger=APP) == {"lead_owner": LOANS & ids("sms-", "manager-")}
    assert why(rules, story.wait(1)) == {}
    again = Story().event("engaged", "app", "loan").contact("call-loan-points")
    assert why(rules, again.event("declined", "call", "loan")) == {}  # the lead is closed
    by_itself = Story().event("engaged", "app", "loan").contact("app-loan")
    assert why(rules, by_itself) == {"lead_owner": LOANS & OUTBOUND}


def test_a_lead_is_handed_over_and_returned() -> None:
    rules, lead = Rules(hand_overs=(HAND_OVER,)), Story().event("engaged", "app", "fund")
    by_call, by_manager = {"to_person": {"manager-fund"}}, {"to_person": {"call-fund"}}
    assert why(rules, lead, trigger=APP) == by_call  # app-fund stays open: the customer came
    assert why(rules, lead.wait(2)) == by_call
    assert why(rules, lead.wait(1)) == by_manager
    assert why(rules, lead.wait(6)) == by_manager
    assert why(rules, lead.wait(1)) == {}
    assert why(rules, Story().event("engaged", "app", "fund").event("converted", product="fund")) == {}
    assert why(rules, Story().event("engaged", "app", "loan")) == {}


def test_a_hand_over_says_where_and_how_its_leads_arise() -> None:
    def handed(story: Story, **change: Any) -> bool:
        return why(Rules(hand_overs=(HAND_OVER.model_copy(update=change),)), story) != {}

    assert not handed(Story().event("engaged", "desk", "fund"))
    assert handed(Story().event("engaged", "desk", "fund"), from_families=(), from_channels=("desk",))
    assert handed(Story().event("engaged", None, "fund"))
    assert not handed(Story().event("engaged", None, "fund"), unasked=False)
    assert handed(Story().event("abandoned", "app", "fund"))
    assert not handed(Story().event("abandoned", "app", "fund"), events=("engaged",))
    assert not handed(Story().event("engaged", "app", "fund"), events=("abandoned",))
    assert not handed(Story().event("engaged", "app", "fund").wait(3), return_to=(), return_days=0)


def test_owned_customers_are_their_owners_and_nobody_elses() -> None:
    owned = {"name": "owned", "column": "vip", "at_least": 1, "owners": ("manager",)}
    rules = Rules(ownerships=(Ownership(**owned, products=("fund",)),))
    assert why(rules, vip=True, trigger=APP) == {"owned": {"call-fund"}}
    assert why(rules, vip=False) == {"owned": ids("manager-")}
    calls = Rules(ownerships=(Ownership(**owned, channels=("call", "app")),))
    assert why(calls, vip=True, trigger=APP) == {"owned": ids("call-", "app-")}
    rated = Rules(ownerships=(Ownership(name="owned", column="rating", at_least=3, owners=("manager",)),))
    assert why(rated, rating=None) == {"owned": ids("manager-")}  # of whom it is not known has no owner
