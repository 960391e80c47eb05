"""What happens unasked: purchases, browsing, break-points, organic conversions, moods, stages, churn; moments."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.contact import View, amount, book, cancel, convert, happens, may_take
from envs.features import IRRITATION
from envs.happening import BOOKED, CAME, EVENING, MET, because, happened, sums_at
from envs.history import NAMES, NEVER, STAGE_CHANGED, customer_at
from envs.jit import kernel
from envs.mechanics import (
    ABANDONED,
    BROWSED,
    CANCELLED,
    CHURNED,
    CHURNED_VALUE,
    CONVERTED,
    ENGAGED,
    ORGANIC,
    PURCHASED,
    PURCHASED_VALUE,
    RATED,
    RATED_VALUE,
    RISK_CLEARED,
    RISK_HOLD,
    facts_at,
    move_at,
    treatment_at,
    trigger_at,
)
from envs.model import eta_of, exists, head_at, occurs
from envs.pointers import double_at, single_at
from envs.randomness import normal
from envs.response import GIVEN
from envs.state import pending_at, person_at
from envs.strips import draw_all, etas_of, look

DRAW_PURCHASED, DRAW_PURCHASED_VALUE, DRAW_CHURNED, DRAW_CHURNED_VALUE, DRAW_VISITED = range(5000, 5005)
DRAW_RATED, DRAW_RATED_VALUE, DRAW_RISK_HOLD, DRAW_RISK_CLEARED = range(5010, 5014)
DRAW_ORGANIC, DRAW_ORGANIC_VALUE, DRAW_BROWSED, DRAW_ABANDONED = 5100, 5300, 5500, 5700  # plus the product
DRAW_TRIGGERED, DRAW_MOVED, DRAW_CANCELLED = 5900, 5950, 6000  # plus the trigger, the move, the product
_PURCHASED, _ENGAGED, _CHURNED, _RATED = (
    NAMES.index(n) for n in ("purchased", "engaged", "churned", "satisfaction_rated")
)
_BROWSED, _ABANDONED, _HELD, _CLEARED = (NAMES.index(n) for n in ("browsed", "abandoned", "risk_hold", "risk_cleared"))
_ALWAYS, _GIVEN_ENGAGED = GIVEN.index("always"), GIVEN.index("engaged")


@kernel
def background(m: Any, s: Any, out: Any, i: int, v: View, option: int, decision: int, days: float) -> None:
    """What happens unasked to customer i in `days` days. option: the decision's."""
    nobody = because(-1, -1, -1, -1, EVENING)
    if happens(m, v, PURCHASED, option, DRAW_PURCHASED, days):
        happened(m, s, out, i, _PURCHASED, nobody, amount(m, v, PURCHASED_VALUE, option, DRAW_PURCHASED_VALUE))
    _answer_unasked(m, s, out, i, v, option, decision, days)
    look(m, v.seen, v.latent)
    _look_around(m, s, out, i, v, BROWSED, _BROWSED, DRAW_BROWSED, days)
    _look_around(m, s, out, i, v, ABANDONED, _ABANDONED, DRAW_ABANDONED, days)
    _convert_unasked(m, s, out, i, v, days)
    _watch(m, s, out, i, v, days)
    _move(m, s, out, i, v, days)
    sums_at(out.sums, 0).days += days
    if happens(m, v, CHURNED, option, DRAW_CHURNED, days):
        happened(m, s, out, i, _CHURNED, nobody, amount(m, v, CHURNED_VALUE, option, DRAW_CHURNED_VALUE))
        person_at(s.person, i).alive = False


@kernel
def _answer_unasked(m: Any, s: Any, out: Any, i: int, v: View, option: int, decision: int, days: float) -> None:
    """Engagements and conversions that need no contact, but may be more likely after one."""
    visits = exists(m, ENGAGED) and head_at(m.heads, ENGAGED).given == _ALWAYS
    t = treatment_at(m.treatments, option)
    came = visits and happens(m, v, ENGAGED, option, DRAW_VISITED, days)
    cause = because(option, t.channel, t.product, decision, CAME)
    if came:
        happened(m, s, out, i, _ENGAGED, cause, np.nan)
    if not exists(m, CONVERTED):
        return
    given = head_at(m.heads, CONVERTED).given
    if not (given == _ALWAYS or (visits and came and given == _GIVEN_ENGAGED)):
        return
    if may_take(m, s, i, t.product) and happens(m, v, CONVERTED, option, DRAW_VISITED + 1, days):
        convert(m, s, out, i, v, cause, DRAW_VISITED + 2, DRAW_VISITED + 3)


@kernel
def _look_around(m: Any, s: Any, out: Any, i: int, v: View, head: int, event: int, draw: int, days: float) -> None:
    if not exists(m, head):
        return
    etas_of(m, head)
    if not draw_all(m, v.key, draw, days):
        return
    for p in range(s.products):
        if occurs(head_at(m.heads, head).link, double_at(m.etas, p).value, days, double_at(m.draws, p).value):
            happened(m, s, out, i, event, because(-1, -1, p, -1, EVENING), np.nan)


@kernel
def _convert_unasked(m: Any, s: Any, out: Any, i: int, v: View, days: float) -> None:
    if not exists(m, ORGANIC):
        return
    etas_of(m, ORGANIC)
    if not draw_all(m, v.key, DRAW_ORGANIC, days):
        return
    for p in range(s.products):
        near = occurs(head_at(m.heads, ORGANIC).link, double_at(m.etas, p).value, days, double_at(m.draws, p).value)
        if near and may_take(m, s, i, p):
            cause = because(-1, -1, p, -1, EVENING)
            convert(m, s, out, i, v, cause, DRAW_ORGANIC_VALUE + p, DRAW_ORGANIC_VALUE + p)


@kernel
def _watch(m: Any, s: Any, out: Any, i: int, v: View, days: float) -> None:
    """Satisfaction is asked for, abnormal behaviour holds the customer, and passes by itself."""
    nobody = because(-1, -1, -1, -1, EVENING)
    if happens(m, v, RATED, 0, DRAW_RATED, days):
        eta = eta_of(m, RATED_VALUE, 0, v.seen, v.latent)
        rating = eta + head_at(m.heads, RATED_VALUE).sigma * normal(v.key, DRAW_RATED_VALUE)
        happened(m, s, out, i, _RATED, nobody, min(max(np.round(rating), 1.0), 5.0))
    if customer_at(s.customer, i).risk_hold:
        if happens(m, v, RISK_CLEARED, 0, DRAW_RISK_CLEARED, days):
            happened(m, s, out, i, _CLEARED, nobody, np.nan)
    elif happens(m, v, RISK_HOLD, 0, DRAW_RISK_HOLD, days):
        happened(m, s, out, i, _HELD, nobody, np.nan)


@kernel
def _move(m: Any, s: Any, out: Any, i: int, v: View, days: float) -> None:
    """At most one move between lifecycle stages."""
    stage = customer_at(s.customer, i).stage
    for k in range(m.move_count):
        move = move_at(m.moves, k)
        if move.start == stage and happens(m, v, move.head, 0, DRAW_MOVED + k, days):
            happened(m, s, out, i, STAGE_CHANGED, because(-1, -1, -1, -1, EVENING), np.float64(move.end))
            return


@kernel
def anything_due(s: Any, i: int) -> bool:
    """Whether an application is open, or a conversion not final."""
    for p in range(s.products):
        due = pending_at(s.pending, i * s.products + p)
        if due.due_day != NEVER or due.booked_day != NEVER:
            return True
    return False


@kernel
def book_due(m: Any, s: Any, out: Any, i: int, v: View, days: int) -> None:
    """In the morning: applications that are due are booked, others may fall through or be cancelled.

    days: since the last morning
    """
    day = customer_at(s.customer, i).day
    for p in range(s.products):
        due = pending_at(s.pending, i * s.products + p)
        if due.due_day == NEVER and due.booked_day == NEVER:
            continue
        if facts_at(m.product_facts, p).cancel_days > 0 and exists(m, CANCELLED):
            cancel(m, s, out, i, v, p, days, DRAW_CANCELLED)
        if day - due.booked_day >= facts_at(m.product_facts, p).cancel_days:
            due.booked_day = NEVER  # final
        if due.due_day != NEVER and due.due_day <= day:
            cause = because(due.treatment, due.channel, p, due.decision, BOOKED)
            due.due_day = NEVER
            book(m, s, out, i, cause, np.float64(due.due_value))


@kernel
def come_in(m: Any, s: Any, out: Any, i: int, v: View) -> None:
    """Today's moment: the first trigger of the schema that fires."""
    person_at(s.person, i).trigger = -1
    for k in range(m.trigger_count):
        head = m.first_trigger + k
        if happens(m, v, head, 0, DRAW_TRIGGERED + k, 1.0):
            person_at(s.person, i).trigger = k
            channel = trigger_at(m.triggers, k).channel
            if channel >= 0:
                person_at(s.person, i).met_on |= np.uint64(1) << np.uint64(channel)
            happened(m, s, out, i, trigger_at(m.triggers, k).event, because(-1, -1, -1, -1, MET), np.nan)
            return


@kernel
def calm_down(m: Any, s: Any, i: int, days: int) -> None:
    """Irritation heals."""
    irritation = single_at(s.latent, i * s.latent_states + IRRITATION)
    if irritation.value != 0:
        irritation.value *= single_at(m.calm, min(days, m.calm_days - 1)).value
