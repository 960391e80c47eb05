"""Every baseline keeps the protocol on observations that occur, and the rules of thumb point the right way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from world_kit import CATALOGUE, named, small_world

from agents.baselines import (
    CoordinatedRules,
    Fixed,
    Random,
    Silence,
    SiloedCampaigns,
    Softened,
    coordinated_rules,
    fixed_treatment,
    simple_baselines,
)
from agents.myopic import Levers, Myopic
from agents.policy import Policy
from envs.errors import InputError
from envs.simulator import Simulator
from envs.world import World, load_world

BANK = load_world("bank")
SMALL = small_world()
IDS = BANK.catalogue.treatment_ids
NAMES = BANK.encoder.names


def occurring(world: World, days: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Observations and masks of 300 customers over some days of random contacts."""
    simulator, seen = Simulator(world, 2), []
    simulator.reset(np.arange(300))
    for _ in range(days):
        view = simulator.view()
        seen.append((view.observation, view.mask))
        p = Random().probabilities(view.observation, view.mask)
        simulator.step((p.cumsum(axis=1) < np.random.default_rng(days).random((300, 1))).sum(axis=1))
    return np.concatenate([o for o, _ in seen]), np.concatenate([m for _, m in seen])


OBSERVATION, MASK = occurring(BANK)
ONE_DECISION: dict[str, Callable[[], tuple[Policy, World]]] = {
    "silence": lambda: (Silence(), BANK),
    "random": lambda: (Random(), BANK),
    "fixed": lambda: (fixed_treatment(BANK.catalogue, "sms-deposit"), BANK),
    "coordinated": lambda: (CoordinatedRules(BANK.catalogue, BANK.encoder), BANK),
    "softened": lambda: (Softened(CoordinatedRules(BANK.catalogue, BANK.encoder), 0.7, 0.15), BANK),
    "myopic": lambda: (Myopic(SMALL, Levers(2.0, 1.5, 0.1)), SMALL),
}


@pytest.mark.parametrize("name", ONE_DECISION)
def test_a_policy_answers_with_probabilities_of_what_is_allowed(name: str) -> None:
    policy, world = ONE_DECISION[name]()
    observation, mask = (OBSERVATION, MASK) if world is BANK else occurring(world)
    p = policy.probabilities(observation, mask)
    assert p.shape == mask.shape
    assert p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert (p[~mask] == 0).all()
    assert (p >= 0).all()
    row = policy.probabilities(observation[77:78], mask[77:78])[0]
    np.testing.assert_allclose(row, p[77], rtol=1e-6, atol=1e-9)  # a customer is decided alike alone


def test_silos_answer_desk_by_desk_each_with_its_own_channel() -> None:
    policy = SiloedCampaigns(BANK.catalogue, BANK.encoder)
    p = policy.probabilities(OBSERVATION, MASK)
    desks = len(BANK.catalogue.channels)
    assert p.shape == (len(MASK), desks, MASK.shape[1])
    np.testing.assert_allclose(p.sum(axis=2), 1, rtol=1e-12)
    assert (p[np.broadcast_to(~MASK[:, None], p.shape)] == 0).all()
    for desk in range(desks):
        foreign = (BANK.catalogue.channel_of != desk) & (np.arange(MASK.shape[1]) > 0)
        assert not p[:, desk, foreign].any()
        assert p[:, desk, 1:].any(), "every desk has campaigns"


def test_a_silo_campaigns_on_its_own_weekdays_only() -> None:
    sunday_to_saturday = np.zeros((7, len(NAMES)), np.float32)
    for day in range(7):
        sunday_to_saturday[day, NAMES.index("calendar:weekday_sin")] = np.sin(day * 2 * np.pi / 7)
        sunday_to_saturday[day, NAMES.index("calendar:weekday_cos")] = np.cos(day * 2 * np.pi / 7)
    p = SiloedCampaigns(BANK.catalogue, BANK.encoder).probabilities(sunday_to_saturday, np.ones((7, len(IDS)), bool))
    speaks = (p[:, :, 0] < 1).T
    days = {c: np.flatnonzero(speaks[i]).tolist() for i, c in enumerate(BANK.catalogue.channel_ids)}
    assert days["app_push"] == [0, 3]
    assert days["sms"] == [1]
    assert days["wechat"] == [4]
    assert days["human_call"] == [0, 1, 2, 3, 4]
    assert days["branch"] == list(range(7))


def test_silos_need_a_calendar() -> None:
    with pytest.raises(InputError, match=r"task.calendar == 'null', must name a country"):
        SiloedCampaigns(CATALOGUE, SMALL.encoder).probabilities(*occurring(SMALL, 1))


def test_random_is_even_over_what_is_allowed() -> None:
    p = Random().probabilities(OBSERVATION, MASK)
    np.testing.assert_allclose(p[MASK], (1 / MASK.sum(axis=1, keepdims=True)).repeat(MASK.shape[1], 1)[MASK])


def test_fixed_is_its_treatment_and_silence_where_it_is_masked() -> None:
    policy = fixed_treatment(BANK.catalogue, "human_call-mortgage")
    place = IDS.index("human_call-mortgage")
    p = policy.probabilities(OBSERVATION, MASK)
    allowed = MASK[:, place]
    assert 0 < allowed.mean() < 1
    np.testing.assert_array_equal(p[:, place], allowed)
    np.testing.assert_array_equal(p[:, 0], ~allowed)


def test_a_fixed_treatment_must_exist() -> None:
    with pytest.raises(InputError, match="treatment == 'singing', must be one of: silence, app_push-deposit"):
        fixed_treatment(BANK.catalogue, "singing")


def test_simple_baselines_hold_every_treatment_once() -> None:
    found = simple_baselines(CATALOGUE)
    fixed = [p for p in found.values() if isinstance(p, Fixed)]
    assert sorted(p.treatment for p in fixed) == [1, 2, 3, 4, 5, 6]
    assert all(found[name].name == name for name in found)
    assert {"silence", "random", "fixed:sms-loan"} < set(found)


def best(**fields: float) -> str:
    """What the coordinated rules do to a customer in a plain situation but for some fields.

    Everything is allowed but other inbound channels, and under a risk hold verification and care alone.
    """
    row = np.zeros((1, len(NAMES)), np.float32)
    for name, value in fields.items():
        row[0, NAMES.index(name.replace("__", ":"))] = value
    mask = np.ones((1, len(IDS)), bool)
    inbound = np.array([c.inbound is not None for c in BANK.catalogue.channels])
    mask[0, 1:] = ~inbound[BANK.catalogue.channel_of[1:]]
    for trigger in BANK.schema.triggers:
        if fields.get(f"moment__{trigger}"):
            channels = np.array([c.inbound == trigger for c in BANK.catalogue.channels])
            mask[0, 1:] |= channels[BANK.catalogue.channel_of[1:]]
    verifies = np.array([p.clears_hold for p in BANK.catalogue.products])[BANK.catalogue.product_of]
    verifies[0] = False
    held = bool(fields.get("contact__risk_hold"))
    mask[0] &= ~BANK.catalogue.selling if held else ~verifies
    p = coordinated_rules(BANK.catalogue, BANK.encoder).probabilities(row, mask)
    return IDS[int(p.argmax())]


def test_without_interest_the_coordinated_rules_stay_silent() -> None:
    assert best() == "silence"


def test_a_risk_hold_is_verified_first_and_on_another_channel_where_one_was_tried_in_vain() -> None:
    first = best(contact__risk_hold=1, product__wealth__intent=1.0)
    assert first.endswith("-verification")
    channel = first.removesuffix("-verification")
    second = best(contact__risk_hold=1, **{f"channel__{channel}__recency": 1.0})
    assert second.endswith("-verification")
    assert second != first


def test_warm_interest_is_met_online_and_a_hot_lead_by_a_person() -> None:
    warm = best(product__wealth__intent=0.2, product__wealth__lead=0.3)
    hot = best(product__wealth__intent=0.2, product__wealth__lead=0.9)
    family = {c.id: c.family for c in BANK.catalogue.channels}
    assert warm.endswith("-wealth")
    assert family[warm.split("-")[0]] == "online"
    assert "wealth" in hot
    assert family[hot.split("-")[0]] == "remote"


def test_a_refusal_cools_interest_and_holding_it_too() -> None:
    interested = {"product__fund_plan__intent": 0.2}
    assert "fund_plan" in best(**interested)
    assert "fund_plan" not in best(**interested, product__fund_plan__refusals=1.0)


def test_contact_pressure_silences_the_coordinated_rules() -> None:
    interested = {"product__fund_plan__intent": 0.2}
    assert "fund_plan" in best(**interested, contact__pressure=0.1)
    assert best(**interested, contact__pressure=0.6) == "silence"


def test_whoever_comes_in_is_answered_on_the_way_they_came() -> None:
    visit = best(moment__branch_visit=1, product__insurance__intent=0.2)
    assert visit == "branch-insurance"
    call = best(moment__inbound_call=1, product__credit_card__intent=0.2)
    assert call == "hotline-credit_card"


def test_what_was_just_broken_off_comes_before_an_older_interest() -> None:
    older = {"product__consumer_loan__intent": 0.3, "product__consumer_loan__lead": 0.6}
    assert "consumer_loan" in best(**older, product__credit_card__intent=0.2, product__credit_card__lead=0.6)
    fresh = {"product__credit_card__lead": 0.9, "product__credit_card__abandoned": 0.5}
    assert "credit_card" in best(**older, product__credit_card__intent=0.3, **fresh)


def test_a_risk_hold_is_verified_and_on_another_channel_if_the_first_did_not_help() -> None:
    assert best(contact__risk_hold=1) == "app_push-verification"
    assert best(contact__risk_hold=1, channel__app_push__recency=0.9) == "human_call-verification"
    assert "verification" not in best(moment__inbound_call=1, product__deposit__intent=0.4)


def test_a_fresh_complaint_is_answered_by_a_person_who_sells_nothing_and_once() -> None:
    selling = np.array([False, *(BANK.catalogue.selling[1:])])
    row = np.zeros((1, len(NAMES)), np.float32)
    row[0, NAMES.index("contact:complaints")] = 0.2
    answered = row.copy()
    for channel in ("human_call", "wecom"):
        answered[0, NAMES.index(f"channel:{channel}:recency")] = 0.9
    mask = np.broadcast_to(~selling, (1, len(IDS))).copy()  # a complaint closes all selling
    rule = CoordinatedRules(BANK.catalogue, BANK.encoder)
    first, again = (IDS[int(rule.probabilities(seen, mask).argmax())] for seen in (row, answered))
    assert first in ("human_call-care", "wecom-care")
    assert again == "silence"


def test_silos_leave_verification_to_the_risk_desk() -> None:
    p = SiloedCampaigns(BANK.catalogue, BANK.encoder).probabilities(OBSERVATION, np.ones_like(MASK))
    verifying = [i for i, name in enumerate(IDS) if name.endswith("-verification")]
    assert len(verifying) == 2
    assert not p[:, :, verifying].any()


def test_softening_keeps_the_order_of_the_rules() -> None:
    rule = CoordinatedRules(BANK.catalogue, BANK.encoder)
    scores, p = rule.scores(OBSERVATION), Softened(rule, 0.7, 0.15).probabilities(OBSERVATION, MASK)
    best_score = np.where(MASK, scores, -np.inf).argmax(axis=1)
    np.testing.assert_array_equal(p[np.arange(len(p)), best_score], p.max(axis=1))
    assert p[MASK].min() > 0


def test_a_myopic_rule_refuses_hidden_states() -> None:
    with pytest.raises(InputError, match=r"heads.delivered == 'latent', must not look at hidden states"):
        Myopic(BANK)
    Myopic(small_world(engaged={"link": "logit", "given": "delivered", "terms": named({"contact": 1.0})}))
