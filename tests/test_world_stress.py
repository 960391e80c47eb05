"""Stress worlds do what they say and leave the world itself as it is; policies can be compared in them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from world_kit import FINITE, named, small_world

from agents.baselines import Fixed, Random, Silence
from envs.errors import InputError
from envs.features import CLOCK, IRRITATION
from envs.history import NAMES as EVENTS
from envs.mechanisms import with_catalogue
from envs.simulator import Simulator
from envs.stress import LATER_DAYS, STRESSES, preferences_shuffled, stressed, stresses_of
from envs.world import World, load_world, save_world
from evaluation.robustness import PLAIN, Setting, robustness
from evaluation.simulation import simulate

BANK, SMALL = load_world("bank"), small_world()
FIELDS, IDS = BANK.encoder.names, BANK.catalogue.treatment_ids
NAMES = tuple(s.name for s in STRESSES)


def situations(world: World, flag: str | None = None, value: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Observations and latent states of 80 customers after a fortnight of random contacts."""
    simulator = busy(world, 14, 80)
    observation, latent = simulator.view().observation.copy(), simulator.state.latent.copy()
    if flag is not None:
        observation[:, world.encoder.names.index(flag)] = value
    return observation, latent


def busy(world: World, days: int, customers: int = 400, treatment: int | None = None) -> Simulator:
    """Some days of random contacts, or of one treatment for all."""
    simulator, rng = Simulator(world, 2), np.random.default_rng(1)
    simulator.reset(np.arange(customers))
    for _ in range(days):
        view = simulator.view()
        p = Random().probabilities(view.observation, view.mask)
        drawn = (p.cumsum(axis=1) < rng.random((customers, 1))).sum(axis=1)
        simulator.step(drawn if treatment is None else np.full(customers, treatment))
    return simulator


def etas(world: World, head: str, seen: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return world.heads[head].linear_all(*seen)


@pytest.mark.parametrize("name", NAMES)
def test_a_stress_is_another_world_with_the_same_fields_and_leaves_the_first_alone(name: str) -> None:
    before = BANK.digest, BANK.coefficients.model_dump(), BANK.catalogue.model_dump()
    world = stressed(BANK, name)
    assert world.digest != BANK.digest
    assert (BANK.digest, BANK.coefficients.model_dump(), BANK.catalogue.model_dump()) == before
    assert world.encoder.names == FIELDS
    assert world.catalogue.treatment_ids == IDS
    assert world.rules == BANK.rules
    assert busy(world, 3, 50).state.alive.any()


def test_the_bank_can_be_stressed_in_every_way_and_a_small_world_in_those_that_find_something() -> None:
    assert stresses_of(BANK) == NAMES
    assert set(stresses_of(small_world(FINITE))) >= {"dead_channel", "half_capacity", "delayed_outcomes"}


def test_annoyance_twice_doubles_irritation_and_the_odds_of_opting_out() -> None:
    world, seen = stressed(BANK, "annoyance_twice"), situations(BANK)
    np.testing.assert_allclose(etas(world, "irritation", seen), 2 * etas(BANK, "irritation", seen), atol=1e-9)
    calm = seen[0].copy()
    calm[:, [i for i, f in enumerate(FIELDS) if f.endswith(":pressure")]] = 0
    more = etas(world, "opted_out", (calm, seen[1])) - etas(BANK, "opted_out", (calm, seen[1]))
    np.testing.assert_allclose(more[:, 1:], math.log(2), atol=1e-9)
    np.testing.assert_allclose(more[:, 0], 0)
    assert busy(world, 20).state.latent[:, IRRITATION].mean() > 1.5 * busy(BANK, 20).state.latent[:, IRRITATION].mean()


def test_preferences_change_in_the_segment_only() -> None:
    world = stressed(BANK, "preferences_shuffled")
    for head in ("engaged", "converted", "organic", "browsed"):
        outside, inside = (situations(BANK, "special_care", value) for value in (0.0, 1.0))
        np.testing.assert_array_equal(etas(world, head, outside), etas(BANK, head, outside))
        assert np.abs(etas(world, head, inside) - etas(BANK, head, inside)).max() > 0.3
    other = preferences_shuffled(BANK, "stage:active")
    seen = situations(BANK, "stage:active", 0.0)
    np.testing.assert_array_equal(etas(other, "converted", seen), etas(BANK, "converted", seen))


def test_in_the_segment_a_product_is_wanted_as_the_one_before_it_was_and_liking_turns_round() -> None:
    world = stressed(BANK, "preferences_shuffled")
    observation, latent = (
        np.zeros((1, len(FIELDS)), np.float32),
        np.zeros((1, situations(BANK)[1].shape[1]), np.float32),
    )
    observation[0, FIELDS.index("special_care")] = 1
    before, after = (etas(w, "browsed", (observation, latent))[0] for w in (BANK, world))
    products = BANK.catalogue.product_ids
    assert after[products.index("wealth")] == pytest.approx(before[products.index("deposit")])
    assert after[products.index("mortgage")] == pytest.approx(before[products.index("mortgage")])  # closes in person
    liking = latent.copy()
    liking[:] = 1
    liked, disliked = (
        etas(w, "organic", (observation, liking)) - etas(w, "organic", (observation, latent)) for w in (BANK, world)
    )
    np.testing.assert_allclose(disliked, -liked, atol=1e-9)


def test_drift_begins_on_the_first_day_and_grows() -> None:
    world, (observation, latent) = stressed(BANK, "response_drift"), situations(BANK)
    first, later = latent.copy(), latent.copy()
    first[:, CLOCK], later[:, CLOCK] = 0, 0.25
    for head in ("engaged", "converted"):
        np.testing.assert_array_equal(etas(world, head, (observation, first)), etas(BANK, head, (observation, first)))
    lost = etas(world, "engaged", (observation, later)) - etas(BANK, "engaged", (observation, later))
    np.testing.assert_allclose(lost[:, 1:], -0.5, atol=1e-9)
    assert not lost[:, 0].any(), "silence does not drift"
    day = busy(BANK, 1).out.events, busy(world, 1).out.events
    np.testing.assert_array_equal(*day)


def test_nothing_arrives_on_a_dead_channel_and_the_others_work() -> None:
    out = busy(stressed(BANK, "dead_channel"), 10).out.events
    dead, alive = (BANK.catalogue.channel_ids.index(c) for c in ("app_push", "sms"))
    for event in ("delivered", "engaged", "converted", "opted_out"):
        assert out[EVENTS.index(event), dead].sum() == 0
    assert out[EVENTS.index("contacted"), dead].sum() > 50
    assert out[EVENTS.index("engaged"), alive].sum() > 0


def test_where_answers_need_no_contact_a_dead_channel_is_silence() -> None:
    visits = {
        "link": "rate",
        "given": "always",
        "terms": named({"1": -1.0, "contact": 0.5, "channel=sms": 1.0, "age": 0.2}),
    }
    world = stressed(small_world(engaged=visits), "dead_channel")  # sms is the busiest
    observation = situations(world)[0]
    eta = world.heads["engaged"].linear_all(observation)
    sms = world.catalogue.treatment_ids.index("sms-loan")
    np.testing.assert_allclose(eta[:, sms], eta[:, 0], atol=1e-9)
    call = world.catalogue.treatment_ids.index("call-fund")
    np.testing.assert_allclose(eta[:, call] - eta[:, 0], 0.5, atol=1e-9)


def test_half_the_capacity_is_half_of_every_pool_and_nothing_else() -> None:
    world = stressed(BANK, "half_capacity")
    assert [p.capacity * 2 for p in world.catalogue.pools] == [p.capacity for p in BANK.catalogue.pools]
    assert world.coefficients == BANK.coefficients


def test_delayed_outcomes_book_nothing_before_a_fortnight() -> None:
    world = stressed(BANK, "delayed_outcomes")
    early, late = busy(world, LATER_DAYS - 1).out.events, busy(world, LATER_DAYS + 10).out.events
    assert early[EVENTS.index("applied")].sum() > 0
    assert early[EVENTS.index("converted")].sum() == 0
    assert late[EVENTS.index("converted")].sum() > 0


def test_stresses_add_up_and_can_be_named_with_the_world(tmp_path: Path) -> None:
    both = stressed(BANK, "dead_channel", "half_capacity")
    assert load_world("bank+dead_channel+half_capacity").digest == both.digest
    save_world(SMALL, tmp_path / "mine")
    assert load_world(tmp_path / "mine+half_capacity").catalogue.pools[0].capacity == 50


@pytest.mark.parametrize(
    ("world", "says"),
    [
        ("bank+flood", r"stress == 'flood', must be one of: annoyance_twice"),
        ("vault+dead_channel", r"world == .*vault.*must be a directory, or one of"),
    ],
)
def test_what_nobody_knows_is_refused(world: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_world(world)


def test_a_stress_that_finds_nothing_is_refused() -> None:
    free = tuple(t.model_copy(update={"effort": {}}) for t in SMALL.catalogue.treatments)
    with pytest.raises(InputError, match=r"stress == 'half_capacity', finds nothing to change"):
        stressed(with_catalogue(SMALL, pools=(), treatments=free), "half_capacity")


def test_the_robustness_table_compares_at_one_level_of_annoyance() -> None:
    policies = {"sms": Fixed(1, "sms"), "call": Fixed(4, "call"), "silence": Silence()}
    setting = Setting(np.arange(300), days=12, seed=4)
    frame = robustness(policies, SMALL, ["dead_channel", "half_capacity"], setting=setting)
    assert frame["stress"].to_list() == [n for n in (PLAIN, "dead_channel", "half_capacity") for _ in policies]
    assert frame["level"].n_unique() == 1
    acting = frame.filter(frame["policy"] != "silence")
    assert frame["level"][0] == pytest.approx(acting["annoyance"].min())
    share = acting["level"] / acting["annoyance"]
    np.testing.assert_allclose(acting["gain_at_level"], share * acting["gain"])
    plain = acting.filter(acting["stress"] == PLAIN)
    np.testing.assert_allclose(plain["kept"], 1.0)
    runs = [simulate(SMALL, p, setting.customers, 12, seed=4).profit for p in (policies["sms"], Silence())]
    assert plain["gain"][0] == pytest.approx((runs[0] - runs[1]).mean())
    assert acting.filter(acting["stress"] == "half_capacity")["kept"].to_list() == [
        1.0,
        1.0,
    ]  # nobody counts pools here
    dead = acting.filter((acting["stress"] == "dead_channel") & (acting["policy"] == "sms"))
    assert dead["gain"][0] < plain["gain"][0]
