"""What happens by mechanism: applications, credit loss, cancellations, delays, holds, stages, ratings, hand-overs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mechanisms_kit import IDS, NEVER_EVER, RICH, STAGES, SURE, logit, plain_world, rate, rich_world, told_alike
from scipy import stats
from world_kit import named

from envs.catalogue import Catalogue
from envs.features import CLASH, CONTEXT
from envs.happening import ANSWERED, BOOKED, DECIDED, MADE_LATER
from envs.history import NAMES
from envs.rules import Rules
from envs.simulator import Outcome, Simulator
from envs.world import World

LOAN, FUND, CARD, FRIEND = range(4)
SMS, CALL, MANAGER = range(3)
MARGIN = np.exp(3.0)  # of every conversion of the plain world, before credit loss


def started(world: World, batch: int, seed: int = 0, **more: Any) -> Simulator:
    """Customers who hold nothing yet, in the middle of the stages, and whose treatments are all asked for by hand."""
    simulator = Simulator(world, seed, record=True, **more)
    simulator.reset(np.arange(batch))
    simulator.state.history.product["holds"] = False
    simulator.state = simulator.state  # look again
    return simulator


def ask(simulator: Simulator, *treatments: str) -> Outcome:
    """The same treatments for everybody, one per desk; decisions are numbered by customer, then desk."""
    batch, wish = simulator.state.batch, [IDS.index(treatment) for treatment in treatments]
    numbers = np.arange(batch * len(wish)).reshape(batch, -1)
    return simulator.step(np.tile(wish, (batch, 1)), numbers)


def events(outcome: Outcome, name: str) -> np.ndarray:
    """The recorded events of one kind."""
    assert outcome.events is not None
    return np.asarray(outcome.events[outcome.events["event"] == NAMES.index(name)])


def grades(simulator: Simulator) -> np.ndarray:
    return np.asarray(simulator.state.person["grade"])


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
    from mechanisms_kit import PEOPLE

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


def test_a_delayed_contact_is_made_on_its_day_and_belongs_to_its_decision() -> None:
    batch, days = 20_000, 25
    simulator = started(plain_world(), batch)
    first, made, cost = simulator.first_day, np.full(batch, -1), np.zeros(batch)
    for day in range(days):
        waits = simulator.state.person["waiting_day"].copy()
        waiting = simulator.state.person["waiting"] > 0
        manager = [t for t, channel in enumerate(RICH.channel_of) if channel == MANAGER]
        assert not simulator.view().mask[np.ix_(waiting, manager)].any()  # no second contact while the first one waits
        told = ask(simulator, "manager-care" if day == 0 else "silence")
        contacts = events(told, "contacted")
        assert (contacts["decision"] == contacts["row"]).all()  # of the first day's decision
        assert (contacts["day"] == first + day).all()
        assert (contacts["minute"] == (DECIDED if day == 0 else MADE_LATER)).all()
        if day > 0:
            assert (contacts["row"] == np.flatnonzero(waiting & (waits == first + day))).all()
            assert (events(told, "engaged")["decision"] == contacts["decision"]).all()
        assert (made[contacts["row"]] == -1).all()
        made[contacts["row"]] = day
        cost += told.tally.cost
    waited = made[made >= 0]
    assert len(waited) > 0.999 * batch
    assert abs(waited.mean() - 2) < 4 * np.sqrt(6 / batch) + 0.01  # geometric with mean 2 has variance 2 x 3
    assert abs((waited == 0).mean() - 1 / 3) < 4 * np.sqrt(2 / 9 / batch)
    np.testing.assert_allclose(cost, np.where(made >= 0, 8.0, 0.0))


def test_a_delayed_contact_is_dropped_after_an_opt_out_and_a_sale_under_a_hold() -> None:
    for treatment, held_too in (("manager-loan", True), ("manager-care", False)):
        simulator = started(plain_world(), 3000)
        told = [ask(simulator, treatment)]
        history, waiting = simulator.state.history, simulator.state.person["waiting"] > 0
        out, held = np.arange(3000) % 3 == 1, np.arange(3000) % 3 == 2
        history.channel["opted_out"][out, MANAGER] = True
        history.customer["risk_hold"][held] = True
        told += [ask(simulator, "silence") for _ in range(30)]
        later = np.concatenate([events(outcome, "contacted") for outcome in told[1:]])["row"]
        kept = waiting & ~out & ~(held & held_too)
        assert waiting[out].sum() > 300
        np.testing.assert_array_equal(np.sort(later), np.flatnonzero(kept))
        assert (simulator.state.person["waiting"] == -1).all()


def test_a_second_contact_does_not_wait_beside_the_first() -> None:
    simulator = started(plain_world(), 2000)
    told = [ask(simulator, "manager-loan", "manager-care"), *(ask(simulator, "silence") for _ in range(40))]
    contacts = np.concatenate([events(outcome, "contacted") for outcome in told])
    waited = np.bincount(contacts["row"][contacts["minute"] == MADE_LATER], minlength=2000)
    assert waited.max() == 1
    assert np.unique(contacts["decision"]).size == len(contacts)


def test_verification_is_offered_under_a_hold_alone_and_clears_it() -> None:
    simulator = started(plain_world(risk_hold=rate({"1": -0.5})), 400)
    ask(simulator, "silence")
    held = simulator.state.history.customer["risk_hold"].copy()
    assert 0 < held.sum() < 400
    mask = simulator.view().mask
    assert not mask[np.ix_(held, np.flatnonzero(RICH.selling))].any()
    assert mask[held][:, IDS.index("sms-care")].all()
    np.testing.assert_array_equal(mask[:, IDS.index("call-check")], held)
    told = ask(simulator, "call-check")
    cleared = events(told, "risk_cleared")
    np.testing.assert_array_equal(cleared["row"], np.flatnonzero(held))
    np.testing.assert_array_equal(cleared["channel"], CALL)
    fallen = np.isin(np.arange(400), events(told, "risk_hold")["row"])  # some fall under it anew in the evening
    np.testing.assert_array_equal(simulator.state.history.customer["risk_hold"], fallen)


def test_a_hold_may_pass_by_itself() -> None:
    simulator = started(plain_world(risk_hold=rate(SURE), risk_cleared=rate(SURE)), 40)
    for day in range(4):
        told = ask(simulator, "silence")
        assert (len(events(told, "risk_hold")), len(events(told, "risk_cleared"))) == ((40, 0), (0, 40))[day % 2]


def test_the_lifecycle_moves_one_stage_at_a_time_and_is_observed() -> None:
    moves = {
        "stage:new>active": rate(SURE),
        "stage:active>leaving": rate(SURE),
        "stage:leaving>active": rate(NEVER_EVER),
    }
    simulator = started(plain_world(**moves), 200)
    names = simulator.world.encoder.names
    columns = [names.index(f"stage:{stage}") for stage in STAGES]
    life = simulator.world.population.sample(np.arange(200), 0)["life"].to_list()
    stage = np.array([STAGES.index(one) for one in life])
    assert np.bincount(stage).min() > 20
    for _ in range(3):
        np.testing.assert_array_equal(simulator.state.history.customer["stage"], stage)
        np.testing.assert_array_equal(simulator.view().observation[:, columns], np.eye(3)[stage])
        moved = events(ask(simulator, "silence"), "stage_changed")
        np.testing.assert_array_equal(moved["row"], np.flatnonzero(stage < 2))
        stage = np.minimum(stage + 1, 2)
        np.testing.assert_array_equal(moved["value"], stage[moved["row"]])


def test_satisfaction_is_a_rounded_normal_from_one_to_five() -> None:
    value = {"link": "linear", "given": "satisfaction_rated", "sigma": 1.2, "terms": named({"1": 4.2})}
    simulator = started(plain_world(satisfaction_rated=rate(SURE), satisfaction_value=value), 20_000)
    rated = events(ask(simulator, "silence"), "satisfaction_rated")["value"]
    assert len(rated) == 20_000
    edges = stats.norm(4.2, 1.2).cdf([-np.inf, 1.5, 2.5, 3.5, 4.5, np.inf])
    found = [int((rated == stars).sum()) for stars in range(1, 6)]
    assert sum(found) == 20_000
    assert stats.chisquare(found, 20_000 * np.diff(edges)).pvalue > 0.001


@pytest.mark.parametrize(
    ("first", "second", "days", "trace"),
    [
        ("sms-loan", "call-loan", 1, 0.0),  # the same offer again
        ("sms-loan-bonus", "call-loan", 1, 2 ** (-1 / 7)),  # a benefit contradicted on another channel
        ("sms-loan-bonus", "call-loan-points", 14, 2 ** (-14 / 7)),
        ("sms-loan", "call-fund", 7, 0.5),  # another product on another channel
        ("sms-loan", "sms-fund", 1, 0.0),  # the same channel
        ("sms-care", "call-fund", 1, 0.0),  # care contradicts nothing
        ("sms-loan", "manager-care", 1, 0.0),
        ("sms-loan", "call-fund", 61, 0.0),  # long ago
    ],
)
def test_a_clash_is_another_offer_on_another_channel(first: str, second: str, days: int, trace: float) -> None:
    made = {**RICH.model_dump(mode="json")}
    made["channels"] = [{**channel, "delay_days": 0.0} for channel in made["channels"]]
    nothing = {"converted": logit("engaged", contact=-90)}
    simulator = started(plain_world(catalogue=Catalogue.model_validate(made), **nothing), 5)
    ask(simulator, first)
    for _ in range(days - 1):
        ask(simulator, "silence")
    ask(simulator, second)
    np.testing.assert_allclose(simulator.state.latent[:, CLASH], trace, rtol=1e-6)


def test_the_newest_clash_counts_also_behind_the_same_offer_and_between_desks() -> None:
    simulator = started(plain_world(converted=logit("engaged", contact=-90)), 5)
    for treatment in ("sms-fund", "sms-loan", "call-loan"):
        ask(simulator, treatment)
    np.testing.assert_allclose(simulator.state.latent[:, CLASH], 2 ** (-2 / 7), rtol=1e-6)
    fresh = started(plain_world(converted=logit("engaged", contact=-90)), 5)
    ask(fresh, "sms-loan", "call-fund")
    np.testing.assert_array_equal(fresh.state.latent[:, CLASH], 1.0)


def test_ill_feeling_grows_with_the_clash() -> None:
    irritates = {"link": "linear", "given": "delivered", "terms": named({"latent.clash": 2.0})}
    simulator = started(plain_world(irritation=irritates, converted=logit("engaged", contact=-90)), 4)
    ask(simulator, "sms-loan")
    assert not simulator.state.latent[:, 0].any()
    ask(simulator, "call-fund")
    np.testing.assert_allclose(
        simulator.state.latent[:, 0], 2 * 2 ** (-1 / 7) * 0.5, rtol=1e-5
    )  # half heals by tomorrow


def test_one_desk_knows_the_context_and_several_do_not() -> None:
    world = plain_world(
        engaged={"link": "logit", "given": "delivered", "terms": named({"contact": -40, "latent.context": 80})}
    )
    for desks, answers in ((("sms-care",), 30), (("sms-care", "silence"), 0)):
        simulator = started(world, 30)
        told = ask(simulator, *desks)
        assert len(events(told, "engaged")) == answers
        assert (simulator.state.latent[:, CONTEXT] == (len(desks) == 1)).all()


def test_a_break_point_is_worth_a_contact_within_the_day_and_not_next_week() -> None:
    hot = {
        "engaged": {
            "link": "logit",
            "given": "delivered",
            "terms": named({"contact": -40, "own_product.abandoned": 120}),
        }
    }
    for days, answers in ((1, True), (2, False), (7, False)):
        simulator = started(plain_world(**hot), 20)
        simulator.state.history.record("abandoned", np.arange(20), product=np.full(20, LOAN))
        for _ in range(days):
            ask(simulator, "silence")
        assert bool(len(events(ask(simulator, "call-loan"), "engaged"))) == answers
    kept = started(plain_world(), 1)
    kept.state.history.record("abandoned", np.array([0]), product=np.array([LOAN]))
    for days in range(4):
        name = kept.world.encoder.names.index("product:loan:abandoned")
        kept.state = kept.state
        assert kept.view().observation[0, name] == 0.5**days
        ask(kept, "silence")


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


def test_hand_overs_are_counted_where_a_lead_is_taken_up_and_what_came_of_them() -> None:
    batch = 40
    simulator = started(plain_world(), batch)
    ask(simulator, "sms-fund")  # engaged, but cannot close here: a lead arises
    for _ in range(2):
        ask(simulator, "silence")
    assert not simulator.out.hand_overs["taken_up"].any()
    ask(simulator, "call-fund")
    found = simulator.out.hand_overs[SMS, CALL]
    assert found.tolist() == (batch, 3.0 * batch, batch, batch)
    others = simulator.out.hand_overs.copy()
    others[SMS, CALL] = 0
    assert not any(others[name].any() for name in others.dtype.names)


def test_a_lead_that_nobody_asked_for_is_taken_up_once() -> None:
    cold = {"engaged": logit("delivered", contact=-90)}
    simulator = started(plain_world(**cold), 10)
    simulator.state.history.record("abandoned", np.arange(10), product=np.full(10, FUND))
    for _ in range(3):
        ask(simulator, "call-fund")
    found = simulator.out.hand_overs
    assert found[-1, CALL].tolist() == (10, 0, 0, 0)  # the last row: of leads that arose on no channel
    assert found["taken_up"].sum() == 10


@pytest.mark.parametrize("resolution", ["day", "window"])
@pytest.mark.parametrize("desks", [1, 3])
def test_counts_and_values_are_those_of_the_recorded_events(resolution: str, desks: int) -> None:
    simulator = Simulator(rich_world(resolution=resolution), 2, record=True, cadence_days=3)
    simulator.reset(np.arange(600))
    parts, contacts, rng = [simulator.morning], np.zeros((4 + 1, 6 + 1), int), np.random.default_rng(0)
    for _ in range(15):
        told = simulator.step(_wishes(simulator, desks, rng))
        assert told.events is not None
        parts.append(told.events)
        at_once = told.executed[(told.executed > 0) & ~RICH.delays[told.executed]]
        np.add.at(contacts, (RICH.channel_of[at_once], RICH.product_of[at_once]), 1)
    all_events = np.concatenate(parts)
    counts, values = np.zeros_like(simulator.out.events), np.zeros_like(simulator.out.values)
    place = tuple(all_events[name] for name in ("event", "channel", "product"))
    np.add.at(counts, place, 1)  # -1 is the last place: none
    np.add.at(values, place, np.nan_to_num(all_events["value"]))
    counts[NAMES.index("contacted")] += contacts
    np.testing.assert_array_equal(simulator.out.events, counts)
    np.testing.assert_allclose(simulator.out.values, values, rtol=1e-12, atol=1e-9)
    unseen = {"delivered", "purchased", "blocked", "inbound_call", "branch_visit", "partner_scene"}
    for kind, seen in zip(NAMES, counts.sum(axis=(1, 2)), strict=True):
        assert seen > 0 or kind in unseen, kind


def test_running_sums_are_the_tallies_and_the_first_morning() -> None:
    simulator = Simulator(rich_world(), 2)
    simulator.reset(np.arange(500))
    rng, sums = np.random.default_rng(0), np.zeros(3)
    days = 0.0
    for _ in range(10):
        before = simulator.state.alive.sum()
        tally = simulator.step(_wishes(simulator, 1, rng)).tally
        sums += [tally.margin.sum(), tally.cost.sum(), tally.annoyance.sum()]
        days += before
    total = simulator.out.sums[0]
    np.testing.assert_allclose([total["margin"], total["contact_cost"] + total["event_cost"], total["annoyance"]], sums)
    assert total["days"] == days


def test_a_log_that_is_full_is_emptied_on_the_way_and_nothing_is_lost() -> None:
    world = rich_world()
    whole = Simulator(world, 7, record=True, cadence_days=30)
    whole.reset(np.arange(1500))
    wishes = _wishes(whole, 2, np.random.default_rng(1))
    told = whole.step(wishes)
    assert told.events is not None
    assert len(told.events) > 2 * len(whole.out.log)  # it was full more than once
    parts = []
    for start in range(0, 1500, 30):
        part = Simulator(world, 7, record=True, cadence_days=30)
        part.reset(np.arange(start, start + 30))
        some = part.step(wishes[start : start + 30]).events
        assert some is not None
        assert len(some) < len(part.out.log)
        some["row"] += start
        parts.append(some)
    assert told_alike(np.concatenate(parts), told.events)


def _wishes(simulator: Simulator, desks: int, rng: np.random.Generator) -> np.ndarray:  # (batch, desks) int
    """Random treatments, of which rules execute those that they allow."""
    return rng.integers(0, len(IDS), (simulator.state.batch, desks))
