"""Kernels of the rule book: which treatments are closed to one customer, and by which rule.

One code for both questions. `closed` has a row of bits per rule when reasons are asked for, and a single row when only
the mask is: every rule then adds to that row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.calendar import FIRST_DAY
from envs.history import NEVER, RING, History
from envs.jit import inlined, kernel
from envs.rule_tables import (
    AMONG,
    DAY,
    HOLDS,
    LACKS,
    ONCE,
    OUTBOUND,
    RANGE,
    SELLING,
    SELLS,
    SHARED,
    STAGE,
    VERIFYING,
    WEEKEND,
    WORKING_DAY,
    Book,
)
from envs.rule_text import BUILT_IN

(_INBOUND, _RISK_HOLD, _NO_RISK_HOLD, _WAITING, _CONSENT, _QUIET, _HOLDS_ALREADY) = range(7)
(_PENDING, _SUITABILITY, _REFUSAL, _COMPLAINT, _ONE_VOICE, _BENEFIT, _LEAD_OWNER) = range(7, len(BUILT_IN))
ONE = np.uint64(1)
ZERO = np.uint64(0)


@inlined
def mask_one(book: Book, h: History, profile: np.ndarray, i: int, trigger: int, busy: int, out: np.ndarray) -> None:
    """Write customer i's mask into `out`, (treatments,) bool: True where a treatment is allowed.

    profile: (batch, profile fields) float32; trigger: position in schema.triggers, -1: outbound; busy: position of the
    channel on which a delayed contact still waits, -1: none
    """
    book.scratch[0, :] = ZERO
    _close(book, h, profile, i, trigger, busy, book.scratch)
    for word in range(book.words.shape[1]):
        bits = book.scratch[0, word]
        first = 64 * word
        for t in range(min(64, out.shape[0] - first)):
            out[first + t] = (bits >> np.uint64(t)) & ONE == ZERO


@kernel
def mask_all(
    book: Book, h: History, profile: np.ndarray, trigger: np.ndarray, busy: np.ndarray, out: np.ndarray
) -> None:
    """Masks of a batch. trigger, busy: (batch,) int; out: (batch, treatments) bool."""
    for i in range(out.shape[0]):
        mask_one(book, h, profile, i, trigger[i], busy[i], out[i])


@kernel
def reasons_all(
    book: Book, h: History, profile: np.ndarray, trigger: np.ndarray, busy: np.ndarray, out: np.ndarray
) -> None:
    """What each rule closes to each customer of a batch. out: (batch, rules, words) uint64, zeros."""
    for i in range(out.shape[0]):
        _close(book, h, profile, i, trigger[i], busy[i], out[i])


@kernel
def levels_all(book: Book, profile: np.ndarray, out: np.ndarray) -> None:
    """The level of each customer. out: (batch,) int."""
    for i in range(out.shape[0]):
        out[i] = _level(book, profile, i)


@inlined
def _level(book: Book, profile: np.ndarray, i: int) -> int:
    """The level that customer i belongs to; 0 unless the profile says otherwise."""
    for k in range(book.ints[1]):
        if profile[i, book.ints[0] + k] > 0.5:
            return int(book.ints[2 + k])
    return 0


@inlined
def _add(closed: np.ndarray, row: int, words: np.ndarray, these: int) -> None:
    for w in range(closed.shape[1]):
        closed[row, w] |= words[these, w]


@inlined
def _add_both(closed: np.ndarray, row: int, words: np.ndarray, these: int, those: int) -> None:
    """Close what is in two sets."""
    for w in range(closed.shape[1]):
        closed[row, w] |= words[these, w] & words[those, w]


@inlined
def _close(book: Book, h: History, profile: np.ndarray, i: int, trigger: int, busy: int, closed: np.ndarray) -> None:
    step = 0 if closed.shape[0] == 1 else 1
    level = book.levels[_level(book, profile, i)]
    me = h.customer[i]
    channel_row = SHARED + h.product.shape[1]
    _add(closed, _INBOUND * step, book.words, channel_row + h.channel.shape[1] + 1 + trigger)
    _add(closed, _QUIET * step, book.words, level.quiet)
    if me.risk_hold:
        _add(closed, _RISK_HOLD * step, book.words, SELLING)
    else:
        _add(closed, _NO_RISK_HOLD * step, book.words, VERIFYING)
    if busy >= 0:
        _add(closed, _WAITING * step, book.words, channel_row + busy)
    if me.day - me.last_complaint < level.complaint_days:
        _add(closed, _COMPLAINT * step, book.words, SELLING)
    if level.consent:
        for c in range(h.channel.shape[1]):
            if h.channel[i, c].opted_out:
                _add(closed, _CONSENT * step, book.words, channel_row + c)
    if level.rating >= 0:
        _add(closed, _SUITABILITY * step, book.words, level.above + _rating(level, profile, i))
    _of_products(book, level, h, i, closed, step)
    for g in range(level.gate, level.gate + level.gates):
        gate = book.gates[g]
        met = _met(book, gate, h, profile, i)
        _add(closed, gate.rule * step, book.words, gate.holds if met else gate.fails)
    _of_contacts(book, level, h, i, closed, step)


@inlined
def _rating(level: Any, profile: np.ndarray, i: int) -> int:
    """The risk rating, 0 to 5; missing: the lowest, 1."""
    if level.rating_missing >= 0 and profile[i, level.rating_missing] > 0:
        return 1
    return int(min(max(np.rint(profile[i, level.rating] * level.scale + level.center), 0.0), 5.0))


@inlined
def _met(book: Book, gate: Any, h: History, profile: np.ndarray, i: int) -> bool:
    """True if all clauses of a gate hold for customer i."""
    met = True
    for k in range(gate.first, gate.first + gate.clauses):
        met &= _holds(book, book.clauses[k], h, profile, i)
    return met


@inlined
def _holds(book: Book, clause: Any, h: History, profile: np.ndarray, i: int) -> bool:
    if clause.kind == RANGE:
        value = profile[i, clause.at]
        known = clause.missing < 0 or profile[i, clause.missing] == 0
        return bool(known and clause.low <= value <= clause.high)
    if clause.kind == DAY:
        return bool(_kind_of_day(book, h.customer[i].day) & clause.at == 0)
    for k in range(clause.first, clause.first + clause.size):
        which = book.ints[k]
        if clause.kind == AMONG and profile[i, which] > 0.5:
            return True
        if clause.kind == STAGE and h.customer[i].stage == which:
            return True
        if (clause.kind in (HOLDS, LACKS)) and h.product[i, which].holds:
            return bool(clause.kind == HOLDS)
    return bool(clause.kind == LACKS)


@inlined
def _kind_of_day(book: Book, day: int) -> int:
    """Kinds of a day as bits; beyond the calendar there are weekends but no holidays."""
    if 0 <= day - FIRST_DAY < book.calendar.shape[0]:
        return int(book.calendar[day - FIRST_DAY])
    return WEEKEND if (day + 3) % 7 >= 5 else WORKING_DAY  # 1970-01-01 was a Thursday


@inlined
def _of_products(book: Book, level: Any, h: History, i: int, closed: np.ndarray, step: int) -> None:
    """Rules that look at each product by itself, and the one voice over them."""
    day, offered, voice = h.customer[i].day, 0, 0
    flags = 2 + book.ints[1]
    for p in range(h.product.shape[1]):
        product = h.product[i, p]
        if product.holds and level.once and book.ints[flags + p] & ONCE:
            _add(closed, _HOLDS_ALREADY * step, book.words, SHARED + p)
        if product.pending and level.pending:
            _add(closed, _PENDING * step, book.words, SHARED + p)
        if day - product.last_refusal < level.refusal_days:
            _add(closed, _REFUSAL * step, book.words, SHARED + p)
        if day - product.last_offer < level.focus_days and book.ints[flags + p] & SELLS:
            offered, voice = offered + 1, p
        if product.lead != NEVER:
            _of_lead(book, level, h, i, p, closed, step)
    if offered > 0:
        for w in range(closed.shape[1]):
            own = book.words[SHARED + voice, w] if offered == 1 else ZERO
            closed[_ONE_VOICE * step, w] |= book.words[SELLING, w] & ~own


@inlined
def _of_lead(book: Book, level: Any, h: History, i: int, p: int, closed: np.ndarray, step: int) -> None:
    """An open lead belongs to the channel that took it up, or goes from hand to hand."""
    product = h.product[i, p]
    age, owner = h.customer[i].day - product.lead, product.lead_owner
    if age < level.lead_owner_days and owner >= 0:
        own = SHARED + h.product.shape[1] + owner
        for w in range(closed.shape[1]):
            closed[_LEAD_OWNER * step, w] |= book.words[SHARED + p, w] & book.words[OUTBOUND, w] & ~book.words[own, w]
    for k in range(level.hand_over, level.hand_over + level.hand_overs):
        hand = book.hand_overs[k]
        broken_off = product.abandoned == product.lead
        origin = hand.of + h.product.shape[1] + 1 + product.lead_channel
        if not (hand.abandoned if broken_off else hand.engaged) or not (book.ints[hand.of + p] and book.ints[origin]):
            continue
        if age < hand.within_days:
            _add_both(closed, hand.rule * step, book.words, SHARED + p, hand.off_to)
        elif age < hand.within_days + hand.return_days:
            _add_both(closed, hand.rule * step, book.words, SHARED + p, hand.off_return)


@inlined
def _of_contacts(book: Book, level: Any, h: History, i: int, closed: np.ndarray, step: int) -> None:
    """Count the remembered contacts, 64 counters at a time, and close what a full counter closes.

    Digit k of all the counters stands in one word. A counter starts at 16 less the number at which it is full, so that
    it is full once it has carried out of the fourth digit.
    """
    me, channels, products = h.customer[i], h.channel.shape[1], h.product.shape[1]
    at = level.group
    for group in range(level.groups):
        by_channel = at + 5 + level.longest + 1
        by_product = by_channel + channels + 1
        by_treatment = by_product + products + 1
        d0, d1, d2, d3 = book.marks[at], book.marks[at + 1], book.marks[at + 2], book.marks[at + 3]
        full = book.marks[at + 4]
        for k in range(RING):
            place = (me.newest - k) & (RING - 1)
            age = me.day - me.ring_day[place]
            if age >= level.longest:
                break
            counted = book.marks[at + 5 + age] & book.marks[by_channel + me.ring_channel[place]]
            counted &= book.marks[by_product + me.ring_product[place]]
            counted &= book.marks[by_treatment + me.ring_treatment[place]]
            d0, counted = d0 ^ counted, d0 & counted
            d1, counted = d1 ^ counted, d1 & counted
            d2, counted = d2 ^ counted, d2 & counted
            d3, counted = d3 ^ counted, d3 & counted
            full |= counted
        counter = 64 * group
        while full != ZERO:
            if full & ONE:
                _add(closed, book.ints[level.rule + counter] * step, book.words, level.counter + counter)
            full >>= ONE
            counter += 1
        at = by_treatment + book.ints[2 + book.ints[1] + products]
