"""Each mechanism can be switched off by name: its trace is gone from a simulation, and those of the others are not."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from agents.baselines import Random
from envs.errors import InputError
from envs.features import FRAILTY, IRRITATION, TASTE
from envs.happening import Out
from envs.history import NAMES as EVENTS
from envs.mechanism_table import mechanism_table
from envs.mechanisms import MECHANISMS, only, rewritten, without
from envs.response import Head, Term
from envs.simulator import Simulator
from envs.world import World, load_world

BANK = load_world("bank")
NAMES = tuple(m.name for m in MECHANISMS)
CHANNELS, PRODUCTS = BANK.catalogue.channel_ids, BANK.catalogue.product_ids
FIELDS = BANK.encoder.names
RARE = {
    **dict.fromkeys(["opted_out", "complained", "churned", "risk_hold", "cancelled", "organic", "converted"], 3.0),
    **{name: 3.0 for name in BANK.coefficients.heads if name.startswith("stage:")},
}


def frequent(world: World) -> World:
    """The bank in a hurry: what is rare happens often, so that a short simulation shows it."""
    heads: dict[str, Head] = {}
    for name, head in world.coefficients.heads.items():
        more = (Term(feature="1", value=RARE[name]),) if name in RARE else ()
        heads[name] = head.model_copy(update={"terms": (*head.terms, *more)})
    return rewritten(world, heads)


class Seen(NamedTuple):
    """What a short simulation leaves behind."""

    world: World
    out: Out
    observation: np.ndarray  # of the last day
    latent: np.ndarray
    mask: np.ndarray
    waited: int  # customer-days on which a contact waited
    lowest: float  # smallest margin of a conversion
    healed: float  # irritation that care took away, share


@lru_cache(maxsize=64)
def seen(*off: str) -> Seen:
    """800 customers under the random policy for 20 days, in the hurried bank without some mechanisms."""
    world = without(frequent(BANK), *off)
    simulator = Simulator(world, 5, record=True)
    simulator.reset(np.arange(800))
    waited, lowest, rng = 0, 0.0, np.random.default_rng(3)
    for _ in range(20):
        view = simulator.view()
        p = Random().probabilities(view.observation, view.mask)
        outcome = simulator.step((p.cumsum(axis=1) < rng.random((800, 1))).sum(axis=1))
        waited += int((simulator.state.person["waiting"] > 0).sum())
        assert outcome.events is not None
        booked = outcome.events["value"][outcome.events["event"] == EVENTS.index("converted")]
        lowest = min(lowest, *booked)
    view, latent = simulator.view(), simulator.state.latent.copy()
    return Seen(world, simulator.out, view.observation.copy(), latent, view.mask, waited, lowest, _healed(world))


def _healed(world: World) -> float:
    """Share of irritation that goes on the spot when a talk of pure care is engaged with."""
    simulator = Simulator(world, 6)
    simulator.reset(np.arange(400))
    simulator.state.latent[:, IRRITATION] = 3.0
    care = world.catalogue.treatment_ids.index("wecom-care")
    before = simulator.out.events.copy()
    simulator.step(np.full(400, care))
    engaged = (simulator.out.events - before)[EVENTS.index("engaged"), CHANNELS.index("wecom")].sum()
    assert engaged > 20
    return float((simulator.state.latent[:, IRRITATION] < 2.0).mean())


def count(s: Seen, event: str, channel: int | slice = slice(None)) -> int:
    return int(s.out.events[EVENTS.index(event), channel].sum())


def moved(s: Seen, pattern: str, heads: str = "", latent: tuple[int, ...] = ()) -> float:
    """How far some heads move when fields of the observation and latent states are taken to 0 and to 1."""
    columns = [i for i, name in enumerate(FIELDS) if pattern and re.fullmatch(pattern, name)]
    assert columns or latent
    low, high = (s.observation[:60].copy() for _ in range(2))
    below, above = (s.latent[:60].copy() for _ in range(2))
    low[:, columns], high[:, columns], below[:, list(latent)], above[:, list(latent)] = 0, 1, 0, 1
    parts = [h for name, h in s.world.heads.items() if re.fullmatch(heads or "[^:]*|stage:.*", name)]
    return max((float(np.abs(h.linear_all(low, below) - h.linear_all(high, above)).max()) for h in parts), default=0.0)


def never_closed(s: Seen) -> int:
    """Engagements online about products that close elsewhere; 0 if one of them ended in a conversion there."""
    online = [i for i, c in enumerate(BANK.catalogue.channels) if c.family == "online"]
    complicated = [i for i, p in enumerate(BANK.catalogue.products) if p.closes]
    events = s.out.events[:, online][:, :, complicated].sum(axis=(1, 2))
    signed = events[EVENTS.index("converted")] + events[EVENTS.index("applied")]
    return 0 if signed else int(events[EVENTS.index("engaged")])


def closed_to_calls(s: Seen) -> float:
    """Share of customers without a manager to whom a manager's care is closed."""
    unmanaged = s.observation[:, FIELDS.index("managed")] == 0
    place = BANK.catalogue.treatment_ids.index("relationship_manager-care")
    return float((~s.mask[unmanaged, place]).all())


REACH = tuple(range(TASTE + len(PRODUCTS), TASTE + len(PRODUCTS) + len(CHANNELS)))
LIKING = tuple(range(TASTE, TASTE + len(PRODUCTS)))
CLASH, CONTEXT = 2, 3
TRACES: dict[str, Callable[[Seen], float]] = {
    "delivery": lambda s: count(s, "contacted") - count(s, "delivered"),
    "intent": lambda s: moved(s, "product:.*:(intent|lead)"),
    "context": lambda s: moved(s, "", latent=(CONTEXT,)),
    "closing": never_closed,
    "invitation": lambda s: moved(s, "product:.*:lead", heads="trigger:branch_visit"),
    "maturing": lambda s: count(s, "applied"),
    "cancellation": lambda s: count(s, "cancelled"),
    "credit_loss": lambda s: -s.lowest,
    "organic": lambda s: count(s, "converted", -1),
    "browsing": lambda s: count(s, "browsed"),
    "break_points": lambda s: count(s, "abandoned") * moved(s, "product:.*:abandoned"),
    "refusals": lambda s: count(s, "declined") * moved(s, "product:.*:refusals"),
    "irritation": lambda s: float(s.latent[:, IRRITATION].max()),
    "repetition": lambda s: moved(s, "channel:.*:(pressure|recency)", heads="engaged|irritation|opted_out"),
    "irrelevance": lambda s: moved(s, "", heads="irritation", latent=LIKING),
    "clash": lambda s: moved(s, "", latent=(CLASH,)),
    "opt_out": lambda s: count(s, "opted_out"),
    "complaints": lambda s: count(s, "complained"),
    "churn": lambda s: count(s, "churned"),
    "care": lambda s: s.healed,
    "benefits": lambda s: count(s, "redeemed"),
    "moments": lambda s: count(s, "app_session") + count(s, "branch_visit") + count(s, "inbound_call"),
    "calendar": lambda s: moved(s, "calendar:(weekend|holiday|payday|key_day)", heads=".*"),
    "stages": lambda s: count(s, "stage_changed") * moved(s, "stage:.*", heads=".*"),
    "referral": lambda s: count(s, "referred"),
    "special_care": lambda s: moved(s, "special_care"),
    "delay": lambda s: s.waited,
    "ownership": closed_to_calls,
    "risk_holds": lambda s: count(s, "risk_hold"),
    "satisfaction": lambda s: count(s, "satisfaction_rated"),
    "tastes": lambda s: moved(s, "", heads="engaged|converted|organic|browsed", latent=LIKING),
    "reach": lambda s: moved(s, "", latent=REACH),
    "frailty": lambda s: moved(s, "", latent=(FRAILTY,)),
}
# What cannot be there without another: nothing refers, heals or is booked late that does not happen at all.
GOES_WITH = {"tastes": {"irrelevance"}, "intent": {"context"}, "moments": {"invitation"}}
GOES_WITH["irritation"] = {"care", "irrelevance"}


def test_every_mechanism_has_a_trace_in_the_bank() -> None:
    assert set(TRACES) == set(NAMES)
    assert {name: TRACES[name](seen()) for name in NAMES if TRACES[name](seen()) <= 0} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_mechanism_switched_off_leaves_no_trace_and_the_others_stay(name: str) -> None:
    digest = BANK.digest
    found = seen(name)
    assert TRACES[name](found) == 0
    others = [other for other in NAMES if other != name and other not in GOES_WITH.get(name, set())]
    assert [other for other in others if TRACES[other](found) <= 0] == []
    assert BANK.digest == digest, "the world itself must not change"


def test_switches_commute_and_repeat() -> None:
    once = without(BANK, "clash", "stages", "maturing")
    again = without(without(BANK, "maturing", "clash"), "stages", "clash")
    assert once.digest == again.digest != BANK.digest


def test_only_keeps_what_it_names() -> None:
    world = only(BANK, "delivery", "organic", "tastes")
    assert world.digest == without(BANK, *(set(NAMES) - {"delivery", "organic", "tastes"})).digest
    assert {"delivered", "engaged", "converted", "organic"} <= set(world.heads)
    assert not {"churned", "opted_out", "irritation"} & set(world.heads)
    simulator = Simulator(world, 0)
    simulator.reset(np.arange(50))
    simulator.step(np.zeros(50, int))


def test_an_unknown_mechanism_is_refused_with_the_names() -> None:
    with pytest.raises(InputError, match=r"mechanism == 'gravity', must be one of: delivery, intent"):
        without(BANK, "gravity")


def test_the_guide_holds_the_table_of_the_bank_as_it_is() -> None:
    guide = (Path(__file__).resolve().parent.parent / "docs" / "mechanisms.md").read_text(encoding="utf-8")
    for row in mechanism_table(BANK).iter_rows():
        assert "| " + " | ".join(f"`{cell}`" if i == 0 else cell for i, cell in enumerate(row)) + " |" in guide, row[0]
