"""The mechanisms of a world, each switched off by name: pure functions from a world to another one.

calm = without(load_world("bank"), "clash", "repetition")
plain = only(load_world("bank"), "delivery", "organic")       # everything else is off

A switch takes out the numbers that a mechanism consists of: heads, terms of heads, facts of products and channels,
rules. What a world does not have cannot be switched off and stays as it is. Policies see the same fields either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from envs.errors import InputError
from envs.response import STAGE, TRIGGER, Coefficients, Head, Term
from envs.world import World

Change = Callable[[World], World]


class Mechanism(NamedTuple):
    """Something that happens in a world, and how to switch it off."""

    name: str
    meaning: str
    switch: str  # what switching off does, in words
    off: Change


def without(world: World, *names: str) -> World:
    """The world with some mechanisms switched off."""
    for name in names:
        world = mechanism(name).off(world)
    return world


def only(world: World, *names: str) -> World:
    """The world with all other mechanisms switched off."""
    kept = {mechanism(name).name for name in names}
    return without(world, *(m.name for m in MECHANISMS if m.name not in kept))


def mechanism(name: str) -> Mechanism:
    """A mechanism by name; an InputError lists the names."""
    for found in MECHANISMS:
        if found.name == name:
            return found
    raise InputError(f"must be one of: {', '.join(m.name for m in MECHANISMS)}", field="mechanism", value=name)


def rewritten(world: World, heads: dict[str, Head]) -> World:
    """The world with these heads; heads that wait for one that is gone go as well."""
    known = {n: h for n, h in heads.items() if h.given not in _BEFORE or _BEFORE[h.given] in heads}
    old = world.coefficients
    made = Coefficients(name=old.name, heads=known, hidden=old.hidden, resolution=old.resolution)
    return replace(world, coefficients=made)


_BEFORE = {"unconverted": "engaged", **{n: n for n in ("engaged", "purchased", "churned", "satisfaction_rated")}}


def without_heads(world: World, gone: Callable[[str], bool]) -> World:
    """Take out heads by name."""
    return rewritten(world, {name: head for name, head in world.coefficients.heads.items() if not gone(name)})


def without_terms(world: World, gone: Callable[[str], bool], heads: tuple[str, ...] = ()) -> World:
    """Take out terms of which a factor is gone; heads: only of these. A head without terms is taken out."""
    kept: dict[str, Head] = {}
    for name, head in world.coefficients.heads.items():
        terms = tuple(t for t in head.terms if not any(gone(word) for word in words(t.feature)))
        if heads and name not in heads:
            kept[name] = head
        elif terms:
            kept[name] = head.model_copy(update={"terms": terms})
    return rewritten(world, kept)


def words(feature: str) -> list[str]:
    """The factors of a feature, by name."""
    return [word.strip() for word in feature.split("*")]


def with_products(world: World, **facts: Any) -> World:
    """The same facts for every product."""
    products = tuple(p.model_copy(update=facts) for p in world.catalogue.products)
    return with_catalogue(world, products=products)


def with_catalogue(world: World, **parts: Any) -> World:
    """Another catalogue, checked anew."""
    plain = {name: getattr(world.catalogue, name) for name in type(world.catalogue).model_fields}
    return replace(world, catalogue=type(world.catalogue)(**(plain | parts)))


def _heads(*names: str) -> Change:
    return lambda world: without_heads(world, lambda name: name in names)


def _terms(*gone: str, heads: tuple[str, ...] = ()) -> Change:
    """Names of factors; one that ends with a colon, an equals sign or a dot stands for all that begin so."""
    return lambda world: without_terms(
        world, lambda word: any(word.startswith(g) if g[-1] in ":=." else word == g for g in gone), heads
    )


def _prefix(start: str) -> Change:
    return lambda world: without_heads(world, lambda name: name.startswith(start))


def _products(**facts: Any) -> Change:
    return lambda world: with_products(world, **facts)


def _both(*changes: Change) -> Change:
    def change(world: World) -> World:
        for one in changes:
            world = one(world)
        return world

    return change


def _delivered(world: World) -> World:
    heads = dict(world.coefficients.heads)
    if "delivered" in heads:
        certain = Term(feature="contact", value=30.0, source="by definition: every contact arrives")
        heads["delivered"] = heads["delivered"].model_copy(update={"terms": (certain,)})
    return rewritten(world, heads)


def _free_benefits(world: World) -> World:
    return with_catalogue(world, benefits=tuple(b.model_copy(update={"cost": 0.0}) for b in world.catalogue.benefits))


def _prompt_channels(world: World) -> World:
    channels = tuple(c.model_copy(update={"delay_days": 0.0}) for c in world.catalogue.channels)
    return with_catalogue(world, channels=channels)


def _nobody_owns(world: World) -> World:
    return replace(world, rules=world.rules.model_copy(update={"ownerships": ()}).written_at(world.rules.written))


def _careless(world: World) -> World:
    hidden, old = world.coefficients.hidden, world.coefficients
    calm = hidden.model_copy(update={"care_heals": 0.0}) if hidden else None
    return replace(world, coefficients=old.model_copy(update={"hidden": calm}))


MECHANISMS = (
    Mechanism("delivery", "messages are lost, calls not taken, by channel, time of day and customer",
              "every contact arrives", _delivered),
    Mechanism("intent", "interest warms with engagement, browsing and broken-off forms, and fades; leads stay hot",
              "history still shows it, nobody acts on it", _terms("own_product.intent", "own_product.lead")),
    Mechanism("context", "a lead handed on with its context converts better",
              "a cold hand-over is as good as a warm one", _terms("latent.context")),
    Mechanism("closing", "complex products close with a person or in a branch only; elsewhere contacts warm the lead",
              "every channel closes", _products(closes=())),
    Mechanism("invitation", "an open lead of a complex product brings customers into the branch",
              "they come as often as without", _terms("product:", heads=("trigger:branch_visit",))),
    Mechanism("maturing", "applications become conversions after days",
              "conversions are booked at once", _products(maturing_days=0)),
    Mechanism("cancellation", "applications fall through, fresh conversions are cancelled, margin clawed back",
              "what is signed stays", _both(_heads("cancelled"), _products(cancel_days=0))),
    Mechanism("credit_loss", "expected loss by credit grade is taken off the margin of loans",
              "all grades pay alike", _products(default_probability=(), loss_given_default=0.0)),
    Mechanism("organic", "customers buy unasked", "nobody buys without a contact", _heads("organic")),
    Mechanism("browsing", "customers look at products unasked", "nobody looks", _heads("browsed")),
    Mechanism("break_points", "applications are broken off; a contact next day is worth much more than next week's",
              "forms are not begun", _both(_heads("abandoned"), _terms("own_product.abandoned"))),
    Mechanism("refusals", "customers say no, and mind being asked again",
              "nobody says no", _both(_heads("declined"), _terms("own_product.refusals"))),
    Mechanism("irritation", "contacts irritate, by channel; the irritated ignore, opt out, complain, leave",
              "nothing irritates", _both(_heads("irritation"), _terms("latent.irritation"))),
    Mechanism("repetition", "contacts soon after others on the same channel tire and irritate",
              "each contact is as the first",
              _terms("own_channel.pressure", "own_channel.recency", "own_product.offered", "contact:pressure")),
    Mechanism("irrelevance", "what a customer dislikes irritates", "only channel and frequency irritate",
              _terms("latent.taste", heads=("irritation",))),
    Mechanism("clash", "another product or benefit from another channel within days irritates and breeds complaints",
              "offers do not hear of each other", _terms("latent.clash", "conflict")),
    Mechanism("opt_out", "customers close a channel", "consent lasts", _heads("opted_out")),
    Mechanism("complaints", "customers complain", "nobody complains",
              _both(_heads("complained"), _terms("contact:complaints"))),
    Mechanism("churn", "customers leave the bank", "nobody leaves", _heads("churned")),
    Mechanism("care", "care that is engaged with heals irritation", "care is just another message", _careless),
    Mechanism("benefits", "benefits persuade, and cost when they are redeemed", "benefits are words",
              _both(_heads("redeemed"), _terms("benefit="), _free_benefits)),
    Mechanism("moments", "customers come in: app, call, branch, partner scene", "nobody comes in", _prefix(TRIGGER)),
    Mechanism("calendar", "weekends, holidays, payday and the customer's key day change answers", "every day is alike",
              _terms("calendar:")),
    Mechanism("stages", "customers move between lifecycle stages, which change answers", "stages stay and mean nothing",
              _both(_prefix(STAGE), _terms("stage:"))),
    Mechanism("referral", "who refers names a friend, with an event", "the product stays, the friend has no name",
              _products(refers=False)),
    Mechanism("special_care", "the old and disabled bear robots and pushes badly, and like the branch",
              "they answer as others", _terms("special_care")),
    Mechanism("delay", "relationship managers get round to a contact days later", "contacts are made when decided",
              _prompt_channels),
    Mechanism("ownership", "customers with a manager are left to him by the calls",
              "everybody may call, managers included",
              _nobody_owns),
    Mechanism("risk_holds", "abnormal behaviour holds a customer: no selling until verified", "no holds",
              _heads("risk_hold", "risk_cleared")),
    Mechanism("satisfaction", "customers are asked how satisfied they are", "nobody asks",
              _heads("satisfaction_rated")),
    Mechanism("tastes", "hidden likings of products", "no hidden likings", _terms("latent.taste")),
    Mechanism("reach", "some are easier to reach than others", "no hidden differences", _terms("latent.reach")),
    Mechanism("frailty", "some answer everything more than others", "no hidden differences", _terms("latent.frailty")),
)  # fmt: skip
