"""Counters of contacts in rolling windows: frequency caps, sequence bans and offer consistency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.rule_kinds import Selection
from envs.rule_sets import Compiler
from envs.rule_text import BUILT_IN, Rules


@dataclass
class Counter:
    """Counts some contacts in a window; when there are `most`, closes treatments."""

    rule: int
    channels: np.ndarray  # (1 + channels,) bool, an unknown one first
    products: np.ndarray  # (1 + products,) bool
    treatments: np.ndarray  # (1 + treatments,) bool
    most: int
    days: int
    closes: np.ndarray  # (treatments,) bool


def _counts(make: Compiler, chosen: Selection, inbound: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which channels, products and treatments of a contact a selection counts; each with the unknown one first.

    A contact of which something is not known counts where the selection does not ask for it.
    """
    channels = make.channels_of(chosen, inbound)
    products = [not chosen.products or p in chosen.products for p in make.catalogue.product_ids]
    treatments = [
        (not chosen.treatments or t.id in chosen.treatments) and (not chosen.benefits or t.benefit in chosen.benefits)
        for t in make.catalogue.treatments
    ]
    unknown = not (chosen.treatments or chosen.benefits)
    return (
        np.array([not (chosen.channels or chosen.families), *channels]),
        np.array([not chosen.products, *products]),
        np.array([unknown, unknown, *treatments]),  # an unknown treatment, silence, then the others
    )


def caps(make: Compiler, rules: Rules, names: Sequence[str]) -> list[Counter]:
    """Caps. Verification is kept out of those that do not name it, so that a hold can always be cleared."""
    out = []
    for cap in rules.caps:
        closes = make.treatments_of(cap, cap.inbound)
        if not (cap.products or cap.treatments):
            closes &= ~make.verifying
        out.append(Counter(names.index(cap.name), *_counts(make, cap, cap.inbound), cap.most, cap.days, closes))
    return out


def bans(make: Compiler, rules: Rules, names: Sequence[str]) -> list[Counter]:
    out = []
    for ban in rules.bans:
        pairs = [(ban.never, ban.after), (ban.after, ban.never)] if ban.either_order else [(ban.never, ban.after)]
        for closed, seen in pairs:
            counted = _counts(make, seen, inbound=True)
            out.append(Counter(names.index(ban.name), *counted, 1, ban.days, make.treatments_of(closed)))
    return out


def benefits(make: Compiler, days: int) -> list[Counter]:
    """A benefit shown for a product closes that product's treatments with another one, or none."""
    shown = dict.fromkeys((t.product, t.benefit) for t in make.catalogue.treatments if t.benefit != "none" and days)
    out = []
    for product, benefit in shown:
        seen = Selection(products=(product,), benefits=(benefit,))
        closes = make.of_products([product]) & ~make.treatments_of(seen)
        if closes.any():
            counted = _counts(make, seen, inbound=True)
            out.append(Counter(BUILT_IN.index("offer_consistency"), *counted, 1, days, closes))
    return out


def keep(make: Compiler, counters: list[Counter]) -> tuple[int, int, int, int]:
    """Keep the counters of a level. -> position of their marks, row of the first, position of rules, longest window"""
    group, row = sum(len(part) for part in make.marks), len(make.words)
    longest = max((c.days for c in counters), default=0)
    for counter in counters:
        make.row(counter.closes)
    rule_at, _ = make.list_of(counter.rule for counter in counters)
    for first in range(0, len(counters), 64):
        some = counters[first : first + 64]
        digits = [[(16 - c.most) >> k & 1 for c in some] for k in range(5)]
        ages = [[age < c.days for c in some] for age in range(longest)]
        tables = [np.stack([getattr(c, name) for c in some], axis=1) for name in ("channels", "products", "treatments")]
        rows = np.concatenate([np.array(digits, bool), np.array(ages, bool), *tables])
        bits = np.zeros((len(rows), 64), np.uint8)
        bits[:, : len(some)] = rows
        make.marks.append(np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64))
    return group, row, rule_at, longest
