"""The one-step expectation is the average of what the simulator does, and levers do what their name says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mechanisms_kit import RICH, logit, rich_world
from world_kit import CATALOGUE, CONTINUING, FINITE, lived, named, small_world

from agents.baselines import Fixed
from agents.myopic import Levers, Myopic
from envs.catalogue import Catalogue
from envs.expectation import Expectation
from envs.features import FRAILTY
from envs.prices import Prices
from envs.rules import Rules
from envs.simulator import Simulator
from envs.state import CustomerState
from envs.world import World

OPEN = Rules(once=False, consent=False)
COPIES = 4000
UNASKED = dict.fromkeys(("organic", "browsed", "abandoned"))  # not of the treatment, and not in its expectation
VISITS: dict[str, Any] = {
    "engaged": {"link": "rate", "given": "always", "terms": named({"1": -1.5, "contact": 1.0, "age": 0.1})},
    "purchased": {"link": "rate", "terms": named({"1": -1.0, "contact": 0.3, "own_product.intent": 0.5})},
    "purchased_value": {
        "link": "lognormal",
        "given": "purchased",
        "sigma": 0.4,
        "terms": named({"1": 1.0, "contact": 0.2}),
    },
    "declined": None,
}
SPENDING = {"margin_per_value": {"purchased": 1, "converted": 0.5}, "cost_per_value": {"redeemed": 1}}
PARTING = {"link": "lognormal", "given": "churned", "sigma": 0.3, "terms": named({"1": 2.0, "contact": 1.0})}
PER_EVENT = {
    "margin_per_value": {"converted": 1, "churned": -1},
    "margin_per_event": {"engaged": 0.5, "churned": -3.0},
    "cost_per_value": {"redeemed": 1},
}
LATER = ("risk_hold", "risk_cleared", "cancelled", "irritation")  # they change later rewards
WITHOUT = dict.fromkeys((*LATER, *(f"stage:{move}" for move in ("new>active", "active>leaving", "leaving>active"))))


def lending() -> World:
    """Credit loss by grade, products that close in some families only, benefits redeemed by some, unequal customers."""
    content = RICH.model_dump(mode="json")
    content["products"] = [{**p, "maturing_days": 0} for p in content["products"] if p["id"] != "check"]
    content["channels"] = [{**channel, "delay_days": 0} for channel in content["channels"]]
    content["treatments"] = [t for t in content["treatments"] if t["product"] != "check"]
    return rich_world(
        rules=OPEN,
        hidden=None,
        catalogue=Catalogue.model_validate(content),
        **{**UNASKED, **WITHOUT},
        engaged={
            "link": "logit",
            "given": "delivered",
            "terms": named({"contact": 0.3, "latent.frailty": 1.0, "age": 0.2}),
        },
        converted=logit("engaged", **{"contact": 0.2, "latent.frailty": 0.5, "product=care": -30}),
        opted_out=logit("delivered", contact=-2.5),
        redeemed=logit("converted", **{"contact": 0.5, "benefit=points": -1.0}),
        satisfaction_rated=None,
        satisfaction_value=None,
    )


WORLDS = {
    "lending": lending,
    "contacts": lambda: small_world(
        {**CONTINUING, "cadence_days": 7, "reward": PER_EVENT}, OPEN, **UNASKED, churned_value=PARTING
    ),
    "visits": lambda: small_world({**FINITE, "reward": SPENDING}, OPEN, **UNASKED, **VISITS),
    "undelivered": lambda: small_world(
        rules=OPEN,
        delivered=None,
        engaged={"link": "logit", "given": "contacted", "terms": named({"contact": -0.5})},
        **UNASKED,
    ),
}


def situations(world: World) -> CustomerState:
    """Three customers with some history, all of them inside the app."""
    simulator = Simulator(world, 11)
    simulator.reset(np.arange(60))
    lived(simulator, 2 if world.schema.task.kind == "finite" else 4)
    state = simulator.state.take(np.flatnonzero(simulator.state.alive)[:3])
    state.trigger[:] = 0
    return state


@pytest.mark.parametrize("name", WORLDS)
def test_the_expectation_is_the_average_of_the_simulators_one_step(name: str) -> None:
    world = WORLDS[name]()
    treatments, start = len(world.catalogue.treatment_ids), situations(world)
    each = np.repeat(np.arange(3), treatments * COPIES)
    simulator = Simulator(world, 5)
    simulator.state = start.take(each)
    simulator.state.customer[:] = 1000 + np.arange(len(each))  # everyone has luck of their own
    simulator.state.latent[:, FRAILTY] = np.random.default_rng(0).normal(size=len(each))
    seen = simulator.view().observation
    outcome = simulator.step(np.tile(np.repeat(np.arange(treatments), COPIES), 3))
    expected = Expectation(world)(seen[:: treatments * COPIES])
    for part in ("margin", "cost", "annoyance"):
        drawn = getattr(outcome.tally, part).reshape(3, treatments, COPIES)
        error = np.maximum(drawn.std(axis=2) / np.sqrt(COPIES), 1e-6)
        z = (drawn.mean(axis=2) - getattr(expected, part)) / error
        assert np.abs(z).max() < 4, (part, z)
        together = (z * error).sum() / np.sqrt((error**2).sum())  # a small bias of all of them shows here
        assert abs(together) < 4, part
        assert getattr(expected, part).std() > 0, part
    prices = Prices(2.0, (0.5,))
    reward = outcome.reward(np.tile(prices.vector(), (len(each), 1))).reshape(3, treatments, COPIES)
    score = Myopic(world).scores(world.encoder.with_prices(seen, prices.vector())[:: treatments * COPIES])
    z = (reward.mean(axis=2) - score) / np.maximum(reward.std(axis=2) / np.sqrt(COPIES), 1e-6)
    assert np.abs(z).max() < 4, z


def test_amounts_of_products_are_the_products_and_silence_has_none() -> None:
    world = small_world(rules=OPEN, **UNASKED, churned=None, churned_value=None)
    seen = np.zeros((1, len(world.encoder.names)), np.float32)
    margin = Expectation(world)(seen).margin[0]
    engaged = 1 / (1 + np.exp(-0.3))
    sms, call, app = (1 / (1 + np.exp(-x)) * engaged for x in (1.0, 0.0, 0.0))
    plain, bonus = 1 / (1 + np.exp(0.2)), 1 / (1 + np.exp(-0.3))
    loan, fund = np.exp(3.0), np.exp(3.5)
    by_hand = [
        0,
        sms * plain * loan,
        sms * bonus * loan,
        0,
        call * plain * fund,
        app * plain * loan,
        app * plain * fund,
    ]
    np.testing.assert_allclose(margin, by_hand, rtol=1e-6, atol=1e-9)


def seen_by(world: World, prices: Prices) -> np.ndarray:
    simulator = Simulator(world, 1)
    simulator.reset(np.arange(200), prices=prices)
    lived(simulator, 4)
    return simulator.view().observation


def test_levers_and_prices_take_away_what_they_say() -> None:
    world = WORLDS["contacts"]()
    seen = seen_by(world, Prices(2.0, (0.5,)))
    expected, effort = Expectation(world)(seen), CATALOGUE.effort[:, 0]

    def scores(levers: Levers) -> np.ndarray:
        return Myopic(world, levers).scores(seen)

    plain = scores(Levers())
    by_hand = expected.margin - expected.cost - 0.5 * effort - 2.0 * expected.annoyance
    np.testing.assert_allclose(plain, by_hand, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(plain - scores(Levers(annoyance=3)), 4.0 * expected.annoyance, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(plain - scores(Levers(cost=2)), expected.cost + 0.5 * effort, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(plain - scores(Levers(contact=0.7)), [[0] + [0.7] * 6] * 200, rtol=1e-5, atol=1e-6)


def test_dearer_annoyance_minutes_and_contacts_mean_less_of_them() -> None:
    world = WORLDS["contacts"]()

    call = CATALOGUE.treatment_ids.index("call-fund")

    def chosen(levers: Levers = Levers(), prices: Prices = Prices(0.0, (0.0,)), only: int | None = None) -> np.ndarray:
        mask = np.ones((200, 7), bool)
        if only is not None:
            mask = np.isin(np.arange(7), [0, only])[None].repeat(200, 0)
        return Myopic(world, levers).probabilities(seen_by(world, prices), mask).argmax(axis=1)

    contacts = [int((chosen(Levers(contact=c)) > 0).sum()) for c in (0.0, 3.0, 8.0, 1000.0)]
    assert contacts == sorted(contacts, reverse=True)
    assert contacts[0] == 200 > contacts[-1] == 0
    calls = [int((chosen(prices=Prices(0.0, (p,)), only=call) == call).sum()) for p in (0.0, 0.25, 2.0)]
    assert calls[0] > calls[1] > calls[2]
    annoyance = [CATALOGUE.contact_annoyance[chosen(prices=Prices(p, (0.0,)))].sum() for p in (0.0, 3.0, 10.0)]
    assert annoyance[0] > annoyance[-1]


def test_the_myopic_choice_earns_more_in_one_step_than_any_fixed_one() -> None:
    world = WORLDS["contacts"]()
    prices = Prices(2.0, (0.5,))
    rewards = {}
    fixed = [Fixed(t) for t in range(1, 7)]
    for name, policy in {"myopic": Myopic(world), **{f"fixed {p.treatment}": p for p in fixed}}.items():
        simulator = Simulator(world, 3)
        simulator.reset(np.arange(30_000), prices=prices)
        view = simulator.view()
        action = policy.probabilities(view.observation, view.mask).argmax(axis=1)
        rewards[name] = simulator.step(action).reward(simulator.state.prices)
    for name in list(rewards)[1:]:
        difference = rewards["myopic"] - rewards[name]
        assert difference.mean() > -4 * difference.std() / np.sqrt(len(difference)), name
    worst = min(reward.mean() for reward in rewards.values())
    assert rewards["myopic"].mean() > worst + 1


@pytest.mark.parametrize("hidden", ["latent.taste", "latent.irritation * contact", "latent.frailty * latent.frailty"])
def test_a_world_with_hidden_states_is_refused(hidden: str) -> None:
    from envs.errors import InputError

    head = {"link": "logit", "given": "delivered", "terms": named({"contact": 1.0, hidden: 0.5})}
    with pytest.raises(InputError, match=r"heads.engaged == 'latent', must not look at hidden states"):
        Myopic(small_world(engaged=head))
