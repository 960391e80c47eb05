"""From application to margin: maturing, credit loss, cancellation, families that close, benefits, one of a kind."""

from __future__ import annotations

import numpy as np
import pytest
from mechanisms_kit import (
    PEOPLE,
    RICH,
    SURE,
    ask,
    events,
    grades,
    logit,
    plain_world,
    rate,
    rich_world,
    started,
)
from world_kit import named

from envs.happening import ANSWERED, BOOKED
from envs.history import NAMES
from envs.rules import Rules
from envs.simulator import Simulator

LOAN, FUND, CARD = range(3)
SMS, CALL, MANAGER = range(3)
MARGIN = np.exp(3.0)  # of every conversion of the plain world, before credit loss


def test_an_application_matures_on_its_day_at_the_margin_that_its_credit_grade_leaves() -> None:
    simulator = started(plain_world(), 300)
    grade, first = grades(simulator), simulator.first_day
    net = np.array([np.nan, 1 - 0.01 * 0.5 / 0.04, 1 - 0.05 * 0.5 / 0.04, 1 - 0.2 * 0.5 / 0.04])[
        grade
    ]  # .875 .375 -1.5
    told = [ask(simulator, "call-loan"), *(ask(simulator, "silence") for _ in range(3))]
    applied = events(told[0], "applied")
    assert (applied["day"] == first).all()
    assert (applied["minute"] == ANSWERED).all()
    assert (applied["row"] == np.arange(300)).all()
    booked = events(told[2], "converted")  # the third morning after the application belongs to the third decision
    assert (booked["day"] == first + 3).all()
    assert (booked["minute"] == BOOKED).all()
    assert (booked["decision"] == applied["decision"]).all()
    assert (booked["channel"] == CALL).all()
    np.testing.assert_allclose(booked["value"], MARGIN * net, rtol=1e-6)
    np.testing.assert_allclose(events(told[2], "balance_changed")["value"], MARGIN / 0.04, rtol=1e-6)
    margins = [outcome.tally.margin for outcome in told]
    np.testing.assert_array_equal(margins[2], booked["value"])
    assert not np.any([margins[0], margins[1], margins[3]])
    assert margins[2][grade == 3].max() < 0  # pushing loans to bad borrowers does not pay
    assert [int(outcome.tally.conversions.sum()) for outcome in told] == [0, 0, 300, 0]


def test_what_is_applied_for_is_pending_and_then_held() -> None:
    simulator = started(plain_world(), 20)
    loan = [t for t, product in enumerate(RICH.product_of) if product == LOAN]
    for day in range(4):
        product = simulator.state.history.product[:, LOAN]
        assert (product["pending"] == (0 < day < 3)).all()
        assert (product["holds"] == (day == 3)).all()
        assert simulator.view().mask[:, loan].any() == (day == 0)
        ask(simulator, "call-loan" if day == 0 else "silence")


def test_grades_beyond_the_list_and_below_it_stay_inside_it() -> None:
    simulator = started(plain_world(), 6)
    columns = simulator.world.population.sample(np.arange(6), 0)
    np.testing.assert_array_equal(grades(simulator), columns["grade"].to_numpy())
    product = RICH.products[LOAN]
    np.testing.assert_allclose(product.net_of_loss(np.array([0, 3, 4, 40, -2])), [1, -1.5, -1.5, -1.5, 1])
    wild = PEOPLE.model_dump()
    wild["columns"] = [{**c, "mean": 60, "high": 99} if c["column"] == "grade" else c for c in wild["columns"]]
    simulator = started(plain_world(population=type(PEOPLE).model_validate(wild)), 50)
    assert simulator.world.population.sample(np.arange(50), 0)["grade"].min() > 50
    ask(simulator, "call-loan")
    ask(simulator, "silence")
    np.testing.assert_allclose(ask(simulator, "silence").tally.margin, -1.5 * MARGIN, rtol=1e-6)


def test_a_cancellation_claws_back_exactly_what_was_booked() -> None:
    spread = {"link": "lognormal", "given": "converted", "per": "product", "sigma": 0.7, "terms": named({"1": 3.0})}
    simulator = started(plain_world(cancelled=rate(SURE, "product"), converted_value=spread), 400)
    told = ask(simulator, "call-card-points")  # booked at once, cancelled on the next morning
    booked, back = events(told, "converted"), events(told, "cancelled")
    assert len(booked) == len(back) == 400
    assert (back["day"] == booked["day"] + 1).all()
    np.testing.assert_array_equal(back["value"], booked["value"])
    np.testing.assert_array_equal(back["decision"], booked["decision"])
    np.testing.assert_array_equal(told.tally.margin, 0.0)
    volume = events(told, "balance_changed")["value"].reshape(400, 2)
    np.testing.assert_array_equal(volume[:, 0], -volume[:, 1])
    assert np.unique(volume[:, 0]).size == 400
    assert not simulator.state.history.product["holds"].any()
    np.testing.assert_array_equal(events(told, "redeemed")["value"], 3.0)  # a benefit paid out is gone


def test_an_application_that_falls_through_books_nothing_and_pays_no_benefit() -> None:
    simulator = started(plain_world(cancelled=rate(SURE, "product")), 100)
    told = [ask(simulator, "call-loan-points"), *(ask(simulator, "silence") for _ in range(4))]
    back = events(told[0], "cancelled")
    assert len(back) == 100
    assert not back["value"].any()
    later = [outcome for outcome in told if len(events(outcome, "converted")) or len(events(outcome, "redeemed"))]
    assert later == []
    assert not simulator.state.history.product["pending"].any()
    assert not simulator.state.history.product["holds"].any()


@pytest.mark.parametrize(("resolution", "cadence"), [("day", 1), ("day", 7), ("window", 1), ("window", 7)])
def test_a_conversion_can_be_cancelled_on_each_of_its_days_whatever_the_step(resolution: str, cadence: int) -> None:
    daily, batch = 0.1, 8000
    often = rate({"1": float(np.log(-np.log(1 - daily)))}, "product")
    simulator = started(plain_world(resolution=resolution, cancelled=often), batch, cadence_days=cadence)
    told = [ask(simulator, "call-card-points")] + [ask(simulator, "silence") for _ in range(14 // cadence)]
    count = sum(len(events(outcome, "cancelled")) for outcome in told)
    share = 1 - (1 - daily) ** 5  # cancel_days
    assert abs(count / batch - share) < 4 * np.sqrt(share * (1 - share) / batch)
    assert simulator.state.history.product["holds"][:, CARD].sum() == batch - count


def test_a_product_closes_only_with_its_families_and_elsewhere_only_warms() -> None:
    for treatment, sells in (("sms-fund", False), ("call-fund", True)):
        simulator = started(plain_world(), 50)
        told = ask(simulator, treatment)
        assert len(events(told, "engaged")) == 50
        assert len(events(told, "converted")) == (50 if sells else 0)
        warm = simulator.state.history.product["intent"][:, FUND]
        assert (warm > 0).all() == (not sells)


def test_a_referral_is_told_when_it_is_taken() -> None:
    inside = {"trigger:app_session": {"link": "logit", "terms": named({"1": 60.0})}}
    simulator = started(plain_world(**inside), 30)
    told = [ask(simulator, "app-friend"), ask(simulator, "silence")]
    assert len(events(told[0], "referred")) == len(events(told[0], "applied")) == 30
    assert (len(events(told[1], "referred")), len(events(told[1], "converted"))) == (0, 30)


def test_the_cost_of_a_benefit_falls_due_at_conversion_for_those_who_redeem_it() -> None:
    batch = 4000
    simulator = started(plain_world(redeemed=logit("converted", contact=float(np.log(0.6 / 0.4)))), batch)
    told = [ask(simulator, "sms-loan-bonus"), *(ask(simulator, "silence") for _ in range(3))]
    np.testing.assert_allclose(told[0].tally.cost, 0.1)
    redeemed = events(told[2], "redeemed")
    assert abs(len(redeemed) / batch - 0.6) < 4 * np.sqrt(0.24 / batch)
    by_hand = np.zeros(batch)
    by_hand[redeemed["row"]] = 5.0
    np.testing.assert_array_equal(told[2].tally.cost, by_hand)
    assert not told[1].tally.cost.any()
    assert not told[3].tally.cost.any()
    everyone = started(plain_world(), 10)
    assert [len(events(ask(everyone, t), "redeemed")) for t in ("call-card-points", "silence")] == [10, 0]


def test_what_is_held_once_is_sold_once_also_to_those_who_wait_and_by_several_desks() -> None:
    sells = {"converted": logit("engaged", contact=2.0), "cancelled": rate({"1": -2.0}, "product")}
    world = rich_world(rules=Rules(once=False, pending=False, consent=False, suitability=None), **sells)
    simulator = Simulator(world, 3, record=True)
    simulator.reset(np.arange(500))
    holds = simulator.state.history.product["holds"].copy()
    pending, again = np.zeros_like(holds), np.zeros(2, int)
    for _ in range(20):
        told = ask(simulator, "sms-loan", "call-loan-points", "manager-loan", "call-card-points")
        assert told.events is not None
        for event in told.events:
            place, kind = (event["row"], event["product"]), NAMES[event["event"]]
            if kind == "applied":
                assert not pending[place]
                assert not (holds[place] and RICH.products[place[1]].once)
                pending[place] = True
            elif kind == "converted":
                assert not (holds[place] and RICH.products[place[1]].once)
                assert pending[place] == (RICH.products[place[1]].maturing_days > 0)
                holds[place], pending[place] = True, False
                again[0] += 1
            elif kind == "cancelled":
                holds[place] &= pending[place]
                pending[place] = False
                again[1] += 1
    assert (again > 200).all()
    np.testing.assert_array_equal(simulator.state.history.product["holds"], holds)
    np.testing.assert_array_equal(simulator.state.history.product["pending"], pending)
