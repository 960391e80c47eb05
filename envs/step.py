"""A step of a batch: contacts, the days until the next decision, what that decision sees and may do.

Everywhere below, m is a MECHANICS record (the world), s a STATE record (its customers), out an OUT record (what is
written down), i a customer's place in the batch and seen the address of the observation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from envs.background import anything_due, background, book_due, calm_down, come_in
from envs.contact import DRAW_DELAY, LATER, View, contact
from envs.encoding import encode_one, tell_trigger
from envs.features import CLOCK, CONTEXT
from envs.happening import wipe
from envs.history import History, advance_one, channel_at, customer_at
from envs.jit import kernel
from envs.mechanics import decision_at, treatment_at
from envs.pointers import long_at, single_at
from envs.randomness import key_of, uniform
from envs.rule_kernels import mask_one
from envs.rule_tables import Book
from envs.state import person_at

BLOCK = 256  # customers who are stepped, then masked: so many stand in the processor's cache


class Asked(NamedTuple):
    """What a step is told."""

    treatment: np.ndarray  # (batch, desks) int64, 0: silence
    number: np.ndarray  # (batch, desks) int64, numbers of the decisions in the log
    seen: np.ndarray  # (batch, fields) float32, what the decisions saw
    mask: np.ndarray  # (batch, treatments) bool


class After(NamedTuple):
    """What a step answers, and the next decisions see."""

    executed: np.ndarray  # (batch, desks) int64, the treatments carried out: a masked one became silence
    blocked: np.ndarray  # (batch, desks) bool
    terminated: np.ndarray  # (batch,) bool
    seen: np.ndarray  # (batch, fields) float32
    mask: np.ndarray  # (batch, treatments) bool


@kernel
def step_some(
    world: np.ndarray,
    state: np.ndarray,
    written: np.ndarray,
    rules: tuple[Book, History, np.ndarray],
    seed: np.uint64,
    asked: Asked,
    after: After,
    days: int,
    first: int,
    room: int,
) -> int:
    """Step customers from `first` on, until the log has no room for another. -> the first one not stepped.

    world, state, written: (1,) MECHANICS, STATE, OUT; rules: the rule book, and the history and profile of `state`;
    days: until the next decision of a continuing task; room: the most events of a customer
    """
    m, s, out = world[0], state[0], written[0]
    stop = asked.treatment.shape[0]
    for start in range(first, stop, BLOCK):
        for i in range(start, min(start + BLOCK, stop)):
            if out.capacity > 0 and long_at(out.logged, 0).value + room > out.capacity:
                _allow(m, s, rules, after, start, i)
                return i
            _step(m, s, out, i, seed, asked, after, days)
        _allow(m, s, rules, after, start, min(start + BLOCK, stop))
    return stop


@kernel
def _step(m: Any, s: Any, out: Any, i: int, seed: np.uint64, asked: Asked, after: After, days: int) -> None:
    """One customer's step. Whoever is gone stays as they are, and sees what they saw."""
    wipe(out, i)
    alive = person_at(s.person, i).alive
    for desk in range(asked.treatment.shape[1]):
        wanted = asked.treatment[i, desk]
        allowed = alive and asked.mask[i, wanted]
        after.executed[i, desk] = wanted if allowed else 0
        after.blocked[i, desk] = alive and not allowed
    if alive:
        seen, then = asked.seen[i].ctypes.data, after.seen[i].ctypes.data
        _live(m, s, out, i, seed, after.executed[i], asked.number[i], days, seen, then)
    else:
        for k in range(asked.seen.shape[1]):
            after.seen[i, k] = asked.seen[i, k]
    after.terminated[i] = alive and not person_at(s.person, i).alive


@kernel
def _allow(m: Any, s: Any, rules: tuple[Book, History, np.ndarray], after: After, first: int, stop: int) -> None:
    """What the next decisions of some customers may do."""
    book, history, profile = rules
    for i in range(first, stop):
        person = person_at(s.person, i)
        busy = treatment_at(m.treatments, person.waiting).channel if person.waiting > 0 else -1
        mask_one(book, history, profile, i, person.trigger, busy, after.mask[i])


@kernel
def start_all(world: np.ndarray, state: np.ndarray, written: np.ndarray, seed: np.uint64, seen: np.ndarray) -> None:
    """The first morning: who comes in, and what the first decision sees."""
    m, s, out = world[0], state[0], written[0]
    for i in range(seen.shape[0]):
        _morning(m, s, out, i, seed, seen[i].ctypes.data, 1)


@kernel
def see_all(world: np.ndarray, state: np.ndarray, seen: np.ndarray) -> None:
    """What decisions see now."""
    m, s = world[0], state[0]
    for i in range(seen.shape[0]):
        _observe(m, s, i, seen[i].ctypes.data)
        tell_trigger(m, person_at(s.person, i).trigger, seen[i].ctypes.data)


@kernel
def situations(world: np.ndarray, state: np.ndarray, trigger: np.ndarray, busy: np.ndarray) -> None:
    """What the rules look at besides profile and history. trigger, busy: (batch,) int64, written to."""
    m, s = world[0], state[0]
    for i in range(trigger.shape[0]):
        person = person_at(s.person, i)
        trigger[i] = person.trigger
        busy[i] = treatment_at(m.treatments, person.waiting).channel if person.waiting > 0 else -1


@kernel
def _observe(m: Any, s: Any, i: int, seen: Any) -> None:
    """The observation without a moment."""
    left, gap = 0.0, 0.0
    if m.finite:
        decision = decision_at(m.decisions, min(person_at(s.person, i).step, m.decision_count - 1))
        left, gap = m.end_day - decision.day, np.float64(decision.gap)
    profile, prices = _row(s.profile, i, s.profile_fields), _row(s.price_fields, i, s.price_count)
    encode_one(m, s, i, profile, left, gap, prices, seen)


@kernel
def _row(start: Any, i: int, width: int) -> Any:
    """Address of row i of a float32 table."""
    return start + np.uint64(4 * i * width)


@kernel
def _view(m: Any, s: Any, i: int, seed: np.uint64, seen: Any) -> View:
    """What the heads see today, and the key of today's draws."""
    day, latent = customer_at(s.customer, i).day, _row(s.latent, i, s.latent_states)
    single_at(latent, CLOCK).value = (day - m.first_day) / 365.0
    return View(np.uint64(seen), np.uint64(latent), key_of(seed, person_at(s.person, i).number, day))


@kernel
def _morning(m: Any, s: Any, out: Any, i: int, seed: np.uint64, seen: Any, days: int) -> None:
    """A new day, `days` after the last morning: what is due, and who comes in. Part of the last decision's outcome."""
    _observe(m, s, i, seen)
    view = _view(m, s, i, seed, seen)
    if anything_due(s, i):
        book_due(m, s, out, i, view, days)
        _observe(m, s, i, seen)
    come_in(m, s, out, i, view)
    tell_trigger(m, person_at(s.person, i).trigger, seen)


@kernel
def _live(
    m: Any,
    s: Any,
    out: Any,
    i: int,
    seed: np.uint64,
    asked: np.ndarray,
    decisions: np.ndarray,
    days: int,
    seen: Any,
    after: Any,
) -> None:
    """Contacts today, then the days until the next decision. seen: address of what the decision saw; after: of what
    the next one will see, written to."""
    view, person = _view(m, s, i, seed, seen), person_at(s.person, i)
    single_at(view.latent, CONTEXT).value = 1 if asked.shape[0] == 1 else 0
    last, decision = 0, -1  # with several desks, models of the whole customer see the last one
    for desk in range(asked.shape[0]):
        if asked[desk] > 0:
            if asked[desk] > last:
                last, decision = asked[desk], decisions[desk]
            _make_or_queue(m, s, out, i, view, asked[desk], decisions[desk], 100 * desk)
    length = days
    if m.finite:
        length = decision_at(m.decisions, min(person.step, m.decision_count - 1)).gap
    whole = 1 if m.by_day else length
    for number in range(length if m.by_day else 1):
        if number > 0:
            _morning(m, s, out, i, seed, after, 1)
            view = _view(m, s, i, seed, after)
        _make_waiting(m, s, out, i, view)
        if whole > 1:  # in a window, what happened unasked happened in the middle
            _pass(m, s, i, whole // 2)
            view = _view(m, s, i, seed, seen)
        background(m, s, out, i, view, last, decision, np.float64(whole))
        _pass(m, s, i, whole - whole // 2)
        if not person.alive:
            break
    person.step += 1
    if m.finite and person.step >= m.decision_count:
        person.alive = False
    if person.alive:
        _morning(m, s, out, i, seed, after, whole)
    else:
        person.trigger = -1
        _observe(m, s, i, after)


@kernel
def _pass(m: Any, s: Any, i: int, days: int) -> None:
    if days > 0:
        advance_one(s, i, days)
        calm_down(m, s, i, days)


@kernel
def _make_or_queue(m: Any, s: Any, out: Any, i: int, v: View, option: int, decision: int, base: int) -> None:
    """Make a contact now, or let it wait where its channel delays. A second one does not wait beside the first."""
    mean, person = treatment_at(m.treatments, option).delay, person_at(s.person, i)
    if mean > 0:
        if person.waiting > 0:
            return
        days = np.floor(np.log(uniform(v.key, DRAW_DELAY + base)) / np.log(mean / (1.0 + mean)))
        if days >= 1:
            person.waiting, person.waiting_decision = option, decision
            person.waiting_day = customer_at(s.customer, i).day + int(days)
            return
    contact(m, s, out, i, v, option, decision, base)


@kernel
def _make_waiting(m: Any, s: Any, out: Any, i: int, v: View) -> None:
    """Make a contact that was decided earlier, unless the customer has opted out or is held meanwhile."""
    person = person_at(s.person, i)
    if person.waiting <= 0 or person.waiting_day > customer_at(s.customer, i).day:
        return
    option, decision = int(person.waiting), int(person.waiting_decision)
    person.waiting, person.waiting_decision = -1, -1
    t = treatment_at(m.treatments, option)
    opted_out = channel_at(s.channel, i * s.channels + t.channel).opted_out
    if not (opted_out or (t.selling and customer_at(s.customer, i).risk_hold)):
        contact(m, s, out, i, v, option, decision, LATER)
