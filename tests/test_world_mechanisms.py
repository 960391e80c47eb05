"""Between contacts: delays, holds, stages, ratings, offers that contradict each other, desks, break-points."""

from __future__ import annotations

import numpy as np
import pytest
from mechanisms_kit import (
    IDS,
    NEVER_EVER,
    RICH,
    STAGES,
    SURE,
    ask,
    events,
    logit,
    plain_world,
    rate,
    started,
)
from scipy import stats
from world_kit import named

from envs.catalogue import Catalogue
from envs.features import CLASH, CONTEXT
from envs.happening import DECIDED, MADE_LATER

LOAN, FUND, CARD = range(3)
SMS, CALL, MANAGER = range(3)


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
