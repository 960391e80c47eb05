"""Time order: the fewest rows of a sequence to put aside so that the rest does not run backwards."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


def in_order(choices: Sequence[Sequence[int]]) -> list[int | None]:
    """The value kept of each item, None for those left out: the longest subsequence that never falls.

    choices: the values that each item may have, one or several (a day whose year is not given)
    Of several longest ones the earliest items are kept, each with its lowest value. In O(n log n), by the lengths of
    the longest subsequences that start with each value (Fredman 1975, Discrete Mathematics 11).

    >>> in_order([(1,), (2,), (9,), (3,), (4,)])
    [1, 2, None, 3, 4]
    >>> in_order([(10,), (9,)])
    [10, None]
    >>> in_order([(5, 17), (12, 24), (1, 13)])
    [5, 12, 13]
    """
    lengths = _lengths(choices)
    need = max((length for own in lengths for length in own), default=0)
    kept: list[int | None] = []
    last: int | None = None
    for values, own in zip(choices, lengths, strict=True):
        fits = [v for v, k in zip(values, own, strict=True) if k == need and (last is None or v >= last)]
        last, need = (min(fits), need - 1) if fits else (last, need)
        kept.append(last if fits else None)
    return kept


def _lengths(choices: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each value of each item, how many items the longest subsequence that starts there holds."""
    tails: list[int] = []  # tails[k]: minus the largest value that starts a subsequence of k + 1 items
    lengths: list[list[int]] = [[] for _ in choices]
    for item in range(len(choices) - 1, -1, -1):
        places = [bisect_right(tails, -value) for value in choices[item]]  # before any of them is entered
        lengths[item] = [place + 1 for place in places]
        for value, place in zip(choices[item], places, strict=True):
            if place == len(tails):
                tails.append(-value)
            else:
                tails[place] = min(tails[place], -value)
    return lengths
