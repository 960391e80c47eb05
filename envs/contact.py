"""What a contact does to a customer: delivered, engaged, converted, declined, opted out, complained, irritated."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from envs.features import CLASH, IRRITATION
from envs.happening import (
    ANSWERED,
    ANSWERED_LATER,
    BOOKED,
    DECIDED,
    MADE_LATER,
    Cause,
    because,
    count_place,
    hand_over_at,
    happened,
    note,
    sums_at,
    tally_at,
)
from envs.history import NAMES, NEVER, RECENCY, RING, customer_at, faded, product_at, record_one
from envs.jit import kernel
from envs.mechanics import (
    CANCELLED,
    COMPLAINED,
    CONVERTED,
    CONVERTED_VALUE,
    DECLINED,
    DELIVERED,
    ENGAGED,
    OPTED_OUT,
    REDEEMED,
    facts_at,
    treatment_at,
)
from envs.mechanics import IRRITATION as IRRITATES
from envs.model import eta_of, exists, head_at, mean_of, occurs
from envs.pointers import double_at, long_at, single_at
from envs.randomness import normal, uniform
from envs.response import GIVEN
from envs.reward import PRESSURE_UNIT
from envs.state import pending_at, person_at

# Numbers of draws within a customer's day. Contacts of desk k add 100 k.
DRAW_DELIVERED, DRAW_ENGAGED, DRAW_CONVERTED, DRAW_VALUE, DRAW_DECLINED, DRAW_OPTED_OUT, DRAW_COMPLAINED = range(7)
DRAW_REDEEMED, DRAW_DELAY = 7, 8
LATER = 4000  # first draw of a contact that was decided on an earlier day
_CONTACTED, _DELIVERED, _ENGAGED = (NAMES.index(name) for name in ("contacted", "delivered", "engaged"))
_DECLINED, _OPTED_OUT, _COMPLAINED = (NAMES.index(name) for name in ("declined", "opted_out", "complained"))
_APPLIED, _CONVERTED, _CANCELLED = (NAMES.index(name) for name in ("applied", "converted", "cancelled"))
_BALANCE, _REDEEMED, _REFERRED = (NAMES.index(name) for name in ("balance_changed", "redeemed", "referred"))
_CLEARED = NAMES.index("risk_cleared")
_GIVEN_CONTACTED, _GIVEN_DELIVERED, _GIVEN_ENGAGED = (GIVEN.index(g) for g in ("contacted", "delivered", "engaged"))


class View(NamedTuple):
    """What the heads see of one customer, and the key of the day's draws."""

    seen: Any  # address of the observation, (fields,) float32
    latent: Any  # address of the latent states, float32
    key: np.uint64


@kernel
def chance(m: Any, v: View, head: int, option: int, days: float) -> float:
    """Probability or mean of a head; 0 for one that the world lacks."""
    if not exists(m, head):
        return 0.0
    return mean_of(head_at(m.heads, head).link, eta_of(m, head, option, v.seen, v.latent), days)


@kernel
def happens(m: Any, v: View, head: int, option: int, draw: int, days: float) -> bool:
    """Does it happen? Never, if the world lacks the head."""
    if not exists(m, head):
        return False
    return occurs(head_at(m.heads, head).link, eta_of(m, head, option, v.seen, v.latent), days, uniform(v.key, draw))


@kernel
def amount(m: Any, v: View, head: int, option: int, draw: int) -> float:
    """A log-normal amount; NaN if the world has no model of it, 0 for no option."""
    if not exists(m, head):
        return np.nan
    if option < 0:
        return 0.0
    sigma = head_at(m.heads, head).sigma
    return np.exp(eta_of(m, head, option, v.seen, v.latent) + sigma * normal(v.key, draw) - sigma**2 / 2)


@kernel
def contact(m: Any, s: Any, out: Any, i: int, v: View, option: int, decision: int, base: int) -> None:
    """Carry out one contact with customer i today. option: a treatment; base: added to the numbers of draws."""
    t = treatment_at(m.treatments, option)
    later = base >= LATER
    cause = because(option, t.channel, t.product, decision, ANSWERED_LATER if later else ANSWERED)
    single_at(s.latent, i * s.latent_states + CLASH).value = clash(m, s, i, option)
    _charge(m, s, out, i, v, option)
    came_from = _take_up(m, s, out, i, option)
    made = because(option, t.channel, t.product, decision, MADE_LATER if later else DECIDED)
    record_one(s, i, _CONTACTED, t.channel, t.product, option, np.nan)
    long_at(out.events, count_place(out, _CONTACTED, t.channel, t.product)).value += 1
    if t.delay > 0:
        note(s, out, i, _CONTACTED, made, np.nan)
    delivered = True
    if exists(m, DELIVERED):
        delivered = happens(m, v, DELIVERED, option, DRAW_DELIVERED + base, 1.0)
        if delivered:
            happened(m, s, out, i, _DELIVERED, cause, np.nan)
    engaged = _answers(m, ENGAGED, delivered, delivered) and happens(m, v, ENGAGED, option, DRAW_ENGAGED + base, 1.0)
    if engaged:
        happened(m, s, out, i, _ENGAGED, cause, np.nan)
        _met(s, i, t.channel)
        if facts_at(m.product_facts, t.product).clears_hold and customer_at(s.customer, i).risk_hold:
            happened(m, s, out, i, _CLEARED, cause, np.nan)
    converted = (
        t.closes
        and may_take(m, s, i, t.product)
        and _answers(m, CONVERTED, delivered, engaged)
        and happens(m, v, CONVERTED, option, DRAW_CONVERTED + base, 1.0)
    )
    if converted:
        convert(m, s, out, i, v, cause, DRAW_VALUE + base, DRAW_REDEEMED + base)
    if came_from >= 0:
        hand_over_at(out.hand_overs, came_from).engaged += engaged
        hand_over_at(out.hand_overs, came_from).converted += converted
    if engaged and not converted and happens(m, v, DECLINED, option, DRAW_DECLINED + base, 1.0):
        happened(m, s, out, i, _DECLINED, cause, np.nan)
    if delivered:
        _bear(m, s, out, i, v, cause, base, engaged)


@kernel
def _answers(m: Any, head: int, delivered: bool, before: bool) -> bool:
    """Whether a head can happen at this contact: what it waits for has happened."""
    given = head_at(m.heads, head).given
    if given == _GIVEN_CONTACTED:
        return True
    if given == _GIVEN_DELIVERED:
        return delivered
    return given == _GIVEN_ENGAGED and before


@kernel
def may_take(m: Any, s: Any, i: int, product: int) -> bool:
    """Nobody takes a second product of a kind that is held once, nor applies again while an application matures."""
    if product < 0:
        return True
    held = facts_at(m.product_facts, product).once and product_at(s.product, i * s.products + product).holds
    return not held and pending_at(s.pending, i * s.products + product).due_day == NEVER


@kernel
def _charge(m: Any, s: Any, out: Any, i: int, v: View, option: int) -> None:
    """Cost, effort and annoyance of the contact itself."""
    t, tally = treatment_at(m.treatments, option), tally_at(out.tally, i)
    pressure = np.float64(single_at(v.seen, m.contact_from).value) * PRESSURE_UNIT
    annoyance = t.annoyance * (1.0 + pressure)
    tally.cost += t.cost
    tally.annoyance += annoyance
    tally.contacts += 1
    for k in range(m.pools):
        double_at(out.effort, i * m.pools + k).value += double_at(m.effort, option * m.pools + k).value
    sums, person = sums_at(out.sums, 0), person_at(s.person, i)
    sums.contact_cost += t.cost
    sums.annoyance += annoyance
    person.contacts += 1
    person.contacted_on |= np.uint64(1) << np.uint64(t.channel)


@kernel
def _take_up(m: Any, s: Any, out: Any, i: int, option: int) -> int:
    """If this contact takes up an open lead: the place where that hand-over is counted, else -1."""
    t = treatment_at(m.treatments, option)
    lead = product_at(s.product, i * s.products + t.product)
    if lead.lead == NEVER or lead.lead_owner >= 0:
        return -1
    arose = lead.lead_channel if lead.lead_channel >= 0 else s.channels
    place = arose * s.channels + t.channel
    hand_over_at(out.hand_overs, place).taken_up += 1
    hand_over_at(out.hand_overs, place).days_waited += customer_at(s.customer, i).day - lead.lead
    return place


@kernel
def clash(m: Any, s: Any, i: int, option: int) -> float:
    """Trace of the newest contact on another channel with another product, or another benefit for the same one."""
    t, me = treatment_at(m.treatments, option), customer_at(s.customer, i)
    if not t.selling:
        return 0.0
    for k in range(RING):
        place = (me.newest - k) % RING
        age = me.day - me.ring_day[place]
        if age > 60:  # ten half-lives of a week: nothing is left
            break
        other = me.ring_treatment[place]
        if other > 0 and me.ring_channel[place] != t.channel and treatment_at(m.treatments, other).selling:
            same = me.ring_product[place] == t.product and treatment_at(m.treatments, other).benefit == t.benefit
            if not same:
                return np.float64(faded(s, RECENCY, age))
    return 0.0


@kernel
def _bear(m: Any, s: Any, out: Any, i: int, v: View, cause: Cause, base: int, engaged: bool) -> None:
    """What a delivered contact does to goodwill: opt-out, complaint, irritation; care that is engaged with heals."""
    if happens(m, v, OPTED_OUT, cause.treatment, DRAW_OPTED_OUT + base, 1.0):
        happened(m, s, out, i, _OPTED_OUT, cause, np.nan)
        tally_at(out.tally, i).opt_outs += 1
    if happens(m, v, COMPLAINED, cause.treatment, DRAW_COMPLAINED + base, 1.0):
        happened(m, s, out, i, _COMPLAINED, cause, np.nan)
        tally_at(out.tally, i).complaints += 1
    single_at(s.latent, i * s.latent_states + IRRITATION).value += np.float32(
        chance(m, v, IRRITATES, cause.treatment, 1.0)
    )
    if engaged and not treatment_at(m.treatments, cause.treatment).selling:
        single_at(s.latent, i * s.latent_states + IRRITATION).value *= np.float32(1 - m.care_heals)


@kernel
def _met(s: Any, i: int, channel: int) -> None:
    bit = np.uint64(1) << np.uint64(channel)
    person_at(s.person, i).engaged_on |= bit
    person_at(s.person, i).met_on |= bit


@kernel
def convert(m: Any, s: Any, out: Any, i: int, v: View, cause: Cause, value_draw: int, redeem_draw: int) -> None:
    """Customer i signs: booked at once, or an application that matures later."""
    by_product = m.value_by_product
    value = amount(m, v, CONVERTED_VALUE, cause.product if by_product else max(cause.treatment, 0), value_draw)
    pays = cause.treatment > 0 and treatment_at(m.treatments, cause.treatment).benefit_cost > 0
    redeems = pays and (not exists(m, REDEEMED) or happens(m, v, REDEEMED, cause.treatment, redeem_draw, 1.0))
    treatment = cause.treatment if redeems or not pays else -1
    if cause.product >= 0 and facts_at(m.product_facts, cause.product).maturing_days > 0:
        if facts_at(m.product_facts, cause.product).refers:
            happened(m, s, out, i, _REFERRED, cause, np.nan)
        happened(m, s, out, i, _APPLIED, cause, np.nan)
        due = pending_at(s.pending, i * s.products + cause.product)
        due.due_day = customer_at(s.customer, i).day + facts_at(m.product_facts, cause.product).maturing_days
        due.due_value, due.treatment, due.channel = value, treatment, cause.channel
        due.decision = cause.decision
        return
    book(m, s, out, i, because(treatment, cause.channel, cause.product, cause.decision, cause.minute), value)


@kernel
def book(m: Any, s: Any, out: Any, i: int, cause: Cause, value: float) -> None:
    """A conversion is final: margin net of expected credit loss, volume, benefit. value: margin before loss."""
    net = value
    if cause.product >= 0:
        product = facts_at(m.product_facts, cause.product)
        booked = pending_at(s.pending, i * s.products + cause.product)
        booked.booked_day, booked.booked_value = customer_at(s.customer, i).day, value
        booked.channel, booked.decision = cause.channel, cause.decision
        # As PENDING keeps it, so that a cancellation claws back exactly what was booked.
        kept = np.float64(booked.booked_value)
        net = kept * product.net[person_at(s.person, i).grade]
        if product.margin_rate > 0 and not np.isnan(kept):
            happened(m, s, out, i, _BALANCE, cause, kept / product.margin_rate)
        if product.refers and product.maturing_days == 0:
            happened(m, s, out, i, _REFERRED, cause, np.nan)
    happened(m, s, out, i, _CONVERTED, cause, net)
    tally_at(out.tally, i).conversions += 1
    person_at(s.person, i).conversions += 1
    if cause.treatment > 0 and treatment_at(m.treatments, cause.treatment).benefit_cost > 0:
        happened(m, s, out, i, _REDEEMED, cause, treatment_at(m.treatments, cause.treatment).benefit_cost)


@kernel
def cancel(m: Any, s: Any, out: Any, i: int, v: View, product: int, days: int, draw: int) -> None:
    """An application may fall through, a fresh conversion may be cancelled: the margin is clawed back.

    days: since the last morning; the chance is that of those among them on which it could be cancelled
    """
    booked, day = pending_at(s.pending, i * s.products + product), customer_at(s.customer, i).day
    waits, facts = booked.due_day != NEVER, facts_at(m.product_facts, product)
    start = booked.due_day - facts.maturing_days if waits else booked.booked_day
    end = booked.due_day if waits else booked.booked_day + facts.cancel_days
    exposed = min(day, end) - max(day - days, start)
    if exposed <= 0 or not happens(m, v, CANCELLED, product, draw + product, np.float64(exposed)):
        return
    cause = because(-1, booked.channel, product, booked.decision, BOOKED)
    kept = 0.0 if waits else np.float64(booked.booked_value)
    happened(m, s, out, i, _CANCELLED, cause, kept * facts.net[person_at(s.person, i).grade])
    if not waits and facts.margin_rate > 0 and not np.isnan(kept):
        happened(m, s, out, i, _BALANCE, cause, -kept / facts.margin_rate)
    booked.due_day = booked.booked_day = NEVER
