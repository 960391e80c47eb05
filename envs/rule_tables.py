"""The compiled rule book: flat tables of numbers that the kernels of envs/rule_kernels.py read.

Sets of treatments are rows of bits, 64 treatments a word; bit 0, silence, is never set. The rules of each level of the
hierarchy are compiled by themselves, one after the other into the same tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Rows of `words` that every level shares; rows of products, channels and triggers follow, then each level's own.
EMPTY, SELLING, VERIFYING, OUTBOUND, SHARED = range(5)
KINDS = RANGE, AMONG, STAGE, HOLDS, LACKS, DAY = range(6)  # kinds of clauses
WEEKEND, HOLIDAY, WORKING_DAY = 1, 2, 4  # kinds of days, as bits
SELLS, ONCE = 1, 2  # flags of a product, as bits

LEVEL = np.dtype(
    [
        ("consent", "?"),
        ("once", "?"),
        ("pending", "?"),
        ("refusal_days", "i4"),
        ("complaint_days", "i4"),
        ("focus_days", "i4"),
        ("lead_owner_days", "i4"),
        ("quiet", "i4"),  # row of treatments that are quiet on every day
        ("rating", "i4"),  # field of the profile with the risk rating, -1: no suitability
        ("rating_missing", "i4"),  # field that says it is missing, -1: never
        ("center", "f8"),
        ("scale", "f8"),
        ("above", "i4"),  # row of treatments with a product risk above 0; above 1 .. 5 follow
        ("gate", "i4"),  # first of its gates
        ("gates", "i4"),
        ("group", "i4"),  # first of its groups of counters, a position in `marks`
        ("groups", "i4"),
        ("counter", "i4"),  # row of treatments that its first counter closes; the others follow
        ("rule", "i4"),  # position in `ints` of the rule of the first counter; the others follow
        ("hand_over", "i4"),  # first of its hand-overs
        ("hand_overs", "i4"),
        ("longest", "i4"),  # days of the longest window of a counter
    ],
    align=True,
)
GATE = np.dtype([("rule", "i4"), ("first", "i4"), ("clauses", "i4"), ("fails", "i4"), ("holds", "i4")], align=True)
CLAUSE = np.dtype(  # at: field of the profile, first of the list in `ints`, or kinds of days
    [("kind", "i4"), ("at", "i4"), ("missing", "i4"), ("first", "i4"), ("size", "i4"), ("low", "f8"), ("high", "f8")],
    align=True,
)
HAND_OVER = np.dtype(
    [
        ("rule", "i4"),
        ("of", "i4"),  # position in `ints`: a flag per product, then per channel of origin, unasked first
        ("engaged", "?"),
        ("abandoned", "?"),
        ("within_days", "i4"),
        ("return_days", "i4"),
        ("off_to", "i4"),  # row of outbound treatments on other channels than `to`
        ("off_return", "i4"),
    ],
    align=True,
)


class Book(NamedTuple):
    """A rule book for kernels. One call at a time works on `scratch`: a kernel holds the interpreter's lock."""

    words: np.ndarray  # (rows, words) uint64, sets of treatments
    levels: np.ndarray  # (levels,) LEVEL, the first for whoever belongs to no other
    gates: np.ndarray  # (gates,) GATE: conditions on a customer, and the rows that are closed where they fail or hold
    clauses: np.ndarray  # (clauses,) CLAUSE
    hand_overs: np.ndarray  # (hand-overs,) HAND_OVER
    marks: np.ndarray  # flat uint64: which counters count a contact, by its age, channel, product and treatment
    ints: (
        np.ndarray
    )  # flat int32: [profile field of the first level's category, categories, level of each], flags, lists
    calendar: np.ndarray  # (days,) uint8, kinds of days from FIRST_DAY on
    scratch: np.ndarray  # (1, words) uint64
