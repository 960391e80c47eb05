"""Stress worlds: a named family around any world, to see what a policy is worth when the world is not what it was.

stressed(load_world("bank"), "dead_channel")        # or load_world("bank+dead_channel")

Each is a pure function from a world to another one with the same fields, treatments and rules: what policies see and
may do stays. A stress that finds nothing to change in a world is refused. Sizes are assumed: large enough to hurt,
small enough to happen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from envs.errors import InputError
from envs.mechanisms import rewritten, with_catalogue, words
from envs.profile import FLAG, profile_fields
from envs.response import Head, Term
from envs.world import World

NEVER = -60.0  # log odds of what does not happen
DRIFT = 2.0  # log odds a year: in a quarter odds fall to 60 %
LATER_DAYS = 14
PRESSURE = ("own_channel.pressure", "contact:pressure", "contact:week")


class Stress(NamedTuple):
    """Something that goes wrong."""

    name: str
    meaning: str
    change: Callable[[World], World]


def stressed(world: World, *names: str) -> World:
    """The world under one or more stresses; an InputError where one finds nothing to change."""
    for name in names:
        found = next((s for s in STRESSES if s.name == name), None)
        if found is None:
            raise InputError(f"must be one of: {', '.join(s.name for s in STRESSES)}", field="stress", value=name)
        changed = found.change(world)
        if changed.digest == world.digest:
            raise InputError("finds nothing to change in this world", field="stress", value=name)
        world = changed
    return world


def stresses_of(world: World) -> tuple[str, ...]:
    """The stresses that change this world."""
    names = []
    for stress in STRESSES:
        try:
            stressed(world, stress.name)
        except InputError:
            continue
        names.append(stress.name)
    return tuple(names)


def annoyance_twice(world: World) -> World:
    """Contacts irritate twice as much; odds of opting out and complaining double; pressure weighs twice."""
    heads = {}
    for name, head in world.coefficients.heads.items():
        twice = [_times(t, 2.0) if name == "irritation" or _about_pressure(t) else t for t in head.terms]
        more = [_assumed("contact", math.log(2))] if name in ("opted_out", "complained") else []
        heads[name] = _with(head, [*twice, *more])
    return rewritten(world, heads)


def preferences_shuffled(world: World, segment: str | None = None) -> World:
    """In a segment, what was liked is disliked, and each product is wanted as another one was.

    Hidden likings change their sign there; the terms of products that close on every channel go round by one.
    segment: a field of the observation that is 0 or 1; default: of the profile's, the largest below one half.
    """
    segment = segment or _segment(world)
    turn = _next_product(world)
    heads = {}
    for name, head in world.coefficients.heads.items():
        mirrored = [
            _assumed(f"{t.feature} * {segment}", -2 * t.value) for t in head.terms if "latent.taste" in words(t.feature)
        ]
        turned = list(_turned(head, segment, turn)) if name in _WANTED else []
        heads[name] = _with(head, [*head.terms, *mirrored, *turned])
    return rewritten(world, heads)


def response_drift(world: World) -> World:
    """Answers to contacts fade from year to year, and products drift apart; only the simulator knows the date.

    The first answer that a world models after a contact (engaged, else converted) loses 2 of log odds a year;
    conversions of every other product lose, of the others win 2.
    """
    heads, changed = dict(world.coefficients.heads), {}
    first = "engaged" if "engaged" in heads else "converted"
    if first in heads:
        changed[first] = [_assumed("latent.clock * contact", -DRIFT)]
    products = _products_told_apart(world, heads.get("converted"))
    apart = [_assumed(f"latent.clock * product={p}", DRIFT * (-1) ** k) for k, p in enumerate(products)]
    changed["converted"] = [*changed.get("converted", []), *apart]
    return rewritten(world, {n: _with(h, [*h.terms, *changed.get(n, [])]) for n, h in heads.items()})


def dead_channel(world: World, channel: str | None = None) -> World:
    """Nothing arrives on a channel any more: a contact there is silence that costs. Default: the busiest outbound."""
    where = channel or _busiest(world)
    used = {t.channel for t in world.catalogue.treatments}
    there = f"channel={where}" if len(used) > 1 else "contact"
    heads = dict(world.coefficients.heads)
    for name, head in heads.items():
        if head.given == "contacted" or (head.given == "delivered" and "delivered" not in heads):
            heads[name] = _with(head, [*head.terms, _assumed(there, NEVER)])
        elif head.given == "always" and head.per == "decision":
            undone = [_assumed(f"{t.feature} * {there}", -t.value) for t in head.terms if _of_a_contact(t, world)]
            heads[name] = _with(head, [*head.terms, *undone])
    return rewritten(world, heads)


def half_capacity(world: World) -> World:
    """Half of every pool."""
    pools = tuple(p.model_copy(update={"capacity": p.capacity / 2}) for p in world.catalogue.pools)
    return with_catalogue(world, pools=pools)


def delayed_outcomes(world: World) -> World:
    """Every product that sells matures a fortnight later than before."""
    later = tuple(
        p.model_copy(update={"maturing_days": p.maturing_days + LATER_DAYS}) if p.selling else p
        for p in world.catalogue.products
    )
    return with_catalogue(world, products=later)


STRESSES = (
    Stress(
        "annoyance_twice", "contacts irritate twice as much, odds of opting out and complaining double", annoyance_twice
    ),
    Stress("preferences_shuffled", "a segment likes what it disliked, and wants other products", preferences_shuffled),
    Stress("response_drift", "answers fade by 40 % in a quarter, products drift apart", response_drift),
    Stress("dead_channel", "nothing arrives on the busiest outbound channel", dead_channel),
    Stress("half_capacity", "half of every pool", half_capacity),
    Stress("delayed_outcomes", "every conversion is booked a fortnight later", delayed_outcomes),
)
_WANTED = ("engaged", "converted", "organic", "browsed", "abandoned")


def _assumed(feature: str, value: float) -> Term:
    return Term(feature=feature, value=value, source="assumed: a stress")


def _times(term: Term, factor: float) -> Term:
    return term.model_copy(update={"value": term.value * factor})


def _with(head: Head, terms: Iterable[Term]) -> Head:
    return head.model_copy(update={"terms": tuple(terms)})


def _about_pressure(term: Term) -> bool:
    return any(word in PRESSURE for word in words(term.feature))


def _of_a_contact(term: Term, world: World) -> bool:
    """True if the term is about the treatment: an attribute, its channel, its product; 0 for silence."""
    fields = {"1", *world.encoder.names}
    return any(word not in fields and not word.startswith("latent.") for word in words(term.feature))


def _segment(world: World) -> str:
    flags = [
        name
        for name, unit in profile_fields(world.schema, lambda name, _, low, high, unit: (name, unit))
        if unit == FLAG
    ]
    start = world.population.start(np.arange(2000), 0, world.catalogue.product_ids)
    shares = {name: float(start.profile[:, world.encoder.names.index(name)].mean()) for name in flags}
    small = {name: share for name, share in shares.items() if 0 < share <= 0.5}
    if not small:
        raise InputError(
            "needs a segment: a field of the profile that is 0 or 1", field="stress", value="preferences_shuffled"
        )
    return max(small, key=lambda name: small[name])


def _next_product(world: World) -> dict[str, str]:
    """Each product that sells on every channel, and the one that takes its place."""
    used = {t.product for t in world.catalogue.treatments}
    open_ = [p.id for p in world.catalogue.products if p.selling and not p.closes and p.id in used]
    return dict(zip(open_, [*open_[1:], *open_[:1]], strict=True)) if len(open_) > 1 else {}


def _turned(head: Head, segment: str, turn: dict[str, str]) -> Iterable[Term]:
    """What takes the terms of a product away in a segment, and gives them to the next product."""
    for term in head.terms:
        product = next((w.removeprefix("product=") for w in words(term.feature) if w.startswith("product=")), None)
        if product in turn:
            other = " * ".join(
                f"product={turn[product]}" if w == f"product={product}" else w for w in words(term.feature)
            )
            yield _assumed(f"{term.feature} * {segment}", -term.value)
            yield _assumed(f"{other} * {segment}", term.value)


def _products_told_apart(world: World, head: Head | None) -> list[str]:
    """Products that sell, if the catalogue's treatments differ in them."""
    used = list(dict.fromkeys(t.product for t in world.catalogue.treatments))
    selling = {p.id for p in world.catalogue.products if p.selling}
    return [p for p in used if p in selling] if head is not None and len(used) > 1 else []


def _busiest(world: World) -> str:
    outbound = [c.id for c in world.catalogue.channels if c.inbound is None] or list(world.catalogue.channel_ids)
    return max(outbound, key=lambda c: sum(t.channel == c for t in world.catalogue.treatments))
